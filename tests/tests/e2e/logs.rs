//! What the daemon's log looks like to those who read it, and that nothing waits for those who do not.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not in a JSON value is null, which no check here takes"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead as _, BufReader, PipeReader, Write as _, pipe},
    os::{fd::AsFd as _, linux::fs::MetadataExt as _, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{exec, interrupt, lab::Who};
use libtest_mimic::Trial;
use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("logs::a_pipe_that_nobody_reads_stops_nothing", unread),
        found.lab_trial("logs::who_ends_waits_for_no_reader", ends),
        found.lab_trial("logs::each_line_of_json_is_an_object_of_known_keys", json),
        found.lab_trial("logs::the_journal_gets_fields", journal),
        found.lab_trial("logs::the_journal_is_found_by_its_stream", auto),
        found.lab_trial("logs::syslog_may_come_later", syslog),
        found.lab_trial("logs::what_ends_a_start_is_said_whoever_listens", refused),
    ]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);
/// More pools than lines wait in the daemon's queue.
const MANY: u16 = 2200;
/// More pools than a socket has room for lines.
const SOME: u16 = 600;

/// A `gate run` whose standard error is the trial's affair. Dropping it kills it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // A destructor has nobody to tell; what does not end is found by the check for what is left.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start(bench: &Bench<'_>, config: &Path, log: &[&str], to: impl Into<Stdio>) -> Result<Self> {
        Self::of(command(bench, config, log), to)
    }

    fn of(mut command: Command, to: impl Into<Stdio>) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(to);
        Ok(Self(exec::spawn(&mut command)?))
    }

    fn terminate(mut self) -> Result<Option<i32>> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        let ended = exec::wait(&mut self.0, LIMIT)?;
        Ok(ended.context("it does not end")?.code())
    }
}

fn command(bench: &Bench<'_>, config: &Path, log: &[&str]) -> Command {
    let mut command = bench.gate().command(&["run", "--config"]);
    command.arg(config).args(log);
    command
}

fn status(bench: &Bench<'_>) -> Result<(Option<i32>, Value)> {
    let output = bench.gate().output(&["status", "--format", "json"])?;
    let status = serde_json::from_str(&output.stdout).unwrap_or_default();
    Ok((output.code(), status))
}

/// Waits until the status is so.
fn becomes(bench: &Bench<'_>, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    let found = interrupt::wait_until(LIMIT, || {
        last = status(bench).map(|it| it.1).unwrap_or_default();
        is(&last)
    })?;
    ensure!(found, "never {what}: {last:#}");
    Ok(last)
}

fn answers(bench: &Bench<'_>) -> Result<Value> {
    becomes(bench, "answering", |it| it["daemon"]["state"] == "alive")
}

fn problem(status: &Value, words: &str) -> bool {
    let problems = status["problems"].as_array().into_iter().flatten();
    let mut texts = problems.filter_map(Value::as_str);
    texts.any(|it| it.contains(words))
}

/// A pipe with room for nothing more, and its reader.
fn full() -> Result<(PipeReader, Stdio)> {
    let (reader, mut writer) = pipe()?;
    let size = fcntl(reader.as_fd(), FcntlArg::F_SETPIPE_SZ(4096))?;
    let mut filler = vec![b'x'; usize::try_from(size)?];
    filler.pop();
    filler.push(b'\n');
    writer.write_all(&filler)?;
    Ok((reader, writer.into()))
}

/// A configuration with so many pools more, of each of which a start says something.
fn talkative(bench: &Bench<'_>, pools: u16) -> Result<PathBuf> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let mut text = fs::read_to_string(&path)?;
    for number in 0..pools {
        let [high, low] = number.to_be_bytes();
        writeln!(
            text,
            "[[access]]\nname = \"pool{number}\"\npolicy = \"exempt\"\nprefixes = [\"10.{high}.{low}.0/24\"]"
        )?;
    }
    fs::write(&path, text)?;
    Ok(path)
}

