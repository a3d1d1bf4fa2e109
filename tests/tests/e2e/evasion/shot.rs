//! One attempt to open a connection, and the packets that every technique is made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gate_tests::packets::{Ethernet, Packet, V4, V6, checked, flag, protocol, put, tcp, trail};

/// Who tries to reach whom. The source port is this attempt's alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot {
    /// Destination and source of the frame.
    pub(super) link: [[u8; 6]; 2],
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) source_port: u16,
    pub(super) port: u16,
}

impl Shot {
    /// A segment with these flags and `data`.
    pub(super) fn segment(&self, flags: u8, data: &[u8]) -> Vec<u8> {
        self.check(trail(tcp(self.source_port, self.port, flags), data))
    }

    /// `segment` with its checksum right.
    pub(super) fn check(&self, segment: Vec<u8>) -> Vec<u8> {
        checked(self.source, self.destination, segment)
    }

    /// What opens a connection.
    pub(super) fn syn(&self) -> Vec<u8> {
        self.segment(flag::SYN, &[])
    }

    /// The same with data, so that there is something to put into fragments: 48 octets.
    pub(super) fn long(&self) -> Vec<u8> {
        self.segment(flag::SYN, &[0x2e; 28])
    }

    /// An IPv4 header; the source port tells the fragments of one attempt from those of others.
    pub(super) fn v4(&self) -> V4 {
        let of = |address| match address {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        V4::new(of(self.source), of(self.destination)).identification(self.source_port)
    }

    /// An IPv6 header.
    pub(super) fn v6(&self) -> V6 {
        let of = |address| match address {
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
            IpAddr::V6(address) => address,
        };
        V6::new(of(self.source), of(self.destination))
    }

    /// A packet of the family of the addresses.
    pub(super) fn packet(&self, segment: &[u8]) -> Packet {
        match self.source {
            IpAddr::V4(_) => self.v4().tcp(segment),
            IpAddr::V6(_) => self.v6().tcp(segment),
        }
    }

    /// An untagged frame.
    pub(super) fn frame(&self, packet: &Packet) -> Vec<u8> {
        self.behind(&Ethernet::new(), packet)
    }

    /// A frame with the tags of `link`.
    pub(super) fn behind(&self, link: &Ethernet, packet: &Packet) -> Vec<u8> {
        self.addressed(link.carry(packet))
    }

    /// `frame` from us to the router.
    pub(super) fn addressed(&self, frame: Vec<u8>) -> Vec<u8> {
        put(frame, 0, &self.link.concat())
    }

    /// One frame with `segment` in it.
    pub(super) fn one(&self, segment: &[u8]) -> Vec<Vec<u8>> {
        vec![self.frame(&self.packet(segment))]
    }

    /// A fragment of what `next` announces: `data` at `offset`, in octets, with more to come or not.
    pub(super) fn fragment(&self, next: u8, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
        let units = u16::try_from(offset / 8).expect("a packet has 64 KiB at most");
        self.frame(&match self.source {
            IpAddr::V4(_) => self.v4().fragment(units, more).carry(next, data),
            IpAddr::V6(_) => {
                let header = self.fragment_header(next, units, more);
                self.v6()
                    .carry(protocol::FRAGMENT, &[&header, data].concat())
            }
        })
    }

    /// An IPv6 fragment header.
    pub(super) fn fragment_header(&self, next: u8, units: u16, more: bool) -> [u8; 8] {
        let [o0, o1] = (units << 3 | u16::from(more)).to_be_bytes();
        let [i0, i1] = self.source_port.to_be_bytes();
        [next, 0, o0, o1, 0, 0, i0, i1]
    }

    /// `payload` of the kind `next`, cut into fragments at these places.
    pub(super) fn cut(&self, next: u8, payload: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
        let starts = [0].iter().chain(at);
        let ends = at.iter().copied().chain([payload.len()]);
        starts
            .zip(ends)
            .map(|(start, end)| {
                let data = payload.get(*start..end).unwrap_or_default();
                self.fragment(next, *start, end < payload.len(), data)
            })
            .collect()
    }
}
