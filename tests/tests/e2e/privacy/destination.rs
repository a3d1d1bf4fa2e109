//! Where subscribers connect to is kept nowhere: in no map, in no ring of who listens, and in nothing that is said.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{IpAddr, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::maps;
use gate_tests::{
    exec,
    gate::Limit,
    interrupt,
    lab::{Family, Who},
    pin,
};
use gate_user::pins::Pins;
use libtest_mimic::Trial;

use super::{PATIENCE, has, kept, octets, source};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial(
        "privacy::where_subscribers_connect_to_is_kept_nowhere",
        destination,
    )]
}

/// What the ring of who listens is called here: it is pinned nowhere.
const RING: &str = "the ring of gate events";

/// Everything that the gate holds and says after subscribers connected to a host that no configuration names.
fn destination(bench: &Bench<'_>) -> Result<()> {
    let mut config = kept(
        bench,
        "[metrics]\nlisten = [\"127.0.0.1:25587\"]\nsources = 100\n",
    )?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 2,
    });
    let daemon = bench.run(&config)?;
    let listener = Listener::start(bench)?;
    let marked = Who::OtherMail;
    for port in [25, 25, 25, 465, 587] {
        for family in Family::ALL {
            for who in [Who::Subscriber, Who::Static, Who::Unlisted] {
                bench.lab.connect(who, marked, family, port)?;
            }
        }
    }
    // The control of what is looked for: a connection from the Internet, of which both ends are kept.
    for family in Family::ALL {
        bench.lab.connect(Who::Foreign, Who::OwnMail, family, 587)?;
    }
    // The last of them has been read.
    let server = bench.lab.address(Who::OwnMail, Family::V6)?.to_string();
    let read = interrupt::wait_until(PATIENCE, || {
        listener.said().is_ok_and(|it| it.contains(&server))
    })?;
    ensure!(read, "{server} is not heard of: {}", listener.said()?);
    let mut dumped = everything(bench)?;
    dumped.insert(RING.into(), listener.ring()?);
    let mut said = vec![("log".to_owned(), daemon.said())];
    for arguments in [
        &["counters"][..],
        &["status"],
        &["privacy"],
        &["matrix"],
        &["--format", "json", "counters"],
        &["--format", "json", "status"],
        &["--format", "json", "privacy"],
    ] {
        let output = bench.gate().output(arguments)?;
        said.push((arguments.join(" "), output.stdout + &output.stderr));
    }
    said.push(("metrics".to_owned(), metrics(bench)?));
    said.push(("events".to_owned(), listener.said()?));
    for family in Family::ALL {
        let address = bench.lab.address(marked, family)?;
        let wire = match address {
            IpAddr::V4(it) => it.octets().to_vec(),
            IpAddr::V6(it) => it.octets().to_vec(),
        };
        for (name, bytes) in &dumped {
            ensure!(
                !has(bytes, &octets(address))
                    && !has(bytes, &wire)
                    && !has(bytes, address.to_string().as_bytes()),
                "{} has {address}",
                name.display()
            );
        }
        for (name, text) in &said {
            ensure!(
                !text.contains(&address.to_string()),
                "`{name}` has {address}: {text}"
            );
        }
        // The same search finds who sent, and a server of ours.
        let control = |map: &str, address: IpAddr| {
            let name = match map {
                RING => RING.into(),
                map => PathBuf::from("maps").join(map),
            };
            let found = dumped
                .get(&name)
                .is_some_and(|it| has(it, &octets(address)));
            ensure!(found, "{map} has no {address}: the search finds nothing");
            Ok(())
        };
        control(maps::SOURCES, source(bench, Who::Subscriber, family)?)?;
        control(maps::BUCKETS, source(bench, Who::Subscriber, family)?)?;
        control(maps::FLOWS, bench.lab.address(Who::OwnMail, family)?)?;
        control(RING, source(bench, Who::Subscriber, family)?)?;
        control(RING, bench.lab.address(Who::OwnMail, family)?)?;
    }
    let control = source(bench, Who::Subscriber, Family::V4)?.to_string();
    for (name, text) in said {
        let tells = name.contains("counters") || ["metrics", "events"].contains(&&*name);
        ensure!(
            text.contains(&control) == tells,
            "`{name}` and {control}: {text}"
        );
    }
    Ok(())
}

/// What is in every map that is pinned, by its path. Tables of prefixes were frozen before there was a packet, and that of the countries is data in which
/// any four octets may stand.
fn everything(bench: &Bench<'_>) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let directory = Pins::new(bench.lab.pins())?.directory();
    let mut dumped = BTreeMap::new();
    for found in pin::list(&directory)? {
        let name = found.path.to_string_lossy().into_owned();
        if matches!(found.object, pin::Object::Map(_)) && !name.contains("COUNTRIES_") {
            dumped.insert(found.path.clone(), pin::dump(&directory.join(&found.path))?);
        }
    }
    ensure!(dumped.len() > maps::STATES.len(), "{:?}", dumped.keys());
    Ok(dumped)
}

fn metrics(bench: &Bench<'_>) -> Result<String> {
    bench.lab.router().run(|| {
        let mut stream = TcpStream::connect("127.0.0.1:25587")?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?
}

/// A `gate events` that hears all along. Dropping it kills it.
struct Listener {
    child: Child,
    output: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A destructor has nobody to tell; what does not end is found by the check for what is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Listener {
    /// Starts one, and waits until it heard of something: of a connection from the Internet.
    fn start(bench: &Bench<'_>) -> Result<Self> {
        let output = bench.lab.scratch().join("events.ndjson");
        let mut command = bench.gate().command(&["events", "--rate", "100000"]);
        command
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(Stdio::null());
        let child = exec::spawn(&mut command)?;
        let listener = Self { child, output };
        let hears = interrupt::wait_until(PATIENCE, || {
            bench
                .lab
                .connect(Who::Foreign, Who::OwnMail, Family::V4, 587)
                .is_ok()
                && listener.said().is_ok_and(|it| it.contains("tagged"))
        })?;
        ensure!(hears, "it hears nothing: {:?}", listener.said());
        Ok(listener)
    }

    fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.output)?)
    }

    /// What its ring holds, read or not: the memory of maps in its process.
    fn ring(&self) -> Result<Vec<u8>> {
        let process = PathBuf::from("/proc").join(self.child.id().to_string());
        let mut memory = File::open(process.join("mem"))?;
        let mut found = Vec::new();
        for line in fs::read_to_string(process.join("maps"))?.lines() {
            if !line.contains("bpf-map") {
                continue;
            }
            let (range, _) = line.split_once(' ').context("no range")?;
            let (from, to) = range.split_once('-').context("no range")?;
            let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            memory.seek(SeekFrom::Start(from))?;
            let mut bytes = vec![0; usize::try_from(to - from)?];
            memory.read_exact(&mut bytes)?;
            found.extend(bytes);
        }
        Ok(found)
    }
}
