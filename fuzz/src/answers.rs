//! What refused clients hear: any frame, refused and answered; the answer, read again by etherparse and by the parser, is what the RFCs
//! say and goes where the packet came from.

use std::cell::Cell;

use etherparse::{IpNumber, IpSlice, Ipv6HeaderSlice, SlicedPacket, TransportSlice};
use gate_common::{
    Action, Addr, Answer, Answered, Flow, Role, Scope, Shape,
    abi::{CLASSES, COUNTRIES, ClassSettings, ClassedCountry, Interface, Limit, Rule, Settings},
    decide::{Now, decide},
    parse::parse,
};

use crate::{
    answer::{Reply, reply},
    anything::Anything,
};

/// The least that Ethernet carries.
const ETHERNET_MINIMUM: usize = 60;

/// The first octet of `data` chooses the answer and where it comes from; the rest is the frame.
pub fn check(data: &[u8]) {
    let Some((choice, frame)) = data.split_first() else {
        return;
    };
    let mut frame = frame.to_vec();
    let flow = read(&mut frame);
    let prohibited = choice & 1 != 0;
    let wanted = if prohibited {
        Answer::Prohibited
    } else {
        Answer::Reset
    };
    let from = match choice >> 1 & 3 {
        0 => [Addr::UNSPECIFIED; 2],
        _ => [
            Addr::v4(0xc000_0219),
            Addr {
                hi: 0x2001_0db8_0000_0000,
                lo: 0x19,
            },
        ],
    };
    let tables = tables(wanted, from, choice & 0x80 == 0);
    let Some((shape, flow)) = flow else { return };
    let Some(decision) = decide(shape, &flow, 1, &tables, Now::both(0)) else {
        return;
    };
    let Some(reply) = reply(&frame, &flow, &decision, &tables, 0) else {
        assert_eq!(decision.answer, Ok(Answer::Drop), "silence was not wanted");
        return;
    };
    let Ok(answer) = decision.answer else {
        assert_eq!(Err(reply.answered), decision.answer);
        assert_eq!(reply.frame, None);
        return;
    };
    let case = Case {
        frame: &frame,
        flow: &flow,
        from: match from[usize::from(!flow.src.is_v4())] {
            Addr::UNSPECIFIED => flow.dst,
            named => named,
        },
    };
    assert_eq!(answer, wanted);
    case.check(answer, &reply, tables.within);
}

/// What the parser finds in the frame, which is made one that goes to port 25.
fn read(frame: &mut [u8]) -> Option<(Shape, Flow)> {
    let mut flow = Flow::default();
    if parse(frame, &mut flow) == Shape::Tcp {
        let port = usize::from(flow.transport) + 2;
        frame.get_mut(port..port + 2)?.copy_from_slice(&[0, 25]);
    }
    // The octets of the port may have been something else's too: a header that lies in another one.
    let mut flow = Flow::default();
    let shape = parse(frame, &mut flow);
    Some((shape, flow))
}

/// Tables that refuse every segment to port 25.
fn tables(answer: Answer, [answer_v4, answer_v6]: [Addr; 2], within: bool) -> Anything {
    let limit = Limit::default();
    let settings = Settings {
        dropped_shapes: u64::MAX,
        throttle: limit,
        answer_source: limit,
        answer_total: limit,
        unlisted_effective_from_ns: 0,
        sourceless_effective_from_ns: 0,
        answer_v4,
        answer_v6,
        classes: [ClassSettings::default(); CLASSES],
        mark_mask: 0,
        countries: [ClassedCountry::default(); COUNTRIES],
        scope: Scope::All as u8,
        unlisted: 0,
        unlisted_action: 0,
        unlisted_answer: 0,
        submission: 0,
        submissions: 0,
        any_server: 0,
        count_sources: 0,
        sourceless_action: Action::Enforce as u8,
        dscp_all: 0,
        bleach: 0,
        shows: 0,
        kept_v4: 32,
        kept_v6: 128,
        reserved: [0; 2],
    };
    let restricted = Rule {
        policy: gate_common::Policy::Restrict as u8,
        action: Action::Enforce as u8,
        answer: answer as u8,
        source_v4: 32,
        source_v6: 64,
        ..Rule::default()
    };
    Anything {
        settings: Some(settings),
        interface: Some(Interface {
            role: Role::Access as u8,
            ..Interface::default()
        }),
        access: Some(0),
        rules: vec![restricted],
        relay: None,
        server: false,
        class: None,
        country: None,
        within,
        bypass_until_ns: 0,
        taken: Cell::new(0),
        bucket: Cell::new(None),
    }
}

