//! A gate that is killed between each two steps of what it does: the gate stays closed, the next start finds its way, and nothing is left over.
//!
//! strace sees every system call that changes something (an object of BPF, a pin, a link in the file system), and kills the gate before the one that it is told. One run
//! tries some of these moments, of which the first is another one each time; `GATE_STEPS=all` tries every one.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::maps;
use gate_tests::{
    exec,
    gate::{Daemon, Gate},
    interrupt,
    lab::{Flood, Force, Who},
    pin::{self, Object},
};
use gate_user::sys::{Access, Map};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{ACCESS, LIMIT, Scene, Side, frames};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("steps::control_what_is_open_or_left_shows", control),
        found.lab_trial("steps::killed_in_a_first_start", first_start),
        found.lab_trial("steps::killed_in_a_start_that_adopts", adopting_start),
        found.another_trial("steps::killed_in_a_migration", migration),
        found.lab_trial("steps::killed_in_a_reload", reload),
        found.lab_trial("steps::killed_in_a_rollback", rollback),
        found.lab_trial("steps::killed_in_a_detach", detach),
    ]
}

/// How many moments of one kind a run tries.
const MOMENTS: usize = 12;
/// The variable that has all of them tried.
const ALL: &str = "GATE_STEPS";

/// System calls that change what outlives a process.
const CALLS: &str = "bpf,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat";
/// Of `bpf`, the commands that do.
const COMMANDS: [&str; 8] = [
    "BPF_OBJ_PIN",
    "BPF_LINK_CREATE",
    "BPF_LINK_UPDATE",
    "BPF_LINK_DETACH",
    "BPF_MAP_UPDATE_ELEM",
    "BPF_MAP_UPDATE_BATCH",
    "BPF_MAP_DELETE_ELEM",
    "BPF_RAW_TRACEPOINT_OPEN",
];

/// The moment before a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moment {
    call: String,
    /// Which one of the calls of this name of its thread.
    number: usize,
    /// As strace shows it.
    line: String,
}

/// Those in what strace wrote, of the thread that has most of them.
fn moments(trace: &str) -> Vec<Moment> {
    let threads: BTreeSet<&str> = trace
        .lines()
        .filter_map(|it| it.split(' ').next())
        .collect();
    let of = |thread: &str| {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        let mut moments = Vec::new();
        for line in trace.lines() {
            let Some((_, rest)) = line.split_once(' ').filter(|(it, _)| *it == thread) else {
                continue;
            };
            // What is resumed began above.
            let Some((call, arguments)) = rest.trim_start().split_once('(') else {
                continue;
            };
            if !CALLS.split(',').any(|it| it == call) {
                continue;
            }
            let number = counts.entry(call).or_default();
            *number += 1;
            if call != "bpf" || COMMANDS.iter().any(|it| arguments.starts_with(it)) {
                moments.push(Moment {
                    call: call.to_owned(),
                    number: *number,
                    line: rest.trim().chars().take(160).collect(),
                });
            }
        }
        moments
    };
    threads
        .into_iter()
        .map(of)
        .max_by_key(Vec::len)
        .unwrap_or_default()
}

/// Those of them that this run tries.
fn some(moments: &[Moment]) -> Result<Vec<Moment>> {
    ensure!(
        moments.len() > MOMENTS,
        "hardly anything is done: {moments:#?}"
    );
    if env::var_os(ALL).is_some_and(|it| it == "all") {
        return Ok(moments.to_vec());
    }
    let apart = moments.len().div_ceil(MOMENTS);
    let first = fastrand::usize(..apart);
    Ok(moments.iter().skip(first).step_by(apart).cloned().collect())
}

/// What strace is to do.
#[derive(Clone, Copy)]
enum Strace<'m> {
    Write,
    Kill(&'m Moment),
}

