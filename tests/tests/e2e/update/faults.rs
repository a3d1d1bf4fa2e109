//! Servers and disks that do what they should not. The gate is in force meanwhile, and notices nothing of it.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    net::TcpStream,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use flate2::{Compression, write::GzEncoder};
use gate_tests::{exec, interrupt};
use libtest_mimic::Trial;
use sha2::{Digest as _, Sha256};

use super::{
    CANARY, ENCODED, Place, names, secret,
    server::{Reply, Server, Then},
};
use crate::{
    bench::{Bench, Found},
    database::{self, NETWORKS},
    disk::Disk,
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("update::whatever_servers_do_the_file_stays", servers),
        found.lab_trial("update::no_address_route_or_server", nowhere),
        found.lab_trial("update::disks_and_permissions", disks),
        found.lab_trial("update::killed_and_twice_at_once", killed),
    ]
}

/// A better database than the small one.
fn newer() -> Result<Vec<u8>> {
    database::of_day(1, &NETWORKS)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(content)?;
    Ok(gzip.finish()?)
}

fn ok(body: &[u8]) -> Reply {
    Reply::new("200 OK", "", body)
}

fn hex(content: &[u8]) -> String {
    let digits = Sha256::digest(content);
    digits.iter().map(|it| format!("{it:02x}")).collect()
}

/// What a server answers, the exit code, and what is said.
type Case = (&'static str, Reply, i32, &'static str);

