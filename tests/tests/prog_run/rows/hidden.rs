//! What hides its port on its way in from an uplink.

use gate_tests::packets::{self, Ethernet, Extension, PppoeSession, flag::ACK, protocol, put};

use super::{Expected, Row, Side, judged, unparsed, words::*};
use crate::{
    configurations::Configuration::{AnyServer, Shapes},
    kernel::{Action, Tally},
};

const SERVER: &str = "192.0.2.1";
const SERVER_6: &str = "2001:db8:587::1";
const US: &str = "198.51.100.7";
const US_6: &str = "2001:db8:8000::7";
const TWO: [Extension; 2] = [Extension::DESTINATION; 2];
const NINE: [Extension; 9] = [Extension::DESTINATION; 9];

pub(super) fn rows() -> Vec<Row> {
    [classed_v4(), classed_v6(), classes(), left_alone(), configured()].into_iter().flatten().collect()
}

/// It counts as a connection of its class, and has no tag.
fn classed(shape: &str, class: &str, one: &str, country: &str) -> Expected {
    let mut tally = Tally::default();
    tally.count(format!("country {country}"));
    let expected = judged(Action::Pass, "tagged", shape, &["interface uplink", &format!("class {class}"), &format!("source uplink {one}")]);
    Expected { change: expected.change.and(tally), ..expected }
}

fn us(shape: &str) -> Expected {
    classed(shape, "foreign", "198.51.100.7/32", "US")
}

fn us_6(shape: &str) -> Expected {
    classed(shape, "foreign", "2001:db8:8000::/64", "US")
}

fn left(shape: &str) -> Expected {
    unparsed(shape, &["interface uplink"])
}

fn v4_fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    frame(&v4(US, SERVER).fragment(offset, more).tcp(payload))
}

fn v6_fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    frame(&v6(US_6, SERVER_6).with(Extension::Fragment(offset, more)).tcp(payload))
}

const CLASSED: &str = "what hides its port as no honest sender does, on its way to a listed server, is a new connection of its source's class";
const SHORT: &str = "no host accepts it, and what carries it may be cut to fit";

fn classed_v4() -> Vec<Row> {
    let row = |name, frame, expected| Row::new(name, CLASSED, UPLINK, frame, expected);
    let tiny = || us("tiny_fragment");
    let session = PppoeSession::new().frame(&v4(US, SERVER).tcp(&syn(587)));
    let mut inner = v4(US, SERVER).tcp(&syn(587));
    inner.bytes = put(inner.bytes, 2, &[0, 41]);
    let carried = |bytes: &[u8]| frame(&v4("203.0.113.9", "192.0.2.77").carry(protocol::IPV4, bytes));
    let outer = classed("tiny_fragment", "high-spam", "203.0.113.9/32", "XK");
    vec![
        row("tiny, no octet v4", v4_fragment(0, true, &[]), tiny()),
        row("tiny, three octets v4", v4_fragment(0, true, &head(25, 3)), tiny()),
        row("tiny, to 587 v4", v4_fragment(0, true, &head(587, 4)), tiny()),
        row("tiny, to 587, eight octets v4", v4_fragment(0, true, &head(587, 8)), tiny()),
        row("tiny, to 465, 19 octets v4", v4_fragment(0, true, &head(465, 19)), tiny()),
        row("tiny, to port 0 v4", v4_fragment(0, true, &head(0, 8)), tiny()),
        row("tiny, without a SYN v4", v4_fragment(0, true, &packets::cut(packets::tcp(PORT, 587, ACK), 19)), tiny()),
        row("tiny, two tags v4", Ethernet::tags(2).carry(&v4(US, SERVER).fragment(0, true).tcp(&[])), tiny()),
        row("overlapping v4", v4_fragment(1, false, &[0; 24]), us("overlapping_fragment")),
        row("overlapping, more to come v4", v4_fragment(1, true, &[0; 24]), us("overlapping_fragment")),
        Row::new("PPPoE length one short v4", SHORT, UPLINK, put(session, 18, &[0, 41]), us("bad_length")),
        Row::new("4in4, the inner packet longer than the outer", SHORT, UPLINK, carried(&inner.bytes), us("bad_length")),
        Row::new("4in4, tiny, the inner header not all there", "what is known of it is who sends the tunnel, and where to", UPLINK,
            frame(&v4("203.0.113.9", SERVER).fragment(0, true).carry(protocol::IPV4, &[0x45; 19])), outer),
    ]
}

fn classed_v6() -> Vec<Row> {
    let row = |name, frame, expected| Row::new(name, CLASSED, UPLINK, frame, expected);
    let chain = |extensions: &[Extension], payload: &[u8]| frame(&v6(US_6, SERVER_6).with_all(extensions).tcp(payload));
    let session = PppoeSession::new().frame(&v6(US_6, SERVER_6).tcp(&syn(465)));
    let tiny = || us_6("tiny_fragment");
    let first = Extension::Fragment(0, true);
    vec![
        row("tiny, no octet v6", v6_fragment(0, true, &[]), tiny()),
        row("tiny, to 465 v6", v6_fragment(0, true, &head(465, 8)), tiny()),
        row("tiny, the chain in it cut v6", packets::cut(chain(&[first, Extension::DESTINATION], &syn(587)), 14 + 40 + 8 + 1), tiny()),
        row("overlapping v6", v6_fragment(1, false, &[0; 24]), us_6("overlapping_fragment")),
        row("overlapping at 120 v6", v6_fragment(15, true, &[0; 24]), us_6("overlapping_fragment")),
        row("nine extension headers", chain(&NINE, &syn(587)), us_6("too_many_extensions")),
        row("nine extension headers before another port", chain(&NINE, &syn(80)), us_6("too_many_extensions")),
        Row::new("PPPoE length one short v6", SHORT, UPLINK, put(session, 18, &[0, 61]), us_6("bad_length")),
    ]
}

