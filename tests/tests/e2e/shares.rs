//! Several labs at a time: this program again, once for each share of the trials.
//!
//! Processes and not threads, since what a lab makes carries the id of its process, and the proof that nothing is left goes by that. Trials
//! mostly wait, for timeouts above all. Those that flood, or count what passes in a time, come alone, when all others are over.

use std::{
    env, fmt,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use gate_tests::interrupt;
use libtest_mimic::{Arguments, Trial};

/// The environment variable that tells a process its share.
const SHARE: &str = "GATE_TEST_SHARE";

/// How many processes there are at a time for each processor: with one, four fifths of its time go by unused.
const PER_PROCESSOR: usize = 2;
/// How many shares a process takes, one after the other: some take twice as long as others.
const EACH: usize = 4;

/// A part of all trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// `0/2` is the first of two of those that run beside each other.
    Among { number: usize, of: usize },
    /// Those that run by themselves.
    Alone,
}

impl Share {
    fn of_environment() -> Option<Self> {
        Self::parse(&env::var(SHARE).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "alone" {
            return Some(Self::Alone);
        }
        let (number, of) = text.split_once('/')?;
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        (number < of).then_some(Self::Among { number, of })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Among { number, of } => write!(f, "{number}/{of}"),
            Self::Alone => f.write_str("alone"),
        }
    }
}

/// Runs each share of the trials in a process of its own, as many at a time as `--test-threads` says, else [`PER_PROCESSOR`] times as many as processors
/// are. `None` in such a process, and where one is enough: there, [`run`] is to follow.
pub(crate) fn spread(arguments: &Arguments) -> Option<ExitCode> {
    let processes = arguments.test_threads.unwrap_or_else(|| {
        thread::available_parallelism().map_or(1, |it| PER_PROCESSOR * it.get())
    });
    if processes <= 1 || arguments.list || Share::of_environment().is_some() {
        return None;
    }
    // Of some trials, no share is worth a process of its own.
    let each = if arguments.filter.is_some() { 1 } else { EACH };
    Some(start_all(processes, each).unwrap_or_else(|error| {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "cannot run the trials: {error:#}");
        ExitCode::FAILURE
    }))
}

/// Runs this process's share of the trials; all of them where it has none.
pub(crate) fn run(mut arguments: Arguments, among: Vec<Trial>, alone: Vec<Trial>) -> ExitCode {
    // A daemon is tied to the thread that starts it.
    arguments.test_threads = Some(1);
    let mine = match Share::of_environment() {
        None => among.into_iter().chain(alone).collect(),
        Some(Share::Among { number, of }) => among.into_iter().skip(number).step_by(of).collect(),
        Some(Share::Alone) => alone,
    };
    libtest_mimic::run(&arguments, mine).exit_code()
}

/// Runs all shares, so many at a time, and the last by itself.
fn start_all(processes: usize, each: usize) -> Result<ExitCode> {
    // Each of them is asked to end as well, and cleans up.
    interrupt::catch()?;
    let printing = Mutex::new(());
    let of = processes * each;
    let next = AtomicUsize::new(0);
    let work = || -> Result<bool> {
        let mut well = true;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= of {
                return Ok(well);
            }
            interrupt::check()?;
            well &= one(Share::Among { number, of }, &printing)?;
        }
    };
    let well = thread::scope(|scope| {
        let workers: Vec<_> = (0..processes).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .map_err(|_| anyhow!("a share could not be followed"))?
            })
            .collect::<Result<Vec<bool>>>()
    })?;
    interrupt::check()?;
    let alone = one(Share::Alone, &printing)?;
    Ok(if alone && well.into_iter().all(|well| well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs one share to its end, and hands on what it prints, line by line, and what it says of failures in one piece; whether every trial of it passed.
fn one(share: Share, printing: &Mutex<()>) -> Result<bool> {
    let program = env::current_exe().context("which program is this?")?;
    let mut child: Child = Command::new(&program)
        .args(env::args_os().skip(1))
        .env(SHARE, share.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let stdout = child.stdout.take().context("nothing to read from")?;
    let mut failures = false;
    let mut turn = None;
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    // Whatever a trial prints.
    while stdout.read_until(b'\n', &mut line)? > 0 {
        let mine = turn
            .take()
            .unwrap_or_else(|| printing.lock().unwrap_or_else(PoisonError::into_inner));
        // Where standard output is closed, the trials go on.
        let _ = io::stdout().write_all(&line);
        // Of which program they are is told by what is around them alone. No trial of this share runs any more.
        failures = line == b"failures:\n" || failures && !line.starts_with(b"test result: ");
        if failures {
            turn = Some(mine);
        }
        line.clear();
    }
    Ok(child.wait()?.success())
}
