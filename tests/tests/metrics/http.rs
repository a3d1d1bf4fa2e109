//! A client of the endpoint that sends what it is told, octet by octet, and the samples that come back.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::lab::NetNs;

/// Where the daemon listens if nothing else is said.
pub(crate) const DEFAULT: &str = "127.0.0.1:25587";

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A connection to `address`, made in `netns`.
pub(crate) fn connect(netns: &NetNs, address: &str) -> Result<TcpStream> {
    let address: SocketAddr = address.parse()?;
    let stream = netns.run(|| TcpStream::connect_timeout(&address, PATIENCE))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Everything that comes until the other end closes, which may be a reset when it did not read all that it was sent.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes an answer apart.
pub(crate) fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer: {text:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?;
    Ok(Answer {
        status: status.parse()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// Sends these octets, and returns the answer.
pub(crate) fn send(netns: &NetNs, address: &str, octets: &[u8]) -> Result<Answer> {
    let mut stream = connect(netns, address)?;
    stream.write_all(octets)?;
    parse(&rest(&mut stream))
}

/// Reads a page.
pub(crate) fn get(netns: &NetNs, address: &str, path: &str, accept: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    send(netns, address, request.as_bytes())
}

/// Samples by name and labels, as they are written.
pub(crate) type Samples = BTreeMap<String, f64>;

/// The samples of a text.
pub(crate) fn samples(text: &str) -> Result<Samples> {
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').context("a line without a value")?;
        let twice = samples.insert(series.to_owned(), value.parse()?);
        ensure!(twice.is_none(), "{series} comes twice");
    }
    Ok(samples)
}

/// The samples of the daemon that listens in `netns` where nothing else is said.
pub(crate) fn scrape(netns: &NetNs) -> Result<Samples> {
    let answer = get(netns, DEFAULT, "/metrics", "*/*")?;
    ensure!(answer.status == 200, "{answer:?}");
    samples(&answer.body)
}
