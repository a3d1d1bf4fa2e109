//! Where on a stack of devices the program is: bonds, bridges, VLAN devices. In the wrong place a frame is judged twice, or never.

use std::collections::BTreeSet;

use super::finding::{At, Finding};
use crate::{
    config::Mode,
    sys::{AttachedXdp, Details, Kind, XdpMode},
};

/// The devices of the network namespace, and which of them the configuration names.
pub(super) struct Stack<'a> {
    pub(super) all: &'a [Details],
    pub(super) named: &'a BTreeSet<String>,
}

impl Stack<'_> {
    /// What there is to say of one that is named.
    pub(super) fn findings(&self, details: &Details, mode: Mode) -> Vec<Finding> {
        let at = At::new("placement", &details.device.name);
        let mut findings = Vec::new();
        findings.extend(self.kind(at, details, mode));
        if let Some(master) = self.by_index(details.master) {
            findings.extend(self.port(at, details, master));
        }
        if matches!(details.kind, Kind::Vlan | Kind::Macvlan)
            && let Some(lower) = self.by_index(details.lower)
            && self.is_named(lower)
        {
            let name = &lower.device.name;
            findings.push(at.degraded(
                format!("is on top of {name}, which is named as well"),
                "every frame is judged twice, counted twice, and takes from limits twice",
                format!(
                    "delete the [[interface]] of {}: {name} sees its frames, with their tags",
                    details.device.name
                ),
            ));
        }
        if findings.is_empty() {
            findings.push(at.ok("in nobody's way"));
        }
        findings
    }

    fn by_index(&self, index: Option<u32>) -> Option<&Details> {
        let index = index?;
        self.all.iter().find(|it| it.device.index == index)
    }

    fn is_named(&self, details: &Details) -> bool {
        self.named.contains(&details.device.name)
    }

    /// The ports of a bond, a team or a bridge.
    fn ports(&self, master: &Details) -> impl Iterator<Item = &Details> {
        let index = master.device.index;
        self.all.iter().filter(move |it| it.master == Some(index))
    }

    /// What the device itself is.
    fn kind(&self, at: At<'_>, details: &Details, mode: Mode) -> Option<Finding> {
        let ports = || {
            let names: Vec<&str> = self
                .ports(details)
                .map(|it| it.device.name.as_str())
                .collect();
            names.join(", ")
        };
        let is_native = |it: AttachedXdp| it.mode == XdpMode::Native;
        match &details.kind {
            Kind::Bridge => Some(at.warning(
                "is a bridge: the program sees only what the bridge hands to this machine, in generic mode",
                "what the bridge forwards from port to port is not judged",
                format!("name its ports under [[interface]] instead: {}", ports()),
            )),
            // In some modes of a bond the kernel takes such a program, and runs it on the ports (`bond_xdp_set` in its drivers/net/bonding).
            Kind::Bond(bond) if details.device.xdp.is_some_and(is_native) => Some(at.degraded(
                format!("open: is a bond (of mode {bond}) with a program in native mode, which sees each frame as one of the port that it came by"),
                "nothing that arrives there is judged",
                format!("`gate detach`, then name its ports under [[interface]] instead: {}", ports()),
            )),
            Kind::Bond(bond) if mode == Mode::Native => Some(at.degraded(
                format!("is a bond (of mode {bond}), on which the gate cannot be in native mode"),
                "the gate does not start",
                format!("name its ports under [[interface]] instead: {}", ports()),
            )),
            Kind::Bond(_) if mode == Mode::Generic => None,
            Kind::Bond(bond) => Some(at.warning(
                format!("is a bond (of mode {bond}), on which the gate cannot be in native mode"),
                "the mode is generic, in the network stack",
                format!("name its ports under [[interface]] instead: {}", ports()),
            )),
            Kind::Team => Some(at.warning(
                "is a team, which has no native XDP",
                "the mode is generic, in the network stack",
                format!("name its ports under [[interface]] instead: {}", ports()),
            )),
            Kind::Headless(kind) => Some(at.degraded(
                format!("is a device of kind {kind}, whose packets have no Ethernet header"),
                "the program reads them from the wrong place, and judges nothing",
                "name the interface below it, where frames are whole: PPPoE and tunnels are read there",
            )),
            Kind::Vlan | Kind::Macvlan => Some(at.note(
                "is a device on top of another one: the mode is generic",
                "named instead, the interface below has the same frames in native mode, and `vlans` tells them apart",
            )),
            Kind::Plain | Kind::Veth => None,
        }
    }

    /// What it means that the device is a port of `master`.
    fn port(&self, at: At<'_>, details: &Details, master: &Details) -> Vec<Finding> {
        let (name, master_name) = (&details.device.name, &master.device.name);
        let mut findings = Vec::new();
        let what = match master.kind {
            Kind::Bridge => "bridge",
            Kind::Team => "team",
            Kind::Plain
            | Kind::Bond(_)
            | Kind::Vlan
            | Kind::Macvlan
            | Kind::Veth
            | Kind::Headless(_) => "bond",
        };
        if self.is_named(master) {
            findings.push(at.degraded(
                format!("is a port of the {what} {master_name}, which is named as well"),
                "the kernel refuses one of the two programs, or every frame for this machine is judged twice, counted twice, and takes from limits twice",
                format!("delete the [[interface]] of {master_name}, or those of its ports"),
            ));
            return findings;
        }
        if details.device.xdp.is_none() && master.device.xdp.is_some() {
            findings.push(at.degraded(
                format!("is a port of the {what} {master_name}, which has an XDP program"),
                "the kernel takes no program on a device below one that has: the gate does not start",
                format!("name {master_name} instead; or `gate detach` first if that program is the gate's, with the rules of `gate boot-rules` loaded meanwhile"),
            ));
            return findings;
        }
        let bare: Vec<&str> = self
            .ports(master)
            .filter(|it| !self.is_named(it))
            .map(|it| it.device.name.as_str())
            .collect();
        if bare.is_empty() {
            return findings;
        }
        let bare = bare.join(", ");
        findings.push(if what == "bridge" {
            at.note(
                format!("is a port of the bridge {master_name}; of its ports, not named: {bare}"),
                "what arrives there is judged by nobody, which is right where no subscriber is behind it",
            )
        } else {
            at.degraded(
                format!("is a port of the {what} {master_name}; of its ports, not named: {bare}"),
                format!("the {what} takes frames from every port, and what arrives by those is judged by nobody"),
                format!("an [[interface]] like that of {name} for each of {bare}; or one for {master_name}, and none for its ports"),
            )
        });
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::finding::Outcome, sys::Device};

    fn details(index: u32, name: &str, kind: Kind, master: Option<u32>) -> Details {
        Details {
            device: Device {
                index,
                name: name.to_owned(),
                xdp: None,
                vlan_of: None,
                is_bond: false,
            },
            up: true,
            mtu: 1500,
            kind,
            master,
            lower: None,
        }
    }

    fn judge(all: &[Details], named: &[&str], asked: &str, mode: Mode) -> Vec<Outcome> {
        let named = named.iter().map(|it| (*it).to_owned()).collect();
        let stack = Stack { all, named: &named };
        let asked = all.iter().find(|it| it.device.name == asked).unwrap();
        let findings = stack.findings(asked, mode);
        findings.iter().map(|it| it.outcome).collect()
    }

    fn bond(mode: &str) -> [Details; 3] {
        [
            details(1, "bond0", Kind::Bond(mode.to_owned()), None),
            details(2, "eth0", Kind::Plain, Some(1)),
            details(3, "eth1", Kind::Plain, Some(1)),
        ]
    }

    #[test]
    fn a_bond_is_named_or_all_of_its_ports() {
        use Outcome::{Degraded, Ok, Warning};
        let all = bond("802.3ad");
        let native = |named: &[&str], asked| judge(&all, named, asked, Mode::Native);
        assert_eq!(native(&["bond0"], "bond0"), [Degraded]);
        assert_eq!(judge(&all, &["bond0"], "bond0", Mode::Auto), [Warning]);
        assert_eq!(judge(&all, &["bond0"], "bond0", Mode::Generic), [Ok]);
        let mut open = all.clone();
        open[0].device.xdp = Some(AttachedXdp {
            program: 7,
            mode: XdpMode::Native,
        });
        assert_eq!(judge(&open, &["bond0"], "bond0", Mode::Generic), [Degraded]);
        // Below a program the kernel takes none.
        assert_eq!(
            judge(&open, &["eth0", "eth1"], "eth0", Mode::Native),
            [Degraded]
        );
        assert_eq!(native(&["eth0", "eth1"], "eth0"), [Ok]);
        assert_eq!(native(&["eth0"], "eth0"), [Degraded]);
        assert_eq!(native(&["eth0", "eth1", "bond0"], "eth1"), [Degraded]);
        let all = bond("balance-alb");
        assert_eq!(judge(&all, &["bond0"], "bond0", Mode::Native), [Degraded]);
        assert_eq!(judge(&all, &["bond0"], "bond0", Mode::Auto), [Warning]);
        assert_eq!(judge(&all, &["eth0", "eth1"], "eth1", Mode::Native), [Ok]);
    }

    #[test]
    fn of_a_bridge_the_ports_are_named() {
        use Outcome::{Degraded, Note, Ok, Warning};
        let all = [
            details(1, "br0", Kind::Bridge, None),
            details(2, "eth0", Kind::Plain, Some(1)),
            details(3, "eth1", Kind::Plain, Some(1)),
        ];
        let judge = |named: &[&str], asked| judge(&all, named, asked, Mode::Auto);
        assert_eq!(judge(&["br0"], "br0"), [Warning]);
        assert_eq!(judge(&["eth0"], "eth0"), [Note]);
        assert_eq!(judge(&["eth0", "eth1"], "eth0"), [Ok]);
        assert_eq!(judge(&["eth0", "br0"], "eth0"), [Degraded]);
    }

    #[test]
    fn a_device_on_top_of_one_that_is_named_is_judged_twice() {
        use Outcome::{Degraded, Note};
        let mut vlan = details(2, "eth0.100", Kind::Vlan, None);
        vlan.lower = Some(1);
        let all = [details(1, "eth0", Kind::Plain, None), vlan];
        assert_eq!(
            judge(&all, &["eth0", "eth0.100"], "eth0.100", Mode::Auto),
            [Note, Degraded]
        );
        assert_eq!(judge(&all, &["eth0.100"], "eth0.100", Mode::Auto), [Note]);
        let ppp = [details(1, "ppp0", Kind::Headless("ppp".to_owned()), None)];
        assert_eq!(judge(&ppp, &["ppp0"], "ppp0", Mode::Auto), [Degraded]);
    }
}
