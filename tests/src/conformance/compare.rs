//! The gate's view of a packet beside tshark's.

use super::{Reading, Row, Seen};

/// What came of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both see the same.
    Agreed,
    /// They do not, because of this row of the threat model, or for no known reason.
    Differs(Option<Row>),
}

/// Compares them. Where the gate does not look as far as tshark, it has to say so by the shape that belongs to the row.
#[must_use]
pub fn compare(seen: &Seen, reading: &Reading) -> Outcome {
    let explains = |row: &Row| row.shapes().contains(&seen.shape);
    if let Some(row @ (Row::BehindMobility | Row::BadDataOffset | Row::NoLength)) = reading.end
        && let Some(segment) = seen.segment
    {
        // Here the gate reads on where tshark stops: as far as tshark came, it has to have seen the same.
        let same = reading.between == Some((segment.source, segment.destination))
            && reading.ports.is_none_or(|ports| ports == segment.ports());
        return Outcome::Differs(Some(row).filter(|row| same && explains(row)));
    }
    if seen.segment != reading.segment || elsewhere(seen, reading) {
        return Outcome::Differs(None);
    }
    match (reading.end, reading.beyond) {
        (Some(row), Some(_)) => Outcome::Differs(Some(row).filter(explains)),
        _ => Outcome::Agreed,
    }
}

/// Whether the addresses that were read are not the same. Of an IP header that tshark does not take for one, or that is not all there, it
/// tells none.
fn elsewhere(seen: &Seen, reading: &Reading) -> bool {
    seen.between != reading.between && reading.end != Some(Row::OtherVersion)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::conformance::{Segment, decode};

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const DESTINATION: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn segment(destination_port: u16) -> Segment {
        Segment {
            source: SOURCE,
            destination: DESTINATION,
            source_port: 40000,
            destination_port,
            syn: true,
        }
    }

    fn seen(shape: &'static str, segment: Option<Segment>) -> Seen {
        Seen {
            shape,
            between: Some((SOURCE, DESTINATION)),
            segment,
        }
    }

    /// tshark's line for IPv4 packets in one another, of which the innermost has a TCP header of `data_offset` octets.
    fn tshark(protocols: &str, headers: usize, data_offset: u8) -> Reading {
        let many = |value: &str| vec![value; headers].join(",");
        let tcp = if data_offset < 20 {
            format!("40000\t25\t\t{data_offset}\t")
        } else {
            format!("40000\t25\t0x0002\t{data_offset}\t0")
        };
        let line = format!(
            "1\teth:ethertype:{protocols}\t\t\t\t\t{}\t{}\t\t4\t{}\t{}\t0\t0\t\t\t\t\t\t{tcp}",
            many("192.0.2.1"),
            many("192.0.2.2"),
            many("20"),
            (1..=headers)
                .rev()
                .map(|left| (20 * left + 20).to_string())
                .collect::<Vec<_>>()
                .join(","),
        );
        Reading::of(&decode(&line).unwrap().1)
    }

    #[test]
    fn both_see_the_same() {
        let reading = tshark("ip:tcp", 1, 20);
        assert_eq!(reading.segment, Some(segment(25)));
        assert_eq!(
            compare(&seen("tcp", Some(segment(25))), &reading),
            Outcome::Agreed
        );
        assert_eq!(
            compare(&seen("unrelated", None), &tshark("ip:ip:udp", 2, 20)),
            Outcome::Agreed
        );
    }

    #[test]
    fn no_row_explains_what_the_gate_has_to_see() {
        for protocols in [
            "ip:tcp",
            "vlan:ethertype:ip:tcp",
            "pppoes:ppp:ip:tcp",
            "mpls:ip:tcp",
        ] {
            let reading = tshark(protocols, 1, 20);
            for row in Row::ALL {
                for shape in row.shapes() {
                    let seen = seen(shape, None);
                    assert_eq!(
                        compare(&seen, &reading),
                        Outcome::Differs(None),
                        "{protocols} {shape}"
                    );
                }
            }
        }
        let tunnel = tshark("ip:ip:tcp", 2, 20);
        assert_eq!(
            compare(&seen("nested_tunnel", None), &tunnel),
            Outcome::Differs(None)
        );
    }

    #[test]
    fn a_row_wants_its_own_shape() {
        for (protocols, headers, shape) in [
            ("ip:udp:gtp:ip:tcp", 2, "unrelated"),
            ("ip:icmp:ip:tcp", 2, "unrelated"),
            ("ip:ip:ip:tcp", 3, "nested_tunnel"),
            ("ip:gre:ppp:ip:tcp", 2, "unread_tunnel"),
            (
                "mpls:pwethheuristic:pwethcw:eth:ethertype:ip:tcp",
                1,
                "unread_mpls",
            ),
        ] {
            let reading = tshark(protocols, headers, 20);
            let hidden = |shape| Seen {
                between: reading.between,
                ..seen(shape, None)
            };
            let Outcome::Differs(Some(row)) = compare(&hidden(shape), &reading) else {
                panic!("{protocols}: no row explains {shape}");
            };
            assert_eq!(row.shapes(), [shape]);
            for other in ["tcp", "later_fragment", "truncated_tcp"] {
                assert_eq!(compare(&hidden(other), &reading), Outcome::Differs(None));
            }
            let deeper = seen("tcp", Some(segment(25)));
            assert_eq!(
                compare(&deeper, &reading),
                Outcome::Differs(None),
                "deeper than promised"
            );
        }
    }

    #[test]
    fn what_tshark_does_not_read_to_its_end_has_to_begin_alike() {
        let reading = tshark("ip:tcp", 1, 16);
        assert_eq!(
            compare(&seen("tcp", Some(segment(25))), &reading),
            Outcome::Differs(Some(Row::BadDataOffset))
        );
        assert_eq!(
            compare(&seen("tcp", Some(segment(80))), &reading),
            Outcome::Differs(None)
        );
    }

    #[test]
    fn other_addresses_differ_also_where_there_is_no_tcp() {
        let reading = tshark("ip:udp", 1, 20);
        let mut seen = seen("unrelated", None);
        assert_eq!(compare(&seen, &reading), Outcome::Agreed);
        seen.between = Some((DESTINATION, SOURCE));
        assert_eq!(compare(&seen, &reading), Outcome::Differs(None));
    }
}
