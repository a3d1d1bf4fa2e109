//! Devices that take VLAN tags off frames before the program sees them.

use std::io;

use gate_common::{Action, Answer, Over, Role};

use super::AttachError;
use crate::{
    config::{Config, InterfaceConfig, Problem, Treatment},
    generation::manifest,
    sys::Device,
};

/// Makes sure that the roles of VLANs hold on every device, which anybody may ask; returns what the operator should know.
///
/// `strips` says whether the device of that name takes tags off.
pub fn check_stripped(
    config: &Config,
    devices: &[Device],
    strips: impl Fn(&str) -> io::Result<bool>,
) -> Result<Vec<Problem>, AttachError> {
    let mut warnings = Vec::new();
    for first in config.devices() {
        let name = &first.name;
        // One that is missing, or has another name, is asked when it comes.
        if devices.iter().all(|device| device.name != *name) {
            continue;
        }
        let told = if first.vlans.is_some() {
            let mut same = config.interfaces.iter().filter(|it| it.name == *name);
            same.any(|it| it.stripped.is_some())
        } else {
            !(answers(config, first.role) && carries_vlans(name, devices))
        };
        // What is told either way need not be asked.
        if told || !strips(name).map_err(asked(name))? {
            continue;
        }
        if first.vlans.is_some() {
            return Err(AttachError::Stripped {
                interface: name.clone(),
            });
        }
        warnings.push(untagged_answers(first));
    }
    Ok(warnings)
}

/// The devices of a generation whose VLANs have roles, and which take tags off, so that no frame is in a VLAN for the program. One that
/// cannot be asked is none that says so.
pub fn unseen_vlans<'m>(
    interfaces: &'m [manifest::Interface],
    devices: &[Device],
    strips: impl Fn(&str) -> io::Result<bool>,
) -> Vec<&'m str> {
    let mut unseen: Vec<&str> = Vec::new();
    for it in interfaces.iter().filter(|it| it.vlans.is_some()) {
        let mut same = interfaces.iter().filter(|other| other.name == it.name);
        let told = same.any(|other| other.stripped) || unseen.contains(&it.name.as_str());
        let there = devices.iter().any(|device| device.name == it.name);
        if there && !told && strips(&it.name).unwrap_or(false) {
            unseen.push(&it.name);
        }
    }
    unseen
}

fn asked(name: &str) -> impl FnOnce(io::Error) -> AttachError {
    let interface = name.to_owned();
    move |error| AttachError::Ethtool { interface, error }
}

/// Whether any client hears anything that is refused on interfaces of this role.
fn answers(config: &Config, role: Role) -> bool {
    let pools = config.pools.iter().map(|pool| pool.treatment);
    let mut classes = config.classes.iter().flat_map(|it| &it.list);
    match role {
        Role::Access => pools.chain([config.port25.unlisted]).any(|it: Treatment| {
            !it.passes() && it.action != Action::Observe && it.answer != Answer::Drop
        }),
        Role::Uplink => classes.any(|class| {
            let limit = class.rule.connections.as_ref();
            class.rule.action == Action::Enforce && limit.is_some_and(|it| it.over == Over::Reset)
        }),
    }
}

/// Whether the system has a VLAN device on top of the one called `name`.
fn carries_vlans(name: &str, devices: &[Device]) -> bool {
    let lower = devices.iter().find(|device| device.name == name);
    lower.is_some_and(|lower| {
        devices
            .iter()
            .any(|device| device.vlan_of == Some(lower.index))
    })
}