fn unread(bench: &Bench<'_>) -> Result<()> {
    let config = talkative(bench, MANY)?;
    let (reader, writer) = full()?;
    let daemon = Daemon::start(bench, &config, &[], writer)?;
    answers(bench)?;
    bench.in_force()?;
    ensure!(bench.gate().reload(&["--force"])?.0 == Some(0), "a reload");
    let degraded = becomes(bench, "blocked", |it| {
        problem(it, "the log (standard error) takes no lines since ")
            && it["daemon"]["log"]["lost"].as_u64() > Some(0)
    })?;
    ensure!(degraded["state"] == "degraded", "{degraded:#}");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    let page = bench.metrics()?;
    ensure!(page.contains("\ngate_log_blocked 1\n"), "{page}");

    let lines = std::thread::spawn(move || -> Vec<String> {
        BufReader::new(reader)
            .lines()
            .map_while(Result::ok)
            .collect()
    });
    let flows = becomes(bench, "flowing again", |it| {
        it["daemon"]["log"]["blocked_since"].is_null() && it["daemon"]["log"]["waiting"] == 0
    })?;
    ensure!(!problem(&flows, "the log"), "{flows:#}");
    let lost = flows["daemon"]["log"]["lost"]
        .as_u64()
        .context("no count")?;
    let counted = interrupt::wait_until(LIMIT, || {
        bench
            .metrics()
            .is_ok_and(|it| it.contains(&format!("\ngate_log_lost_lines_total {lost}\n")))
    })?;
    ensure!(counted, "{lost} lost: {}", bench.metrics()?);
    ensure!(daemon.terminate()? == Some(0), "no clean end");
    let lines = lines
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    let told: Vec<u64> = lines
        .iter()
        .filter_map(|it| {
            it.strip_prefix("gate: warning: ")?
                .split_once(" lines of this log are lost, from ")
        })
        .filter_map(|it| it.0.parse().ok())
        .collect();
    ensure!(
        told.iter().sum::<u64>() == lost,
        "{lost} are lost, told are {told:?}"
    );
    ensure!(
        lines
            .last()
            .is_some_and(|it| it.starts_with("gate: ended; ")),
        "{:?}",
        lines.last()
    );
    Ok(())
}

fn ends(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let (_reader, writer) = full()?;
    let daemon = Daemon::start(bench, &config, &[], writer)?;
    answers(bench)?;
    ensure!(daemon.terminate()? == Some(0), "no clean end");
    bench.in_force()?;
    // Nor does one that never begins.
    fs::write(&config, "nonsense")?;
    let (_reader, writer) = full()?;
    let mut daemon = Daemon::start(bench, &config, &[], writer)?;
    let ended = exec::wait(&mut daemon.0, LIMIT)?.context("it does not end")?;
    ensure!(ended.code() == Some(2), "{ended}");
    bench.in_force()
}

/// The names in the rows of a table of docs/operations.md that is headed so.
fn of_page(head: &str, column: usize) -> Result<BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let page = fs::read_to_string(path)?;
    let (_, table) = page.split_once(head).context("no such table")?;
    let rows = table.lines().skip(2).take_while(|it| it.starts_with('|'));
    let names = rows.filter_map(|row| {
        Some(
            row.split('|')
                .nth(column)?
                .trim()
                .trim_matches('`')
                .to_owned(),
        )
    });
    Ok(names.collect())
}

const FIELDS: &str = "\n| in JSON | in the journal | what it says |";
const EVENTS: &str = "\n| event | level | what happened |";

