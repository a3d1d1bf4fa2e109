//! Where the packet that is asked about arrives.

use gate_common::{Addr, Role, decide::Tables as _};

use super::{ExplainError, Question};
use crate::{
    generation::manifest::{Interface, Manifest},
    view::View,
};

/// An interface of the generation, and the VLAN there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The device.
    pub(super) device: String,
    /// What output calls the interface, or the VLANs of it.
    pub(super) label: String,
    /// Its role; nothing for a VLAN that has none.
    pub(super) role: Option<Role>,
    /// The VLAN ID of the packet; 0 for one without.
    pub(super) vlan: u16,
    /// Whether nobody named it.
    pub(super) assumed: bool,
}

/// The interface that is named; else the only one that such a packet can arrive at.
pub(super) fn choose(view: &View, question: &Question) -> Result<Arrival, ExplainError> {
    let role = expected(view, question);
    let Manifest {
        number, interfaces, ..
    } = &view.manifest;
    among(*number, interfaces, question, role)
}

/// The role of the interface where such a packet is to be expected: what a pool has is a subscriber, and only subscribers' port 25 is judged.
fn expected(view: &View, question: &Question) -> Role {
    let in_pool = view.access(Addr::from(question.from)).is_some();
    if in_pool || !super::SUBMISSION.contains(&question.port) {
        Role::Access
    } else {
        Role::Uplink
    }
}

fn among(
    generation: u32,
    interfaces: &[Interface],
    question: &Question,
    expected: Role,
) -> Result<Arrival, ExplainError> {
    let Question {
        port,
        interface: named,
        vlan,
        ..
    } = question;
    let missing = |wanted: String| ExplainError::NoInterface {
        generation,
        wanted,
        interfaces: labels(interfaces.iter()),
    };
    let here: Vec<&Interface> = interfaces
        .iter()
        .filter(|it| named.as_ref().is_none_or(|name| *name == it.name))
        .collect();
    let Some(first) = here.first() else {
        let wanted = named.as_deref().unwrap_or("interface");
        return Err(missing(format!("interface {wanted}")));
    };
    let fits = |it: &Interface| vlan.is_none_or(|vlan| has(it, vlan));
    let fitting: Vec<&Interface> = here.iter().copied().filter(|it| fits(it)).collect();
    // Where the device is named and nothing is left to choose, whatever its role is.
    let settled = named.is_some() && (vlan.is_some() || fitting.len() == 1);
    let mut chosen = fitting
        .iter()
        .copied()
        .filter(|it| settled || it.role == expected.name());
    match (chosen.next(), chosen.next()) {
        (Some(it), None) => Ok(arrival(it, question, !settled)),
        // Where nothing is judged, that holds anywhere.
        (Some(it), Some(_)) if *port != super::SMTP && !super::SUBMISSION.contains(port) => {
            Ok(arrival(it, question, true))
        }
        (Some(_), Some(_)) => Err(ExplainError::Where {
            interfaces: labels(fitting.into_iter().filter(|it| it.role == expected.name())),
        }),
        // A VLAN without a role is an answer.
        (None, _) if named.is_some() && vlan.is_some() => Ok(Arrival {
            device: first.name.clone(),
            label: first.name.clone(),
            role: None,
            vlan: vlan.unwrap_or_default(),
            assumed: false,
        }),
        (None, _) => {
            let on = vlan.map_or_else(String::new, |vlan| format!(" and VLAN {vlan}"));
            Err(missing(format!("interface with the role {expected}{on}")))
        }
    }
}

fn arrival(it: &Interface, question: &Question, assumed: bool) -> Arrival {
    let first = || ranges(it).map(|(first, _)| first).next();
    Arrival {
        device: it.name.clone(),
        label: it.label(),
        role: it.role.parse().ok(),
        vlan: question.vlan.or_else(first).unwrap_or(0),
        assumed,
    }
}

/// Whether an interface of the configuration is about frames of this VLAN; 0 is those without one.
fn has(it: &Interface, vlan: u16) -> bool {
    match (&it.vlans, it.stripped) {
        (Some(_), _) => ranges(it).any(|(first, last)| (first..=last).contains(&vlan)),
        (None, true) => vlan == 0,
        (None, false) => true,
    }
}

fn ranges(it: &Interface) -> impl Iterator<Item = (u16, u16)> {
    let text = it.vlans.as_deref().unwrap_or_default();
    text.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    })
}

