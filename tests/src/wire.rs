//! Frames on an interface of this machine, past the network stack: packet sockets (packet(7)) that send them as they are, and that
//! see what a driver and the XDP program on it let through.

use std::{io, mem::size_of_val, os::fd::AsRawFd as _, process};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    net::if_::if_nametoindex,
    sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt::RcvBufForce},
};
use socket2::{Domain, Socket, Type};

/// `ETH_P_ALL`, in network byte order.
const EVERYTHING: u16 = 0x0003_u16.to_be();

/// Sends from an interface.
#[derive(Debug)]
pub struct Sender(Socket);

impl Sender {
    /// From `interface`, which has to be up.
    pub fn new(interface: &str) -> Result<Self> {
        open(interface, 0)
            .map(Self)
            .with_context(|| format!("cannot send from {interface}"))
    }

    /// Sends a frame; its end is that of the frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }
}

/// What arrives at an interface from now on, by receive queue. The interface takes frames for every address and of every VLAN
/// meanwhile.
#[derive(Debug)]
pub struct Arrivals(Vec<Socket>);

/// A frame that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The number of the receive queue, among those that are told apart.
    pub queue: usize,
    /// Its bytes, without the outermost VLAN tag: packet sockets get that beside the frame.
    pub frame: Vec<u8>,
}

impl Arrivals {
    /// Enough for the frames of some seconds.
    const BUFFER: usize = 16 << 20;
    /// Longer than any frame of the tests.
    const SNAP: usize = 2048;

    /// At `interface`, which has to be up; `queues` are told apart.
    pub fn at(interface: &str, queues: usize) -> Result<Self> {
        let watch = || -> Result<Socket> {
            let socket = open(interface, EVERYTHING)?;
            socket.set_nonblocking(true)?;
            setsockopt(&socket, RcvBufForce, &Self::BUFFER)?;
            promiscuous(&socket, interface)?;
            if queues > 1 {
                share_by_queue(&socket)?;
            }
            Ok(socket)
        };
        (0..queues)
            .map(|_| watch())
            .collect::<Result<_>>()
            .map(Self)
            .with_context(|| format!("cannot watch {interface}"))
    }

    /// Those since it was last asked; what the interface itself sent is none.
    pub fn take(&self) -> Result<Vec<Arrival>> {
        let Self(sockets) = self;
        let mut arrivals = Vec::new();
        for (queue, socket) in sockets.iter().enumerate() {
            while let Some(frame) = receive(socket)? {
                arrivals.push(Arrival { queue, frame });
            }
        }
        Ok(arrivals)
    }
}

fn receive(socket: &Socket) -> Result<Option<Vec<u8>>> {
    let mut frame = vec![0; Arrivals::SNAP];
    loop {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame) {
            Ok((length, from)) => {
                if from.is_none_or(|from| from.pkttype() != libc::PACKET_OUTGOING) {
                    frame.truncate(length);
                    return Ok(Some(frame));
                }
            }
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("cannot read a packet socket"),
        }
    }
}

/// A packet socket on `interface` that takes frames of `protocol`, 0 for none.
fn open(interface: &str, protocol: u16) -> Result<Socket> {
    let index = if_nametoindex(interface)?;
    // No protocol until it is bound: not a frame of another interface.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: protocol,
        sll_ifindex: i32::try_from(index)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the kernel reads `length` bytes from `address`, which has so many.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(socket)
}

/// Makes the interface take frames for every address, for as long as the socket is there.
fn promiscuous(socket: &Socket, interface: &str) -> Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(if_nametoindex(interface)?)?,
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC)?,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::PACKET_ADD_MEMBERSHIP, &request).context("cannot make it promiscuous")
}

/// Makes the sockets of this process share what arrives, each having the frames of other receive queues.
fn share_by_queue(socket: &Socket) -> Result<()> {
    /// `PACKET_FANOUT_QM`
    const BY_QUEUE: u32 = 5;
    let group = (process::id() & 0xffff) | BY_QUEUE << 16;
    set(socket, libc::PACKET_FANOUT, &group).context("cannot tell queues apart")
}

/// Sets an option of a packet socket; `T` is plain data, as the kernel defines it.
fn set<T>(socket: &Socket, option: libc::c_int, value: &T) -> Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value))?;
    // SAFETY: the kernel reads `length` bytes from `value`, which has so many.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error().into())
    }
}
