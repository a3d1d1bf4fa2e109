//! Which interface has which role.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::{
    InitError,
    pools::{is_default, is_internet, is_of_hosts},
};
use crate::sys::{Details, Kind, Route};

/// What the machine seems to be.
#[derive(Debug, Default)]
pub(super) struct Guess {
    /// Subscribers seem to be there.
    pub(super) access: Vec<Interface>,
    /// The Internet seems to be there.
    pub(super) uplinks: Vec<Interface>,
    /// Those that are left out, and why.
    pub(super) skipped: Vec<(String, String)>,
    /// The country databases.
    pub(super) databases: Vec<PathBuf>,
    /// Why the databases that were found cannot be used.
    pub(super) unusable: Option<String>,
}

/// An interface and what is on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) addresses: Vec<IpNet>,
    /// The networks that routes of the main table lead to through it, those of its own addresses among them.
    pub(super) routed: Vec<IpNet>,
    /// Whether a default route goes out of it; else an uplink is one by how much the others lead to.
    pub(super) has_default: bool,
}

impl Interface {
    /// One with these addresses, and no route.
    pub(super) fn new(name: &str, addresses: Vec<IpNet>) -> Self {
        Self {
            name: name.to_owned(),
            addresses,
            routed: Vec::new(),
            has_default: false,
        }
    }

    /// The networks behind it: those on its link, and those that are routed to it. An address alone is the machine's own.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> {
        let own = self.addresses.iter().map(IpNet::trunc);
        let own = own.filter(|net| net.prefix_len() < net.max_prefix_len());
        own.chain(self.routed.iter().copied()).filter(is_of_hosts)
    }

    fn routes(&mut self, index: u32, routes: &[Route]) {
        for it in routes.iter().filter(|it| it.device == index) {
            if is_default(&it.to) {
                self.has_default = true;
            } else if it.main && is_of_hosts(&it.to) {
                self.routed.push(it.to);
            }
        }
    }
}

impl Guess {
    /// From the devices, their addresses, and the routes that go out of them.
    pub(super) fn new(details: &[Details], addresses: &[(u32, IpNet)], routes: &[Route]) -> Self {
        let names: BTreeMap<u32, &str> = details
            .iter()
            .map(|it| (it.device.index, it.device.name.as_str()))
            .collect();
        let mut guess = Self::default();
        for it in details {
            let own = addresses
                .iter()
                .filter(|(index, net)| *index == it.device.index && is_of_hosts(net))
                .map(|(_, net)| *net)
                .collect();
            let mut interface = Interface::new(&it.device.name, own);
            interface.routes(it.device.index, routes);
            if let Some(why) = unfit(it, &interface, &names) {
                guess.skipped.push((interface.name, why));
            } else if interface.has_default || is_internet(&interface.routed) {
                guess.uplinks.push(interface);
            } else {
                guess.access.push(interface);
            }
        }
        guess
    }

    /// That nothing can be made of it, if so.
    pub(super) fn nothing(&self) -> Option<InitError> {
        let is_nothing =
            self.access.is_empty() && (self.uplinks.is_empty() || self.databases.is_empty());
        is_nothing.then(|| {
            let mut found: Vec<String> = self
                .skipped
                .iter()
                .map(|(name, why)| format!("{name} {why}"))
                .collect();
            found.extend(self.uplinks.iter().map(|it| {
                format!(
                    "{} leads to the Internet, and an uplink needs a country database",
                    it.name
                )
            }));
            InitError::Nothing {
                why: found.join("; "),
            }
        })
    }
}

