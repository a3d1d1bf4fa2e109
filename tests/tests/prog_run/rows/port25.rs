//! Who may reach port 25.

use super::{Row, Side, observed, passed, refused, unjudged, words::*};
use crate::configurations::Configuration::{Observe, Refuse, RelaysV6};

pub(super) fn rows() -> Vec<Row> {
    [restricted(), open_anyway(), unlisted(), actions(), elsewhere()]
        .into_iter()
        .flatten()
        .collect()
}

fn restricted() -> Vec<Row> {
    const WHY: &str = "a new connection of a restricted pool to port 25 (RFC 5321 section 4.5.4.2) is refused";
    vec![
        Row::new("restricted v4", WHY, ACCESS, smtp(DYNAMIC, MX), refused("restricted", &DYNAMIC_COUNTS)),
        Row::new("restricted v6", WHY, ACCESS, smtp(DYNAMIC_6, MX_6), refused("restricted", &DYNAMIC_6_COUNTS)),
        Row::new(
            "to another subscriber v4", "a destination that is no relay is refused, wherever it is", ACCESS,
            smtp(DYNAMIC, "100.64.9.8"), refused("restricted", &DYNAMIC_COUNTS),
        ),
        Row::new(
            "a prefix of a list file v4", "prefixes from files count by pool", ACCESS, smtp("198.19.3.4", MX),
            refused("restricted", &["interface access", "pool listed", "source access 198.19.3.4/32"]),
        ),
        Row::new(
            "a prefix of a list file v6", "prefixes from files count by pool; a source is a /64 where the pool says nothing", ACCESS,
            smtp("2001:db8:1900:5:6::7", MX_6),
            refused("restricted", &["interface access", "pool listed", "source access 2001:db8:1900:5::/64"]),
        ),
    ]
}

fn open_anyway() -> Vec<Row> {
    const EXEMPT: &str = "port 25 is open to an exempt pool";
    const RELAY: &str = "a relay stays open to everybody";
    vec![
        Row::new(
            "exempt v4", EXEMPT, ACCESS, smtp("198.18.5.9", MX),
            passed("exempt", &["interface access", "pool campus", "prefix campus 198.18.5.0/24", "source access 198.18.5.9/32"]),
        ),
        Row::new(
            "exempt v6", EXEMPT, ACCESS, smtp("2001:db8:300:8::9", MX_6),
            passed("exempt", &["interface access", "pool campus", "prefix campus 2001:db8:300::/40", "source access 2001:db8:300:8::/64"]),
        ),
        Row::new(
            "exempt to a relay v4", "an exempt source is exempt whatever its destination: the relay counts nothing", ACCESS,
            smtp("198.18.5.9", "192.0.2.25"),
            passed("exempt", &["interface access", "pool campus", "prefix campus 198.18.5.0/24", "source access 198.18.5.9/32"]),
        ),
        Row::new(
            "relay v4", RELAY, ACCESS, smtp(DYNAMIC, "192.0.2.25"),
            passed("relay", &[&DYNAMIC_COUNTS[..], &["relay 192.0.2.25/32"]].concat()),
        ),
        Row::new(
            "relay network v4", RELAY, ACCESS, smtp(DYNAMIC, "192.0.2.79"),
            passed("relay", &[&DYNAMIC_COUNTS[..], &["relay 192.0.2.64/28"]].concat()),
        ),
        Row::new(
            "relay v6", RELAY, ACCESS, smtp(DYNAMIC_6, "2001:db8:25::7"),
            passed("relay", &[&DYNAMIC_6_COUNTS[..], &["relay 2001:db8:25::/64"]].concat()),
        ),
        Row::new(
            "the addresses around a relay v4", "192.0.2.24 is not 192.0.2.25/32", ACCESS, smtp(DYNAMIC, "192.0.2.24"),
            refused("restricted", &DYNAMIC_COUNTS),
        ),
        Row::new(
            "the addresses after a relay network v4", "192.0.2.80 is not in 192.0.2.64/28", ACCESS, smtp(DYNAMIC, "192.0.2.80"),
            refused("restricted", &DYNAMIC_COUNTS),
        ),
        Row::new(
            "relay of an observed pool v4", RELAY, (Refuse, Side::Access), smtp("203.0.113.9", "192.0.2.25"),
            passed("relay", &[
                "interface access", "pool trial", "prefix trial 203.0.113.0/24", "source access 203.0.113.9/32", "relay 192.0.2.25/32",
            ]),
        ),
        Row::new(
            "all of IPv6 as a relay", "::/0 holds every IPv6 destination", (RelaysV6, Side::Access), smtp("2001:db8:100::2", MX_6),
            passed("relay", &[
                "interface access", "pool dynamic", "prefix dynamic 2001:db8:100::/40", "source access 2001:db8:100::/64", "relay ::/0",
            ]),
        ),
        Row::new(
            "all of IPv6 is no relay of IPv4", "::/0 holds no IPv4 destination", (RelaysV6, Side::Access), smtp(DYNAMIC, MX),
            refused("restricted", &DYNAMIC_COUNTS),
        ),
    ]
}

