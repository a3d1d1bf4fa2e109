//! What the service manager is told, by the protocol of `sd_notify(3)`: ready, reloading, stopping, alive, and a line of how it is.
//!
//! One datagram a message, on a socket that never blocks: a manager that does not read holds up no packet, reload or question. What it has no room for
//! waits here for the next tick.

use std::{
    collections::VecDeque,
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gate_user::clock;

use super::worker::LOOK;

/// So many messages wait at most; of more, the oldest goes.
const OUTBOX: usize = 16;

/// The way to the service manager; leads nowhere where none asked to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Manager(Option<Arc<Peer>>);

#[derive(Debug)]
struct Peer {
    socket: UnixDatagram,
    address: SocketAddr,
    outbox: Mutex<VecDeque<String>>,
}

impl Manager {
    /// To the manager that started this process, if it said where it listens.
    pub(super) fn from_environment() -> io::Result<Self> {
        match env::var_os("NOTIFY_SOCKET") {
            None => Ok(Self::default()),
            Some(name) => Self::to(name.as_encoded_bytes()),
        }
    }

    fn to(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(String::from_utf8_lossy(name).as_ref())?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "NOTIFY_SOCKET names no Unix socket",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Peer {
            socket,
            address,
            outbox: Mutex::default(),
        }))))
    }

    /// Whether anybody is told.
    pub(super) const fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// It is in force, and answers.
    pub(super) fn ready(&self) {
        self.say("READY=1".to_owned());
    }

    /// A change of generations begins; [`Self::ready`] says that it is over.
    pub(super) fn reloading(&self) {
        let now = clock::monotonic_ns().unwrap_or_default() / 1000;
        self.say(format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// It ends.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1".to_owned());
    }

    /// How it is, in one line.
    pub(super) fn status(&self, line: &str) {
        self.say(format!("STATUS={}", line.replace('\n', " ")));
    }

    /// It lives.
    fn alive(&self) {
        self.say("WATCHDOG=1".to_owned());
    }

    /// Tries again what the manager had no room for.
    pub(super) fn flush(&self) {
        let Some(peer) = &self.0 else { return };
        // Nothing is done under this lock that could leave it half changed.
        let mut outbox = peer.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(message) = outbox.front() {
            let sent = peer.socket.send_to_addr(message.as_bytes(), &peer.address);
            if matches!(sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
            // A manager that is gone hears nothing; the gate goes on.
            outbox.pop_front();
        }
    }

    fn say(&self, message: String) {
        let Some(peer) = &self.0 else { return };
        {
            let mut outbox = peer.outbox.lock().unwrap_or_else(PoisonError::into_inner);
            if outbox.len() >= OUTBOX {
                outbox.pop_front();
            }
            outbox.push_back(message);
        }
        self.flush();
    }
}

/// When the worker last got on with what it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Beat(Arc<AtomicU64>);

impl Beat {
    /// It gets on.
    pub(super) fn touch(&self) {
        self.0
            .store(clock::monotonic_ns().unwrap_or_default(), Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        let now = clock::monotonic_ns().unwrap_or_default();
        Duration::from_nanos(now.saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

/// The manager's watchdog, which ends a daemon that it does not hear of for so long.
#[derive(Debug)]
pub(super) struct Watchdog {
    manager: Manager,
    limit: Duration,
    beat: Beat,
}

impl Watchdog {
    /// The watchdog of this process, if the manager has one for it.
    pub(super) fn from_environment(manager: &Manager, beat: &Beat) -> Option<Self> {
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let limit = limit(
            number("WATCHDOG_USEC"),
            number("WATCHDOG_PID"),
            std::process::id(),
        )?;
        Some(Self {
            manager: manager.clone(),
            limit,
            beat: beat.clone(),
        })
    }

    /// How often to call [`Self::feed`].
    pub(super) fn interval(&self) -> Duration {
        self.limit / 3
    }

    /// Tells the manager that the daemon lives, unless its worker hangs.
    pub(super) fn feed(&self) {
        if gets_on(self.beat.age(), self.limit) {
            self.manager.alive();
        }
    }
}

/// How long the manager waits for a word of this process; nothing if it does not.
fn limit(microseconds: Option<u64>, of: Option<u64>, pid: u32) -> Option<Duration> {
    let limit = microseconds.filter(|it| *it > 0)?;
    of.is_none_or(|it| it == u64::from(pid))
        .then(|| Duration::from_micros(limit))
}

/// Whether a worker that was last heard of so long ago is at work. One that waits for something to do is heard of at each look.
fn gets_on(age: Duration, limit: Duration) -> bool {
    age < limit.max(LOOK * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_does_not_read_hears_it_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let reader = UnixDatagram::bind(&path).unwrap();
        reader.set_nonblocking(true).unwrap();
        let manager = Manager::to(path.as_os_str().as_encoded_bytes()).unwrap();
        // More than the queue of the socket and the outbox have room for together.
        for _ in 0..2000 {
            manager.status("of no interest\nany more");
        }
        manager.ready();
        let mut buffer = [0; 100];
        let mut heard = Vec::new();
        while let Ok(length) = reader.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            manager.flush();
        }
        assert_eq!(heard.last().unwrap(), "READY=1");
        assert!(heard.len() < 1000);
        assert_eq!(heard[0], "STATUS=of no interest any more");
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(limit(Some(1_000_000), Some(7), 7), second);
        assert_eq!(limit(Some(1_000_000), None, 7), second);
        assert_eq!(limit(Some(1_000_000), Some(8), 7), None);
        assert_eq!(limit(Some(0), None, 7), None);
        assert_eq!(limit(None, Some(7), 7), None);
    }

    #[test]
    fn a_worker_that_hangs_is_told_from_one_that_waits() {
        let limit = Duration::from_secs(30);
        assert!(gets_on(Duration::from_secs(29), limit));
        assert!(!gets_on(Duration::from_secs(30), limit));
        assert!(gets_on(LOOK, Duration::from_millis(10)));
        assert!(!gets_on(LOOK * 2, Duration::from_millis(10)));
    }
}
