//! Fragments of both families.

use gate_tests::packets::{self, Extension, flag::*, protocol};

use super::{Row, Side, observed, passed, refused, unjudged, unparsed, words::*};
use crate::configurations::Configuration::{Observe, Refuse};

pub(super) fn rows() -> Vec<Row> {
    [first_v4(), later_v4(), first_v6(), later_v6(), whose()].into_iter().flatten().collect()
}

const SYN_LIKE: &str = "a first fragment with more to come counts as a SYN: a later one could set the flag (RFC 1858 section 4)";
const TINY: &str = "a first fragment that ends before the TCP header hides the ports or flags (RFC 1858 section 3, RFC 3128, RFC 7112)";
const KNOWN: &str = "the port of a tiny first fragment stands (RFC 3128 section 4): one that is not 25 passes, submission above all";
const OVERLAP: &str = "a TCP fragment eight octets in would overwrite the flags of the first (RFC 1858 section 4.2)";
const LATER: &str = "the ports of a later fragment went by with the first";
const FIRST_V6: &str = "what follows is as the first fragment says (RFC 8200 section 4.5); honest fragments are longer than 128 octets";
const OTHER: &str = "a fragment of another protocol: not judged";

fn v4_fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    frame(&v4(DYNAMIC, MX).fragment(offset, more).tcp(payload))
}

fn v6_fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    frame(&v6(DYNAMIC_6, MX_6).with(Extension::Fragment(offset, more)).tcp(payload))
}

fn first_v4() -> Vec<Row> {
    let yes = || refused("restricted", &DYNAMIC_COUNTS);
    let tiny = || refused("tiny_fragment", &DYNAMIC_COUNTS);
    vec![
        Row::new("first with a SYN v4", SYN_LIKE, ACCESS, v4_fragment(0, true, &syn(25)), yes()),
        Row::new("first with an ACK v4", SYN_LIKE, ACCESS, v4_fragment(0, true, &packets::tcp(PORT, 25, ACK)), yes()),
        Row::new("first without flags v4", SYN_LIKE, ACCESS, v4_fragment(0, true, &packets::tcp(PORT, 25, 0)), yes()),
        Row::new("first, to another port v4", "the ports of a first fragment are read", ACCESS, v4_fragment(0, true, &syn(80)), unjudged()),
        Row::new("first, to 587 v4", "587 from a subscriber is never judged", ACCESS, v4_fragment(0, true, &syn(587)), unjudged()),
        Row::new("first with options v4", SYN_LIKE, ACCESS, frame(&v4(DYNAMIC, MX).options(10).fragment(0, true).tcp(&syn(25))), yes()),
        Row::new("tiny, no octet v4", TINY, ACCESS, v4_fragment(0, true, &[]), tiny()),
        Row::new("tiny, eight octets v4", TINY, ACCESS, v4_fragment(0, true, &head(25, 8)), tiny()),
        Row::new("tiny, three octets v4", TINY, ACCESS, v4_fragment(0, true, &head(80, 3)), tiny()),
        Row::new("tiny, four octets v4", TINY, ACCESS, v4_fragment(0, true, &head(25, 4)), tiny()),
        Row::new("tiny, to port 0 v4", "port 0 is nobody's (RFC 6335 section 6), and says nothing", ACCESS, v4_fragment(0, true, &head(0, 8)), tiny()),
        Row::new("tiny, to another port v4", KNOWN, ACCESS, v4_fragment(0, true, &head(80, 16)), unparsed("tiny_fragment", &INTERFACE)),
        Row::new("tiny, to 587 v4", KNOWN, ACCESS, v4_fragment(0, true, &head(587, 4)), unparsed("tiny_fragment", &INTERFACE)),
        Row::new(
            "tiny, to another port, cut on the way v4", KNOWN, ACCESS,
            packets::cut(v4_fragment(0, true, &syn(587)), 14 + 20 + 8), unparsed("tiny_fragment", &INTERFACE),
        ),
        Row::new("tiny, 19 octets v4", TINY, ACCESS, v4_fragment(0, true, &head(25, 19)), tiny()),
        Row::new(
            "tiny by its length, padded v4", "the length ends the fragment, not the frame", ACCESS,
            packets::put(packets::trail(v4_fragment(0, true, &head(25, 8)), &[0; 12]), 14 + 20, &syn(25)), tiny(),
        ),
        Row::new("don't fragment is no fragment", "DF says nothing of fragments that are (RFC 791 section 3.1)", ACCESS,
            packets::put(segment(DYNAMIC, MX, &packets::tcp(PORT, 25, ACK)), 20, &[0x40, 0]), unjudged()),
        Row::new("the reserved bit is no fragment", "bit 0 is reserved (RFC 791 section 3.1, RFC 3514)", ACCESS,
            packets::put(segment(DYNAMIC, MX, &packets::tcp(PORT, 25, ACK)), 20, &[0x80, 0]), unjudged()),
        Row::new("first UDP v4", OTHER, ACCESS,
            frame(&v4(DYNAMIC, MX).fragment(0, true).carry(protocol::UDP, &packets::udp(PORT, 25, 20))), unjudged()),
    ]
}

