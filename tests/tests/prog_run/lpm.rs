//! Prefix tables against the kernel's own longest-prefix match (`BPF_MAP_TYPE_LPM_TRIE`), which shares no code with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use gate_user::{
    sys::{Map, MapKind},
    table::{Runs, Table},
};
use ipnet::IpNet;
use libtest_mimic::Trial;

use crate::bench::Bench;

/// Prefixes, and what each says.
type List = Vec<(IpNet, u16)>;

/// How many addresses are asked of each list, besides those where the answer can change.
const RANDOM: usize = 10_000;

/// All trials.
pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    let trial = |name: &str, list: fn(&mut Rng) -> Result<List>| {
        bench.trial(format!("lpm: {name}"), move |_| {
            let mut random = Rng::with_seed(128);
            compare(&list(&mut random)?, &mut random)
        })
    };
    vec![
        trial("a prefix of every length around one host", chains),
        trial("neighbours that touch, and holes in between", combs),
        trial("prefixes in prefixes, by chance", nested),
        trial("prefixes all over the space, by chance", scattered),
    ]
}

/// Both families as the kernel keeps them: a length and an address in network byte order.
struct Tries {
    v4: Map,
    v6: Map,
}

impl Tries {
    fn new(list: &List) -> Result<Self> {
        /// `BPF_F_NO_PREALLOC`, without which the kernel makes no trie.
        const NO_PREALLOC: u32 = 1;
        let trie = |address: usize| {
            let (key, room) = (4 + address, list.len().max(1));
            Map::create(
                "lpm",
                MapKind::LpmTrie,
                key,
                size_of::<u32>(),
                room,
                NO_PREALLOC,
            )
        };
        let tries = Self {
            v4: trie(4).context("cannot make a trie")?,
            v6: trie(16).context("cannot make a trie")?,
        };
        for (net, number) in list {
            let (length, number) = (net.prefix_len(), u32::from(*number));
            match net.network() {
                IpAddr::V4(ip) => tries.v4.update(&key4(ip, length), &number)?,
                IpAddr::V6(ip) => tries.v6.update(&key6(ip, length), &number)?,
            }
        }
        Ok(tries)
    }

    fn get(&self, address: IpAddr) -> Result<u32> {
        let found = match address {
            IpAddr::V4(ip) => self.v4.lookup(&key4(ip, 32))?,
            IpAddr::V6(ip) => self.v6.lookup(&key6(ip, 128))?,
        };
        Ok(found.unwrap_or(0))
    }
}

fn key4(ip: Ipv4Addr, length: u8) -> [u32; 2] {
    [length.into(), u32::from_ne_bytes(ip.octets())]
}

fn key6(ip: Ipv6Addr, length: u8) -> [u32; 5] {
    let [a, b, c, d] = bytemuck::cast::<[u8; 16], [u32; 4]>(ip.octets());
    [length.into(), a, b, c, d]
}

fn compare(list: &List, random: &mut Rng) -> Result<()> {
    let prefixes = list.iter().map(|(net, number)| ((*net).into(), *number));
    let table = Table::new(&Runs::longest(prefixes))?;
    let tries = Tries::new(list)?;
    let mut addresses = edges(list);
    addresses.extend((0..RANDOM).map(|_| near(list, random)));
    let mut known = 0;
    for address in addresses {
        let (found, expected) = (u32::from(table.get(address.into())), tries.get(address)?);
        ensure!(
            found == expected,
            "{address}: the table says {found}, the kernel's trie {expected}"
        );
        known += usize::from(found > 0);
    }
    ensure!(known >= list.len(), "only {known} addresses had a number");
    Ok(())
}

/// The first and the last address of each prefix, and those before and after.
fn edges(prefixes: &List) -> Vec<IpAddr> {
    let around = |(net, _): &(IpNet, u16)| match (net.network(), net.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                .map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                .map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)))
        }
        (first, last) => [first, last, first, last],
    };
    prefixes.iter().flat_map(around).collect()
}

