//! Tables against longest-prefix matching done by hand, on prefix sets made to hurt.

use std::net::IpAddr;

use gate_common::{
    Addr,
    table::{ESCAPE, MAX_NUMBER, shortcut_line},
};
use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::generation::Prefix;

fn prefix(text: &str) -> Prefix {
    text.parse::<IpNet>().unwrap().into()
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

/// The number of the longest prefix that has `addr`, each prefix tried.
fn naive(prefixes: &[(Prefix, u16)], addr: Addr) -> u16 {
    prefixes
        .iter()
        .filter(|(prefix, _)| {
            prefix.addr().is_v4() == addr.is_v4() && Prefix::of(addr, prefix.length()) == *prefix
        })
        .max_by_key(|(prefix, _)| prefix.length())
        .map_or(0, |(_, number)| *number)
}

/// The addresses where anything can change: the first and last of each prefix, the ones before and after, and the ends
/// of both families.
fn edges(prefixes: &[(Prefix, u16)]) -> Vec<Addr> {
    let mut edges: Vec<Addr> = [
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "2000::",
        "3fff::",
        "4000::",
        "::fffe:ffff:ffff",
    ]
    .into_iter()
    .chain([
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ])
    .map(addr)
    .collect();
    for (prefix, _) in prefixes {
        match prefix.addr().to_ip() {
            IpAddr::V4(ip) => {
                let first = ip.to_bits();
                let open = 128 - u32::from(prefix.length());
                let last = first | u32::MAX.checked_shr(32 - open).unwrap_or(0);
                edges.extend(
                    [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(Addr::v4),
                );
            }
            IpAddr::V6(ip) => {
                let first = ip.to_bits();
                let last = first | u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                for bits in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                    edges.push(std::net::Ipv6Addr::from_bits(bits).into());
                }
            }
        }
    }
    edges
}

/// Compiles, and compares on every edge and on `more`.
fn check(prefixes: &[(Prefix, u16)], more: &[Addr]) -> Table {
    let runs = Runs::longest(prefixes.iter().copied());
    let table = Table::new(&runs).unwrap();
    for addr in edges(prefixes).into_iter().chain(more.iter().copied()) {
        let expected = naive(prefixes, addr);
        let ip = addr.to_ip();
        assert_eq!(runs.get(addr), expected, "runs at {ip}");
        assert_eq!(table.get(addr), expected, "table at {ip}");
    }
    assert_eq!(table.runs(), runs, "and back");
    table
}

fn numbered(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(Prefix, u16)> {
    texts
        .into_iter()
        .map(|it| prefix(it.as_ref()))
        .zip(1..)
        .collect()
}

#[test]
fn nothing_is_nothing() {
    let table = check(&[], &[]);
    assert_eq!(table, Table::default());
}

#[test]
fn a_chain_of_every_length() {
    for (host, lengths) in [
        ("203.0.113.77", 32),
        ("0.0.0.0", 32),
        ("255.255.255.255", 32),
        ("2001:db8:1234:5678:9abc:def0:1357:2468", 128),
        ("2000::", 128),
        ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128),
        ("fd00::1", 128),
        ("::", 128),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128),
    ] {
        let prefixes = (0..=lengths).map(|length| {
            let net = IpNet::new(host.parse().unwrap(), length).unwrap();
            (Prefix::from(net.trunc()), u16::from(length) + 1)
        });
        let forwards: Vec<_> = prefixes.collect();
        check(&forwards, &[addr(host)]);
        let backwards: Vec<_> = forwards.iter().rev().copied().collect();
        check(&backwards, &[addr(host)]);
    }
}

#[test]
fn siblings_that_touch() {
    check(
        &numbered([
            "10.0.0.0/9",
            "10.128.0.0/9",
            "11.0.0.0/24",
            "11.0.1.0/24",
            "11.0.1.255/32",
            "11.0.2.0/32",
            "2001:db8::/33",
            "2001:db8:8000::/33",
            "2001:db8:7fff:ffff::/64",
            "2001:db8:8000::/64",
            "2001:db9::/64",
            "2001:db9:0:1::/64",
            "2001:db9::ffff:ffff:ffff:ffff/128",
            "2001:db9:0:1::/128",
        ]),
        &[],
    );
    // Siblings with the same number are one run.
    let same = [(prefix("10.0.0.0/9"), 7), (prefix("10.128.0.0/9"), 7)];
    assert_eq!(
        Runs::longest(same),
        Runs::longest([(prefix("10.0.0.0/8"), 7)])
    );
}

