//! nftables: one map of intervals a family, from source addresses to marks, at the earliest hook there is.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use gate_tests::lab::NetNs;
use gate_user::table::{Family, Runs};

use super::{
    FAMILIES,
    list::addr,
    live::IN,
    peer::{self, Took},
};

/// What the frames are dropped by in the end, or what lets them through to be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Drop,
    Accept,
}

impl Policy {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Accept => "accept",
        }
    }
}

/// Its files.
pub(crate) struct Nft {
    pub(crate) load: PathBuf,
    /// The same elements again, in one transaction.
    pub(crate) reload: PathBuf,
    /// The same in two, between which the map is empty.
    pub(crate) empty: PathBuf,
    pub(crate) fill: PathBuf,
}

impl Nft {
    pub(crate) fn write(directory: &Path, runs: &Runs) -> Result<Self> {
        let load = peer::write(directory, "gate.nft", |file| {
            writeln!(file, "table netdev gate {{")?;
            for family in FAMILIES {
                let (kind, map) = names(family);
                writeln!(
                    file,
                    "map {map} {{ type {kind} : mark; flags interval; elements = {{"
                )?;
                elements(file, runs, family)?;
                writeln!(file, "}} }}")?;
            }
            writeln!(file, "{}", chain(RULES, Policy::Drop))?;
            writeln!(file, "}}")
        })?;
        let flush = |file: &mut dyn Write| {
            FAMILIES.into_iter().try_for_each(|family| {
                let (_, map) = names(family);
                writeln!(file, "flush map netdev gate {map}")
            })
        };
        let add = |file: &mut dyn Write| {
            FAMILIES.into_iter().try_for_each(|family| {
                let (_, map) = names(family);
                writeln!(file, "add element netdev gate {map} {{")?;
                elements(file, runs, family)?;
                writeln!(file, "}}")
            })
        };
        let reload = peer::write(directory, "reload.nft", |file| {
            flush(file)?;
            add(file)
        })?;
        let empty = peer::write(directory, "empty.nft", |file| flush(file))?;
        let fill = peer::write(directory, "fill.nft", |file| add(file))?;
        Ok(Self {
            load,
            reload,
            empty,
            fill,
        })
    }
}

/// `nft -f -`
pub(crate) fn run(netns: &NetNs, input: &Path) -> Result<Took> {
    peer::run(netns, Command::new("nft").args(["-f", "-"]), input)
}

/// A look-up for each family: whether it is one is what the rule asks first.
pub(crate) const RULES: &str =
    "meta mark set ip saddr map @countries4\nmeta mark set ip6 saddr map @countries6";
/// The same without a look-up: the source is loaded and compared with one that nobody has.
pub(crate) const FLOOR: &str = "ip saddr 0.0.0.0 meta mark set 1\nip6 saddr :: meta mark set 1";

pub(crate) fn chain(rules: &str, policy: Policy) -> String {
    format!(
        "chain judge {{ type filter hook ingress device \"{IN}\" priority 0; policy {};\n{rules}\n}}",
        policy.name()
    )
}

/// The hook alone.
pub(crate) fn floor(netns: &NetNs) -> Result<()> {
    let text = format!("table netdev gate {{\n{}\n}}\n", chain(FLOOR, Policy::Drop));
    peer::tool(netns, &["nft", "-f", "-"], &text).map(drop)
}

/// What happens to frames that have their mark.
pub(crate) fn set_policy(netns: &NetNs, policy: Policy) -> Result<()> {
    let text = format!(
        "add chain netdev gate judge {{ policy {}; }}\n",
        policy.name()
    );
    peer::tool(netns, &["nft", "-f", "-"], &text).map(drop)
}

fn names(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("ipv4_addr", "countries4"),
        Family::V6 => ("ipv6_addr", "countries6"),
    }
}

/// Every run that has a number: there is no shorter way to say the same.
fn elements(file: &mut dyn Write, runs: &Runs, family: Family) -> io::Result<()> {
    let all = runs.of(family);
    let nexts = all.iter().skip(1).map(|next| next.start).chain([0]);
    for (run, next) in all.iter().zip(nexts) {
        if run.number != 0 {
            let first = addr(family, run.start).to_ip();
            let last = addr(family, next.wrapping_sub(1)).to_ip();
            writeln!(file, "{first}-{last} : {},", run.number)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ipnet::IpNet;

    use super::*;

    #[test]
    fn elements_are_the_runs_that_have_a_number() {
        let nets = [
            ("192.0.2.0/25", 1),
            ("192.0.2.128/25", 1),
            ("198.51.100.0/24", 2),
            ("255.255.255.0/24", 3),
            ("2001:db8::/32", 4),
        ];
        let prefix = |net: &str| net.parse::<IpNet>().unwrap().into();
        let runs = Runs::longest(nets.map(|(net, number)| (prefix(net), number)));
        let directory = tempfile::tempdir().unwrap();
        let files = Nft::write(directory.path(), &runs).unwrap();
        let text = fs::read_to_string(files.fill).unwrap();
        assert_eq!(
            text,
            "add element netdev gate countries4 {\n\
             192.0.2.0-192.0.2.255 : 1,\n\
             198.51.100.0-198.51.100.255 : 2,\n\
             255.255.255.0-255.255.255.255 : 3,\n\
             }\n\
             add element netdev gate countries6 {\n\
             2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff : 4,\n\
             }\n"
        );
        let reload = fs::read_to_string(files.reload).unwrap();
        assert!(reload.starts_with(
            "flush map netdev gate countries4\nflush map netdev gate countries6\nadd element"
        ));
    }
}
