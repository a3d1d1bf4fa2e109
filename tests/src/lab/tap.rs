//! A count of what arrives in a namespace, exact whatever the rate.

use std::{io, mem::size_of, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result};
use socket2::{Domain, SockFilter, Socket, Type};

use super::NetNs;

/// `ETH_P_ALL`, in network byte order.
const EVERYTHING: i32 = 0x0003_u16.to_be() as i32;

/// A packet socket that the kernel counts TCP segments to one port on. Nobody reads it: what finds no room in it counts
/// as well (`PACKET_STATISTICS` in packet(7)).
#[derive(Debug)]
pub struct Tap {
    socket: Socket,
    segments: u64,
}

impl Tap {
    /// Counts segments to `port` in `netns` from here on: behind plain Ethernet, and IPv4 without options or IPv6 without
    /// extension headers.
    pub fn new(netns: &NetNs, port: u16) -> Result<Self> {
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(EVERYTHING.into()))?;
            socket.set_recv_buffer_size(0)?;
            socket.attach_filter(&segments_to(port))?;
            Ok(socket)
        };
        let socket = netns
            .run(open)?
            .with_context(|| format!("cannot count in {}", netns.name()))?;
        // What came before the filter did.
        counted(&socket)?;
        Ok(Self {
            socket,
            segments: 0,
        })
    }

    /// How many there were so far.
    pub fn segments(&mut self) -> Result<u64> {
        self.segments += counted(&self.socket)?;
        Ok(self.segments)
    }
}

/// What the kernel counted since this was last asked.
fn counted(socket: &Socket) -> Result<u64> {
    /// `struct tpacket_stats`: all packets, and those of them that found no room.
    type Statistics = [u32; 2];
    let mut statistics: Statistics = [0; 2];
    let mut length = libc::socklen_t::try_from(size_of::<Statistics>())?;
    // SAFETY: the kernel writes at most `length` bytes to `statistics`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            statistics.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error()).context("cannot read what a packet socket counted");
    }
    let [all, _] = statistics;
    Ok(all.into())
}

/// A filter in classic BPF (`Documentation/networking/filter.rst`) that keeps one octet of what it takes.
fn segments_to(port: u16) -> [SockFilter; 13] {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP: u16 = 0x05;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const TCP: u32 = 6;
    let step = |code, k| SockFilter::new(code, 0, 0, k);
    let equal_or_skip = |k, skipped| SockFilter::new(EQUAL, 0, skipped, k);
    [
        step(LOAD_HALF, 12),
        equal_or_skip(0x0800, 4),
        step(LOAD_BYTE, 14 + 9),
        equal_or_skip(TCP, 8),
        step(LOAD_HALF, 14 + 20 + 2),
        step(JUMP, 4),
        equal_or_skip(0x86dd, 5),
        step(LOAD_BYTE, 14 + 6),
        equal_or_skip(TCP, 3),
        step(LOAD_HALF, 14 + 40 + 2),
        equal_or_skip(port.into(), 1),
        step(RETURN, 1),
        step(RETURN, 0),
    ]
}