fn json(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let (reader, writer) = pipe()?;
    let daemon = Daemon::start(bench, &config, &["--log", "json"], writer)?;
    answers(bench)?;
    let good = fs::read_to_string(&config)?;
    fs::write(&config, format!("{good}nonsense\n"))?;
    ensure!(bench.gate().reload(&[])?.0 == Some(2), "a mistake");
    bench
        .gate()
        .bypass(&["--for", "1h", "--reason", "a trial"])?;
    let mut other = bench.config()?;
    other.action = "observe";
    other.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "no mistake: {reload:?}");
    ensure!(daemon.terminate()? == Some(0), "no clean end");
    let lines: Vec<String> = BufReader::new(reader).lines().collect::<Result<_, _>>()?;

    let (fields, events) = (of_page(FIELDS, 1)?, of_page(EVENTS, 1)?);
    ensure!(
        fields.len() > 10 && events.len() > 30,
        "{fields:?} {events:?}"
    );
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines {
        let object: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let keys = object.as_object().context("no object")?.keys();
        for key in keys {
            ensure!(fields.contains(key), "{key} is on no page: {line}");
        }
        for key in ["time", "level", "event", "message", "pid"] {
            ensure!(!object[key].is_null(), "no {key}: {line}");
        }
        let event = object["event"].as_str().context("no word")?;
        ensure!(events.contains(event), "{event} is on no page");
        found.entry(event.to_owned()).or_default().push(object);
    }
    let only = |event: &str| -> Result<&Value> {
        let [one] = found.get(event).map_or(&[][..], Vec::as_slice) else {
            bail!("{event}: {:?}", found.get(event));
        };
        Ok(one)
    };
    let ready = only("ready")?;
    ensure!(
        ready["generation"] == 1 && ready["level"] == "notice",
        "{ready}"
    );
    let refused = only("refused")?;
    ensure!(
        refused["generation"] == 1 && refused["by"] == "command" && refused["level"] == "error",
        "{refused}"
    );
    ensure!(
        refused["reason"]
            .as_str()
            .is_some_and(|it| it.contains("gate.toml")),
        "{refused}"
    );
    let mistake = only("error")?;
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    ensure!(
        mistake["message"] == refused["reason"]
            && mistake["hint"] == refused["hint"]
            && text(&mistake["hint"]).contains("toml.io")
            && !text(&mistake["message"]).contains("hint")
            && Path::new(&text(&mistake["file"])) == config,
        "{mistake} {refused}"
    );
    let bypass = only("bypass_begun")?;
    let reloaded = only("reloaded")?;
    ensure!(
        bypass["until"].is_string()
            && reloaded["bypass"] == bypass["until"]
            && reloaded["generation"] == 2
            && ready["bypass"].is_null(),
        "{bypass} {reloaded}"
    );
    let interfaces: BTreeSet<&str> = found["interface"]
        .iter()
        .filter_map(|it| it["interface"].as_str())
        .collect();
    ensure!(
        interfaces
            == Who::ALL
                .iter()
                .filter(|it| it.role().is_some())
                .map(|it| it.interface())
                .collect(),
        "{interfaces:?}"
    );
    only("ended").map(drop)
}

/// A datagram of the journal's protocol, as <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/> has it.
fn fields(mut datagram: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    while !datagram.is_empty() {
        let end = datagram
            .iter()
            .position(|it| *it == b'\n')
            .context("no end of a line")?;
        let (line, rest) = datagram.split_at(end);
        let rest = &rest[1..];
        let (name, value, rest) = if let Some(at) = line.iter().position(|it| *it == b'=') {
            (&line[..at], &line[at + 1..], rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<8>().context("no length")?;
            let length = usize::try_from(u64::from_le_bytes(*length))?;
            let (value, rest) = rest.split_at_checked(length).context("too short")?;
            ensure!(rest.first() == Some(&b'\n'), "no end of a value");
            (line, value, &rest[1..])
        };
        let (name, value) = (std::str::from_utf8(name)?, std::str::from_utf8(value)?);
        ensure!(
            fields.insert(name.to_owned(), value.to_owned()).is_none(),
            "{name} twice"
        );
        datagram = rest;
    }
    Ok(fields)
}

/// What is in the queue of a socket, until a datagram is the last one.
fn received(socket: &UnixDatagram, is_last: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>> {
    socket.set_read_timeout(Some(LIMIT))?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = socket.recv(&mut buffer).context("nothing comes any more")?;
        let datagram = buffer[..length].to_vec();
        let last = is_last(&datagram);
        found.push(datagram);
        if last {
            return Ok(found);
        }
    }
}

fn contains(datagram: &[u8], words: &str) -> bool {
    String::from_utf8_lossy(datagram).contains(words)
}

fn path(bench: &Bench<'_>) -> Result<(PathBuf, String)> {
    let path = bench.lab.scratch().join("log.socket");
    let text = path.to_str().context("a path that is no text")?.to_owned();
    Ok((path, text))
}

/// A socket has room for some lines, whoever reads it: the start of a gate with so many pools says more.
fn blocked(bench: &Bench<'_>, to: &str) -> Result<()> {
    answers(bench)?;
    becomes(bench, "blocked", |it| {
        problem(it, &format!("the log ({to}) takes no lines"))
    })?;
    bench.in_force()?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0), "a reload");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}