impl Strace<'_> {
    fn command(self, bench: &Bench<'_>) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o"]).arg(written(bench));
        match self {
            Self::Write => strace.args(["-e", &format!("trace={CALLS}")]),
            Self::Kill(Moment { call, number, .. }) => strace
                .args(["-e", &format!("trace={call}")])
                .args(["-e", &format!("inject={call}:signal=KILL:when={number}")]),
        };
        strace
    }

    /// Of `command`, from its beginning.
    fn starting(self, bench: &Bench<'_>, command: &Command) -> Command {
        let mut strace = self.command(bench);
        strace
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                strace.env(name, value);
            }
        }
        bench.lab.router().contain(&mut strace);
        strace
    }

    /// Of a process that runs, from here on.
    fn joining(self, bench: &Bench<'_>, daemon: &Daemon) -> Result<Daemon> {
        let mut strace = self.command(bench);
        strace.args(["-p", &daemon.id().to_string()]);
        let strace = Daemon::spawn(strace)?;
        let attached = interrupt::wait_until(LIMIT, || strace.said().contains("attached"))?;
        ensure!(attached, "strace does not attach: {}", strace.said());
        Ok(strace)
    }
}

fn written(bench: &Bench<'_>) -> PathBuf {
    bench.lab.scratch().join("trace")
}

/// The moments of what strace wrote last.
fn seen(bench: &Bench<'_>) -> Result<Vec<Moment>> {
    Ok(moments(&fs::read_to_string(written(bench))?))
}

/// Whether strace, which has ended, killed somebody.
fn has_killed(bench: &Bench<'_>) -> Result<bool> {
    Ok(fs::read_to_string(written(bench))?.contains("+++ killed by SIGKILL +++"))
}

/// Runs the `gate run` of `command` under strace until it is ready or ended; says whether it ended. Whoever is ready is killed then.
fn start_under(bench: &Bench<'_>, strace: Strace<'_>, command: &Command) -> Result<bool> {
    let mut daemon = Daemon::spawn(strace.starting(bench, command))?;
    let ended = daemon.outcome()?.is_some();
    if !ended {
        let parent = daemon.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        for child in children.split_whitespace() {
            kill(Pid::from_raw(child.parse()?), Signal::SIGKILL)?;
        }
    } else if matches!(strace, Strace::Write) {
        anyhow::bail!("the start failed: {}", daemon.said());
    }
    // Who ended was waited for.
    if !ended {
        daemon.kill()?;
    }
    Ok(ended)
}

/// A gate, packets to it that it has to refuse all the time, and what may be pinned.
struct Stage<'b> {
    scene: Scene<'b>,
    trickle: Option<Flood>,
    path: PathBuf,
    /// What is pinned by a gate that nobody killed, but for generations.
    pins: BTreeSet<PathBuf>,
    /// What `gate status` may say after a start.
    well: &'static [&'static str],
    /// How often the gate was to be killed, and how often it was.
    tries: usize,
    killed: usize,
}

impl<'b> Stage<'b> {
    fn new(bench: &'b Bench<'b>) -> Result<Self> {
        ensure!(
            exec::found("strace"),
            "strace is missing: `cargo xtask setup lab` installs it"
        );
        let scene = Scene::new(bench)?;
        let path = Side::Refuse.config(bench)?.write(&bench.lab, "gate.toml")?;
        let (pins, _) = pinned(bench)?;
        Ok(Self {
            scene,
            trickle: None,
            path,
            pins,
            well: &["ok"],
            tries: 0,
            killed: 0,
        })
    }

    fn bench(&self) -> &'b Bench<'b> {
        self.scene.bench
    }

    /// From now on packets come, and none may come out.
    fn closed_from_now(&mut self) -> Result<()> {
        let bench = self.bench();
        self.trickle = Some(
            bench
                .lab
                .flood(Who::Subscriber, frames(&[25]), Force::Trickle)?,
        );
        self.is_closed()
    }

