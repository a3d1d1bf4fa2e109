//! Servers as they should be, most of which nobody here wrote (Python's), and what the daemon makes of what was fetched, or put there by another program.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{exec, interrupt};
use libtest_mimic::Trial;
use nix::fcntl::{Flock, FlockArg};

use super::{
    CANARY, ENCODED, Place,
    server::{Reply, Server},
};
use crate::{
    bench::{Bench, Found},
    database::{self, NETWORKS},
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("update::what_is_fetched_is_taken", fetched),
        found.lab_trial("update::what_is_there_goes_by_its_tag", tagged),
        found.lab_trial("update::only_over_encryption", encrypted),
        found.lab_trial("update::what_geoipupdate_writes_is_taken", followed),
    ]
}

const PYTHON: &str = "/usr/bin/python3";
const LIMIT: Duration = Duration::from_secs(30);

/// Serves the working directory: in the clear, and encrypted at three ports, the last of which has a certificate of yesterday. It redirects, and writes down
/// who said who they are.
const SERVER: &str = r#"
import http.server, ssl, sys, threading
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        own = self.server.server_port
        with open("../log", "a") as log:
            print(own, self.path.split("?")[0], self.headers["Authorization"] or "-", file=log)
        to = {"/clear": "http://127.0.0.1:8000/db", "/other": "https://127.0.0.1:8444/db", "/same": "/db"}
        if self.path.split("?")[0] in to:
            self.send_response(302)
            self.send_header("Location", to[self.path.split("?")[0]])
            self.end_headers()
        else:
            super().do_GET()
    def log_request(self, code="-", size="-"):
        with open("../log", "a") as log:
            print("status", int(code), file=log)
