//! A witness of what a host sent, on the host's own link: it sees each opening segment before the router does,
//! retransmissions included, and shares nothing with the gate.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use etherparse::{SlicedPacket, TransportSlice};
use nix::{
    errno::Errno,
    libc::PACKET_OUTGOING,
    sys::socket::{
        AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
        sockopt::RcvBufForce,
    },
};

use super::NetNs;

/// A packet socket that sees every frame of a namespace.
#[derive(Debug)]
pub struct Witness {
    socket: OwnedFd,
    syns: Mutex<u64>,
}

impl Witness {
    /// Enough for the frames of some thousand connections between two looks.
    const BUFFER: usize = 16 << 20;
    /// Headers are all that is read.
    const SNAP: usize = 256;

    /// Watches `netns` from here on.
    pub fn new(netns: &NetNs) -> Result<Self> {
        let socket = netns
            .run(|| {
                socket(
                    AddressFamily::Packet,
                    SockType::Raw,
                    SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
                    SockProtocol::EthAll,
                )
            })?
            .with_context(|| format!("cannot watch {}", netns.name()))?;
        setsockopt(&socket, RcvBufForce, &Self::BUFFER)?;
        Ok(Self {
            socket,
            syns: Mutex::new(0),
        })
    }

    /// Segments with SYN and without ACK that left for TCP port 25, since it watches.
    pub fn syns_to_port_25(&self) -> Result<u64> {
        let mut syns = self.syns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frame = [0; Self::SNAP];
        loop {
            match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut frame) {
                Ok((length, from)) => {
                    let outgoing = from.is_some_and(|from| from.pkttype() == PACKET_OUTGOING);
                    let frame = frame.get(..length).unwrap_or(&frame);
                    *syns += u64::from(outgoing && opens_port_25(frame));
                }
                Err(Errno::EAGAIN) => return Ok(*syns),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("cannot read a packet socket"),
            }
        }
    }
}

fn opens_port_25(frame: &[u8]) -> bool {
    match SlicedPacket::from_ethernet(frame).map(|packet| packet.transport) {
        Ok(Some(TransportSlice::Tcp(tcp))) => {
            tcp.destination_port() == 25 && tcp.syn() && !tcp.ack()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn frame(port: u16, flags: fn(PacketBuilderTcp) -> PacketBuilderTcp) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([100, 64, 0, 2], [192, 0, 2, 25], 64)
            .tcp(40_000, port, 1, 1024);
        let mut frame = Vec::new();
        flags(builder).write(&mut frame, &[]).unwrap();
        frame
    }

    type PacketBuilderTcp = etherparse::PacketBuilderStep<etherparse::TcpHeader>;

    #[test]
    fn only_opening_segments_to_port_25_count() {
        assert!(opens_port_25(&frame(25, PacketBuilderTcp::syn)));
        assert!(!opens_port_25(&frame(587, PacketBuilderTcp::syn)));
        assert!(!opens_port_25(&frame(25, |tcp| tcp.syn().ack(1))));
        assert!(!opens_port_25(&frame(25, |tcp| tcp.ack(1))));
        assert!(!opens_port_25(&[]));
    }
}
