//! `gate geoip diff` of two real databases: every address that it lists is one that the library finds in those two countries, and no other address
//! is found in two.

use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gate_common::Country;
use gate_user::{
    config::CountryField,
    databases::{self, Moves, Wanted},
};
use ipnet::IpNet;
use libtest_mimic::Trial;

use super::library::{Library, Random};

/// How many addresses of each family are asked about at random.
const RANDOM: usize = 200_000;

pub(super) fn trials() -> Vec<Trial> {
    let variables = ["GATE_MMDB", "GATE_MMDB_IPTOASN"];
    let paths: Vec<PathBuf> = variables
        .iter()
        .filter_map(env::var_os)
        .map(Into::into)
        .collect();
    let missing = paths.len() < variables.len();
    let trial = Trial::test("moves::two_providers", move || {
        let [old, new] = paths.as_slice() else {
            return Err(format!("{} do not name two databases", variables.join(" and ")).into());
        };
        Ok(exact(old, new)?)
    });
    vec![trial.with_ignored_flag(missing)]
}

fn wanted(country: Option<Country>) -> Wanted {
    Wanted {
        field: CountryField::Country,
        country,
        prefixes: usize::MAX,
    }
}

fn exact(old: &Path, new: &Path) -> Result<()> {
    let moves = databases::moves(old, new, wanted(None))?;
    ensure!(moves.left_out.is_empty(), "both know both families");
    let mut listed = BTreeMap::new();
    for group in &moves.groups {
        let codes =
            [&group.countries.before, &group.countries.after].map(|it| country(it.as_deref()));
        ensure!(
            group.prefixes_left_out == 0 && codes[0] != codes[1],
            "{:?}",
            group.countries
        );
        for prefix in &group.prefixes {
            let net: IpNet = prefix.parse()?;
            ensure!(
                listed.insert(net.network(), (net, codes)).is_none(),
                "{net} twice"
            );
        }
    }
    ensure!(listed.len() > 10_000, "two providers agree too well");
    sizes(&moves, listed.values().map(|(net, _)| *net))?;
    let [mut old_library, mut new_library] = [Library::open(old)?, Library::open(new)?];
    let mut both = |addr: IpAddr| -> Result<[Country; 2]> {
        Ok([old_library.country(addr)?, new_library.country(addr)?])
    };
    for (net, codes) in listed.values() {
        for addr in [net.network(), net.broadcast()] {
            let found = both(addr)?;
            ensure!(found == *codes, "{addr}: {found:?} instead of {codes:?}");
        }
    }
    let mut random = Random(0xd1ff);
    let mut differ = 0;
    for _ in 0..RANDOM {
        for addr in [
            Ipv4Addr::from_bits(random.narrow()).into(),
            IpAddr::from(Ipv6Addr::from_bits((1 << 125) | (random.bits() >> 3))),
        ] {
            let before = listed.range(..=addr).next_back();
            let listed = before.filter(|(_, (net, _))| net.contains(&addr));
            let found = both(addr)?;
            let expected = (found[0] != found[1]).then_some(found);
            ensure!(
                listed.map(|(_, (_, codes))| *codes) == expected,
                "{addr}: {found:?}, listed {listed:?}"
            );
            differ += usize::from(expected.is_some());
        }
    }
    ensure!(
        differ > 100,
        "{differ} addresses of {RANDOM} differ: too few to say anything"
    );
    of_one_country(&moves, old, new)
}

/// The sizes are those of the prefixes: addresses of IPv4, and /64s of IPv6, of which one counts once in each group.
fn sizes(moves: &Moves, nets: impl Iterator<Item = IpNet>) -> Result<()> {
    let mut v4 = 0u64;
    for net in nets {
        if let IpNet::V4(net) = net {
            v4 += 1 << (32 - net.prefix_len());
        }
    }
    ensure!(
        v4 == moves.size.v4_addresses,
        "{v4} addresses of IPv4, not {}",
        moves.size.v4_addresses
    );
    let sum = |of: fn(&databases::Balance) -> u64| moves.countries.iter().map(of).sum::<u64>();
    ensure!(sum(|it| it.lost.v4_addresses) == v4, "what countries lose");
    ensure!(sum(|it| it.gained.v4_addresses) == v4, "what countries get");
    Ok(())
}

/// With a country, the groups are those of it and no others.
fn of_one_country(moves: &Moves, old: &Path, new: &Path) -> Result<()> {
    let jp = Country::from_code("JP").context("no such code")?;
    let some = databases::moves(old, new, wanted(Some(jp)))?;
    let of_jp: Vec<_> = moves
        .groups
        .iter()
        .filter(|it| [&it.countries.before, &it.countries.after].contains(&&Some("JP".to_owned())))
        .collect();
    ensure!(
        !of_jp.is_empty() && some.groups.iter().eq(of_jp),
        "other groups"
    );
    Ok(())
}

fn country(code: Option<&str>) -> Country {
    code.and_then(Country::from_code).unwrap_or(Country::NONE)
}