/// A refused packet.
struct Case<'f> {
    frame: &'f [u8],
    flow: &'f Flow,
    /// Where an ICMP error must come from.
    from: Addr,
}

impl Case<'_> {
    fn check(&self, answer: Answer, reply: &Reply, within: bool) {
        let Some(sent) = &reply.frame else {
            let group = self.frame[0] | self.frame[6];
            match reply.answered {
                Answered::SourceLimit => assert!(!within),
                Answered::Group => assert_eq!(group & 1, 1),
                // There is nothing to quote of what was cut off.
                Answered::NoRoom => {
                    assert_eq!(answer, Answer::Prohibited);
                    assert!(self.packet() > self.frame.len() - self.network());
                }
                Answered::Reset
                | Answered::Prohibited
                | Answered::TotalLimit
                | Answered::Encapsulated
                | Answered::Fragment
                | Answered::Shape
                | Answered::WasReset
                | Answered::Unlisted
                | Answered::Stripped => {
                    panic!("{:?} is no reason for silence", reply.answered)
                }
            }
            return;
        };
        assert!(within, "over the limit");
        assert_eq!((self.frame[0] | self.frame[6]) & 1, 0, "a group");
        self.link(sent);
        let network = self.network();
        let ip = IpSlice::from_slice(&sent[network..]).expect("an IP packet");
        let length = self.length(&ip);
        assert_eq!(sent.len(), (network + length).max(ETHERNET_MINIMUM));
        let padding = &sent[network + length..];
        assert!(padding.iter().all(|octet| *octet == 0), "{padding:x?}");
        assert_eq!(Addr::from(ip.destination_addr()), self.flow.src);
        if let IpSlice::Ipv4(v4) = &ip {
            let header = v4.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
        }
        match answer {
            Answer::Reset => {
                assert_eq!(reply.answered, Answered::Reset);
                self.reset(&sent[network..network + length], &ip);
            }
            Answer::Prohibited => {
                assert_eq!(reply.answered, Answered::Prohibited);
                self.prohibited(&ip);
            }
            Answer::Drop => panic!("silence was wanted"),
        }
        self.parses(sent, answer);
    }

    fn network(&self) -> usize {
        self.flow.network.into()
    }

    /// The length of the refused packet, by its own header.
    fn packet(&self) -> usize {
        let field = |at: usize| {
            let at = self.network() + at;
            usize::from(u16::from_be_bytes([self.frame[at], self.frame[at + 1]]))
        };
        if self.flow.src.is_v4() {
            field(2)
        } else {
            40 + field(4)
        }
    }

    /// Addresses swapped, everything else up to the IP header kept, and the length of PPPoE right.
    fn link(&self, sent: &[u8]) {
        assert_eq!(sent[..6], self.frame[6..12]);
        assert_eq!(sent[6..12], self.frame[..6]);
        let network = self.network();
        let mut kept = self.frame[12..network].to_vec();
        if self.flow.pppoe != 0 {
            let pppoe = usize::from(self.flow.pppoe);
            let ip = IpSlice::from_slice(&sent[network..]).expect("an IP packet");
            let length = self.length(&ip);
            let expected = u16::try_from(network - pppoe - 6 + length).unwrap();
            kept[pppoe + 4 - 12..pppoe + 6 - 12].copy_from_slice(&expected.to_be_bytes());
        }
        assert_eq!(sent[12..network], kept);
    }

    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn length(&self, ip: &IpSlice<'_>) -> usize {
        match ip {
            IpSlice::Ipv4(ip) => ip.header().total_len().into(),
            IpSlice::Ipv6(ip) => 40 + usize::from(ip.header().payload_length()),
        }
    }

    /// RFC 9293 section 3.10.7.1, for a connection that does not exist.
    fn reset(&self, packet: &[u8], ip: &IpSlice<'_>) {
        let sliced = SlicedPacket::from_ip(packet).expect("a packet");
        let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else {
            panic!("no TCP: {sliced:?}");
        };
        assert_eq!(Addr::from(ip.source_addr()), self.flow.dst);
        assert_eq!(tcp.source_port(), self.flow.dport);
        assert_eq!(tcp.destination_port(), self.flow.sport);
        let header = tcp.to_header();
        let checksum = match ip {
            IpSlice::Ipv4(ip) => header.calc_checksum_ipv4(&ip.header().to_header(), tcp.payload()),
            IpSlice::Ipv6(ip) => header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload()),
        };
        assert_eq!(Ok(header.checksum), checksum.map_err(drop));
        assert_eq!(
            (tcp.payload(), header.options.as_slice()),
            (&[][..], &[][..])
        );
        assert!(tcp.rst() && !tcp.syn() && !tcp.fin());
        let refused = self.segment();
        let expected = if refused.ack {
            (refused.acknowledgment_number, 0, false)
        } else {
            let length = refused.length();
            let acknowledged = refused.sequence_number.wrapping_add(length);
            (0, acknowledged, true)
        };
        let found = (
            tcp.sequence_number(),
            tcp.acknowledgment_number(),
            tcp.ack(),
        );
        assert_eq!(found, expected, "{refused:?}");
        // A merged segment says nothing of its length.
        assert!(packet.len() <= self.packet().max(self.frame.len() - self.network()));
    }

    /// The refused segment, read octet by octet.
    fn segment(&self) -> Segment {
        let at = usize::from(self.flow.transport);
        let word = |at: usize| {
            let octets = self.frame[at..at + 4].iter();
            octets.fold(0, |word, octet| word << 8 | u32::from(*octet))
        };
        let flags = self.frame[at + 13];
        let headers = at - self.network() + usize::from(self.frame[at + 12] >> 4) * 4;
        Segment {
            sequence_number: word(at + 4),
            acknowledgment_number: word(at + 8),
            syn: flags & 2 != 0,
            fin: flags & 1 != 0,
            ack: flags & 16 != 0,
            data: self.packet().saturating_sub(headers),
        }
    }

    /// RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 section 3.1.
    fn prohibited(&self, ip: &IpSlice<'_>) {
        assert_eq!(Addr::from(ip.source_addr()), self.from);
        let message = ip.payload().payload;
        let (kind, pseudo) = match ip {
            IpSlice::Ipv4(_) => {
                assert_eq!(ip.payload().ip_number, IpNumber::ICMP);
                ([3, 13], 0)
            }
            IpSlice::Ipv6(v6) => {
                assert_eq!(ip.payload().ip_number, IpNumber::IPV6_ICMP);
                ([1, 1], pseudo_header(&v6.header(), message.len()))
            }
        };
        assert_eq!(message[..2], kind);
        assert_eq!(message[4..8], [0; 4]);
        assert_eq!(folded(pseudo + sum(message)), 0xffff, "checksum");
        let quote = &message[8..];
        let network = self.network();
        assert_eq!(quote, &self.frame[network..network + quote.len()]);
        let header = if self.flow.src.is_v4() {
            usize::from(self.frame[network] & 15) * 4
        } else {
            40
        };
        assert!((header + 8..=header + 64).contains(&quote.len()));
        let answer = self.length(ip);
        let packet = self.packet();
        // RFC 792 wants eight octets of what is behind the header, whatever the packet's length.
        let least = self.length(ip) - quote.len() + header + 8;
        assert!(answer <= packet.max(least), "{answer} for {packet}");
        if !self.flow.is_source_routed() && packet >= header + 20 {
            let longer = if self.flow.src.is_v4() { 16 } else { 36 };
            assert!(answer <= packet + longer);
        }
    }

    /// The parser reads the answer like any packet: on the way back, in the same VLAN and session.
    fn parses(&self, sent: &[u8], answer: Answer) {
        let mut flow = Flow::default();
        let shape = parse(sent, &mut flow);
        let same = (flow.vlan, flow.network, flow.pppoe);
        assert_eq!(same, (self.flow.vlan, self.flow.network, self.flow.pppoe));
        assert_eq!(flow.dst, self.flow.src);
        let refused = self.flow;
        if answer == Answer::Reset {
            assert_eq!(shape, Shape::Tcp);
            let found = (flow.src, flow.sport, flow.dport, flow.marks);
            assert_eq!(found, (refused.dst, refused.dport, refused.sport, 0));
        } else {
            assert_eq!((shape, flow.src), (Shape::Unrelated, self.from));
        }
    }
}

#[derive(Debug)]
struct Segment {
    sequence_number: u32,
    acknowledgment_number: u32,
    syn: bool,
    fin: bool,
    ack: bool,
    data: usize,
}

impl Segment {
    /// SEG.LEN.
    fn length(&self) -> u32 {
        u32::try_from(self.data).unwrap() + u32::from(self.syn) + u32::from(self.fin)
    }
}

fn pseudo_header(header: &Ipv6HeaderSlice<'_>, length: usize) -> u64 {
    let addresses = [header.source(), header.destination()].concat();
    sum(&addresses) + u64::try_from(length).unwrap() + 58
}

/// RFC 1071, an octet at a time.
fn sum(octets: &[u8]) -> u64 {
    let weighed = octets.iter().enumerate().map(|(place, octet)| {
        let weight = if place % 2 == 0 { 256 } else { 1 };
        u64::from(*octet) * weight
    });
    weighed.sum()
}

fn folded(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