    /// Some more packets came, and none ever came out.
    fn is_closed(&mut self) -> Result<()> {
        if let Some(trickle) = &self.trickle {
            let before = trickle.progress().segments();
            let came = interrupt::wait_until(LIMIT, || trickle.progress().segments() > before)?;
            ensure!(came, "the packets ran dry");
        }
        let out = self.scene.smtp.segments()?;
        ensure!(out == 0, "{out} packets came out");
        Ok(())
    }

    fn run(&mut self, strace: Strace<'_>, gate: Gate<'_>) -> Result<()> {
        let mut command = gate.command(&["run", "--config"]);
        command.arg(&self.path);
        let ended = start_under(self.bench(), strace, &command)?;
        if matches!(strace, Strace::Kill(_)) {
            self.tried(ended);
        }
        Ok(())
    }

    fn tried(&mut self, killed: bool) {
        self.tries += 1;
        self.killed += usize::from(killed);
    }

    /// Another text, which makes another generation.
    fn rewrite(&self, title: &str) -> Result<()> {
        let bench = self.bench();
        let mut config = Side::Refuse.config(bench)?;
        title.clone_into(&mut config.title);
        // Of nobody who sends.
        if let Some(pool) = config.pools.iter_mut().find(|it| it.policy == "exempt") {
            let host = 1 + title.len() % 2;
            pool.prefixes = vec![format!("203.0.113.{host}/32")];
        }
        config.write(&bench.lab, "gate.toml").map(drop)
    }

    /// A next start of `gate`, after which all is well and nothing too much.
    fn goes_on(&mut self, gate: Gate<'_>) -> Result<Daemon> {
        self.is_closed().context("killed")?;
        let daemon = gate.run(&self.path)?;
        let (code, status) = gate.status()?;
        ensure!(
            self.well.contains(&status.state.as_str()),
            "{code:?}, {status:?}"
        );
        self.is_tidy()?;
        self.is_closed().context("started again")?;
        Ok(daemon)
    }

    /// What is pinned is what belongs there, and no map is in use that is not pinned.
    fn is_tidy(&self) -> Result<()> {
        let bench = self.bench();
        let (pins, generations) = pinned(bench)?;
        ensure!(
            pins == self.pins,
            "left over: {:?}; missing: {:?}",
            pins.difference(&self.pins).collect::<Vec<_>>(),
            self.pins.difference(&pins).collect::<Vec<_>>()
        );
        ensure!(
            (1..=2).contains(&generations.len()),
            "generations that are pinned: {generations:?}"
        );
        let stray = stray_maps(bench)?;
        ensure!(
            stray.is_empty(),
            "maps in slots that are not pinned: {stray:?}"
        );
        Ok(())
    }

    /// The end: the gate goes, and takes all with it.
    fn end(mut self) -> Result<()> {
        self.is_closed()?;
        if let Some(trickle) = self.trickle.take() {
            trickle.stop()?;
        }
        self.is_closed()?;
        drop(self.scene.daemon.take());
        let Self { tries, killed, .. } = self;
        // What a start does is not quite the same each time.
        ensure!(
            2 * killed > tries,
            "of {tries} times it was only killed {killed} times"
        );
        Ok(())
    }
}

/// What is pinned, below the directory of a version, beside generations; and the generations.
fn pinned(bench: &Bench<'_>) -> Result<(BTreeSet<PathBuf>, BTreeSet<PathBuf>)> {
    let (mut others, mut generations) = (BTreeSet::new(), BTreeSet::new());
    let mut versions = BTreeSet::new();
    for pin in pin::list(bench.lab.pins())? {
        let mut parts = pin.path.components();
        versions.extend(parts.next().map(|it| it.as_os_str().to_owned()));
        let path = parts.as_path();
        if path.starts_with("generations") {
            let number = path.components().take(2).collect::<PathBuf>();
            generations.insert(number);
        } else {
            others.insert(path.to_owned());
        }
    }
    ensure!(versions.len() <= 1, "pins of {versions:?}");
    Ok((others, generations))
}