/// Why the gate is not for this device, if it is not.
fn unfit(it: &Details, found: &Interface, names: &BTreeMap<u32, &str>) -> Option<String> {
    let name = it.device.name.as_str();
    if name == "lo" {
        return Some("is the loopback".to_owned());
    }
    if let Some(master) = it.master {
        let of = names.get(&master).copied().unwrap_or("another device");
        return Some(format!("is a port of {of}"));
    }
    let containers = ["docker", "br-", "virbr", "lxcbr", "lxdbr", "cni", "podman"];
    if it.kind == Kind::Bridge && containers.iter().any(|it| name.starts_with(it)) {
        return Some("is a bridge of containers or guests".to_owned());
    }
    if let Kind::Headless(kind) = &it.kind {
        return Some(format!(
            "is a {kind} device, without the Ethernet headers that the gate reads"
        ));
    }
    if !it.up {
        return Some("is down".to_owned());
    }
    let is_unused = found.addresses.is_empty() && found.routed.is_empty() && !found.has_default;
    is_unused.then(|| "has no address but those of its link, and no route".to_owned())
}

/// What kind of address it is, for a person.
pub(super) fn nature(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(address) if address.is_private() => "private",
        // RFC 6598.
        IpAddr::V4(address) if address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64 => {
            "shared, for carrier-grade NAT"
        }
        IpAddr::V6(address) if address.is_unique_local() => "unique local",
        IpAddr::V4(_) | IpAddr::V6(_) => "global",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Device;

    fn device(index: u32, name: &str) -> Details {
        Details {
            device: Device {
                index,
                name: name.to_owned(),
                xdp: None,
                is_bond: false,
                vlan_of: None,
            },
            up: true,
            mtu: 1500,
            kind: Kind::Plain,
            master: None,
            lower: None,
        }
    }

    #[test]
    fn roles_go_by_routes_and_addresses() {
        let mut details: Vec<Details> = [
            "lo", "eth0", "eth1", "eth2", "docker0", "wg0", "eth3", "bond0", "eth4", "eth5", "eth6",
        ]
        .iter()
        .zip(1..)
        .map(|(name, index)| device(index, name))
        .collect();
        details[4].kind = Kind::Bridge;
        details[5].kind = Kind::Headless("wireguard".to_owned());
        details[6].master = Some(8);
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let addresses = [
            (1, net("127.0.0.1/8")),
            (2, net("192.0.2.1/24")),
            (3, net("100.64.0.1/10")),
            (5, net("172.17.0.1/16")),
            (6, net("10.9.0.1/24")),
            (8, net("2001:db8:1::1/64")),
            (11, net("169.254.0.1/32")),
        ];
        let way = |device, to, main| Route {
            device,
            to: net(to),
            main,
        };
        let routes = [
            way(2, "0.0.0.0/0", false),
            way(2, "198.51.100.0/24", true),
            way(3, "100.64.0.0/10", true),
            way(3, "fe80::/64", true),
            way(3, "10.20.0.0/16", true),
            way(3, "10.30.0.0/16", false),
            way(9, "2001:db8:2::/48", true),
            way(10, "8.0.0.0/7", true),
            way(10, "16.0.0.0/4", true),
        ];
        let guess = Guess::new(&details, &addresses, &routes);
        let names = |of: &[Interface]| of.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&guess.uplinks), ["eth0", "eth5"]);
        assert_eq!(names(&guess.access), ["eth1", "bond0", "eth4"]);
        let behind: Vec<String> = guess.access[0]
            .routed
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(behind, ["100.64.0.0/10", "10.20.0.0/16"]);
        let skipped: Vec<&str> = guess.skipped.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(skipped, ["lo", "eth2", "docker0", "wg0", "eth3", "eth6"]);
        assert_eq!(guess.skipped[4].1, "is a port of bond0");
        assert!(guess.nothing().is_none());
    }

    #[test]
    fn natures() {
        for (address, expected) in [
            ("10.1.2.3", "private"),
            ("100.127.255.255", "shared, for carrier-grade NAT"),
            ("100.128.0.0", "global"),
            ("fd00::1", "unique local"),
            ("2001:db8::1", "global"),
        ] {
            assert_eq!(nature(address.parse().unwrap()), expected, "{address}");
        }
    }
}
