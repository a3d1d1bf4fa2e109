//! Ctrl-C and its kin as a flag: whoever waits looks at it and returns an error, so that destructors run.

use std::{
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

/// The longest that a wait goes on before it looks at the flag.
pub const TICK: Duration = Duration::from_millis(50);

/// The signals that ask a process to end.
pub const ENDING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Somebody asked this process to end.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From here on the signals that ask a process to end end waits instead of the process. A second call changes nothing.
pub fn catch() -> io::Result<()> {
    let flag = STOP.get_or_init(Arc::default);
    for signal in ENDING {
        signal_hook::flag::register(signal as i32, Arc::clone(flag))?;
    }
    Ok(())
}

/// An error once somebody asked this process to end.
pub fn check() -> Result<(), Interrupted> {
    match STOP.get() {
        Some(flag) if flag.load(Ordering::Relaxed) => Err(Interrupted),
        _ => Ok(()),
    }
}

/// Sleeps, unless interrupted.
pub fn sleep(time: Duration) -> Result<(), Interrupted> {
    wait_until(time, || false).map(drop)
}

/// Asks `done` every now and then until it says yes (true) or `patience` is over (false).
pub fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> Result<bool, Interrupted> {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        check()?;
        if done() {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(TICK);
    }
}