for port in 8000, 8443, 8444, 8445:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if port != 8000:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name = "../expired.pem" if port == 8445 else "../server.pem"
        context.load_cert_chain(name, "../server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
open("../up", "w")
"#;

/// The server, which ends when this is dropped.
struct Python {
    child: Child,
    home: PathBuf,
}

impl Python {
    fn new(bench: &Bench<'_>) -> Result<Self> {
        let home = bench.lab.scratch().join("python");
        let root = home.join("root");
        fs::create_dir_all(&root)?;
        certificates(&home)?;
        let mut command = Command::new(PYTHON);
        command.args(["-c", SERVER]).current_dir(root);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        bench.lab.router().contain(&mut command);
        let child = exec::spawn(&mut command)?;
        let python = Self { child, home };
        let up = python.home.join("up");
        ensure!(interrupt::wait_until(LIMIT, || up.exists())?, "no server");
        Ok(python)
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        Ok(fs::write(self.home.join("root").join(name), content)?)
    }

    /// What was asked since the last time, a line each.
    fn log(&self) -> Result<String> {
        let path = self.home.join("log");
        let log = fs::read_to_string(&path).context("nobody asked")?;
        fs::remove_file(&path)?;
        Ok(log)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for 127.0.0.1, the same one as it was until yesterday, and that of who signed both.
fn certificates(home: &Path) -> Result<()> {
    fs::write(home.join("ext"), "subjectAltName=IP:127.0.0.1\n")?;
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -extfile ext";
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("req -x509 {key} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem"),
        format!("req {key} -subj /CN=server -keyout server.key -out server.csr"),
        format!("{sign} -days 2 -out server.pem"),
        format!("{sign} -days -1 -out expired.pem"),
    ] {
        let mut openssl = Command::new("openssl");
        openssl.args(line.split(' ')).current_dir(home);
        exec::tool(&mut openssl, "")?;
    }
    Ok(())
}

/// The small database with 8.8.8.0/24 in another country, built so many days later.
fn other(country: &'static str, day: i16) -> Result<Vec<u8>> {
    let networks =
        NETWORKS.map(|(network, old)| (network, if old == "US" { country } else { old }));
    database::of_day(day, &networks)
}

fn becomes(bench: &Bench<'_>, country: &str) -> Result<()> {
    let mut last = None;
    let seen = interrupt::wait_until(LIMIT, || {
        last = bench.gate().lookup(&["8.8.8.8"]).ok();
        let first = last.as_ref().and_then(|it| it.first());
        first.is_some_and(|it| it.country.as_deref() == Some(country))
    })?;
    ensure!(seen, "not {country} within {LIMIT:?}: {last:?}");
    Ok(())
}

fn fetched(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    let python = Python::new(bench)?;
    python.put("db", &other("FR", 1)?)?;
    let url = "http://127.0.0.1:8000";
    place.configure(&format!("{url}/db?key={CANARY}"), "")?;
    let daemon = bench.gate().run(&place.config)?;
    becomes(bench, "US")?;
    let told = place.says(
        &[],
        0,
        "replaced   from http://127.0.0.1:8000, instead of one built 2024-10-04",
    )?;
    ensure!(told.contains("built      2024-10-05"), "{told}");
    ensure!(place.content()? == other("FR", 1)?, "not what was served");
    ensure!(python.log()?.contains("status 200"));
    becomes(bench, "FR")?;

    // Without --config it is the configuration in force; and the server has nothing new.
    let again = bench.gate().text(&["geoip", "update"])?;
    ensure!(
        again.contains("unchanged  http://127.0.0.1:8000 has no other")
            && again.contains("in force   this"),
        "{again}"
    );
    let log = python.log()?;
    ensure!(
        log.contains("status 304") && !log.contains("status 200"),
        "{log}"
    );
    // Another program's file is not what the server was asked about.
    fs::write(&place.database, other("US", 0)?)?;
    place.says(&[], 0, "replaced")?;
    ensure!(python.log()?.contains("status 200"));

    // As MaxMind packs it, with a checksum of sha256sum(1).
    let root = python.home.join("root");
    fs::create_dir(root.join("GeoLite2-Country_20260601"))?;
    python.put(
        "GeoLite2-Country_20260601/GeoLite2-Country.mmdb",
        &other("DE", 2)?,
    )?;
    python.put("GeoLite2-Country_20260601/LICENSE.txt", b"text")?;
    for line in [
        "tar czf db.tar.gz GeoLite2-Country_20260601",
        "sha256sum db.tar.gz",
    ] {
        let (program, arguments) = line.split_once(' ').context("two words")?;
        let mut tool = Command::new(program);
        tool.args(arguments.split(' ')).current_dir(&root);
        python.put("db.tar.gz.sha256", exec::tool(&mut tool, "")?.as_bytes())?;
    }
    place.configure(
        &format!("{url}/db.tar.gz"),
        &format!("checksum = \"{url}/db.tar.gz.sha256\""),
    )?;
    let json = place.says(&["--format", "json"], 0, "\"outcome\": \"replaced\"")?;
    ensure!(
        json.contains("\"from\": \"http://127.0.0.1:8000\""),
        "{json}"
    );
    ensure!(place.content()? == other("DE", 2)?, "not what was packed");
    becomes(bench, "DE")?;

    // An older one, by --force; the daemon still judges it by itself.
    python.put("db", &other("AU", -5)?)?;
    place.configure(&format!("{url}/db"), "")?;
    place.says(&[], 2, "`gate geoip update --force`")?;
    place.says(&["--force"], 0, "replaced")?;
    let refused = interrupt::wait_until(LIMIT, || {
        daemon
            .said()
            .contains("which is before the database in force")
    })?;
    ensure!(refused, "{}", daemon.said());
    becomes(bench, "DE")?;
    bench.gate().text(&["reload", "--force"])?;
    becomes(bench, "AU")?;
    daemon.terminate().map(drop)
}

/// A tag of the server (RFC 9110, section 8.8.3) comes back octet by octet, for as long as what it is of is there.
fn tagged(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    let server = Server::new(bench.lab.router(), "127.0.0.1:0")?;
    place.configure(&format!("http://{}/db", server.address), "")?;
    let tag = "W/\"a:b, c;\"";
    let unchanged = || Reply::new("304 Not Modified", &format!("ETag: {tag}\r\n"), b"");
    let file = |country, day| -> Result<Reply> {
        let headers = format!("ETag: {tag}\r\n");
        Ok(Reply::new("200 OK", &headers, &other(country, day)?))
    };
    // What was asked by the one request that there was.
    let condition = || -> Result<Vec<String>> {
        let mut requests = server.requests();
        let request = requests.pop().context("nobody asked")?;
        ensure!(requests.is_empty(), "asked twice: {requests:?}");
        let conditions = request.lines().filter(|it| it.starts_with("if-"));
        Ok(conditions.map(str::to_owned).collect())
    };
    server.set("db", file("FR", 1)?);
    place.says(&[], 0, "replaced")?;
    ensure!(condition()?.is_empty(), "nothing was known yet");
    for _ in 0..2 {
        server.set("db", unchanged());
        place.says(&[], 0, "unchanged")?;
        let asked = condition()?;
        ensure!(asked == [format!("if-none-match: {tag}")], "{asked:?}");
    }
    ensure!(place.content()? == other("FR", 1)?, "another file");
    // The tag is of what was there, and the server has something else.
    server.set("db", file("DE", 2)?);
    place.says(&[], 0, "replaced")?;
    ensure!(condition()?.len() == 1, "asked without the tag");
    ensure!(place.content()? == other("DE", 2)?, "not what was served");
    // Of another URL, or of a file that is gone, nothing is known.
    place.configure(&format!("http://{}/elsewhere/db", server.address), "")?;
    server.set("db", file("DE", 2)?);
    place.says(&[], 0, "unchanged")?;
    let asked = condition()?;
    ensure!(asked.is_empty(), "{asked:?}");
    fs::remove_file(&place.database)?;
    place.says(&[], 0, "replaced")?;
    let asked = condition()?;
    ensure!(asked.is_empty(), "{asked:?}");
    Ok(())
}

fn encrypted(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    let python = Python::new(bench)?;
    python.put("db", &other("FR", 1)?)?;
    let url = format!("https://127.0.0.1:8443/db?key={CANARY}");
    place.configure(&url, "")?;
    place.says(&[], 1, "UnknownIssuer")?;
    let ca = "ca = \"python/ca.pem\"\ncredentials = \"credentials\"";
    place.configure(&url, "ca = \"python/server.key\"")?;
    place.says(&[], 1, "no certificate (PEM) is in it")?;
    place.configure(&url.replace("127.0.0.1", "localhost"), ca)?;
    place.says(&[], 1, "no encrypted connection to this server")?;
    place.configure(&url.replace("8443", "8445"), ca)?;
    place.says(&[], 1, "peer certificate: Expired")?;
    place.configure(&url.replace("8443", "8000"), ca)?;
    place.says(&[], 1, "no encrypted connection to this server")?;
    place.configure(&url.replace("/db", "/clear"), ca)?;
    place.says(&[], 1, "redirects to somewhere else, which is http://")?;
    let log = python.log()?;
    ensure!(!log.contains("8000 ") && !log.contains("/db"), "{log}");
    ensure!(place.content()? == database::small()?, "another file");

    // Credentials go to where the URL leads, and not to where that redirects to.
    place.configure(&url.replace("/db", "/other"), ca)?;
    place.says(&[], 0, "replaced   from https://127.0.0.1:8443")?;
    let shown = format!("8443 /other Basic {ENCODED}");
    let log = python.log()?;
    ensure!(
        log.contains(&shown) && log.contains("8444 /db -\n"),
        "{log}"
    );
    fs::write(&place.database, database::small()?)?;
    let checksum = format!("{ca}\nchecksum = \"https://127.0.0.1:8444/sum\"");
    python.put("sum", b"none")?;
    place.configure(&url.replace("/db", "/same"), &checksum)?;
    place.says(&[], 2, "does not begin with a SHA-256")?;
    let log = python.log()?;
    for shown in [
        format!("8443 /db Basic {ENCODED}\n"),
        "8444 /sum -\n".to_owned(),
    ] {
        ensure!(log.contains(&shown), "{shown}: {log}");
    }
    place.configure(&url, ca)?;
    place.says(&[], 0, "replaced").map(drop)
}

/// What geoipupdate 7 does: a lock in the directory, a temporary file beside the database, a rename, and the directory on the disk.
fn followed(bench: &Bench<'_>) -> Result<()> {
    let place = Place::new(bench)?;
    let mut config = bench.config()?;
    config.databases = vec![place.database.clone()];
    fs::write(&place.config, config.to_string())?;
    place.says(&[], 0, "followed   no [[geoip.update]] is about it")?;
    let daemon = bench.gate().run(&place.config)?;
    becomes(bench, "US")?;
    place.says(&[], 0, "in force   this")?;

    let lock = File::create(place.directory.join(".geoipupdate.lock"))?;
    let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
    let temporary = place.directory.join("countries.mmdb.temporary");
    fs::write(&temporary, other("FR", 1)?)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, &place.database)?;
    File::open(&place.directory)?.sync_all()?;
    drop(lock);
    becomes(bench, "FR")?;
    place.says(&[], 0, "in force   this")?;
    daemon.terminate()?;

    // A newer one that nobody has taken.
    fs::write(&place.database, other("DE", 2)?)?;
    place.says(&[], 0, "the daemon looks every two seconds and takes it")?;
    fs::remove_file(&place.database)?;
    place.says(&[], 2, "cannot be read").map(drop)
}
