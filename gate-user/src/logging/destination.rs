//! Where lines go.

use std::{
    ffi::OsStr,
    fmt::{self, Display},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::sys::stat::fstat;

/// Where the journal takes fields (systemd's "Native Journal Protocol").
pub const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog daemons listen on this machine.
pub const SYSLOG: &str = "/dev/log";

/// What takes a line, and returns once that is written.
type Out = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// How soon a write is tried again that would have had to wait.
const PAUSE: Duration = Duration::from_millis(100);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error, a line at a time.
    Stderr,
    /// A datagram socket, a datagram for each.
    Socket(PathBuf),
}

impl Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => out.write_str("standard error"),
            Self::Socket(path) => write!(out, "{}", path.display()),
        }
    }
}

impl Destination {
    /// What writes there, and waits until it is read.
    pub(super) fn open(&self) -> io::Result<Out> {
        match self {
            Self::Stderr => Ok(Box::new(write)),
            Self::Socket(path) => {
                let (socket, path) = (UnixDatagram::unbound()?, path.clone());
                // By its name each time: who listens may have been started again.
                Ok(Box::new(move |line| send(&socket, line, &path)))
            }
        }
    }
}

/// One write where that is possible: nobody's line is in the middle of another one.
fn write(mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match io::stderr().lock().write(line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever shares it may have said that it waits for nobody; this thread does.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            written => line = line.get(written?..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn send(socket: &UnixDatagram, line: &[u8], to: &Path) -> io::Result<()> {
    loop {
        match socket.send_to(line, to) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent.map(drop),
        }
    }
}

/// Whether standard error is the stream that `stream`, the value of `JOURNAL_STREAM`, names (systemd.exec(5)).
pub(super) fn is_journal(stream: Option<&OsStr>) -> bool {
    let Ok(stat) = fstat(io::stderr().as_fd()) else {
        return false;
    };
    let found = format!("{}:{}", stat.st_dev, stat.st_ino);
    stream.is_some_and(|it| *it == *found)
}
