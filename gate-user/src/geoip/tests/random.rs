//! Databases at random, held against lists that are scanned from end to end.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{Ipv4Net, Ipv6Net};
use mmdb_writer::{Ipv4Aliasing, RecordSize};
use proptest::{collection, prelude::*};

use super::*;

/// Networks and countries. The same network has one country.
type Networks<N> = BTreeMap<N, &'static str>;

fn country() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["JP", "US", "DE", "A1"][..])
}

/// Networks from a small part of all addresses, so that they meet.
fn v4() -> impl Strategy<Value = Networks<Ipv4Net>> {
    let first = prop::sample::select(&[0, 9, 10, 20, 100, 223, 224, 255][..]);
    let net =
        (first, 0..4_u32, any::<u32>(), 0..=32_u8).prop_map(|(first, second, rest, length)| {
            let bits = (first << 24) | (second << 22) | (rest & 0x3f_ffff);
            Ipv4Net::new(Ipv4Addr::from_bits(bits), length)
                .unwrap()
                .trunc()
        });
    collection::btree_map(net, country(), 1..40)
}

fn v6() -> impl Strategy<Value = Networks<Ipv6Net>> {
    let first =
        prop::sample::select(&[0x64_u128, 0x2001, 0x2002, 0x2a00, 0xfbff, 0xfc00, 0xffff][..]);
    let second = prop::sample::select(&[0_u128, 1, 0x200, 0xff9b][..]);
    let lower = prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let length = prop_oneof![1..=64_u8, 64..=128_u8];
    let net = (first, second, 0..3_u128, lower, length).prop_map(
        |(first, second, fourth, lower, length)| {
            let bits = (first << 112) | (second << 96) | (fourth << 64) | u128::from(lower);
            Ipv6Net::new(Ipv6Addr::from_bits(bits), length)
                .unwrap()
                .trunc()
        },
    );
    collection::btree_map(net, country(), 1..40)
}

/// What no database is asked about.
static HOLES: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let holes = "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 224.0.0.0/4 \
                 ::/96 64:ff9b::/96 64:ff9b:1::/48 2001::/32 2002::/16 fc00::/7 fe80::/10 ff00::/8";
    holes.split(' ').map(|it| it.parse().unwrap()).collect()
});

fn is_asked(addr: IpAddr) -> bool {
    !HOLES.iter().any(|hole| hole.contains(&addr))
}

/// The country of the longest of `networks` with `addr`; "" if none has it.
fn longest<N: Into<IpNet> + Copy>(networks: &Networks<N>, addr: IpAddr) -> &'static str {
    networks
        .iter()
        .map(|(net, country)| ((*net).into(), *country))
        .filter(|(net, _): &(IpNet, _)| is_asked(addr) && net.contains(&addr))
        .max_by_key(|(net, _)| net.prefix_len())
        .map_or("", |(_, country)| country)
}

fn write(
    v4: &Networks<Ipv4Net>,
    v6: &Networks<Ipv6Net>,
    aliasing: Ipv4Aliasing,
    size: RecordSize,
) -> NamedTempFile {
    let mut writer = Writer::builder("Test")
        .ipv4_aliasing(aliasing)
        .record_size(size)
        .build();
    let v4 = v4.iter().map(|(net, country)| (IpNet::V4(*net), *country));
    let v6 = v6.iter().map(|(net, country)| (IpNet::V6(*net), *country));
    let mut all: Vec<_> = v4.chain(v6).collect();
    // The last one wins, and so the longer ones come last.
    all.sort_by_key(|(net, _)| net.prefix_len());
    for (net, country) in all {
        match writer.insert(net, &flat(country)) {
            Ok(()) | Err(mmdb_writer::Error::AliasedNetwork(_)) => {}
            Err(error) => panic!("{net}: {error}"),
        }
    }
    written(&writer)
}

/// The first and the last address of each network, and those beside them.
fn edges(first: u128, last: u128, most: u128) -> impl Iterator<Item = u128> {
    [
        first.checked_sub(1),
        Some(first),
        Some(last),
        last.checked_add(1),
    ]
    .into_iter()
    .flatten()
    .filter(move |it| *it <= most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_a_scan(
        v4 in v4(),
        v6 in v6(),
        aliasing in prop::sample::select(&[Ipv4Aliasing::Enabled, Ipv4Aliasing::Disabled][..]),
        size in prop::sample::select(&[RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32][..]),
        more in collection::vec(any::<(u32, u128)>(), 20),
    ) {
        // A network of IPv6 that covers ::/96 is one of IPv4 as well: that has a test of its own.
        let v6: Networks<Ipv6Net> = v6.into_iter().filter(|(net, _)| !net.network().is_unspecified()).collect();
        // Each family has a country somewhere; 8.8.8.0/24 and 3000::/16 are where no other network begins.
        let v4: Networks<Ipv4Net> = v4.into_iter().chain([("8.8.8.0/24".parse().unwrap(), "JP")]).collect();
        let v6: Networks<Ipv6Net> = v6.into_iter().chain([("3000::/16".parse().unwrap(), "JP")]).collect();
        let opened = verified(&write(&v4, &v6, aliasing, size));
        let table = &opened.countries().table;
        let code = |addr: IpAddr| table.country(addr.into()).code().map(|it| it.to_string()).unwrap_or_default();

        let addrs = v4
            .keys()
            .flat_map(|net| edges(net.network().to_bits().into(), net.broadcast().to_bits().into(), u32::MAX.into()))
            .filter_map(|bits| u32::try_from(bits).ok())
            .chain(more.iter().map(|(v4, _)| *v4));
        for addr in addrs.map(Ipv4Addr::from_bits) {
            prop_assert_eq!(code(addr.into()), longest(&v4, addr.into()), "{}", addr);
        }
        let addrs = v6
            .keys()
            .flat_map(|net| edges(net.network().to_bits(), net.broadcast().to_bits(), u128::MAX))
            .chain(more.iter().map(|(_, v6)| *v6));
        // IPv4 in IPv6 form is IPv4.
        for addr in addrs.map(Ipv6Addr::from_bits).filter(|it| it.to_ipv4_mapped().is_none()) {
            prop_assert_eq!(code(addr.into()), longest(&v6, addr.into()), "{}", addr);
        }
    }
}
