//! What servers do that they should not.

use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};

use super::{
    CANARY,
    server::{Reply, Then},
};
use crate::database::{self, NETWORKS};

/// A better database than the small one.
pub(super) fn newer() -> Result<Vec<u8>> {
    database::of_day(1, &NETWORKS)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(content)?;
    Ok(gzip.finish()?)
}

pub(super) fn ok(body: &[u8]) -> Reply {
    Reply::new("200 OK", "", body)
}

/// What a server answers, the exit code, and what is said.
type Case = (&'static str, Reply, i32, &'static str);

/// All of it, by a server at `address`.
pub(super) fn cases(address: &str) -> Result<Vec<Case>> {
    Ok([ends()?, answers(address), files()?].concat())
}

/// Answers that do not come, or do not end.
fn ends() -> Result<Vec<Case>> {
    let head = "HTTP/1.1 200 OK\r\n";
    let mut bomb = newer()?;
    bomb.resize(8 << 20, 0);
    Ok(vec![
        (
            "silence",
            Reply::raw("", Then::Stall),
            1,
            "said nothing for 1 s before an answer came",
        ),
        (
            "half a head",
            Reply::raw("HTTP/1.1 200 OK\r\nX: ", Then::Stall),
            1,
            "said nothing for 1 s before an answer came",
        ),
        (
            "a stall",
            Reply::raw(&format!("{head}Content-Length: 99\r\n\r\nabc"), Then::Stall),
            1,
            "said nothing for 1 s in the middle of the file",
        ),
        (
            "no answer",
            Reply::raw("", Then::Close),
            1,
            "the connection ended after 0 octets",
        ),
        (
            "cut short",
            Reply::raw(&format!("{head}Content-Length: 99\r\n\r\nabc"), Then::Close),
            1,
            "the connection ended after 3 octets of 99",
        ),
        (
            "a chunk cut short",
            Reply::raw(
                &format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nabc"),
                Then::Close,
            ),
            1,
            "the connection ended after 3 octets, before the end was said",
        ),
        (
            "no end",
            Reply::raw(
                &format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
                Then::Flood,
            ),
            1,
            "more than the 1048576 octets",
        ),
        (
            "huge",
            Reply::raw(
                &format!("{head}Content-Length: 99999999999999\r\n\r\n"),
                Then::Stall,
            ),
            1,
            "more than the 1048576 octets",
        ),
        (
            "a bomb",
            ok(&gzip(&bomb)?),
            2,
            "unpacks to more than the 1048576 octets",
        ),
    ])
}

/// Answers that are no file.
fn answers(address: &str) -> Vec<Case> {
    let redirect = |to: &str| Reply::new("302 Found", &format!("Location: {to}\r\n"), b"");
    let refused = format!("WWW-Authenticate: Basic realm=\"{CANARY}\"\r\n");
    vec![
        (
            "a circle",
            redirect(&format!("http://{address}/{CANARY}/db?key={CANARY}")),
            1,
            "redirects in a circle",
        ),
        (
            "elsewhere in the clear",
            redirect(&format!("http://192.0.2.1/?sig={CANARY}")),
            1,
            "redirects to somewhere else, which is http:// to another machine",
        ),
        (
            "elsewhere with a password",
            redirect(&format!("https://{CANARY}:{CANARY}@192.0.2.1/")),
            1,
            "has a user name or a password",
        ),
        (
            "elsewhere on this disk",
            redirect(&format!("file:///{CANARY}")),
            1,
            "redirects to somewhere else",
        ),
        (
            "a page",
            Reply::new(
                "200 OK",
                "Content-Type: text/html\r\n",
                format!("<!doctype html><h1>{CANARY}</h1>").as_bytes(),
            ),
            2,
            "a web page (HTML)",
        ),
        (
            "401",
            Reply::new("401 Unauthorized", &refused, CANARY.as_bytes()),
            1,
            "refuses access (status 401 Unauthorized)\n",
        ),
        (
            "403",
            Reply::new("403 Forbidden", "", CANARY.as_bytes()),
            1,
            "check the account and the key",
        ),
        (
            "404",
            Reply::new("404 Not Found", "", b""),
            1,
            "has nothing at this URL (status 404",
        ),
        (
            "429",
            Reply::new("429 Too Many Requests", "Retry-After: 3600\r\n", b""),
            1,
            "asks for 3600 s without another attempt",
        ),
        (
            "500",
            Reply::new("500 Internal Server Error", "", CANARY.as_bytes()),
            1,
            "status 500",
        ),
        (
            "a status of its own",
            Reply::raw(&format!("HTTP/1.1 599 {CANARY}\r\n\r\n"), Then::Close),
            1,
            "status 599",
        ),
        (
            "304 unasked",
            Reply::new("304 Not Modified", "", b""),
            1,
            "status 304",
        ),
        (
            "no HTTP",
            Reply::raw(&format!("220 {CANARY} ESMTP\r\n"), Then::Close),
            1,
            "does not speak HTTP",
        ),
    ]
}

/// Files that are not what they should be.
fn files() -> Result<Vec<Case>> {
    let wide: Vec<(String, &str)> = (0..9)
        .map(|it| (format!("{}.0.0.0/16", 31 + 2 * it), "FR"))
        .collect();
    let wide = wide.iter().map(|(net, country)| (net.as_str(), *country));
    let wide: Vec<_> = NETWORKS.into_iter().chain(wide).collect();
    let mut half = newer()?;
    half.truncate(half.len() / 2);
    Ok(vec![
        (
            "compressed",
            Reply::new("200 OK", "Content-Encoding: gzip\r\n", &gzip(&newer()?)?),
            1,
            "Content-Encoding",
        ),
        ("nothing", ok(b""), 2, "is an empty file"),
        ("half a file", ok(&half), 2, "damaged or cut short"),
        (
            "half a gzip file",
            ok(gzip(&newer()?)?.get(..500).unwrap_or_default()),
            2,
            "damaged or cut short",
        ),
        ("a text", ok(CANARY.as_bytes()), 2, "not a MaxMind DB file"),
        (
            "another type",
            ok(&database::without_countries()?),
            2,
            "has no country",
        ),
        (
            "older",
            ok(&database::of_day(-1, &NETWORKS)?),
            2,
            "which is before the one that is there was",
        ),
        (
            "shrunk",
            ok(&database::of_day(1, NETWORKS.get(..2).unwrap_or_default())?),
            2,
            "1 IPv4 networks, down from 4",
        ),
        (
            "grown",
            ok(&database::of_day(1, &wide)?),
            2,
            "IPv4 networks, up from 4",
        ),
    ])
}
