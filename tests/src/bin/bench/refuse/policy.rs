//! One policy, in the words of each filter.
//!
//! 64 networks of subscribers may not reach port 25, but for 15 relays; four addresses of each network are exempt.

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::layout::source;

/// The router's interface towards the subscribers.
pub(crate) const ACCESS: &str = "access";
/// How many networks there are: 100.64.16.0/20, 100.65.16.0/20, and so on.
const NETWORKS: u8 = 64;
/// How many addresses of each are exempt, from .1 on.
const EXEMPT: u8 = 4;
/// The relays' network, and another relay.
const RELAYS: [&str; 2] = ["192.0.2.16/29", "198.51.100.25/32"];
/// More of them, one by one.
const MORE_RELAYS: u8 = 6;

/// A relay, an exempt source, a source that is not, and a mail host that is no relay.
pub(crate) const RELAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 17);
pub(crate) const EXEMPTED: Ipv4Addr = Ipv4Addr::new(100, 70, 16, 2);
pub(crate) const SOURCE: Ipv4Addr = {
    let [upper, lower] = source(0);
    Ipv4Addr::from_bits((upper as u32) << 16 | lower as u32)
};
pub(crate) const MAIL_HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 25);

fn networks() -> impl Iterator<Item = String> {
    (0..NETWORKS).map(|it| format!("100.{}.16.0/20", 64 + it))
}

fn exempt() -> impl Iterator<Item = String> {
    (0..NETWORKS).flat_map(|it| (1..=EXEMPT).map(move |host| format!("100.{}.16.{host}", 64 + it)))
}

fn relays() -> impl Iterator<Item = String> {
    let more = (1..=MORE_RELAYS).map(|it| format!("192.0.2.{it}/32"));
    RELAYS.into_iter().map(str::to_owned).chain(more)
}

fn list(items: impl Iterator<Item = String>, around: &str) -> String {
    let items: Vec<String> = items.map(|it| format!("{around}{it}{around}")).collect();
    items.join(", ")
}

/// The gate's configuration.
pub(crate) fn gate(mode: &str) -> String {
    format!(
        "[[interface]]\nname = \"{ACCESS}\"\nrole = \"access\"\nmode = \"{mode}\"\n\n\
         [port25]\naction = \"enforce\"\nanswer = \"drop\"\nrelays = [{}]\n\n\
         [[access]]\nname = \"dynamic\"\npolicy = \"restrict\"\nprefixes = [{}]\n\n\
         [[access]]\nname = \"static\"\npolicy = \"exempt\"\nprefixes = [{}]\n\n\
         [counters]\nsources = true\n",
        list(relays(), "\""),
        list(networks(), "\""),
        list(exempt(), "\""),
    )
}

/// What nftables looks up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Addresses, in trees of intervals (`nft_set_rbtree`).
    Addresses,
    /// Addresses and ports together, in bitmaps by digit (`nft_set_pipapo`), which the kernel has for sets of more than one field.
    WithPorts,
}

/// Rules of nftables with this table and hook: one rule, one look-up of the destination and one of the source, which both says who is
/// a subscriber and who of them is exempt. It has no counter, which would cost.
pub(crate) fn nft(table: &str, hook: &str, keys: Keys) -> String {
    let (kind, port, destination, source) = match keys {
        Keys::Addresses => ("ipv4_addr", "", "tcp dport 25 ip daddr", "ip saddr"),
        Keys::WithPorts => (
            "ipv4_addr . inet_service",
            " . 25",
            "ip daddr . tcp dport",
            "ip saddr . tcp dport",
        ),
    };
    let relays = relays().map(|relay| format!("{relay}{port}"));
    let verdicts = (64..64 + NETWORKS).map(|it| {
        let last = EXEMPT + 1;
        format!(
            "100.{it}.16.0{port} : drop, 100.{it}.16.1-100.{it}.16.{EXEMPT}{port} : accept, \
             100.{it}.16.{last}-100.{it}.31.255{port} : drop"
        )
    });
    format!(
        "table {table} port25 {{\n\
         \tset relays {{\n\t\ttype {kind}; flags interval;\n\t\telements = {{ {} }}\n\t}}\n\
         \tmap subscribers {{\n\t\ttype {kind} : verdict; flags interval;\n\t\telements = {{ {} }}\n\t}}\n\
         \tchain refuse {{\n\t\ttype filter hook {hook}; policy accept;\n\
         \t\t{destination} != @relays {source} vmap @subscribers\n\t}}\n}}\n",
        list(relays, ""),
        list(verdicts, ""),
    )
}

