//! Long output of another program: shown line by line as it comes, and read on the way.

use std::{
    io::{self, BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{command, say};

/// Runs `command`, shows each line of its standard output behind `prefix`, and hands it to `see`.
pub(crate) fn run(
    command: &mut Command,
    prefix: &str,
    see: impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut child = start(command)?;
    show_lines(&mut child, prefix, see)?;
    wait(child, command)
}

/// The same for a command that might never end: after `limit` it is killed and there is no status.
pub(crate) fn run_within(
    command: &mut Command,
    prefix: &str,
    limit: Duration,
    see: impl FnMut(&str),
) -> Result<Option<ExitStatus>> {
    let mut child = start(command.stdin(Stdio::null()))?;
    let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id that is none")?);
    let in_time = thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let watchdog = scope.spawn(move || {
            let in_time = ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
            if !in_time {
                // Not waited for yet, so the number is still the child's. Its end closes the pipe that is read below.
                let _ = kill(pid, Signal::SIGKILL);
            }
            in_time
        });
        let shown = show_lines(&mut child, prefix, see);
        drop(done);
        shown.map(|()| watchdog.join().unwrap_or(false))
    })?;
    let status = wait(child, command)?;
    Ok(in_time.then_some(status))
}

fn start(command: &mut Command) -> Result<Child> {
    command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", command::describe(command)))
}

fn wait(mut child: Child, command: &Command) -> Result<ExitStatus> {
    child
        .wait()
        .with_context(|| format!("cannot wait for `{}`", command::describe(command)))
}

fn show_lines(child: &mut Child, prefix: &str, mut see: impl FnMut(&str)) -> Result<()> {
    let output = child.stdout.take().context("no pipe to the command")?;
    each_line(BufReader::new(output), |line| {
        say::pass_on(prefix, line);
        see(&String::from_utf8_lossy(line));
    })
    .context("cannot read the command's output")
}

/// Bytes, not `lines()`: a test may print what is not UTF-8, and a last line may lack its end.
fn each_line(mut output: impl BufRead, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        each(&line);
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_seen_as_it_is() {
        let mut seen = Vec::new();
        each_line(&b"one\n\xff\ntwo"[..], |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, [&b"one\n"[..], b"\xff\n", b"two"]);
    }

    #[test]
    fn the_status_is_kept() {
        let status = run(Command::new("sh").args(["-c", "exit 3"]), "", |_| ()).unwrap();
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn what_never_ends_is_ended() {
        let limit = Duration::from_millis(50);
        let status = run_within(Command::new("sleep").arg("60"), "", limit, |_| ()).unwrap();
        assert_eq!(status, None);
    }
}
