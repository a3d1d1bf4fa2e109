//! Running other programs: output captured, time bounded, and out of the terminal's reach.
//!
//! Each child gets a process group of its own. Ctrl-C goes to the whole foreground group: it must not cut short the `ip
//! netns del` that cleans up after it, nor end a daemon that is to be ended in order.

use std::{
    env,
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::interrupt::ENDING;

/// What a program that ended left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs `command` to its end, for at most `patience`; what takes longer is killed and an error. Interrupts do not end
/// it: what cleans up runs after one.
pub fn output(command: &mut Command, input: &str, patience: Duration) -> Result<Output> {
    let what = describe(command);
    command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(command).with_context(|| format!("cannot start `{what}`"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A child that ends without reading all of it says why on its standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = wait(&mut child, patience).with_context(|| format!("cannot wait for `{what}`"))?;
    let Some(status) = status else {
        bail!("`{what}` did not end within {patience:?} and was killed");
    };
    Ok(Output {
        status,
        stdout: joined(stdout),
        stderr: joined(stderr),
    })
}

/// Starts `command` in a process group of its own.
///
/// Between its fork and that, the child is in the terminal's group all the same: what asks this process to end would
/// end the child as soon as it has its own program. Blocked until the child is in its group, and let through while it
/// still has this program's handlers, such a signal does nothing to it.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let signals = SigSet::from_iter(ENDING);
    command.process_group(0);
    let let_through = move || Ok(signals.thread_unblock()?);
    // SAFETY: between fork and exec, `let_through` makes one system call and allocates nothing.
    unsafe { command.pre_exec(let_through) };
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let child = command.spawn();
    before.thread_set_mask()?;
    child
}

/// Runs a tool that has to succeed, and returns its standard output.
pub fn tool(command: &mut Command, input: &str) -> Result<String> {
    let what = describe(command);
    let Output {
        status,
        stdout,
        stderr,
    } = output(command, input, Duration::from_secs(30))?;
    ensure!(
        status.success(),
        "`{what}` failed ({status}): {}",
        stderr.trim()
    );
    Ok(stdout)
}

/// Whether there is a program of this name in `PATH`.
#[must_use]
pub fn found(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Waits for `child`, for at most `patience`: `None` says that it was killed then.
pub fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    const PAUSE: Duration = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited >= patience {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

/// The command as one would type it.
#[must_use]
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(reader: thread::JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}
