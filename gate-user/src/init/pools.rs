//! Which prefixes are whose, by routes and addresses.
//!
//! The prefixes of an interface are a pool, and of a source the longest prefix says which pool it is of, as of a packet the longest prefix says where it goes: so a
//! network of one interface within that of another needs nothing said. What lies in a longer-known network of the same interface is left out, as it says nothing;
//! neighbours are not joined, so that each prefix is one that `ip route` shows.

use std::collections::{BTreeMap, btree_map::Entry};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::guess::Interface;

/// How many prefixes a pool has at most: a file with more is read by nobody, and prefixes have counters of their own, of which there is an end.
pub(super) const POOL_MAX: usize = 64;

/// How many all pools have at most: `prefixes` of a configuration hold 4096.
const ALL_MAX: usize = 2048;

/// The sources that are behind an interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    /// Its prefixes.
    pub(super) prefixes: Vec<IpNet>,
    /// How many there are besides, for which there is no room.
    pub(super) more: usize,
    /// Those that are behind another interface as well, and in the pool of that.
    pub(super) elsewhere: Vec<(IpNet, String)>,
    /// Those that lie in a network of another interface.
    pub(super) within: Vec<(IpNet, String)>,
}

/// The pool of each of these interfaces.
pub(super) fn pools(access: &[Interface]) -> Vec<Pool> {
    let mut pools: Vec<Pool> = access.iter().map(|_| Pool::default()).collect();
    let mut owners: BTreeMap<IpNet, usize> = BTreeMap::new();
    for (index, (it, pool)) in access.iter().zip(&mut pools).enumerate() {
        for prefix in it.networks() {
            match owners.entry(prefix) {
                Entry::Vacant(place) => {
                    place.insert(index);
                }
                Entry::Occupied(known) if *known.get() != index => {
                    let owner = access.get(*known.get());
                    let owner = owner.map(|it| it.name.clone()).unwrap_or_default();
                    pool.elsewhere.push((prefix, owner));
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    for (prefix, index) in &owners {
        let Some(pool) = pools.get_mut(*index) else {
            continue;
        };
        match cover(*prefix, &owners) {
            Some(owner) if owner == *index => continue,
            Some(owner) => {
                let owner = access.get(owner).map(|it| it.name.clone());
                pool.within.push((*prefix, owner.unwrap_or_default()));
            }
            None => {}
        }
        pool.prefixes.push(*prefix);
    }
    let mut room = ALL_MAX;
    for pool in &mut pools {
        let found = pool.prefixes.len();
        // The largest networks are most of the subscribers.
        pool.prefixes.sort_by_key(share);
        pool.prefixes.truncate(room.min(POOL_MAX));
        pool.more = found - pool.prefixes.len();
        room -= pool.prefixes.len();
        pool.prefixes.sort();
        let prefixes = &pool.prefixes;
        pool.within.retain(|(prefix, _)| prefixes.contains(prefix));
    }
    pools
}

/// Whose the longest network is that this one lies in.
fn cover(prefix: IpNet, owners: &BTreeMap<IpNet, usize>) -> Option<usize> {
    let mut next = prefix.supernet();
    while let Some(wider) = next {
        if let Some(owner) = owners.get(&wider) {
            return Some(*owner);
        }
        next = wider.supernet();
    }
    None
}

/// Larger networks first: of IPv6, a /64 is a line, as an address of IPv4 is.
fn share(prefix: &IpNet) -> u8 {
    match prefix {
        IpNet::V4(net) => net.prefix_len(),
        IpNet::V6(net) => net.prefix_len() / 2,
    }
}

/// Whether a route to it is one to everybody: with several ways to the Internet a half each, or all that IPv6 has given out (`2000::/3`).
pub(super) fn is_default(to: &IpNet) -> bool {
    match to {
        IpNet::V4(net) => net.prefix_len() <= 1,
        IpNet::V6(net) => net.prefix_len() <= 3,
    }
}

/// Whether these lead to most of the Internet, as those of a router without a default route: to more than a sixteenth of all IPv4 addresses, or of those of IPv6 that
/// are given out (`2000::/3`). All private networks and those of the largest providers are far less.
pub(super) fn is_internet(routed: &[IpNet]) -> bool {
    let mut v4: u64 = 0;
    // In networks of 64 bits.
    let mut v6: u64 = 0;
    let mut nets: Vec<IpNet> = routed.to_vec();
    nets.sort();
    // In this order, a network comes after those that it lies in.
    let mut last: Option<IpNet> = None;
    for net in nets {
        if last.is_some_and(|it| it.contains(&net)) {
            continue;
        }
        last = Some(net);
        match net {
            IpNet::V4(net) => v4 += 1 << (32 - net.prefix_len()),
            IpNet::V6(net) => v6 = v6.saturating_add(1 << 64_u8.saturating_sub(net.prefix_len())),
        }
    }
    v4 > 1 << 28 || v6 > 1 << 57
}

/// Whether subscribers can be there: no network of a link alone, no group, nothing of the machine itself, no IPv4 in the form of IPv6.
pub(super) fn is_of_hosts(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => {
            let reserved = [
                Ipv4Net::new_assert([127, 0, 0, 0].into(), 8),
                Ipv4Net::new_assert([169, 254, 0, 0].into(), 16),
                Ipv4Net::new_assert([224, 0, 0, 0].into(), 3),
            ];
            !reserved.iter().any(|it| it.contains(net))
        }
        IpNet::V6(net) => {
            let reserved = [
                Ipv6Net::new_assert([0, 0, 0, 0, 0, 0, 0, 0].into(), 8),
                Ipv6Net::new_assert([0xfe80, 0, 0, 0, 0, 0, 0, 0].into(), 10),
                Ipv6Net::new_assert([0xff00, 0, 0, 0, 0, 0, 0, 0].into(), 8),
            ];
            !reserved.iter().any(|it| it.contains(net))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[&str], routed: &[&str]) -> Interface {
        Interface {
            routed: nets(routed),
            ..Interface::new(name, nets(addresses))
        }
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|it| it.parse().unwrap()).collect()
    }

    fn texts(pool: &Pool) -> Vec<String> {
        pool.prefixes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_lies_in_a_network_of_the_same_interface_is_left_out_and_neighbours_stay_apart() {
        let found = pools(&[interface(
            "eth1",
            &["100.64.0.1/16", "2001:db8:1::1/64", "192.0.2.1/32"],
            &[
                "100.64.0.0/16",
                "100.64.7.0/24",
                "100.65.0.0/16",
                "2001:db8:1::/48",
                "198.51.100.7/32",
            ],
        )]);
        assert_eq!(
            texts(&found[0]),
            [
                "100.64.0.0/16",
                "100.65.0.0/16",
                "198.51.100.7/32",
                "2001:db8:1::/48"
            ]
        );
        assert_eq!(found[0].more, 0);
    }

    #[test]
    fn the_longest_prefix_says_whose_a_source_is() {
        let found = pools(&[
            interface("eth1", &[], &["10.0.0.0/8", "10.1.2.0/24", "10.9.0.0/16"]),
            interface("eth2", &[], &["10.1.0.0/16", "10.0.0.0/8", "10.1.3.0/24"]),
        ]);
        // Without 10.1.2.0/24, its sources would be those of eth2.
        assert_eq!(texts(&found[0]), ["10.0.0.0/8", "10.1.2.0/24"]);
        assert_eq!(texts(&found[1]), ["10.1.0.0/16"]);
        let said = |of: &[(IpNet, String)]| {
            let said = of.iter().map(|(net, name)| format!("{net} {name}"));
            said.collect::<Vec<_>>()
        };
        assert_eq!(said(&found[0].within), ["10.1.2.0/24 eth2"]);
        assert_eq!(said(&found[1].within), ["10.1.0.0/16 eth1"]);
        assert_eq!(said(&found[1].elsewhere), ["10.0.0.0/8 eth1"]);
        assert_eq!(said(&found[0].elsewhere), Vec::<String>::new());
    }

    #[test]
    fn there_is_an_end_and_the_largest_come_first() {
        let many: Vec<String> = (0..100)
            .map(|it| format!("10.0.{it}.0/24"))
            .chain(["172.16.0.0/12".to_owned()])
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let found = pools(&[interface("eth1", &[], &many)]);
        assert_eq!(found[0].prefixes.len(), POOL_MAX);
        assert_eq!(found[0].more, 101 - POOL_MAX);
        assert!(texts(&found[0]).contains(&"172.16.0.0/12".to_owned()));
        let devices: Vec<Interface> = (0..100)
            .map(|device| {
                let own: Vec<String> = (0..100)
                    .map(|it| format!("10.{device}.{it}.0/24"))
                    .collect();
                let own: Vec<&str> = own.iter().map(String::as_str).collect();
                interface("eth", &[], &own)
            })
            .collect();
        let all: usize = pools(&devices).iter().map(|it| it.prefixes.len()).sum();
        assert_eq!(all, ALL_MAX);
    }

    #[test]
    fn the_internet_is_wide() {
        let private = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "2400::/20"];
        assert!(!is_internet(&nets(&private)));
        let many: Vec<IpNet> = (1..60_u8)
            .map(|it| Ipv4Net::new_assert([it, 0, 0, 0].into(), 8).into())
            .collect();
        assert!(is_internet(&many));
        let same = vec![many[0]; 60];
        assert!(!is_internet(&same));
        assert!(is_internet(&nets(&["2000::/6"])));
        for (to, expected) in [
            ("0.0.0.0/0", true),
            ("128.0.0.0/1", true),
            ("10.0.0.0/8", false),
            ("2000::/3", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(is_default(&nets(&[to])[0]), expected, "{to}");
        }
    }

    #[test]
    fn subscribers_are_no_groups_and_not_on_the_link_alone() {
        for (net, expected) in [
            ("169.254.0.0/16", false),
            ("224.0.0.0/4", false),
            ("255.255.255.255/32", false),
            ("fe80::/64", false),
            ("ff02::/16", false),
            ("::ffff:192.0.2.0/120", false),
            ("64:ff9b::/96", false),
            ("100.64.0.0/10", true),
            ("2001:db8::/32", true),
            ("fd00::/8", true),
        ] {
            assert_eq!(is_of_hosts(&nets(&[net])[0]), expected, "{net}");
        }
    }
}