fn untagged_answers(interface: &InterfaceConfig) -> Problem {
    let name = &interface.name;
    Problem {
        origin: Some(interface.origin.clone()),
        message: format!(
            "`{name}` takes VLAN tags off frames (rx-vlan-offload is on), and a VLAN device is on top of it: in native mode, \
             answers to who is in a VLAN leave without its tag and do not arrive"
        ),
        hint: format!(
            "`ethtool -K {name} rxvlan off` leaves the tags in the frames; or write `{}`",
            match interface.role {
                Role::Access => "answer = \"drop\"",
                Role::Uplink => "over = \"drop\"",
            }
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn config(text: &str) -> Config {
        let pool =
            "[[access]]\nname = \"a\"\npolicy = \"restrict\"\nprefixes = [\"100.64.0.0/10\"]\n";
        let text = format!("{text}\n{pool}");
        config::load(Path::new("gate.toml"), &|_| Ok(text.clone())).unwrap()
    }

    fn device(index: u32, name: &str, vlan_of: Option<u32>) -> Device {
        Device {
            index,
            name: name.to_owned(),
            xdp: None,
            vlan_of,
            is_bond: false,
        }
    }

    const VLANS: &str = "[[interface]]\nname = \"eth0\"\nrole = \"access\"\nvlans = [100]\n";
    const WHOLE: &str = "[[interface]]\nname = \"eth0\"\nrole = \"access\"\n";

    #[test]
    fn vlans_on_a_device_that_strips_need_a_word_on_stripped_frames() {
        let devices = [device(2, "eth0", None)];
        let check = |text: &str, strips| check_stripped(&config(text), &devices, |_| Ok(strips));
        assert!(matches!(
            check(VLANS, true),
            Err(AttachError::Stripped { interface }) if interface == "eth0"
        ));
        assert_eq!(check(VLANS, false).unwrap(), []);
        for said in ["access", "pass"] {
            let text = format!("{VLANS}stripped = \"{said}\"\n");
            assert_eq!(check(&text, true).unwrap(), []);
        }
        // Whichever of its interfaces says it.
        let second = "[[interface]]\nname = \"eth0\"\nrole = \"access\"\nvlans = [200]\nstripped = \"pass\"\n";
        assert_eq!(check(&format!("{VLANS}{second}"), true).unwrap(), []);
        let error = check_stripped(&config(VLANS), &devices, |_| {
            Err(io::ErrorKind::NotFound.into())
        });
        assert!(matches!(error, Err(AttachError::Ethtool { .. })));
    }

    #[test]
    fn answers_that_would_lose_their_tag_are_warned_of() {
        let (lower, upper) = (device(2, "eth0", None), device(3, "eth0.100", Some(2)));
        let both = [lower.clone(), upper];
        let warned = |text: &str, devices: &[Device], strips| {
            check_stripped(&config(text), devices, |_| Ok(strips))
                .unwrap()
                .len()
        };
        let enforce = format!("{WHOLE}[port25]\naction = \"enforce\"\n");
        assert_eq!(warned(&enforce, &both, true), 1);
        assert_eq!(warned(&enforce, &both, false), 0);
        assert_eq!(warned(&enforce, &[lower], true), 0);
        assert_eq!(
            warned(
                &enforce,
                &[device(3, "eth0", None), device(4, "v", Some(2))],
                true
            ),
            0
        );
        assert_eq!(warned(WHOLE, &both, true), 0, "nothing is refused");
        assert_eq!(
            warned(&format!("{enforce}answer = \"drop\"\n"), &both, true),
            0
        );
        let uplink = |over: &str, action: &str| {
            format!(
                "[[interface]]\nname = \"eth0\"\nrole = \"uplink\"\n[geoip]\ndatabases = [\"db\"]\nunknown = \"all\"\n\
                 [submission]\nservers = [\"192.0.2.1\"]\n[[class]]\nname = \"all\"\ndefault = true\naction = \"{action}\"\n\
                 connections = {{ limit = 1, per = \"second\", over = \"{over}\" }}\n"
            )
        };
        for (over, action, expected) in [
            ("reset", "enforce", 1),
            ("reset", "observe", 0),
            ("drop", "enforce", 0),
            ("tag", "enforce", 0),
        ] {
            let found = warned(&uplink(over, action), &both, true);
            assert_eq!(found, expected, "{over}, {action}");
        }
    }
}