fn journal(bench: &Bench<'_>) -> Result<()> {
    let config = talkative(bench, SOME)?;
    let (socket, to) = path(bench)?;
    let socket = listen(&socket)?;
    let daemon = Daemon::start(
        bench,
        &config,
        &["--log", "journal", "--log-socket", &to],
        Stdio::null(),
    )?;
    blocked(bench, &to)?;
    fs::write(&config, "nonsense")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(2), "a mistake");
    let datagrams = received(&socket, |it| contains(it, "GATE_EVENT=refused"))?;
    let pid = daemon.0.id();
    let (names, events) = (of_page(FIELDS, 2)?, of_page(EVENTS, 1)?);
    let mut found = BTreeMap::new();
    for datagram in &datagrams {
        let fields =
            fields(datagram).with_context(|| String::from_utf8_lossy(datagram).into_owned())?;
        for name in fields.keys() {
            ensure!(names.contains(name), "{name} is on no page");
        }
        let event = fields.get("GATE_EVENT").context("no event")?;
        ensure!(events.contains(event), "{event} is on no page");
        ensure!(fields["SYSLOG_IDENTIFIER"] == "gate", "{fields:?}");
        found.insert(event.clone(), fields);
    }
    let ready = &found["ready"];
    ensure!(
        ready["PRIORITY"] == "5" && ready["GATE_GENERATION"] == "1",
        "{ready:?} of {pid}"
    );
    let error = &found["error"];
    ensure!(
        error["PRIORITY"] == "3"
            && error["MESSAGE"].starts_with("error: ")
            && error["MESSAGE"].contains("\n  hint: "),
        "{error:?}"
    );
    let refused = &found["refused"];
    // People read the hint in the line of the error, programs in either.
    let (reason, hint) = (&refused["GATE_REASON"], &refused["GATE_HINT"]);
    ensure!(
        refused["GATE_BY"] == "command"
            && hint.contains("toml.io")
            && error["GATE_HINT"] == *hint
            && error["MESSAGE"] == format!("error: {reason}\n  hint: {hint}")
            && !refused["MESSAGE"].contains("hint"),
        "{error:?} {refused:?}"
    );
    ensure!(daemon.terminate()? == Some(0), "no clean end");
    Ok(())
}

fn listen(path: &Path) -> Result<UnixDatagram> {
    UnixDatagram::bind(path).context("cannot listen")
}

fn auto(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let (socket, to) = path(bench)?;
    let socket = listen(&socket)?;
    let said = bench.lab.scratch().join("said");
    let file = File::create(&said)?;
    let found = file.metadata()?;
    let stream = |inode: u64| format!("{}:{inode}", found.st_dev());
    for (stream, is_journal) in [
        (stream(found.st_ino()), true),
        (stream(found.st_ino() + 1), false),
        (String::new(), false),
    ] {
        let mut command = command(bench, &config, &["--log-socket", &to]);
        command.env("JOURNAL_STREAM", &stream);
        fs::write(&said, "")?;
        let daemon = Daemon::of(command, file.try_clone()?)?;
        let status = answers(bench)?;
        let form = if is_journal { "journal" } else { "text" };
        ensure!(
            status["daemon"]["log"]["form"] == form,
            "{stream}: {status:#}"
        );
        if is_journal {
            received(&socket, |it| contains(it, "GATE_EVENT=ready"))?;
        }
        ensure!(daemon.terminate()? == Some(0), "no clean end");
        if is_journal {
            received(&socket, |it| contains(it, "GATE_EVENT=ended"))?;
        }
        let text = fs::read_to_string(&said)?;
        ensure!(
            text.contains("gate: ended; ") != is_journal,
            "{stream}: {text}"
        );
    }
    Ok(())
}

