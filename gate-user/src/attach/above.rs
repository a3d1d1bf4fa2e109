//! What is on top of a device: with a program there the kernel takes none below (`dev_xdp_attach` in net/core/dev.c).

use crate::sys::{Details, Kind};

/// The device on top of `below` that has an XDP program, by its name, and the kernel's number for the program.
pub(super) fn program(all: &[Details], below: &Details) -> Option<(String, u32)> {
    let index = below.device.index;
    // Of a veth pair, the other end is named in the same place.
    let carried =
        |it: &Details| matches!(it.kind, Kind::Vlan | Kind::Macvlan) && it.lower == Some(index);
    let is_above = |it: &&Details| below.master == Some(it.device.index) || carried(it);
    all.iter().filter(is_above).find_map(|it| {
        let xdp = it.device.xdp?;
        Some((it.device.name.clone(), xdp.program))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{AttachedXdp, Device, XdpMode};

    fn details(index: u32, name: &str, kind: Kind, lower: Option<u32>) -> Details {
        Details {
            device: Device {
                index,
                name: name.to_owned(),
                xdp: None,
                vlan_of: None,
                is_bond: matches!(kind, Kind::Bond(_)),
            },
            up: true,
            mtu: 1500,
            kind,
            master: None,
            lower,
        }
    }

    #[test]
    fn a_program_counts_on_what_is_on_top_only() {
        let port = Details {
            master: Some(1),
            ..details(2, "eth0", Kind::Veth, Some(5))
        };
        let all = [
            details(1, "bond0", Kind::Bond("802.3ad".to_owned()), None),
            port.clone(),
            details(3, "eth0.7", Kind::Vlan, Some(2)),
            details(4, "eth1.7", Kind::Vlan, Some(6)),
            details(5, "peer", Kind::Veth, Some(2)),
        ];
        let with = |index: u32| {
            let mut all = all.clone();
            for it in all.iter_mut().filter(|it| it.device.index == index) {
                it.device.xdp = Some(AttachedXdp {
                    program: 42,
                    mode: XdpMode::Generic,
                });
            }
            program(&all, &port).map(|(name, _)| name)
        };
        assert_eq!(program(&all, &port), None);
        assert_eq!(with(1).as_deref(), Some("bond0"));
        assert_eq!(with(3).as_deref(), Some("eth0.7"));
        assert_eq!(with(4), None, "on another device");
        assert_eq!(with(5), None, "the other end of its wire");
    }
}