fn later_v4() -> Vec<Row> {
    let later = || unparsed("later_fragment", &INTERFACE);
    let overlap = || refused("overlapping_fragment", &DYNAMIC_COUNTS);
    vec![
        Row::new("offset 1 v4", OVERLAP, ACCESS, v4_fragment(1, true, &[0; 24]), overlap()),
        Row::new("offset 1, the last v4", OVERLAP, ACCESS, v4_fragment(1, false, &[0; 24]), overlap()),
        Row::new("offset 1, empty v4", OVERLAP, ACCESS, v4_fragment(1, false, &[]), overlap()),
        Row::new("offset 2 v4", LATER, ACCESS, v4_fragment(2, true, &syn(25)), later()),
        Row::new("offset 185 v4", LATER, ACCESS, v4_fragment(185, true, &syn(25)), later()),
        Row::new("the last v4", LATER, ACCESS, v4_fragment(185, false, &syn(25)), later()),
        Row::new("the largest offset v4", LATER, ACCESS, v4_fragment(0x1fff, false, &syn(25)), later()),
        Row::new("offset 256, low octet 0 v4", LATER, ACCESS, v4_fragment(256, false, &syn(25)), later()),
        Row::new("offset 257, low octet 1 v4", LATER, ACCESS, v4_fragment(257, false, &syn(25)), later()),
        Row::new("offset 1 UDP v4", OTHER, ACCESS, frame(&v4(DYNAMIC, MX).fragment(1, true).carry(protocol::UDP, &syn(25))), unjudged()),
        Row::new("a later UDP v4", OTHER, ACCESS, frame(&v4(DYNAMIC, MX).fragment(185, true).carry(protocol::UDP, &syn(25))), unjudged()),
        Row::new("offset 1 ICMP", OTHER, ACCESS, frame(&v4(DYNAMIC, MX).fragment(1, true).carry(protocol::ICMP, &[0; 8])), unjudged()),
    ]
}