/// An address somewhere around one of the prefixes.
fn near(list: &List, random: &mut Rng) -> IpAddr {
    let Some((net, _)) = random.choice(list) else {
        return Ipv4Addr::UNSPECIFIED.into();
    };
    let kept = random.u8(0..=net.prefix_len());
    match net.network() {
        IpAddr::V4(ip) => {
            let open = u32::MAX.checked_shr(kept.into()).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() ^ (random.u32(..) & open)).into()
        }
        IpAddr::V6(ip) => v6(ip.to_bits() ^ (random.u128(..) & after(kept))),
    }
}

/// Not one that stands for an IPv4 address: the gate takes it for that.
fn v6(bits: u128) -> IpAddr {
    let ip = Ipv6Addr::from_bits(bits);
    if ip.to_ipv4_mapped().is_some() {
        Ipv6Addr::from_bits(bits ^ 1 << 127).into()
    } else {
        ip.into()
    }
}

/// The bits after the first `length`.
fn after(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// The prefix of this length around `address`.
fn around(address: IpAddr, length: u8) -> Result<IpNet> {
    Ok(IpNet::new(address, length)?.trunc())
}

/// With numbers from 1; of equal prefixes one.
fn numbered(nets: impl IntoIterator<Item = Result<IpNet>>) -> Result<List> {
    let nets: std::collections::BTreeSet<IpNet> = nets.into_iter().collect::<Result<_>>()?;
    Ok(nets.into_iter().zip((1..=20_000).cycle()).collect())
}

fn chains(_: &mut Rng) -> Result<List> {
    let hosts = [
        "0.0.0.0",
        "203.0.113.77",
        "255.255.255.255",
        "2000::",
        "2001:db8:1234:5678:9abc:def0:1357:2468",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "4000::",
        "fd00::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];
    let mut nets = Vec::new();
    for host in hosts {
        let host: IpAddr = host.parse()?;
        let longest = if host.is_ipv4() { 32 } else { 128 };
        nets.extend((0..=longest).map(|length| around(host, length)));
    }
    numbered(nets)
}

fn combs(_: &mut Rng) -> Result<List> {
    let v4 = |bits: u32, length| around(Ipv4Addr::from_bits(bits).into(), length);
    let v6 = |bits: u128, length| around(Ipv6Addr::from_bits(bits).into(), length);
    let base = 0x2001_0db8_u128 << 96;
    let mut nets = Vec::new();
    for index in 0..256u32 {
        let wide = u128::from(index);
        nets.push(v4(0x0a00_0000 | index << 8, 24));
        nets.push(v4(0x0a01_0000 | index << 1, 32));
        nets.push(v4(0xc000_0000 | index << 16, 17));
        nets.push(v6(base | wide << 88, 40));
        nets.push(v6(base | wide << 81, 48));
        nets.push(v6(base | wide << 64, 64));
        nets.push(v6(base | 1 << 95 | wide << 65, 64));
        nets.push(v6(base | wide << 1, 128));
        nets.push(v6(0xfd << 120 | wide << 72, 60));
    }
    numbered(nets)
}

fn nested(random: &mut Rng) -> Result<List> {
    let mut nets = Vec::new();
    let (mut v4, mut wide) = (0x6440_0000_u32, 0x2400_4000_u128 << 96);
    for _ in 0..1500 {
        // Mostly deeper below the one before, at times from the beginning.
        let [short, long] = [random.u8(8..=32), random.u8(20..=128)];
        v4 = (v4 & !(u32::MAX >> 10)) | (random.u32(..) >> 10 & (0x7 << random.u32(0..20)));
        wide = (wide & !after(29)) | (random.u128(..) & after(29) & (0xf << random.u32(0..90)));
        nets.push(around(Ipv4Addr::from_bits(v4).into(), short));
        nets.push(around(Ipv6Addr::from_bits(wide).into(), long));
    }
    numbered(nets)
}

fn scattered(random: &mut Rng) -> Result<List> {
    let mut nets = Vec::new();
    for _ in 0..3000 {
        nets.push(around(
            Ipv4Addr::from_bits(random.u32(..)).into(),
            random.u8(1..=32),
        ));
        let address = match random.u8(0..4) {
            0 => random.u128(..),
            _ => (1 << 125) | (random.u128(..) >> 3),
        };
        nets.push(around(v6(address), random.u8(1..=128)));
    }
    numbered(nets)
}
