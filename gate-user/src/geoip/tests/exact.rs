//! Networks of IPv6 that are smaller than a /64.

use super::*;

#[test]
fn a_64_can_be_split_in_any_way() {
    let opened = verified(&flat_database(&[
        ("2a00::/32", "JP"),
        // In halves, with an address of its own in each.
        ("2a00:0:0:1::/65", "US"),
        ("2a00:0:0:1::/128", "DE"),
        ("2a00:0:0:1:ffff:ffff:ffff:ffff/128", "FR"),
        // Nested.
        ("2a00:0:0:2::/65", "US"),
        ("2a00:0:0:2::/67", "DE"),
        ("2a00:0:0:2::1/128", "FR"),
        // A part of no network.
        ("2a01:0:0:1:4000::/66", "US"),
        ("2a01:0:0:1:c000::/66", "US"),
    ]));
    assert_codes(
        &opened,
        &[
            ("2a00::ffff:ffff:ffff:ffff", "JP"),
            ("2a00:0:0:1::", "DE"),
            ("2a00:0:0:1::1", "US"),
            ("2a00:0:0:1:7fff:ffff:ffff:ffff", "US"),
            ("2a00:0:0:1:8000::", "JP"),
            ("2a00:0:0:1:ffff:ffff:ffff:fffe", "JP"),
            ("2a00:0:0:1:ffff:ffff:ffff:ffff", "FR"),
            ("2a00:0:0:2::", "DE"),
            ("2a00:0:0:2::1", "FR"),
            ("2a00:0:0:2::2", "DE"),
            ("2a00:0:0:2:1fff:ffff:ffff:ffff", "DE"),
            ("2a00:0:0:2:2000::", "US"),
            ("2a00:0:0:2:7fff:ffff:ffff:ffff", "US"),
            ("2a00:0:0:2:8000::", "JP"),
            ("2a00:0:0:3::", "JP"),
            ("2a01:0:0:1:3fff:ffff:ffff:ffff", ""),
            ("2a01:0:0:1:4000::", "US"),
            ("2a01:0:0:1:7fff:ffff:ffff:ffff", "US"),
            ("2a01:0:0:1:8000::", ""),
            ("2a01:0:0:1:bfff:ffff:ffff:ffff", ""),
            ("2a01:0:0:1:c000::", "US"),
            ("2a01:0:0:2::", ""),
        ],
    );
}

#[test]
fn a_run_for_each_address() {
    let codes = ["AA", "BB", "CC"];
    let networks: Vec<(String, &str)> = (0..1000)
        .map(|host| (format!("2a00::{host:x}/128"), codes[host % 3]))
        .collect();
    let pairs: Vec<_> = networks
        .iter()
        .map(|(network, code)| (network.as_str(), *code))
        .collect();
    let opened = verified(&flat_database(&pairs));
    for (network, code) in pairs {
        assert_codes(&opened, &[(network.split('/').next().unwrap(), code)]);
    }
    // With the hole that follows.
    assert_eq!(runs_in(&opened, "2a00::/64"), 1000 + 1);
    assert_codes(&opened, &[("2a00::3e8", "")]);
}

#[test]
fn neighbours_with_the_same_country_are_one_run() {
    let opened = verified(&flat_database(&[
        ("8.8.8.0/25", "US"),
        ("8.8.8.128/25", "US"),
        ("8.8.9.0/24", "JP"),
        ("2a00:0:0:1::/65", "JP"),
        ("2a00:0:0:1:8000::/65", "JP"),
        ("2a00:0:0:2::/64", "JP"),
        ("2a00:0:0:2::1/128", "JP"),
    ]));
    assert_eq!(runs_in(&opened, "8.8.8.0/23"), 2);
    assert_eq!(runs_in(&opened, "2a00::/32"), 2);
    assert_eq!(
        opened
            .countries()
            .table
            .table()
            .runs()
            .network(addr("2a00:0:0:2::5")),
        "2a00:0:0:2::/64".parse::<IpNet>().unwrap().into()
    );
}

#[test]
fn the_ends_of_each_family() {
    let opened = verified(&flat_database(&[
        ("0.0.0.0/32", "AA"),
        ("255.255.255.255/32", "BB"),
        // What follows the embedded addresses of IPv4, which end at ::ffff:255.255.255.255.
        ("::1:0:0:0/128", "CC"),
        ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "DD"),
        ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "EE"),
    ]));
    assert_codes(
        &opened,
        &[
            ("0.0.0.0", "AA"),
            ("0.0.0.1", ""),
            ("255.255.255.254", ""),
            ("255.255.255.255", "BB"),
            ("::", ""),
            ("::1", ""),
            ("::1:0:0:0", "CC"),
            ("::1:0:0:1", ""),
            ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", ""),
            ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "DD"),
            ("fc00::", ""),
            ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "EE"),
            ("ff00::", ""),
        ],
    );
}