fn cases(address: &str) -> Result<Vec<Case>> {
    let head = "HTTP/1.1 200 OK\r\n";
    let redirect = |to: &str| Reply::new("302 Found", &format!("Location: {to}\r\n"), b"");
    let wide: Vec<(String, &str)> = (0..9)
        .map(|it| (format!("{}.0.0.0/16", 31 + 2 * it), "FR"))
        .collect();
    let wide = wide.iter().map(|(net, country)| (net.as_str(), *country));
    let wide: Vec<_> = NETWORKS.into_iter().chain(wide).collect();
    let mut half = newer()?;
    half.truncate(half.len() / 2);
    let mut bomb = newer()?;
    bomb.resize(8 << 20, 0);
    let refused = format!("WWW-Authenticate: Basic realm=\"{CANARY}\"\r\n");
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

fn servers(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    let server = Server::new(bench.lab.router(), "127.0.0.1:0")?;
    let address = server.address.to_string();
    let url = format!("http://{address}/{CANARY}/db?key={CANARY}");
    let credentials = "credentials = \"credentials\"";
    place.configure(&url, credentials)?;
    let mut daemon = bench.gate().run(&place.config)?;
    let before = (place.content()?, place.database.metadata()?.ino());
    let stays = |what: &str| {
        let now = (place.content()?, place.database.metadata()?.ino());
        ensure!(now == before, "{what}: the file is another one");
        let names = place.names()?;
        ensure!(
            names == [".countries.mmdb.lock", "countries.mmdb"],
            "{what}: {names:?}"
        );
        Ok(())
    };
    for (what, reply, code, words) in cases(&address)? {
        server.set("db", reply);
        place
            .says(&[], code, words)
            .map_err(|error| error.context(what))?;
        stays(what)?;
        let asked = server.requests();
        let shown = format!("authorization: Basic {ENCODED}").to_ascii_lowercase();
        ensure!(
            matches!(&asked[..], [one] if one.to_ascii_lowercase().contains(&shown)),
            "{what}: {asked:?}"
        );
    }
    // The checksum.
    let keys = format!("{credentials}\nchecksum = \"http://{address}/{CANARY}/sum?{CANARY}\"");
    place.configure(&url, &keys)?;
    server.set("db", ok(&newer()?));
    for (reply, code, words) in [
        (ok(hex(b"another").as_bytes()), 2, "and should be"),
        (ok(CANARY.as_bytes()), 2, "does not begin with a SHA-256"),
        (Reply::new("404 Not Found", "", b""), 1, "its checksum: "),
    ] {
        server.set("sum", reply);
        place.says(&[], code, words)?;
        stays(words)?;
    }
    // Credentials that are none.
    place.configure(&url, "credentials = \"absent\"")?;
    place.says(&[], 2, "cannot be read")?;
    place.configure(&url, credentials)?;
    let secrets = bench.lab.scratch().join("credentials");
    fs::set_permissions(&secrets, Permissions::from_mode(0o604))?;
    place.says(&[], 2, "chmod o= ")?;
    fs::set_permissions(&secrets, Permissions::from_mode(0o600))?;
    fs::write(&secrets, CANARY)?;
    place.says(&[], 2, "neither `ACCOUNT:KEY` nor")?;
    stays("credentials")?;

    ensure!(daemon.outcome()?.is_none(), "it ended: {}", daemon.said());
    bench.in_force()?;
    let reload = bench.gate().text(&["reload"])?;
    let status = bench.gate().text(&["status"])?;
    let metrics = bench.lab.router().run(metrics)??;
    ensure!(metrics.contains("gate_database_built_timestamp_seconds"));
    for text in [reload, status, metrics, daemon.said()] {
        secret(&text)?;
    }
    daemon.terminate().map(drop)
}

/// What the daemon tells monitoring systems.
fn metrics() -> io::Result<String> {
    let mut stream = TcpStream::connect("127.0.0.1:25587")?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    io::read_to_string(stream)
}

/// Names without an address, addresses without a route, ports without a server.
fn nowhere(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    for (url, words) in [
        ("https://192.0.2.1/", "no connection to this server"),
        ("https://[2001:db8::1]/", "no connection to this server"),
        ("https://gate.invalid/", "no address is found"),
    ] {
        place.configure(&format!("{url}{CANARY}?{CANARY}"), "")?;
        let config = place.config.to_string_lossy();
        let mut update = Command::new("unshare");
        update.arg("--net").arg(&bench.tools.program);
        update.arg("--pins").arg(bench.lab.pins());
        update.args(["geoip", "update", "--config", &config]);
        let output = exec::output(&mut update, "", Duration::from_secs(30))?;
        secret(&output.stdout)?;
        secret(&output.stderr)?;
        ensure!(
            output.code() == Some(1)
                && output.stdout.contains(words)
                && output.stdout.contains(url.trim_end_matches('/')),
            "{url}: {output:?}"
        );
    }
    place.configure("http://127.0.0.1:9/", "")?;
    place.says(&[], 1, "Connection refused")?;
    ensure!(place.content()? == database::small()?, "another file");
    Ok(())
}

/// No room, no permission, no directory.
fn disks(bench: &Bench<'_>) -> Result<()> {
    let mut place = Place::new(bench)?;
    let server = Server::new(bench.lab.router(), "[::1]:0")?;
    server.set("db", ok(&newer()?));
    let url = format!("http://{}/db", server.address);
    let disk = Disk::new(bench.lab.scratch())?;
    place.directory = disk.path().to_owned();
    place.database = disk.path().join("countries.mmdb");
    fs::write(&place.database, database::small()?)?;
    place.configure(&url, "")?;
    disk.fill()?;
    place.says(&[], 1, "No space left on device")?;
    ensure!(place.content()? == database::small()?, "another file");
    let left = names(disk.path())?;
    ensure!(
        left.iter()
            .all(|it| !it.ends_with(".new") && !it.ends_with(".packed")),
        "{left:?}"
    );
    disk.empty()?;
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,ro"]).arg(disk.path());
    exec::tool(&mut mount, "")?;
    place.says(&[], 1, "Read-only file system")?;
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,rw"]).arg(disk.path());
    exec::tool(&mut mount, "")?;
    // What is there keeps its permissions.
    fs::set_permissions(&place.database, Permissions::from_mode(0o640))?;
    place.says(&[], 0, "replaced   from http://[::1]:")?;
    ensure!(place.content()? == newer()?, "not what was fetched");
    ensure!(place.database.metadata()?.mode() & 0o7777 == 0o640);
    place.database = disk.path().join("absent/countries.mmdb");
    place.configure(&url, "")?;
    place.says(&[], 1, "mkdir -p ").map(drop)
}

/// Killed amid a download, which the next one cleans up; and one at a time.
fn killed(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    let server = Server::new(bench.lab.router(), "127.0.0.1:0")?;
    let stall = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc";
    server.set("db", Reply::raw(stall, Then::Stall));
    place.configure(&format!("http://{}/db", server.address), "")?;
    let config = fs::read_to_string(&place.config)?;
    fs::write(
        &place.config,
        config.replace("timeout = 1\n", "timeout = 60\n"),
    )?;
    let path = place.config.to_string_lossy();
    let mut command = bench
        .gate()
        .command(&["geoip", "update", "--config", &path]);
    let mut first = exec::spawn(&mut command)?;
    let packed = place.directory.join(".countries.mmdb.packed");
    let received = || fs::read(&packed).is_ok_and(|it| it == b"abc");
    let begun = interrupt::wait_until(Duration::from_secs(20), received)?;
    let busy = place.says(&[], 1, "another `gate geoip update` holds the lock");
    first.kill()?;
    first.wait()?;
    ensure!(begun, "nothing was received");
    busy?;
    ensure!(packed.exists(), "it was killed too late");
    ensure!(place.content()? == database::small()?, "another file");
    server.set("db", ok(&newer()?));
    place.says(&[], 0, "replaced")?;
    ensure!(place.content()? == newer()?, "not what was fetched");
    let names = place.names()?;
    ensure!(
        names
            == [
                ".countries.mmdb.fetched",
                ".countries.mmdb.lock",
                "countries.mmdb"
            ],
        "{names:?}"
    );
    Ok(())
}