fn labels<'i>(interfaces: impl Iterator<Item = &'i Interface>) -> Vec<String> {
    interfaces
        .map(|it| format!("{} ({})", it.label(), it.role))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, role: &str, vlans: Option<&str>, stripped: bool) -> Interface {
        Interface {
            name: name.to_owned(),
            vlans: vlans.map(str::to_owned),
            stripped,
            role: role.to_owned(),
            identity: None,
            mode: "auto".to_owned(),
            missing: "refuse".to_owned(),
            counter: 1,
        }
    }

    fn ask(
        interfaces: &[Interface],
        port: u16,
        named: Option<&str>,
        vlan: Option<u16>,
        role: Role,
    ) -> Result<(String, u16, Option<Role>, bool), String> {
        let question = Question {
            from: "100.64.0.2".parse().unwrap(),
            to: "192.0.2.1".parse().unwrap(),
            port,
            interface: named.map(str::to_owned),
            vlan,
        };
        among(1, interfaces, &question, role)
            .map(|it| (it.label, it.vlan, it.role, it.assumed))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_fitting_interface_is_assumed_and_of_several_one_is_to_be_named() {
        let one = [
            interface("eth1", "access", None, false),
            interface("eth0", "uplink", None, false),
        ];
        let found = |label: &str, vlan, role, assumed| Ok((label.to_owned(), vlan, role, assumed));
        let access = Some(Role::Access);
        let uplink = Some(Role::Uplink);
        assert_eq!(
            ask(&one, 25, None, None, Role::Access),
            found("eth1", 0, access, true)
        );
        assert_eq!(
            ask(&one, 587, None, None, Role::Uplink),
            found("eth0", 0, uplink, true)
        );
        assert_eq!(
            ask(&one, 25, Some("eth0"), None, Role::Access),
            found("eth0", 0, uplink, false)
        );
        assert_eq!(
            ask(&one, 25, Some("eth1"), Some(7), Role::Access),
            found("eth1", 7, access, false)
        );
        let unknown = ask(&one, 25, Some("eth9"), None, Role::Access).unwrap_err();
        assert!(
            unknown.contains("interface eth9; it has eth1 (access), eth0 (uplink)"),
            "{unknown}"
        );
        let two = [&one[..], &[interface("eth2", "access", None, false)]].concat();
        let several = ask(&two, 25, None, None, Role::Access).unwrap_err();
        assert_eq!(several, "it could arrive at eth1 (access), eth2 (access)");
        assert_eq!(
            ask(&two, 80, None, None, Role::Access),
            found("eth1", 0, access, true)
        );
        let none = ask(&two[..1], 587, None, None, Role::Uplink).unwrap_err();
        assert!(none.contains("no interface with the role uplink"), "{none}");
    }

    #[test]
    fn vlans_of_a_device_have_roles_of_their_own() {
        let stick = [
            interface("eth0", "access", Some("100-199,300"), false),
            interface("eth0", "uplink", Some("10"), false),
            interface("eth0", "access", None, true),
        ];
        let label = |port, vlan, role| {
            ask(&stick, port, Some("eth0"), vlan, role)
                .map(|(label, vlan, role, _)| (label, vlan, role))
        };
        let access = Some(Role::Access);
        let found = |label: &str, vlan, role| Ok((label.to_owned(), vlan, role));
        assert_eq!(
            label(25, Some(150), Role::Access),
            found("eth0 vlans 100-199,300", 150, access)
        );
        assert_eq!(
            label(25, Some(300), Role::Access),
            found("eth0 vlans 100-199,300", 300, access)
        );
        assert_eq!(
            label(25, Some(10), Role::Access),
            found("eth0 vlans 10", 10, Some(Role::Uplink))
        );
        assert_eq!(
            label(25, Some(0), Role::Access),
            found("eth0 stripped", 0, access)
        );
        assert_eq!(label(25, Some(99), Role::Access), found("eth0", 99, None));
        assert_eq!(
            label(587, None, Role::Uplink),
            found("eth0 vlans 10", 10, Some(Role::Uplink))
        );
        assert!(
            label(25, None, Role::Access)
                .unwrap_err()
                .contains("eth0 stripped (access)")
        );
        let nowhere = ask(&stick, 25, None, Some(99), Role::Access).unwrap_err();
        assert!(nowhere.contains("role access and VLAN 99"), "{nowhere}");
    }
}