fn first_v6() -> Vec<Row> {
    let yes = || refused("restricted", &DYNAMIC_6_COUNTS);
    let tiny = || refused("tiny_fragment", &DYNAMIC_6_COUNTS);
    let first = Extension::Fragment(0, true);
    let chain = |extensions: &[Extension], payload: &[u8]| frame(&v6(DYNAMIC_6, MX_6).with_all(extensions).tcp(payload));
    vec![
        Row::new("first with a SYN v6", SYN_LIKE, ACCESS, v6_fragment(0, true, &syn(25)), yes()),
        Row::new("first with an ACK v6", SYN_LIKE, ACCESS, v6_fragment(0, true, &packets::tcp(PORT, 25, ACK)), yes()),
        Row::new("first, to another port v6", "the ports of a first fragment are read", ACCESS, v6_fragment(0, true, &syn(80)), unjudged()),
        Row::new("first behind options v6", SYN_LIKE, ACCESS, chain(&[Extension::HOP_BY_HOP, first], &packets::tcp(PORT, 25, ACK)), yes()),
        Row::new("first before options v6", SYN_LIKE, ACCESS, chain(&[first, Extension::DESTINATION], &packets::tcp(PORT, 25, ACK)), yes()),
        Row::new("tiny, no octet v6", TINY, ACCESS, v6_fragment(0, true, &[]), tiny()),
        Row::new("tiny, eight octets v6", TINY, ACCESS, v6_fragment(0, true, &head(25, 8)), tiny()),
        Row::new("tiny, three octets v6", TINY, ACCESS, v6_fragment(0, true, &head(80, 3)), tiny()),
        Row::new("tiny, to another port v6", KNOWN, ACCESS, v6_fragment(0, true, &head(465, 8)), unparsed("tiny_fragment", &INTERFACE)),
        Row::new("tiny, 19 octets v6", TINY, ACCESS, v6_fragment(0, true, &head(25, 19)), tiny()),
        Row::new("tiny, the chain in it cut", "a first fragment holds the whole chain (RFC 7112 section 5)", ACCESS,
            packets::cut(chain(&[first, Extension::DESTINATION], &syn(25)), 14 + 40 + 8 + 1), tiny()),
        Row::new("tiny, options and no TCP", "a first fragment holds the whole chain (RFC 7112 section 5)", ACCESS,
            chain(&[first, Extension::DESTINATION], &[]), tiny()),
        Row::new("tiny, options that lead out of it", "a first fragment holds the whole chain (RFC 7112 section 5)", ACCESS,
            packets::cut(chain(&[first, Extension::Uniform(protocol::DESTINATION, 20)], &syn(25)), 14 + 40 + 8 + 64), tiny()),
        Row::new("atomic with a SYN (RFC 6946)", "an atomic fragment is a packet like any other (RFC 6946 section 4)", ACCESS, v6_fragment(0, false, &syn(25)), yes()),
        Row::new("atomic with an ACK (RFC 6946)", "an atomic fragment is a packet like any other (RFC 6946 section 4)", ACCESS,
            v6_fragment(0, false, &packets::tcp(PORT, 25, ACK)), unjudged()),
        Row::new("atomic, cut short (RFC 6946)", "an atomic fragment is a packet like any other (RFC 6946 section 4)", ACCESS,
            v6_fragment(0, false, &head(25, 19)), unparsed("truncated_tcp", &INTERFACE)),
        Row::new("two fragment headers, the first with more", SYN_LIKE, ACCESS,
            chain(&[first, Extension::Fragment(0, false)], &packets::tcp(PORT, 25, ACK)), yes()),
        Row::new("two fragment headers, the second with more", SYN_LIKE, ACCESS,
            chain(&[Extension::Fragment(0, false), first], &packets::tcp(PORT, 25, ACK)), yes()),
        Row::new("first UDP v6", OTHER, ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with(first).carry(protocol::UDP, &packets::udp(PORT, 25, 20))), unjudged()),
        Row::new("reserved bits of the fragment header", "they are ignored on reception (RFC 8200 section 4.5)", ACCESS,
            packets::put(v6_fragment(0, false, &packets::tcp(PORT, 25, ACK)), 14 + 40 + 1, &[0xff, 0, 0x06]), unjudged()),
    ]
}

