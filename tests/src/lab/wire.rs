//! A host's link, frame by frame: what somebody with root on it can send, and what arrives there.

use std::{
    mem::zeroed,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    ptr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, send, setsockopt, socket, sockopt::RcvBufForce,
    },
};

use super::NetNs;

/// The first frame that was waited for, and those before it.
pub type Arrived = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// A packet socket on one interface. It sees what arrives there since it was made, VLAN tags included, and nothing of
/// what leaves.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Enough for what arrives between two looks.
    const BUFFER: usize = 4 << 20;
    /// The longest frame.
    const SNAP: usize = 64 << 10;

    /// On `interface` of `netns`.
    pub fn new(netns: &NetNs, interface: &str) -> Result<Self> {
        let socket = netns
            .run(|| open(interface))?
            .with_context(|| format!("cannot open {interface} in {}", netns.name()))?;
        setsockopt(&socket, RcvBufForce, &Self::BUFFER)?;
        Ok(Self { socket })
    }

    /// Sends `frame` as it is.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .with_context(|| format!("cannot send {} octets", frame.len()))?;
        ensure!(sent == frame.len(), "sent {sent} of {}", frame.len());
        Ok(())
    }

    /// The next frame, if one arrives within `patience`.
    pub fn receive(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + patience;
        loop {
            match self.next() {
                Ok(frame) => return Ok(Some(frame)),
                Err(Errno::EAGAIN) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno).context("cannot read a packet socket"),
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1))?;
            match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for a frame"),
            }
        }
    }

    /// The first frame within `patience` that `wanted` takes, and those before it.
    pub fn until(&self, patience: Duration, wanted: impl Fn(&[u8]) -> bool) -> Result<Arrived> {
        let end = Instant::now() + patience;
        let mut before = Vec::new();
        loop {
            match self.receive(end.saturating_duration_since(Instant::now()))? {
                Some(frame) if wanted(&frame) => return Ok((before, Some(frame))),
                Some(frame) => before.push(frame),
                None => return Ok((before, None)),
            }
        }
    }

    /// A frame that is there already.
    pub(super) fn next(&self) -> Result<Vec<u8>, Errno> {
        let mut frame = vec![0; Self::SNAP];
        let mut control = [0_u64; 8];
        let mut buffer = libc::iovec {
            iov_base: frame.as_mut_ptr().cast(),
            iov_len: frame.len(),
        };
        // SAFETY: numbers and pointers, for all of which zero is a value.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut buffer;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the kernel writes at most what the lengths in `message` say, to memory that lives until it returns.
        let length = unsafe {
            libc::recvmsg(
                self.socket.as_raw_fd(),
                &raw mut message,
                libc::MSG_DONTWAIT,
            )
        };
        frame.truncate(usize::try_from(Errno::result(length)?).unwrap_or(0));
        if let Some(tag) = tag(&message) {
            // The kernel takes the outer tag off before anybody sees the frame, and keeps it beside.
            let at = 12.min(frame.len());
            frame.splice(at..at, tag);
        }
        Ok(frame)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(interface: &str) -> Result<OwnedFd> {
    // It hears nothing until it is bound.
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    switch_on(&socket, libc::PACKET_AUXDATA)?;
    switch_on(&socket, libc::PACKET_IGNORE_OUTGOING)?;
    // SAFETY: numbers, for all of which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL)?.to_be();
    address.sll_ifindex = if_nametoindex(interface)?.try_into()?;
    let length = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the kernel reads an address of this length.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(bound).context("cannot bind a packet socket")?;
    Ok(socket)
}

fn switch_on(socket: &OwnedFd, option: libc::c_int) -> Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on))?;
    // SAFETY: the kernel reads a number of this length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const on).cast(),
            length,
        )
    };
    Errno::result(result)
        .map(drop)
        .context("cannot set up a packet socket")
}

/// The tag that the kernel took off, as it stood in the frame.
fn tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the kernel filled `message`.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: it is null, or lies in the control buffer that `message` points to, which still lives.
    let header = unsafe { header.as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: `header` is that of a control message.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: a control message of this type has this structure, which need not be aligned.
    let aux = unsafe { ptr::read_unaligned(data.cast::<libc::tpacket_auxdata>()) };
    let [t0, t1] = aux.tp_vlan_tpid.to_be_bytes();
    let [v0, v1] = aux.tp_vlan_tci.to_be_bytes();
    (aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0).then_some([t0, t1, v0, v1])
}