#[test]
fn default_routes_of_one_family_are_not_the_other_s() {
    check(
        &[(prefix("::/0"), 1)],
        &[addr("192.0.2.1"), addr("2001:db8::")],
    );
    check(
        &[(prefix("0.0.0.0/0"), 1)],
        &[addr("192.0.2.1"), addr("2001:db8::")],
    );
    check(
        &[
            (prefix("::/0"), 1),
            (prefix("0.0.0.0/0"), 2),
            (prefix("2000::/3"), 3),
        ],
        &[],
    );
    check(
        &[(prefix("::/8"), 1), (prefix("::/96"), 2)],
        &[addr("0.0.0.1"), addr("::fffe:0:0")],
    );
}

#[test]
fn the_last_of_equal_prefixes_wins() {
    let twice = [(prefix("10.0.0.0/8"), 1), (prefix("10.0.0.0/8"), 2)];
    assert_eq!(Runs::longest(twice).get(addr("10.1.1.1")), 2);
}

#[test]
fn an_inner_prefix_can_say_nothing() {
    check(
        &[
            (prefix("10.0.0.0/8"), 1),
            (prefix("10.1.0.0/16"), 0),
            (prefix("10.1.1.1/32"), 2),
        ],
        &[],
    );
}

#[test]
fn outside_of_2000_3() {
    check(
        &numbered([
            "::1/128",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "fc00::/7",
            "fd12:3456::/32",
            "fe80::/10",
            "ff02::1/128",
            "1fff:ffff::/32",
            "4000::/16",
            "0::/3",
            "8000::/1",
            "e000::/3",
        ]),
        &[],
    );
}

#[test]
fn a_slash_24_of_256_runs_and_a_slash_16_of_thousands() {
    let hosts: Vec<_> = (0..=255u16)
        .map(|host| (prefix(&format!("192.0.2.{host}/32")), host % 2 + 1))
        .collect();
    check(&hosts, &[]);
    // 7,540 runs in a /16, as GeoLite2 has.
    let many = (0..7_540u32).map(|run| {
        (
            Prefix::of(Addr::v4(0xcb00_0000 + run * 8), 125 + (run % 3) as u8),
            (run % 299) as u16 + 1,
        )
    });
    let runs = Runs::longest(many);
    let table = Table::new(&runs).unwrap();
    for host in 0..=u32::from(u16::MAX) {
        let addr = Addr::v4(0xcb00_0000 + host);
        assert_eq!(table.get(addr), runs.get(addr));
    }
    // Every address of a /16 by itself; naive would take an hour.
    let number = |host: u16| host % 300 + 1;
    let dense = (0..=u16::MAX).map(|host| {
        (
            Prefix::of(Addr::v4(0xc633_0000 + u32::from(host)), 128),
            number(host),
        )
    });
    let table = Table::new(&Runs::longest(dense)).unwrap();
    for host in 0..=u16::MAX {
        assert_eq!(
            table.get(Addr::v4(0xc633_0000 + u32::from(host))),
            number(host)
        );
    }
    assert_eq!(
        (
            table.get(Addr::v4(0xc632_ffff)),
            table.get(Addr::v4(0xc634_0000))
        ),
        (0, 0)
    );
}

#[test]
fn numbers_that_no_byte_holds() {
    let numbers = [1, 0xfe, u16::from(ESCAPE), 0x100, 0x101, MAX_NUMBER];
    // Every other /24 of a /16, so that it is a chunk; then with escapes that touch, apart and in runs.
    let chunk: Vec<_> = (0..=255u16)
        .filter(|third| third % 5 != 3)
        .map(|third| {
            let number = numbers[usize::from(third / 2) % numbers.len()];
            (prefix(&format!("198.51.{third}.0/24")), number)
        })
        .chain([
            (prefix("198.51.77.5/32"), 300),
            (prefix("198.51.100.0/25"), 255),
        ])
        .collect();
    check(&chunk, &[]);
    let too_large = Runs::longest([(prefix("10.0.0.0/8"), MAX_NUMBER + 1)]);
    assert_eq!(
        Table::new(&too_large),
        Err(TableError::Number(MAX_NUMBER + 1))
    );
}

#[test]
fn a_node_with_256_children() {
    let below: Vec<_> = (0..=255u16)
        .flat_map(|byte| {
            let many = (0..16u16).map(move |it| {
                (
                    prefix(&format!("2001:db8:{:x}::/48", byte << 8 | it << 4)),
                    it + 1,
                )
            });
            many.chain([(prefix(&format!("2001:db8:{:x}:8000::/49", byte << 8)), 99)])
        })
        .collect();
    check(&below, &[]);
}

#[test]
fn fans_are_entered_by_every_byte() {
    let below: Vec<_> = (0..200u16)
        .flat_map(|byte| {
            (0..9u16).map(move |it| {
                (
                    prefix(&format!("2a02:{byte:x}{:02x}::/32", it * 16)),
                    it % 4 + 1,
                )
            })
        })
        .collect();
    check(&below, &[]);
}

