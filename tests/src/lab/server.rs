//! TCP servers that count whom they accepted, and close.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv6Addr, TcpListener},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::NetNs;

/// The ports every host listens on: mail transfer, submission in both forms, and one that has nothing to do with mail.
pub const PORTS: [u16; 4] = [25, 80, 465, 587];

/// How many connections were accepted, by peer and port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted(BTreeMap<(IpAddr, u16), u64>);

impl Accepted {
    /// Those of `peer` on `port`.
    #[must_use]
    pub fn from(&self, peer: IpAddr, port: u16) -> u64 {
        self.0.get(&(peer, port)).copied().unwrap_or_default()
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// A host's servers: one thread. Dropping it ends them.
#[derive(Debug)]
pub struct Server {
    accepted: Arc<Mutex<Accepted>>,
    /// Closing this end wakes the thread and tells it to end.
    leash: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens in `netns`.
    pub fn new(netns: &NetNs) -> Result<Self> {
        let listeners = netns
            .run(|| {
                PORTS
                    .iter()
                    .map(|port| listen(*port))
                    .collect::<io::Result<Vec<_>>>()
            })?
            .with_context(|| format!("cannot listen in {}", netns.name()))?;
        let accepted = Arc::default();
        let (leash, end) = UnixStream::pair()?;
        let counts = Arc::clone(&accepted);
        Ok(Self {
            accepted,
            leash: Some(leash),
            thread: Some(thread::spawn(move || serve(&listeners, &end, &counts))),
        })
    }

    /// What was accepted so far.
    #[must_use]
    pub fn accepted(&self) -> Accepted {
        lock(&self.accepted).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.leash.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; and if it did, its sockets are closed all the same.
            let _ = thread.join();
        }
    }
}

/// One socket for both families: IPv4 clients show up with mapped addresses.
fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(listeners: &[TcpListener], end: &UnixStream, counts: &Mutex<Accepted>) {
    loop {
        let mut waiting: Vec<PollFd<'_>> = listeners
            .iter()
            .map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN))
            .chain([PollFd::new(end.as_fd(), PollFlags::POLLIN)])
            .collect();
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        if waiting.last().and_then(PollFd::any) == Some(true) {
            return;
        }
        for listener in listeners {
            accept_all(listener, counts);
        }
    }
}

/// Counts first and closes then: a client that has read the end of its connection has been counted.
fn accept_all(listener: &TcpListener, counts: &Mutex<Accepted>) {
    let Ok(local) = listener.local_addr() else {
        return;
    };
    while let Ok((connection, peer)) = listener.accept() {
        *lock(counts)
            .0
            .entry((peer.ip().to_canonical(), local.port()))
            .or_default() += 1;
        drop(connection);
    }
}

/// A count is never half made: a poisoned lock holds what it held.
fn lock(counts: &Mutex<Accepted>) -> MutexGuard<'_, Accepted> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