/// What ipset restores: one set says who is a subscriber and who of them is exempt.
pub(crate) fn ipset() -> String {
    let mut text =
        "create relays hash:net family inet\ncreate subscribers hash:net family inet\n".to_owned();
    // Writing into a string cannot fail.
    for relay in relays() {
        let _ = writeln!(text, "add relays {relay}");
    }
    for network in networks() {
        let _ = writeln!(text, "add subscribers {network}");
    }
    for address in exempt() {
        let _ = writeln!(text, "add subscribers {address}/32 nomatch");
    }
    text
}

/// The rule that asks those sets.
pub(crate) const IPTABLES: [&str; 22] = [
    "--table",
    "raw",
    "--append",
    "PREROUTING",
    "--protocol",
    "tcp",
    "--dport",
    "25",
    "--match",
    "set",
    "!",
    "--match-set",
    "relays",
    "dst",
    "--match",
    "set",
    "--match-set",
    "subscribers",
    "src",
    "--jump",
    "DROP",
    "--wait",
];

/// Where everything ends that a filter lets through, and is counted: behind all of them, so that it is the same for all.
pub(crate) const SINK: &str = "table inet sink {\n\
    \tchain behind {\n\t\ttype filter hook prerouting priority 300; policy accept;\n\t\tcounter drop\n\t}\n}\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_a_subscriber_and_none_is_exempt() {
        let networks: Vec<ipnet::Ipv4Net> = networks().map(|it| it.parse().unwrap()).collect();
        let exempt: Vec<Ipv4Addr> = exempt().map(|it| it.parse().unwrap()).collect();
        let mut sources = std::collections::BTreeSet::new();
        for random in 0..1 << 14 {
            let [upper, lower] = source(random);
            let address = Ipv4Addr::from(u32::from(upper) << 16 | u32::from(lower));
            assert!(networks.iter().any(|it| it.contains(&address)), "{address}");
            assert!(!exempt.contains(&address), "{address}");
            sources.insert(address);
        }
        assert_eq!(sources.len(), 4096);
        assert!(exempt.contains(&EXEMPTED) && !exempt.contains(&SOURCE));
        let relay = |it: Ipv4Addr| {
            let mut relays = relays().map(|it| it.parse::<ipnet::Ipv4Net>().unwrap());
            relays.any(|net| net.contains(&it))
        };
        assert!(relay(RELAY) && !relay(MAIL_HOST));
    }

    #[test]
    fn every_filter_gets_the_whole_policy() {
        for text in [
            gate("native"),
            nft("inet", "prerouting priority raw", Keys::Addresses),
            nft("inet", "prerouting priority raw", Keys::WithPorts),
            ipset(),
        ] {
            for part in ["192.0.2.16/29", "198.51.100.25/32", "192.0.2.6/32"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert!(
            gate("native").contains("\"100.127.16.0/20\"")
                && gate("native").contains("\"100.127.16.4\"")
        );
        assert!(ipset().contains("add subscribers 100.127.16.0/20\n"));
        assert!(ipset().contains("add subscribers 100.127.16.4/32 nomatch\n"));
        let nft = nft("inet", "prerouting priority raw", Keys::Addresses);
        assert!(nft.contains("100.127.16.0 : drop, 100.127.16.1-100.127.16.4 : accept, 100.127.16.5-100.127.31.255 : drop"));
    }
}