/// A line as syslog(3) writes it: RFC 3164 without the name of the host. Facility, severity, tag, process, words.
fn of_syslog(datagram: &[u8]) -> Result<(u8, u8, String, u32, String)> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let line = std::str::from_utf8(datagram)?;
    ensure!(!line.contains(char::is_control), "{line:?}");
    let (priority, rest) = line
        .strip_prefix('<')
        .and_then(|it| it.split_once('>'))
        .context("no priority")?;
    let priority: u8 = priority.parse()?;
    let (at, rest) = rest.split_at_checked(15).context("no time")?;
    ensure!(MONTHS.split(' ').any(|it| it == &at[..3]), "{at}");
    let digits: String = at[3..]
        .chars()
        .map(|it| if it.is_ascii_digit() { '0' } else { it })
        .collect();
    ensure!(digits == " 00 00:00:00" || digits == "  0 00:00:00", "{at}");
    let rest = rest.strip_prefix(' ').context("no tag")?;
    let (tag, words) = rest.split_once(": ").context("no words")?;
    let (tag, pid) = tag
        .strip_suffix(']')
        .and_then(|it| it.split_once('['))
        .context("no process")?;
    Ok((
        priority / 8,
        priority % 8,
        tag.to_owned(),
        pid.parse()?,
        words.to_owned(),
    ))
}

fn syslog(bench: &Bench<'_>) -> Result<()> {
    let config = talkative(bench, SOME)?;
    let (socket, to) = path(bench)?;
    let daemon = Daemon::start(
        bench,
        &config,
        &["--log", "syslog", "--log-socket", &to],
        Stdio::null(),
    )?;
    blocked(bench, &to)?;
    let (_, status) = status(bench)?;
    ensure!(problem(&status, "No such file or directory"), "{status:#}");
    let pid = daemon.0.id();
    let socket = listen(&socket)?;
    // One that is not read is as one that is not there.
    blocked(bench, &to)?;
    fs::write(&config, "nonsense")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(2), "a mistake");
    let datagrams = received(&socket, |it| contains(it, "reload refused: "))?;
    let lines: Vec<_> = datagrams
        .iter()
        .map(|it| of_syslog(it))
        .collect::<Result<_>>()?;
    for (facility, _, tag, of, words) in &lines {
        ensure!(
            *facility == 3 && tag == "gate" && *of == pid,
            "{tag}[{of}]: {words}"
        );
    }
    let severity = |starts: &str| {
        lines
            .iter()
            .find(|it| it.4.starts_with(starts))
            .map(|it| it.1)
    };
    ensure!(
        severity("ready: generation 1") == Some(5)
            && severity("pool static: ") == Some(6)
            && severity("error: ") == Some(3),
        "{lines:?}"
    );
    ensure!(daemon.terminate()? == Some(0), "no clean end");
    Ok(())
}

fn refused(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("gate.toml");
    fs::write(&path, "nonsense")?;
    let (_, to) = self::path(bench)?;
    for (log, words) in [
        (&["--log", "text"][..], "gate: error: "),
        (&["--log", "json"], "\"event\":\"error\""),
        // Where the log takes nothing, standard error does.
        (&["--log", "journal", "--log-socket", &to], "gate: error: "),
    ] {
        let (reader, writer) = pipe()?;
        let mut daemon = Daemon::start(bench, &path, log, writer)?;
        let ended = exec::wait(&mut daemon.0, LIMIT)?.context("it does not end")?;
        let said: Vec<String> = BufReader::new(reader).lines().collect::<Result<_, _>>()?;
        let times = said.iter().filter(|it| it.contains(words)).count();
        ensure!(
            ended.code() == Some(2) && times == 1,
            "{log:?}: {ended}, {said:?}"
        );
    }
    Ok(())
}
