//! Several labs at a time: this program again, once for each share of the trials.
//!
//! Processes and not threads, since what a lab makes carries the id of its process, and the proof that nothing is left goes by that. Trials
//! mostly wait, for timeouts above all. Those that flood, or count what passes in a time, take their turn alone.

use std::{
    env,
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use gate_tests::interrupt;
use libtest_mimic::{Arguments, Trial};
use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

/// The environment variable that tells a process its share: `0/2` is the first of two.
const SHARE: &str = "GATE_TEST_SHARE";
/// The one with the directory of the locks.
const TURNS: &str = "GATE_TEST_TURNS";

/// A part of all trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    number: usize,
    of: usize,
}

impl Share {
    fn of_environment() -> Option<Self> {
        Self::parse(&env::var(SHARE).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let share = Self {
            number: number.parse().ok()?,
            of: of.parse().ok()?,
        };
        (share.number < share.of).then_some(share)
    }
}

/// How many processes there are for each processor: with one, four fifths of its time go by unused.
const PER_PROCESSOR: usize = 2;

/// Runs each share of the trials in a process of its own, as many as `--test-threads` says, else [`PER_PROCESSOR`] times as many as processors are. `None`
/// in such a process, and where one is enough: there, [`run`] is to follow.
pub(crate) fn spread(arguments: &Arguments) -> Option<ExitCode> {
    let processes = arguments.test_threads.unwrap_or_else(|| {
        thread::available_parallelism().map_or(1, |it| PER_PROCESSOR * it.get())
    });
    if processes <= 1 || arguments.list || Share::of_environment().is_some() {
        return None;
    }
    Some(start_all(processes).unwrap_or_else(|error| {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "cannot run the trials: {error:#}");
        ExitCode::FAILURE
    }))
}

/// Runs this process's share of `trials`.
pub(crate) fn run(mut arguments: Arguments, trials: Vec<Trial>) -> ExitCode {
    let Share { number, of } = Share::of_environment().unwrap_or(Share { number: 0, of: 1 });
    // A daemon is tied to the thread that starts it.
    arguments.test_threads = Some(1);
    let mine = trials.into_iter().skip(number).step_by(of).collect();
    libtest_mimic::run(&arguments, mine).exit_code()
}

/// Starts a process for each share, and hands on what they print, line by line.
fn start_all(processes: usize) -> Result<ExitCode> {
    // Each of them is asked to end as well, and cleans up.
    interrupt::catch()?;
    let turns = TempDir::new().context("cannot make a directory for locks")?;
    let printing = Mutex::new(());
    let ended = thread::scope(|scope| {
        let shares: Vec<_> = (0..processes)
            .map(|number| {
                let child = start(number, processes, turns.path())?;
                Ok(scope.spawn(|| hand_on(child, &printing)))
            })
            .collect::<Result<_>>()?;
        shares
            .into_iter()
            .map(|share| {
                share
                    .join()
                    .map_err(|_| anyhow!("a share could not be followed"))?
            })
            .collect::<Result<Vec<bool>>>()
    })?;
    Ok(if ended.into_iter().all(|well| well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn start(number: usize, of: usize, turns: &Path) -> Result<Child> {
    let program = env::current_exe().context("which program is this?")?;
    Command::new(&program)
        .args(env::args_os().skip(1))
        .env(SHARE, format!("{number}/{of}"))
        .env(TURNS, turns)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Whether every trial of it passed.
fn hand_on(mut child: Child, printing: &Mutex<()>) -> Result<bool> {
    let stdout = child.stdout.take().context("nothing to read from")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let _printing = printing.lock().unwrap_or_else(PoisonError::into_inner);
        // Where standard output is closed, the trials go on.
        let _ = writeln!(io::stdout(), "{line}");
    }
    Ok(child.wait()?.success())
}

/// How a trial takes its turn among those of other processes.
#[derive(Clone)]
pub(crate) enum Turn {
    /// Beside others.
    Among(Locks),
    /// By itself.
    Alone(Locks),
}

/// Where the locks are; `None` where this process runs all trials.
#[derive(Clone)]
pub(crate) struct Locks(Option<Arc<Path>>);

/// A turn that was taken; it ends with it.
pub(crate) struct Taken(#[expect(dead_code, reason = "held, not read")] Option<Flock<File>>);

impl Locks {
    pub(crate) fn of_environment() -> Self {
        Self(env::var_os(TURNS).map(|directory| PathBuf::from(directory).into()))
    }

    fn take(&self, how: FlockArg) -> Result<Taken> {
        let Some(directory) = &self.0 else {
            return Ok(Taken(None));
        };
        // Who waits to be alone holds this one, so that nobody overtakes it for ever.
        let _next = lock(&directory.join("next"), FlockArg::LockExclusive)?;
        lock(&directory.join("turn"), how).map(|it| Taken(Some(it)))
    }
}

impl Turn {
    /// Waits for it.
    pub(crate) fn take(&self) -> Result<Taken> {
        match self {
            Self::Among(locks) => locks.take(FlockArg::LockShared),
            Self::Alone(locks) => locks.take(FlockArg::LockExclusive),
        }
    }

    /// By itself, whatever it was.
    pub(crate) fn alone(&self) -> Self {
        match self {
            Self::Among(locks) | Self::Alone(locks) => Self::Alone(locks.clone()),
        }
    }
}

fn lock(path: &Path, how: FlockArg) -> Result<Flock<File>> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    Flock::lock(file, how).map_err(|(_, error)| anyhow!("cannot lock {}: {error}", path.display()))
}
