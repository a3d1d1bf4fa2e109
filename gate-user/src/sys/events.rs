//! When network devices come, go or change, by rtnetlink.

use std::io;

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use tokio::io::{Interest, unix::AsyncFd};

/// `RTNLGRP_LINK`
const LINKS: u32 = 1;

/// Hears of changes of the devices of this network namespace. It says that there was one, not which: the kernel throws away what is not read in
/// time (`ENOBUFS`), so that only a look at the devices tells what became of them.
#[derive(Debug)]
pub struct DeviceEvents(AsyncFd<Socket>);

impl DeviceEvents {
    /// Hears from here on. To be called where a tokio runtime with I/O runs.
    pub fn listen() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        socket.add_membership(LINKS)?;
        // SAFETY: the socket owns its descriptor, names no other one, and lives and dies with what it is handed to.
        let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self(registered?))
    }

    /// Waits for a change, or several.
    pub async fn next(&self) -> io::Result<()> {
        self.0.async_io(Interest::READABLE, drain).await
    }
}

/// Takes all that came; [`io::ErrorKind::WouldBlock`] if nothing did.
fn drain(socket: &Socket) -> io::Result<()> {
    // What a message says is not read, so that room for its beginning is enough.
    let mut buffer = [0; 64];
    let mut heard = false;
    loop {
        match socket.recv(&mut buffer.as_mut_slice(), 0) {
            Ok(_) => heard = true,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => heard = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if heard && error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
