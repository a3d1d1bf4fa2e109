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
use gate_tests::{exec, interrupt};
use libtest_mimic::Trial;

use super::{
    CANARY, ENCODED, Place,
    cases::{cases, newer, ok},
    names, secret,
    server::{Reply, Server, Then},
};
use crate::{
    bench::{Bench, Found},
    database,
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
        // Where it is not about time, a machine that has much to do has it.
        let patience = if words.contains("for 1 s") { 1 } else { 60 };
        place.configure(&url, &format!("{credentials}\ntimeout = {patience}"))?;
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
        (ok("0".repeat(64).as_bytes()), 2, "and should be"),
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
    disk.path().clone_into(&mut place.directory);
    place.database = disk.path().join("countries.mmdb");
    fs::write(&place.database, database::small()?)?;
    place.configure(&url, "")?;
    disk.fill()?;
    place.says(&[], 1, "No space left on device")?;
    ensure!(place.content()? == database::small()?, "another file");
    let left = names(disk.path())?;
    ensure!(
        left == [".countries.mmdb.lock", Disk::BALLAST, "countries.mmdb"],
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