/// Maps that packets are judged by and that nobody has pinned.
fn stray_maps(bench: &Bench<'_>) -> Result<Vec<(String, u32)>> {
    /// `BPF_MAP_TYPE_ARRAY_OF_MAPS`
    const ARRAY_OF_MAPS: u32 = 12;
    let pins = pin::list(bench.lab.pins())?;
    let known: BTreeSet<u32> = pins
        .iter()
        .filter_map(|it| match it.object {
            Object::Map(id) => Some(id),
            Object::Link(_) | Object::Program(_) | Object::Other => None,
        })
        .collect();
    let mut stray = Vec::new();
    for name in maps::SLOTTED
        .into_iter()
        .chain(maps::REHEARSAL)
        .chain(maps::LISTENER)
    {
        let path = Path::new("maps").join(name);
        let Some(pin) = pins.iter().find(|it| it.path.ends_with(&path)) else {
            continue;
        };
        let outer = Map::open(&bench.lab.pins().join(&pin.path), Access::Read)?;
        if outer.spec().kind != ARRAY_OF_MAPS {
            continue;
        }
        for place in 0..outer.spec().max_entries {
            let inner = outer.lookup::<u32, u32>(&place)?;
            stray.extend(
                inner
                    .filter(|id| !known.contains(id))
                    .map(|id| (name.to_owned(), id)),
            );
        }
    }
    Ok(stray)
}

fn control(bench: &Bench<'_>) -> Result<()> {
    let mut stage = Stage::new(bench)?;
    stage.closed_from_now()?;
    stage.is_tidy()?;
    let version = stage.scene.version();
    let left = version.join("maps/LEFT");
    pin::pin(&pin::passing_program()?, &left)?;
    ensure!(stage.is_tidy().is_err(), "a pin that is left does not show");
    fs::remove_file(&left)?;
    let generation = stage.scene.generation(1);
    let rules = generation.join(maps::RULES);
    let map = pin::get(&rules)?;
    fs::remove_file(&rules)?;
    ensure!(
        stage.is_tidy().is_err(),
        "a map that nobody has pinned does not show"
    );
    pin::pin(&map, &rules)?;
    stage.is_tidy()?;
    let link = version.join("links").join(ACCESS);
    pin::replace_program(&link, &pin::passing_program()?)?;
    let open = interrupt::wait_until(LIMIT, || stage.is_closed().is_err())?;
    ensure!(open, "a gate that is open does not show");
    Ok(())
}

fn first_start(bench: &Bench<'_>) -> Result<()> {
    let mut stage = Stage::new(bench)?;
    drop(stage.scene.daemon.take());
    bench.gate().detach()?;
    stage.run(Strace::Write, bench.gate())?;
    for moment in some(&seen(bench)?)? {
        let mut tried = || {
            bench.gate().detach()?;
            stage.run(Strace::Kill(&moment), bench.gate())?;
            stage.goes_on(bench.gate())?.kill().map(drop)
        };
        tried().with_context(|| format!("killed before {moment:?}"))?;
    }
    bench.gate().run(&stage.path)?.kill()?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    stage.end()
}

fn adopting_start(bench: &Bench<'_>) -> Result<()> {
    let mut stage = Stage::new(bench)?;
    drop(stage.scene.daemon.take());
    stage.closed_from_now()?;
    stage.run(Strace::Write, bench.gate())?;
    for moment in some(&seen(bench)?)? {
        let mut tried = || {
            stage.run(Strace::Kill(&moment), bench.gate())?;
            stage.goes_on(bench.gate())?.kill().map(drop)
        };
        tried().with_context(|| format!("killed before {moment:?}"))?;
    }
    stage.end()
}

