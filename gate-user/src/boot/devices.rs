//! By which names the network stack knows what subscribers arrive by.

use gate_common::Role;

use crate::config::{Config, Stripped, Vlans};

/// What subscribers arrive by, below the devices that the network stack has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Every frame of a device.
    Every(String),
    /// Frames of a device with these VLAN IDs.
    Vlans(String, Vlans),
    /// Frames of a device that carry none.
    Stripped(String),
}

/// That of a configuration.
pub(super) fn configured(config: &Config) -> Vec<Arrival> {
    let mut found = Vec::new();
    for it in &config.interfaces {
        let name = it.name.clone();
        if it.stripped.and_then(Stripped::role) == Some(Role::Access) {
            found.push(Arrival::Stripped(name.clone()));
        }
        if it.role == Role::Access {
            found.push(match &it.vlans {
                None => Arrival::Every(name),
                Some(vlans) => Arrival::Vlans(name, vlans.clone()),
            });
        }
    }
    found
}

/// The names of devices, `*` at the end standing for anything: those themselves, and the VLAN devices on top of them under the names that
/// `ip link add link eth1 name eth1.100` and most tools give them: the rules run above VLAN devices, where the gate runs below. Where such a name is too
/// long, there is no device that has it.
pub(super) fn names(arrivals: &[Arrival]) -> Vec<String> {
    let mut names = Vec::new();
    for it in arrivals {
        match it {
            Arrival::Every(name) => {
                names.push(name.clone());
                // The shortest of them: where that is too long, so are all.
                if fits(&format!("{name}.1")) {
                    names.push(format!("{name}.*"));
                }
            }
            Arrival::Vlans(name, vlans) => {
                let devices = vlans.ids().map(|id| format!("{name}.{id}"));
                names.extend(devices.filter(|it| fits(it)));
            }
            Arrival::Stripped(name) => names.push(name.clone()),
        }
    }
    names.sort();
    names.dedup();
    // The set refuses elements of which one has the other.
    let starts: Vec<String> = names
        .iter()
        .filter_map(|it| it.strip_suffix('*').map(str::to_owned))
        .collect();
    names.retain(|name| {
        let start = name.strip_suffix('*').unwrap_or(name);
        let covers = |it: &String| start.starts_with(it) && *name != format!("{it}*");
        !starts.iter().any(covers)
    });
    names
}

/// Whether a device can have this name: nft refuses the whole rule set over one that is too long.
const fn fits(name: &str) -> bool {
    name.len() < libc::IFNAMSIZ
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What the rules are about, of a configuration with these lines under `[[interface]]`, each an interface.
    fn of(interfaces: &[&str]) -> Vec<String> {
        let tables: Vec<String> = interfaces
            .iter()
            .map(|it| format!("[[interface]]\n{it}\nrole = \"access\"\n"))
            .collect();
        let text = format!(
            "{}[[access]]\nname = \"dynamic\"\npolicy = \"restrict\"\nprefixes = [\"100.64.0.0/10\"]\n",
            tables.concat()
        );
        let read = |_: &Path| Ok(text.clone());
        let config =
            crate::config::load_at(Path::new("gate.toml"), &read, jiff::Timestamp::UNIX_EPOCH);
        names(&configured(&config.unwrap()))
    }

    #[test]
    fn no_name_is_longer_than_a_device_can_have() {
        // 13 characters.
        let vlans = "name = \"enp129s0f0np0\"\nvlans = [1, 10, 100]";
        assert_eq!(of(&[vlans]), ["enp129s0f0np0.1"]);
        assert_eq!(
            of(&["name = \"enp129s0f0np0\""]),
            ["enp129s0f0np0", "enp129s0f0np0.*"]
        );
        assert_eq!(of(&["name = \"enp129s0f0np01\""]), ["enp129s0f0np01"]);
    }

    #[test]
    fn no_name_is_part_of_another_one() {
        assert_eq!(
            of(&["name = \"eth1\"", "name = \"eth1.100\"", "name = \"eth10\""]),
            ["eth1", "eth1.*", "eth10", "eth10.*"]
        );
    }
}
