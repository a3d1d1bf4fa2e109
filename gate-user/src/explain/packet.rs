//! The packet that is asked about: a segment that opens a connection, as a client's system would send it.

use std::net::IpAddr;

use etherparse::{PacketBuilder, VlanId};

use super::ExplainError;

/// Locally administered addresses (IEEE 802 clause 8.4) of nobody: no decision looks at them.
const CLIENT: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const ROUTER: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
/// The first dynamic port (RFC 6335 section 6).
const SOURCE_PORT: u16 = 49_152;
const HOPS: u8 = 64;
const WINDOW: u16 = 64_240;

/// The frame, in VLAN `vlan` if that is not 0.
pub(crate) fn syn(from: IpAddr, to: IpAddr, port: u16, vlan: u16) -> Result<Vec<u8>, ExplainError> {
    let ethernet = PacketBuilder::ethernet2(CLIENT, ROUTER);
    let id = VlanId::try_new(vlan).ok().filter(|id| id.value() != 0);
    let packet = match (from, to, id) {
        (IpAddr::V4(from), IpAddr::V4(to), None) => ethernet.ipv4(from.octets(), to.octets(), HOPS),
        (IpAddr::V4(from), IpAddr::V4(to), Some(id)) => {
            ethernet
                .single_vlan(id)
                .ipv4(from.octets(), to.octets(), HOPS)
        }
        (IpAddr::V6(from), IpAddr::V6(to), None) => ethernet.ipv6(from.octets(), to.octets(), HOPS),
        (IpAddr::V6(from), IpAddr::V6(to), Some(id)) => {
            ethernet
                .single_vlan(id)
                .ipv6(from.octets(), to.octets(), HOPS)
        }
        (from @ IpAddr::V4(_), to @ IpAddr::V6(_), _)
        | (from @ IpAddr::V6(_), to @ IpAddr::V4(_), _) => {
            return Err(ExplainError::Families { from, to });
        }
    };
    let packet = packet.tcp(SOURCE_PORT, port, 0, WINDOW).syn();
    let mut frame = Vec::with_capacity(packet.size(0));
    packet
        .write(&mut frame, &[])
        .map_err(ExplainError::Packet)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use gate_common::{Flow, Shape, parse::parse};

    use super::*;

    #[test]
    fn the_parser_reads_what_was_asked_about() {
        for (from, to, vlan) in [
            ("100.64.0.2", "198.51.100.25", 0),
            ("100.64.0.2", "198.51.100.25", 4094),
            ("2001:db8::2", "2001:db8::25", 0),
            ("2001:db8::2", "2001:db8::25", 100),
        ] {
            let [from, to] = [from, to].map(|it| it.parse::<IpAddr>().unwrap());
            let mut flow = Flow::default();
            let shape = parse(syn(from, to, 25, vlan).unwrap().as_slice(), &mut flow);
            assert_eq!(shape, Shape::Tcp);
            assert_eq!((flow.src.to_ip(), flow.dst.to_ip()), (from, to));
            assert_eq!((flow.dport, flow.vlan), (25, vlan));
            assert!(flow.opens());
        }
    }

    #[test]
    fn families_do_not_mix() {
        let [from, to] = ["100.64.0.2", "2001:db8::25"].map(|it| it.parse::<IpAddr>().unwrap());
        assert!(matches!(
            syn(from, to, 25, 0),
            Err(ExplainError::Families { .. })
        ));
    }
}
