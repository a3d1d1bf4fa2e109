//! Trees of every shape.

use mmdb_writer::{IpVersion, Ipv4Aliasing, RecordSize};

use super::*;

#[test]
fn records_of_every_size() {
    for size in [RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32] {
        for aliasing in [Ipv4Aliasing::Enabled, Ipv4Aliasing::Disabled] {
            let mut writer = Writer::builder("Test")
                .record_size(size)
                .ipv4_aliasing(aliasing)
                .build();
            fill(
                &mut writer,
                &[
                    ("0.0.0.0/32", flat("AA")),
                    ("8.8.8.0/24", flat("US")),
                    ("8.8.8.8/32", flat("JP")),
                    ("255.255.255.255/32", flat("BB")),
                    ("2a00::/12", flat("DE")),
                    ("2a00:1::/32", flat("FR")),
                ],
            );
            let opened = verified(&written(&writer));
            assert_codes(
                &opened,
                &[
                    ("0.0.0.0", "AA"),
                    ("0.0.0.1", ""),
                    ("8.8.7.255", ""),
                    ("8.8.8.0", "US"),
                    ("8.8.8.8", "JP"),
                    ("8.8.8.255", "US"),
                    ("8.8.9.0", ""),
                    ("255.255.255.254", ""),
                    ("255.255.255.255", "BB"),
                    ("29ff:ffff::", ""),
                    ("2a00::", "DE"),
                    ("2a00:1::1", "FR"),
                    ("2a0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "DE"),
                    ("2a10::", ""),
                ],
            );
            let database = &opened.countries().databases[0];
            assert_eq!(database.countries, 6);
        }
    }
}

#[test]
fn tunnels_are_holes_whatever_the_database_says() {
    // MaxMind's trees repeat IPv4 at ::ffff:0:0/96, 2001::/32 and 2002::/16.
    let aliased = flat_database(&[("8.8.8.0/24", "US"), ("2001:200::/32", "JP")]);
    // Repackaged ones say something of their own there.
    let mut writer = Writer::builder("Test")
        .ipv4_aliasing(Ipv4Aliasing::Disabled)
        .build();
    fill(
        &mut writer,
        &[
            ("8.8.8.0/24", flat("US")),
            ("64::/16", flat("AU")),
            ("64:ff9b::/96", flat("DE")),
            ("64:ff9b:1::/48", flat("DE")),
            ("2001::/16", flat("CA")),
            ("2001::/32", flat("US")),
            ("2001:200::/32", flat("JP")),
            ("2002::/16", flat("US")),
            ("2002:808:800::/40", flat("CN")),
        ],
    );
    let repackaged = written(&writer);
    for file in [&aliased, &repackaged] {
        let opened = verified(file);
        assert_codes(
            &opened,
            &[
                ("8.8.8.8", "US"),
                ("::8.8.8.8", ""),
                ("::1", ""),
                ("2001:0:808:808::1", ""),
                ("2002:808:808::1", ""),
                ("64:ff9b::8.8.8.8", ""),
                ("64:ff9b:1::1", ""),
                ("2001:200::1", "JP"),
            ],
        );
        // IPv4 in IPv6 form is IPv4, and the table does not say it twice.
        assert_codes(&opened, &[("::ffff:8.8.8.8", "US"), ("::ffff:8.8.9.1", "")]);
        assert_eq!(runs_in(&opened, "::/63"), 1);
    }
    assert_codes(
        &verified(&repackaged),
        &[
            ("64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "AU"),
            ("64:ff9b::ffff:ffff", ""),
            ("64:ff9b::1:0:0", "AU"),
            ("64:ff9b:0:1::", "AU"),
            ("64:ff9b:2::", "AU"),
            ("2001:1::", "CA"),
            ("2003::", ""),
        ],
    );
}

#[test]
fn local_addresses_have_no_country() {
    let opened = verified(&flat_database(&[
        ("0.0.0.0/0", "US"),
        ("10.0.0.0/8", "ZZ"),
        ("192.168.1.0/24", "JP"),
        ("2000::/3", "US"),
        ("fc00::/7", "JP"),
        ("fd00:1::/32", "DE"),
        ("fe80::/10", "JP"),
        ("ff00::/8", "JP"),
    ]));
    for local in [
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert_codes(&opened, &[(local.0, ""), (local.1, "")]);
    }
    for public in [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "240.0.0.0",
        "0.0.0.0",
        "255.255.255.255",
    ] {
        assert_codes(&opened, &[(public, "US")]);
    }
    let database = &opened.countries().databases[0];
    // What is said of local addresses alone is not counted.
    assert_eq!(database.countries, 1);
}

#[test]
fn networks_outside_of_what_is_allocated() {
    let opened = verified(&flat_database(&[
        ("100::/8", "AA"),
        ("4000::/3", "BB"),
        ("4000:1::/32", "CC"),
        ("fec0::/10", "DD"),
    ]));
    assert_codes(
        &opened,
        &[
            ("ff:ffff::", ""),
            ("100::", "AA"),
            ("1ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "AA"),
            ("200::", ""),
            ("4000::", "BB"),
            ("4000:1::", "CC"),
            ("4000:2::", "BB"),
            ("6000::", ""),
            ("fec0::", "DD"),
        ],
    );
}

#[test]
fn one_country_for_everything() {
    for aliasing in [Ipv4Aliasing::Enabled, Ipv4Aliasing::Disabled] {
        let mut writer = Writer::builder("Test").ipv4_aliasing(aliasing).build();
        fill(&mut writer, &[("::/0", flat("JP"))]);
        let opened = verified(&written(&writer));
        assert_codes(
            &opened,
            &[
                ("0.0.0.0", "JP"),
                ("10.0.0.1", ""),
                ("255.255.255.255", "JP"),
                ("2001:db8::", "JP"),
                ("2002::", ""),
                ("fbff::", "JP"),
            ],
        );
        assert_eq!(opened.countries().databases[0].countries, 1);
    }
}

#[test]
fn one_record_for_all_of_ipv4_and_some_of_ipv6() {
    // The place of that record in the tree is where IPv4 starts: the other networks with it are no aliases of IPv4.
    let mut writer = Writer::builder("Test")
        .ipv4_aliasing(Ipv4Aliasing::Disabled)
        .build();
    fill(
        &mut writer,
        &[
            ("0.0.0.0/0", flat("JP")),
            ("2001:200::/32", flat("JP")),
            ("2a00::/12", flat("DE")),
        ],
    );
    let opened = verified(&written(&writer));
    assert_codes(
        &opened,
        &[
            ("8.8.8.8", "JP"),
            ("2001:200::", "JP"),
            ("2a00::", "DE"),
            ("2001:201::", ""),
        ],
    );
    let database = &opened.countries().databases[0];
    assert_eq!((database.networks_v4, database.networks_v6), (1, 2));
}

#[test]
fn more_countries_than_a_byte_has_numbers_for() {
    let countries: Vec<String> = Country::all()
        .filter_map(|it| Some(it.code()?.to_string()))
        .take(300)
        .collect();
    let networks: Vec<String> = (0..300_u32)
        .map(|number| format!("20.{}.{}.0/24", number / 256, number % 256))
        .collect();
    let pairs: Vec<_> = networks
        .iter()
        .zip(&countries)
        .map(|(network, code)| (network.as_str(), code.as_str()))
        .collect();
    let opened = verified(&flat_database(&pairs));
    for (network, code) in pairs {
        assert_codes(&opened, &[(network.split('/').next().unwrap(), code)]);
    }
    assert_eq!(opened.countries().databases[0].countries, 301);
}

#[test]
fn many_runs_in_one_place() {
    let mut writer = Writer::new("Test");
    fill(&mut writer, &[("2001:db8::/32", flat("XK"))]);
    let codes = ["AA", "BB", "CC"];
    let base = u32::from_be_bytes([20, 0, 0, 0]);
    for last in 0..=255 {
        let address = IpAddr::from((base + last).to_be_bytes());
        let record = flat(codes[last as usize % 3]);
        writer.insert(IpNet::from(address), &record).unwrap();
    }
    // 7,540 runs of eight and nine addresses.
    let start = |run: u32| u32::from_be_bytes([30, 0, 0, 0]) + run * 65_536 / 7_540;
    for run in 0..7_540 {
        let (first, last) = (start(run).to_be_bytes(), (start(run + 1) - 1).to_be_bytes());
        let value = mmdb_writer::Value::map([("country_code", codes[run as usize % 2])]);
        writer
            .insert_range(IpAddr::from(first), IpAddr::from(last), &value)
            .unwrap();
    }
    let opened = verified(&written(&writer));
    // With the hole that follows each.
    assert_eq!(runs_in(&opened, "20.0.0.0/16"), 256 + 1);
    assert_eq!(runs_in(&opened, "30.0.0.0/16"), 7_540);
    assert_codes(
        &opened,
        &[
            ("20.0.0.255", "AA"),
            ("30.0.255.255", "BB"),
            ("30.1.0.0", ""),
        ],
    );
}

#[test]
fn files_for_one_family() {
    let mut v4 = Writer::builder("Test").ip_version(IpVersion::V4).build();
    fill(
        &mut v4,
        &[("8.8.8.0/24", flat("US")), ("10.0.0.0/8", flat("US"))],
    );
    let mut v6 = Writer::new("Test");
    fill(&mut v6, &[("2001:200::/32", flat("JP"))]);
    let (v4, v6) = (written(&v4), written(&v6));
    for files in [[&v4, &v6], [&v6, &v4]] {
        let opened = open(&files).unwrap();
        assert_codes(
            &opened,
            &[
                ("8.8.8.8", "US"),
                ("10.0.0.1", ""),
                ("2001:200::1", "JP"),
                ("2001:201::", ""),
            ],
        );
        let table = &opened.countries().table;
        opened
            .verify(&|addr| table.country(addr), &|| false)
            .unwrap();
        let networks = opened
            .countries()
            .databases
            .iter()
            .map(|it| it.networks_v4 + it.networks_v6);
        assert_eq!(networks.collect::<Vec<_>>(), [1, 1]);
    }
}
