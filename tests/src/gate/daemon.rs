//! `gate run` as a child: ready when it says so, gone when dropped. The gate itself stays as it is, which is the point
//! of it.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use crate::{exec, interrupt};

/// What the line begins with that says that everything is in force.
const READY: &str = "gate: ready:";
/// Loading a country database of a million networks takes seconds; twice that on a machine that does other things as
/// well.
const START: Duration = Duration::from_mins(1);
/// What it may take to end.
const END: Duration = Duration::from_secs(10);

/// The running daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: Log,
}

impl Daemon {
    /// Starts `command`, a `gate run`, and returns once it is ready. A daemon that ends or is not ready in time is an
    /// error with what it said.
    pub fn start(command: Command) -> Result<Self> {
        let mut daemon = Self::spawn(command)?;
        match daemon.outcome()? {
            None => Ok(daemon),
            Some(status) => bail!("gate run ended ({status}): {}", daemon.log.text()),
        }
    }

    /// Starts `command` and waits for nothing.
    pub fn spawn(mut command: Command) -> Result<Self> {
        // Should this process be killed, its daemon ends with it. The signal comes when the *thread* that started it
        // ends, which for tests and the demo is the one that waits for it.
        let tie = || Ok(set_pdeathsig(Signal::SIGTERM)?);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // SAFETY: between fork and exec, `tie` makes one system call and allocates nothing.
        unsafe { command.pre_exec(tie) };
        let mut child = exec::spawn(&mut command)
            .with_context(|| format!("cannot start `{}`", exec::describe(&command)))?;
        let log = Log::follow(child.stderr.take());
        Ok(Self { child, log })
    }

    /// Waits until it is ready (`None`) or has ended.
    pub fn outcome(&mut self) -> Result<Option<ExitStatus>> {
        let mut ended = None;
        interrupt::wait_until(START, || {
            ended = self.child.try_wait().ok().flatten();
            self.log.is_ready() || ended.is_some()
        })?;
        if self.log.is_ready() {
            return Ok(None);
        }
        match ended {
            Some(status) => Ok(Some(status)),
            None => bail!("gate run is not ready after {START:?}: {}", self.log.text()),
        }
    }

    /// Waits until it ends by itself; nothing if it does not, soon.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let mut ended = None;
        interrupt::wait_until(END, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some()
        })?;
        Ok(ended)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on its standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.log.text()
    }

    /// Sends it a signal, whatever that makes of it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).context("cannot signal the daemon")
    }

    /// Asks it to end.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.end(Signal::SIGTERM)
    }

    /// Gives it no chance to do anything.
    pub fn kill(mut self) -> Result<ExitStatus> {
        self.end(Signal::SIGKILL)
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        exec::wait(&mut self.child, END)?
            .with_context(|| format!("the daemon did not end within {END:?} after {signal}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A destructor has nobody to tell; what does not end is killed by the wait.
            let _ = self.end(Signal::SIGTERM);
        }
    }
}

/// What the daemon says, as it says it.
#[derive(Debug)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    ready: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Log {
    fn follow(pipe: Option<impl Read + Send + 'static>) -> Self {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let ready = Arc::new(AtomicBool::new(false));
        let (sink, mark) = (Arc::clone(&lines), Arc::clone(&ready));
        let reader = thread::spawn(move || {
            for line in pipe
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines())
            {
                let Ok(line) = line else { return };
                let is_ready = line.starts_with(READY);
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                if is_ready {
                    mark.store(true, Ordering::Release);
                }
            }
        });
        Self {
            lines,
            ready,
            reader,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn text(&self) -> String {
        // Of a daemon that has just ended, the last words may still be in the pipe.
        let mut rounds = 0;
        while !self.is_ready() && !self.reader.is_finished() && rounds < 20 {
            thread::sleep(Duration::from_millis(5));
            rounds += 1;
        }
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }
}