/// Twenty split /40s whose shortcuts belong in the same line, which has room for eight.
#[test]
fn shortcuts_that_find_no_room_are_not_missed() {
    let block = |number: u64| 0x2a00_0000_0000_0000 | number << 24;
    let line = shortcut_line(block(0));
    let crowd = (0..)
        .map(block)
        .filter(|hi| shortcut_line(*hi) == line)
        .take(20);
    let prefixes: Vec<_> = crowd
        .flat_map(|hi| {
            (0..9u64).map(move |part| Addr {
                hi: hi | part << 19,
                lo: 0,
            })
        })
        .map(|addr| (Prefix::of(addr, 46), (addr.hi >> 19 & 7) as u16 + 1))
        .collect();
    let table = check(&prefixes, &[]);
    let shortcuts = table.root()[line as usize];
    assert!(shortcuts.iter().all(|word| *word != 0), "{shortcuts:x?}");
}

#[test]
fn ten_thousand_hosts_take_a_line_each_or_so() {
    let hosts: Vec<_> = (0..10_000u64)
        .map(|host| {
            let mixed = host.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let addr = Addr {
                hi: 0x2001_0db8_0000_0000 | (mixed >> 32),
                lo: mixed,
            };
            (Prefix::of(addr, 128), 1)
        })
        .collect();
    let table = check(&hosts, &[]);
    assert!(
        table.nodes().len() < 30_000,
        "{} lines",
        table.nodes().len()
    );
}

#[test]
fn the_largest_network_around() {
    let runs = Runs::longest(numbered([
        "10.0.0.0/8",
        "10.1.2.0/24",
        "2001:db8::/32",
        "2001:db8:0:5::/64",
    ]));
    for (address, network) in [
        ("10.1.2.3", "10.1.2.0/24"),
        ("10.1.3.3", "10.1.3.0/24"),
        ("10.200.0.1", "10.128.0.0/9"),
        ("11.0.0.1", "11.0.0.0/8"),
        ("200.0.0.1", "128.0.0.0/1"),
        ("2001:db8:0:5::1", "2001:db8:0:5::/64"),
        ("2001:db8:0:4::1", "2001:db8:0:4::/64"),
        ("2001:db8:8000::1", "2001:db8:8000::/33"),
        ("f000::", "8000::/1"),
    ] {
        assert_eq!(runs.network(addr(address)), prefix(network), "{address}");
    }
    assert_eq!(
        Runs::longest([]).network(addr("192.0.2.1")),
        prefix("0.0.0.0/0")
    );
    assert_eq!(
        Runs::longest([]).network(addr("2001:db8::")),
        prefix("::/0")
    );
}

#[test]
fn the_same_runs_make_the_same_bytes() {
    let prefixes = numbered([
        "10.0.0.0/8",
        "10.1.2.0/24",
        "2001:db8::/32",
        "2001:db8:5::/48",
    ]);
    let mut other = prefixes.clone();
    other.reverse();
    let table = |prefixes: Vec<_>| Table::new(&Runs::longest(prefixes)).unwrap();
    assert_eq!(table(prefixes), table(other));
}

/// Where the prefixes of [`crowded`] are, in IPv6.
const BASES: [u128; 6] = [
    0x2001_0db8 << 96,
    0x2000 << 112,
    0x3fff << 112,
    0,
    u128::MAX << 16,
    0xfd00 << 112,
];

/// Prefixes that crowd a few places, so that they nest, touch and repeat.
fn crowded() -> impl Strategy<Value = Vec<(Prefix, u16)>> {
    let v4 = (
        prop_oneof![Just(0x0a00_0000u32), Just(0xffff_ff00), Just(0)],
        any::<u32>(),
        0..=32u8,
        0..32u32,
    )
        .prop_map(|(base, bits, length, keep)| {
            Prefix::of(Addr::v4(base | bits & u32::MAX >> keep), 96 + length)
        });
    let v6 = (
        proptest::sample::select(&BASES),
        any::<u128>(),
        0..=128u8,
        0..128u32,
    )
        .prop_map(|(base, bits, length, keep)| {
            let addr: Addr = std::net::Ipv6Addr::from_bits(base | bits & u128::MAX >> keep).into();
            (addr, length)
        })
        .prop_filter("IPv4 has its own", |(addr, _)| !addr.is_v4())
        .prop_map(|(addr, length)| Prefix::of(addr, length));
    let number = prop_oneof![0..8u16, 250..260u16, Just(MAX_NUMBER)];
    proptest::collection::btree_map(prop_oneof![v4, v6], number, 0..200)
        .prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn agrees_with_the_longest_prefix(prefixes in crowded(), more in proptest::collection::vec(any::<(u64, u64, u32)>(), 20)) {
        let more: Vec<Addr> = more.into_iter().flat_map(|(hi, lo, v4)| [Addr { hi, lo }, Addr::v4(v4)]).collect();
        check(&prefixes, &more);
    }
}
