//! Prefix tables: what is compiled says what the longest of the prefixes says, at every edge, and comes back as the same runs; a line
//! that makes no sense makes no look-up panic.

use std::net::{IpAddr, Ipv6Addr};

use arbitrary::{Result, Unstructured};
use gate_common::{Addr, table::MAX_NUMBER};
use gate_user::{
    generation::Prefix,
    table::{Runs, Table},
};

/// After how many prefixes of one list there are no more.
const MOST: usize = 64;

/// Checks everything, for the prefixes that `data` describes.
pub fn check(data: &[u8]) {
    // What is too short describes nothing.
    let _ = case(&mut Unstructured::new(data));
}

fn case(u: &mut Unstructured<'_>) -> Result<()> {
    let mut prefixes: Vec<(Prefix, u16)> = Vec::new();
    while !u.is_empty() && prefixes.len() < MOST {
        let (first, number) = prefix(u, &prefixes)?;
        prefixes.push((first, number));
        // Nodes and chunks are for what many prefixes side by side have.
        let siblings = if u.ratio(1, 4)? {
            u.int_in_range(1..=40)?
        } else {
            0
        };
        for place in 1..=siblings {
            prefixes.push((sibling(first, place), number ^ (place & 1)));
        }
    }
    let runs = Runs::longest(prefixes.iter().copied());
    let table = Table::new(&runs).expect("so few prefixes make a table");
    for addr in edges(&prefixes) {
        let expected = naive(&prefixes, addr);
        let ip = addr.to_ip();
        assert_eq!(runs.get(addr), expected, "runs at {ip}");
        assert_eq!(table.get(addr), expected, "table at {ip}");
    }
    assert_eq!(table.runs(), runs, "and back");
    spoilt(&table, &prefixes);
    Ok(())
}

/// A prefix, often near one that is there.
fn prefix(u: &mut Unstructured<'_>, before: &[(Prefix, u16)]) -> Result<(Prefix, u16)> {
    let number = match u.int_in_range(0..=3)? {
        0 => u.int_in_range(2..=MAX_NUMBER)?,
        1 => u.int_in_range(250..=260)?,
        _ => u.int_in_range(2..=4)?,
    };
    let choice: u8 = u.arbitrary()?;
    let addr = if choice & 1 != 0 && !before.is_empty() {
        let near = u.choose(before)?.0.addr();
        let bit = u.int_in_range(0..=127)?;
        match near.to_ip() {
            IpAddr::V4(ip) => Addr::v4(ip.to_bits() ^ 1 << (bit % 32)),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() ^ 1 << bit).into(),
        }
    } else if choice & 2 != 0 {
        Addr::v4(u.arbitrary()?)
    } else if choice & 4 != 0 {
        // Where IPv6 is handed out.
        let bits: u128 = u.arbitrary()?;
        Ipv6Addr::from_bits(bits >> 3 | 1 << 125).into()
    } else {
        Ipv6Addr::from_bits(u.arbitrary()?).into()
    };
    let length = if addr.is_v4() {
        u.int_in_range(96..=128)?
    } else {
        u.int_in_range(0..=128)?
    };
    Ok((Prefix::of(addr, length), number))
}

/// The prefix of the same length that many places behind, if there is one in the family.
fn sibling(first: Prefix, place: u16) -> Prefix {
    let step = u128::from(place)
        .checked_shl(128 - u32::from(first.length()))
        .unwrap_or(0);
    let bits = (u128::from(first.addr().hi) << 64) | u128::from(first.addr().lo);
    let next: Addr = Ipv6Addr::from_bits(bits.wrapping_add(step)).into();
    if next.is_v4() == first.addr().is_v4() {
        Prefix::of(next, first.length())
    } else {
        first
    }
}

/// The number of the longest prefix that has `addr`, each prefix tried; of equal ones the last.
fn naive(prefixes: &[(Prefix, u16)], addr: Addr) -> u16 {
    prefixes
        .iter()
        .filter(|(prefix, _)| covers(*prefix, addr))
        .max_by_key(|(prefix, _)| prefix.length())
        .map_or(0, |(_, number)| *number)
}

fn covers(prefix: Prefix, addr: Addr) -> bool {
    let bits = |addr: Addr| (u128::from(addr.hi) << 64) | u128::from(addr.lo);
    let different = bits(prefix.addr()) ^ bits(addr);
    prefix.addr().is_v4() == addr.is_v4() && different.leading_zeros() >= u32::from(prefix.length())
}

/// The addresses where anything can change: the first and last of each prefix, the ones before and after, and the ends of both
/// families and of what has entries of its own.
fn edges(prefixes: &[(Prefix, u16)]) -> Vec<Addr> {
    let ends = [
        0,
        0x2000 << 112,
        0x4000 << 112,
        0xffff << 32,
        0x1_0000 << 32,
    ];
    let mut edges: Vec<u128> = ends
        .into_iter()
        .flat_map(|bits: u128| [bits, bits.wrapping_sub(1)])
        .collect();
    for (prefix, _) in prefixes {
        let addr = prefix.addr();
        let first = (u128::from(addr.hi) << 64) | u128::from(addr.lo);
        let open = u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
        let last = first | open;
        edges.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1)]);
    }
    edges
        .into_iter()
        .map(|bits| Ipv6Addr::from_bits(bits).into())
        .collect()
}

/// Lines that were damaged lead to some answer, or to none.
fn spoilt(table: &Table, prefixes: &[(Prefix, u16)]) {
    let mut nodes = table.nodes().to_vec();
    for (place, line) in nodes.iter_mut().enumerate() {
        line.rotate_left(1 + place % 7);
    }
    let spoilt = Table::from_lines(table.root().to_vec(), nodes);
    let short = Table::from_lines(table.root().to_vec(), Vec::new());
    for addr in edges(prefixes) {
        let _ = spoilt.get(addr);
        let _ = short.get(addr);
    }
}