fn later_v6() -> Vec<Row> {
    let later = || unparsed("later_fragment", &INTERFACE);
    let overlap = || refused("overlapping_fragment", &DYNAMIC_6_COUNTS);
    let of = |offset, number, payload: &[u8]| frame(&v6(DYNAMIC_6, MX_6).with(Extension::Fragment(offset, true)).carry(number, payload));
    vec![
        Row::new("offset 1 v6", OVERLAP, ACCESS, v6_fragment(1, true, &[0; 24]), overlap()),
        Row::new("offset 1, the last v6", OVERLAP, ACCESS, v6_fragment(1, false, &[0; 24]), overlap()),
        Row::new("offset 2 v6", FIRST_V6, ACCESS, v6_fragment(2, true, &syn(25)), overlap()),
        Row::new("offset 16 v6", LATER, ACCESS, v6_fragment(16, true, &syn(25)), later()),
        Row::new("the last v6", LATER, ACCESS, v6_fragment(185, false, &syn(25)), later()),
        Row::new("the largest offset v6", LATER, ACCESS, v6_fragment(0x1fff, false, &syn(25)), later()),
        Row::new("later, whose chain began with options", "TCP may follow them", ACCESS, of(185, protocol::DESTINATION, &[0; 24]), later()),
        Row::new("offset 1, whose chain began with options", FIRST_V6, ACCESS, of(1, protocol::DESTINATION, &[0; 24]), overlap()),
        Row::new("offset 15, whose chain began with options", FIRST_V6, ACCESS, of(15, protocol::HOP_BY_HOP, &[0; 24]), overlap()),
        Row::new("offset 16, whose chain began with options", "behind the first 128 octets", ACCESS, of(16, protocol::HOP_BY_HOP, &[0; 24]), later()),
        Row::new("offset 1, as if of UDP v6", FIRST_V6, ACCESS, of(1, protocol::UDP, &syn(25)), overlap()),
        Row::new("offset 2, as if of nothing v6", FIRST_V6, ACCESS, of(2, protocol::NONE, &syn(25)), overlap()),
        Row::new("later, as if of UDP v6", FIRST_V6, ACCESS, of(185, protocol::UDP, &syn(25)), later()),
        Row::new("later, as if of ICMPv6", FIRST_V6, ACCESS, of(185, protocol::ICMPV6, &[0; 24]), later()),
        Row::new("later, behind options", LATER, ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with(Extension::HOP_BY_HOP).with(Extension::Fragment(90, false)).tcp(&syn(25))), later()),
    ]
}

/// Hidden ports of other sources, to other destinations, on other interfaces.
fn whose() -> Vec<Row> {
    let tiny = |source, destination| frame(&v4(source, destination).fragment(0, true).tcp(&head(25, 8)));
    let overlap = |source, destination| frame(&v4(source, destination).fragment(1, false).tcp(&[0; 24]));
    vec![
        Row::new("tiny, observed", "the pool's action holds for hidden ports too", (Observe, Side::Access), tiny(DYNAMIC, MX),
            observed("tiny_fragment", &DYNAMIC_COUNTS)),
        Row::new("overlapping, observed", "the pool's action holds for hidden ports too", ACCESS, overlap("203.0.113.9", MX),
            observed("overlapping_fragment", &["interface access", "pool trial", "prefix trial 203.0.113.0/24", "source access 203.0.113.9/32"])),
        Row::new("tiny, exempt", "an exempt source may send what it likes", ACCESS, tiny("198.18.5.9", MX),
            unparsed("tiny_fragment", &["interface access", "pool campus", "prefix campus 198.18.5.0/24"])),
        Row::new("tiny, to a relay", "its port can be read, and to a relay it is open", ACCESS, tiny(DYNAMIC, "192.0.2.25"),
            unparsed("tiny_fragment", &["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10", "relay 192.0.2.25/32"])),
        Row::new("overlapping, to a relay", "where no port can be read, it may be a tunnel that leads on to anybody", ACCESS, overlap(DYNAMIC, "192.0.2.25"),
            refused("overlapping_fragment", &DYNAMIC_COUNTS)),
        Row::new("tiny, unlisted and open", "who is in no pool is open", ACCESS, tiny("198.51.100.7", MX), unparsed("tiny_fragment", &INTERFACE)),
        Row::new("tiny, unlisted and refused", "who is in no pool is refused", (Refuse, Side::Access), tiny("198.51.100.7", MX),
            refused("tiny_fragment", &["interface access", "source access 198.51.100.7/32"])),
        Row::new("overlapping, unlisted and refused", "who is in no pool is refused", (Refuse, Side::Access), overlap("198.51.100.7", MX),
            refused("overlapping_fragment", &["interface access", "source access 198.51.100.7/32"])),
        Row::new("tiny without a role", "an interface without a role is open, and says so", (Refuse, Side::Neither), tiny(DYNAMIC, MX), passed("no_role", &[])),
    ]
}