fn migration(bench: &Bench<'_>) -> Result<()> {
    let mut stage = Stage::new(bench)?;
    drop(stage.scene.daemon.take());
    stage.closed_from_now()?;
    let (own, another) = (bench.gate(), bench.another()?);
    // What either does on its way from the other.
    let mut moments = Vec::new();
    for (from, to, is_own) in [(own, another, false), (another, own, true)] {
        stage.run(Strace::Write, to)?;
        let some = some(&seen(bench)?)?.into_iter();
        moments.extend(some.map(|moment| (from, to, is_own, moment)));
    }
    // A map that the two lay out differently started from zero by now, which either says from here on.
    stage.pins.insert(PathBuf::from("notes/from_zero"));
    // Whose pins there are.
    let mut now_own = true;
    for (index, (from, to, is_own, moment)) in moments.into_iter().enumerate() {
        let mut way = || {
            if now_own == is_own {
                stage.goes_on(from)?.kill()?;
            }
            stage.run(Strace::Kill(&moment), to)?;
            // Either goes on from there: in turns.
            now_own = index % 2 == 1;
            let next = if now_own { own } else { another };
            stage.goes_on(next)?.kill().map(drop)
        };
        way().with_context(|| {
            let name = if is_own { "this" } else { "the other" };
            format!("killed on the way to {name} version, before {moment:?}")
        })?;
    }
    stage.end()
}

/// Kills the daemon at moments of what `happens` to it, which is told a number that is another one each time.
fn daemon_killed(
    bench: &Bench<'_>,
    happens: impl Fn(&Stage<'_>, usize) -> Result<()>,
    before: impl Fn(&Stage<'_>, usize) -> Result<()>,
    well: &'static [&'static str],
) -> Result<()> {
    let mut stage = Stage::new(bench)?;
    stage.well = well;
    stage.closed_from_now()?;
    let mut daemon = stage.scene.daemon.take().context("no daemon")?;
    before(&stage, 0)?;
    let strace = Strace::Write.joining(bench, &daemon)?;
    happens(&stage, 0)?;
    strace.terminate()?;
    let moments = some(&seen(bench)?)?;
    for (number, moment) in (1..).zip(moments) {
        let tried = || {
            before(&stage, number)?;
            let strace = Strace::Kill(&moment).joining(bench, &daemon)?;
            happens(&stage, number)?;
            // Whoever is not killed ends as it is asked to. What strace writes of it can come later than this.
            let ended = daemon.terminate()?;
            drop(strace);
            stage.tried(ended.signal() == Some(Signal::SIGKILL as i32));
            stage.goes_on(bench.gate())
        };
        daemon = tried().with_context(|| format!("killed before {moment:?}"))?;
    }
    daemon.terminate()?;
    stage.end()
}

fn title(number: usize) -> String {
    format!("text {}", "x".repeat(number))
}

fn reload(bench: &Bench<'_>) -> Result<()> {
    let happens = |stage: &Stage<'_>, number| {
        stage.rewrite(&title(number))?;
        // Killed or not.
        bench.gate().output(&["reload"]).map(drop)
    };
    daemon_killed(bench, happens, |_, _| Ok(()), &["ok"])
}

fn rollback(bench: &Bench<'_>) -> Result<()> {
    let before = |stage: &Stage<'_>, number| {
        stage.rewrite(&title(number))?;
        bench.gate().text(&["reload"]).map(drop)
    };
    let happens = |_: &Stage<'_>, _| bench.gate().output(&["rollback"]).map(drop);
    daemon_killed(bench, happens, before, &["ok", "rolled_back"])
}

fn detach(bench: &Bench<'_>) -> Result<()> {
    let mut stage = Stage::new(bench)?;
    drop(stage.scene.daemon.take());
    let detach = bench.gate().command(&["detach"]);
    exec::output(&mut Strace::Write.starting(bench, &detach), "", LIMIT)?;
    let moments = some(&seen(bench)?)?;
    for moment in moments {
        let mut tried = || {
            stage.goes_on(bench.gate())?.kill()?;
            exec::output(
                &mut Strace::Kill(&moment).starting(bench, &detach),
                "",
                LIMIT,
            )?;
            stage.tried(has_killed(bench)?);
            stage.goes_on(bench.gate())?.kill().map(drop)
        };
        tried().with_context(|| format!("killed before {moment:?}"))?;
    }
    stage.end()
}