fn classes() -> Vec<Row> {
    let tiny = |source| frame(&v4(source, SERVER).fragment(0, true).tcp(&head(587, 8)));
    vec![
        Row::new("tiny, from a class by prefix", CLASSED, UPLINK, tiny("198.51.100.129"),
            classed("tiny_fragment", "own-service", "198.51.100.129/32", "US")),
        Row::new("tiny, from home", CLASSED, UPLINK, tiny("198.51.100.65"), classed("tiny_fragment", "domestic", "198.51.100.65/32", "JP")),
        Row::new("tiny, from nowhere", CLASSED, UPLINK, tiny("192.88.99.1"), classed("tiny_fragment", "domestic", "192.88.99.1/32", "none")),
    ]
}

fn left_alone() -> Vec<Row> {
    const PORT_READ: &str = "the port of a tiny first fragment stands (RFC 3128 section 4): one that is not watched is no business of the gate";
    const HONEST: &str = "honest senders make fragments";
    const ELSEWHERE: &str = "the destination is no listed server: other people's packet";
    const NOT_READ: &str = "where it goes to cannot be read";
    const REFUSED: &str = "no host accepts it";
    let row = |name, why, frame, shape| Row::new(name, why, UPLINK, frame, left(shape));
    let any = |name, frame, shape| Row::new(name, "where no server is listed, it may be anybody's", (AnyServer, Side::Uplink), frame, left(shape));
    let to = |destination| frame(&v4(US, destination).fragment(0, true).tcp(&[]));
    let packet = v4(US, SERVER).tcp(&syn(587));
    vec![
        row("tiny, to 25", PORT_READ, v4_fragment(0, true, &head(25, 8)), "tiny_fragment"),
        row("tiny, to 80", PORT_READ, v4_fragment(0, true, &head(80, 8)), "tiny_fragment"),
        row("tiny, to 586 v6", PORT_READ, v6_fragment(0, true, &head(586, 8)), "tiny_fragment"),
        row("tiny, beside a network of servers", ELSEWHERE, to("192.0.3.0"), "tiny_fragment"),
        row("overlapping, to somebody else", ELSEWHERE, frame(&v4(US, "203.0.113.9").fragment(1, false).tcp(&[0; 24])), "overlapping_fragment"),
        row("nine extension headers, to somebody else", ELSEWHERE, frame(&v6(US_6, "2001:db8:588::1").with_all(&NINE).tcp(&syn(587))), "too_many_extensions"),
        row("later, at 16 v4", HONEST, v4_fragment(2, true, &[0; 24]), "later_fragment"),
        row("later, the last v4", HONEST, v4_fragment(185, false, &[0; 24]), "later_fragment"),
        row("later, at 128 v6", HONEST, v6_fragment(16, true, &[0; 24]), "later_fragment"),
        row("later, the last v6", HONEST, v6_fragment(154, false, &[0; 24]), "later_fragment"),
        row("five tags", NOT_READ, Ethernet::tags(5).carry(&packet), "too_many_tags"),
        row("nine labels", NOT_READ, Ethernet::new().carry_raw(0x8847, &packets::labels(9, &packet.bytes)), "too_many_labels"),
        row("cut inside TCP", REFUSED, packets::cut(open(US, SERVER, 587), 14 + 20 + 19), "truncated_tcp"),
        row("cut inside an extension header", REFUSED, packets::cut(frame(&v6(US_6, SERVER_6).with_all(&TWO).tcp(&syn(587))), 14 + 40 + 9), "truncated_extension"),
        any("tiny, any server", v4_fragment(0, true, &head(465, 8)), "tiny_fragment"),
        any("overlapping, any server", v4_fragment(1, false, &[0; 24]), "overlapping_fragment"),
        any("nine extension headers, any server", frame(&v6(US_6, SERVER_6).with_all(&NINE).tcp(&syn(465))), "too_many_extensions"),
    ]
}

fn configured() -> Vec<Row> {
    let row = |name, why, frame, expected| Row::new(name, why, (Shapes, Side::Uplink), frame, expected);
    vec![
        row("tiny, to 465 where it is the only port", "submission.ports = [465]", v4_fragment(0, true, &head(465, 8)), us("tiny_fragment")),
        row("tiny, to 587 where 465 is the only port", "submission.ports = [465]", v4_fragment(0, true, &head(587, 8)), left("tiny_fragment")),
        row("overlapping where 465 is the only port", "a port that nobody can read may be 465", v4_fragment(1, false, &[0; 24]), us("overlapping_fragment")),
        row("later, with later_fragment = \"drop\"", "what [shapes] drops hides a port", v4_fragment(185, false, &[0; 24]), us("later_fragment")),
        row("nine extension headers, with too_many_extensions = \"pass\"", "what [shapes] lets pass hides nothing", frame(&v6(US_6, SERVER_6).with_all(&NINE).tcp(&syn(465))),
            left("too_many_extensions")),
    ]
}