fn unlisted() -> Vec<Row> {
    const PASS: &str = "unlisted = \"pass\": who is in no pool is open";
    const REFUSE: &str = "unlisted = \"refuse\": who is in no pool is treated as [port25] says";
    vec![
        Row::new(
            "unlisted passes v4", PASS, ACCESS, smtp("198.51.100.7", MX),
            passed("unlisted", &["interface access", "source access 198.51.100.7/32"]),
        ),
        Row::new(
            "unlisted passes v6", PASS, ACCESS, smtp("2001:db8:7::7", MX_6),
            passed("unlisted", &["interface access", "source access 2001:db8:7::/64"]),
        ),
        Row::new(
            "unlisted passes to a relay v4", "who is open anyway counts for no relay", ACCESS, smtp("198.51.100.7", "192.0.2.25"),
            passed("unlisted", &["interface access", "source access 198.51.100.7/32"]),
        ),
        Row::new(
            "unlisted refused v4", REFUSE, (Refuse, Side::Access), smtp("198.51.100.7", MX),
            refused("unlisted", &["interface access", "source access 198.51.100.7/32"]),
        ),
        Row::new(
            "unlisted refused v6", REFUSE, (Refuse, Side::Access), smtp("2001:db8:7::7", MX_6),
            refused("unlisted", &["interface access", "source access 2001:db8:7::/64"]),
        ),
        Row::new(
            "unlisted refused, to a relay v4", "a relay stays open to everybody", (Refuse, Side::Access), smtp("198.51.100.7", "192.0.2.25"),
            passed("relay", &["interface access", "source access 198.51.100.7/32", "relay 192.0.2.25/32"]),
        ),
        Row::new(
            "unlisted refused, to a relay v6", "a relay stays open to everybody", (Refuse, Side::Access),
            smtp("2001:db8:7::7", "2001:db8:25::ffff"),
            passed("relay", &["interface access", "source access 2001:db8:7::/64", "relay 2001:db8:25::/64"]),
        ),
        Row::new(
            "unlisted observed v4", "the action of [port25] is observe", (Observe, Side::Access), smtp("198.51.100.7", MX),
            observed("unlisted", &["interface access", "source access 198.51.100.7/32"]),
        ),
        Row::new(
            "no address at all v4", "0.0.0.0 is an address in no pool", ACCESS, smtp("0.0.0.0", MX),
            passed("unlisted", &["interface access", "source access 0.0.0.0/32"]),
        ),
        Row::new(
            "no address at all v6", ":: is an address in no pool", ACCESS, smtp("::", MX_6),
            passed("unlisted", &["interface access", "source access ::/64"]),
        ),
    ]
}

fn actions() -> Vec<Row> {
    const OBSERVED: &str = "a pool's own action, observe, goes before that of [port25]";
    const ENFORCED: &str = "a pool's own action, enforce, goes before that of [port25]";
    const INHERITED: &str = "a pool without an action has that of [port25], which is observe";
    vec![
        Row::new(
            "a pool that observes v4", OBSERVED, ACCESS, smtp("203.0.113.9", MX),
            observed("restricted", &["interface access", "pool trial", "prefix trial 203.0.113.0/24", "source access 203.0.113.9/32"]),
        ),
        Row::new(
            "a pool that observes v6", OBSERVED, ACCESS, smtp("2001:db8:200::9", MX_6),
            observed("restricted", &["interface access", "pool trial", "prefix trial 2001:db8:200::/40", "source access 2001:db8:200::/64"]),
        ),
        Row::new(
            "a pool that enforces v4", ENFORCED, (Observe, Side::Access), smtp("203.0.113.9", MX),
            refused("restricted", &["interface access", "pool first", "prefix first 203.0.113.0/24", "source access 203.0.113.9/32"]),
        ),
        Row::new(
            "a pool that enforces v6", ENFORCED, (Observe, Side::Access), smtp("2001:db8:200::9", MX_6),
            refused("restricted", &["interface access", "pool first", "prefix first 2001:db8:200::/40", "source access 2001:db8:200::/64"]),
        ),
        Row::new(
            "a pool that inherits v4", INHERITED, (Observe, Side::Access), smtp(DYNAMIC, MX), observed("restricted", &DYNAMIC_COUNTS),
        ),
    ]
}

fn elsewhere() -> Vec<Row> {
    const NO_ROLE: &str = "an interface that the configuration does not name is open, and says so";
    vec![
        Row::new("inbound v4", "what the Internet sends to port 25 is not judged", UPLINK, smtp("198.51.100.7", DYNAMIC), unjudged()),
        Row::new("inbound v6", "what the Internet sends to port 25 is not judged", UPLINK, smtp("2001:db8:8000::7", DYNAMIC_6), unjudged()),
        Row::new("no role v4", NO_ROLE, (Refuse, Side::Neither), smtp(DYNAMIC, MX), passed("no_role", &[])),
        Row::new("no role v6", NO_ROLE, (Refuse, Side::Neither), smtp(DYNAMIC_6, MX_6), passed("no_role", &[])),
        Row::new("no role, submission", NO_ROLE, (Refuse, Side::Neither), open(DYNAMIC, MX, 587), passed("no_role", &[])),
        Row::new("no role, any other port", "of no concern anywhere", (Refuse, Side::Neither), open(DYNAMIC, MX, 443), unjudged()),
    ]
}
