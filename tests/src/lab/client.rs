//! TCP clients, and what they see: nothing here knows the gate.

use std::{
    fmt, io,
    io::Read as _,
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::NetNs;

/// How a connection attempt ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Connected, from this address and port; and the server closed, as it does once it has accepted.
    Open(SocketAddr),
    /// The handshake went through, but the server's end of the connection did not come: accepted by the kernel, or by
    /// something on the way, and not by the server.
    Silent(SocketAddr),
    /// No answer for as long as the client waited.
    NoAnswer,
    /// An error at once.
    Refused(Errno),
}

impl Seen {
    /// The client's end of a connection that came about.
    #[must_use]
    pub fn local(self) -> Option<SocketAddr> {
        match self {
            Self::Open(local) | Self::Silent(local) => Some(local),
            Self::NoAnswer | Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.pad("open"),
            Self::Silent(_) => f.pad("silent"),
            Self::NoAnswer => f.pad("no answer"),
            // As strerror(3) has it, in a word or two.
            Self::Refused(Errno::ECONNREFUSED) => f.pad("refused"),
            Self::Refused(Errno::EHOSTUNREACH) => f.pad("no route"),
            Self::Refused(Errno::EACCES) => f.pad("denied"),
            Self::Refused(errno) => f.pad(&format!("{errno:?}")),
        }
    }
}

/// Tries to connect from `source`, an address in `netns`, to `server`.
pub(super) fn connect(
    netns: &NetNs,
    source: IpAddr,
    server: SocketAddr,
    patience: Duration,
) -> Result<Seen> {
    let socket = netns.run(|| bound(source))??;
    match socket.connect_timeout(&SockAddr::from(server), patience) {
        Ok(()) => {}
        Err(error) => return no_connection(&error),
    }
    let connection = TcpStream::from(socket);
    let local = connection.local_addr()?;
    connection.set_read_timeout(Some(patience))?;
    Ok(match (&connection).read(&mut [0]) {
        Ok(0) => Seen::Open(local),
        Ok(_) | Err(_) => Seen::Silent(local),
    })
}

fn no_connection(error: &io::Error) -> Result<Seen> {
    match error.raw_os_error().map(Errno::from_raw) {
        // The kernel's own time-out, or ours, which has no number.
        Some(Errno::ETIMEDOUT) => Ok(Seen::NoAnswer),
        None if error.kind() == io::ErrorKind::TimedOut => Ok(Seen::NoAnswer),
        Some(errno) => Ok(Seen::Refused(errno)),
        None => Err(anyhow::anyhow!("connect: {error}")),
    }
}

fn bound(source: IpAddr) -> io::Result<Socket> {
    let source = SocketAddr::new(source, 0);
    let socket = Socket::new(
        Domain::for_address(source),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.bind(&SockAddr::from(source))?;
    Ok(socket)
}

/// What a [`Hammer`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knocks {
    /// Connections tried.
    pub tried: u64,
    /// Connections that came about.
    pub open: u64,
}

/// A client that tries to connect again and again while something else happens. It ends when dropped, and at its limit
/// in any case.
#[derive(Debug)]
pub struct Hammer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Knocks>>>,
}

impl Hammer {
    /// Between two attempts: no gap of the gate is longer than this and goes unseen.
    const INTERVAL: Duration = Duration::from_millis(2);
    /// How long each attempt gets. All are made from one thread: those that wait are looked at in turn.
    const PATIENCE: Duration = Duration::from_millis(100);
    /// The most attempts of one run.
    const LIMIT: u64 = 20_000;

    pub(super) fn start(netns: &NetNs, source: IpAddr, server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        // Sockets belong to the namespace of the thread that makes them, so this thread has to live inside.
        let thread = netns.spawn(move || Ok(knock(source, server, &seen)?));
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<Knocks> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the client has ended")?;
        match thread.join() {
            Ok(knocks) => knocks.context("the client failed"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Hammer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever wanted its result has called `stop`.
            let _ = thread.join();
        }
    }
}

fn knock(source: IpAddr, server: SocketAddr, stop: &AtomicBool) -> io::Result<Knocks> {
    let mut knocks = Knocks::default();
    let mut waiting: Vec<(Instant, Socket)> = Vec::new();
    while !stop.load(Ordering::Relaxed) && knocks.tried < Hammer::LIMIT {
        let socket = bound(source)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&SockAddr::from(server)) {
            Ok(()) => knocks.open += 1,
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {
                waiting.push((Instant::now(), socket));
            }
            Err(error) => return Err(error),
        }
        knocks.tried += 1;
        thread::sleep(Hammer::INTERVAL);
        waiting.retain(|(since, socket)| {
            let open = socket.peer_addr().is_ok();
            knocks.open += u64::from(open);
            !open && since.elapsed() < Hammer::PATIENCE
        });
    }
    Ok(knocks)
}
