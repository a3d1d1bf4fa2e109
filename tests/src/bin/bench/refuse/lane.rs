//! A filter on a line of its own, and its own word for what it did.

use std::{fs, os::fd::OwnedFd, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Daemon, Gate},
    lab::{LabName, Pins},
    pin,
};
use nix::net::if_::if_nametoindex;
use tempfile::TempDir;

use super::{
    line::Line,
    policy::{self, ACCESS, Keys},
};
use crate::{
    suite::RuleSet,
    xdp_filter::{self, XdpFilter},
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An XDP program that drops everything: the least that a refused packet can cost.
    Floor,
    Native,
    Generic,
    XdpFilter,
    NftNetdev,
    NftConcatenated,
    NftInet,
    Iptables,
    IptablesLegacy,
}

impl Subject {
    pub(crate) const ALL: [Self; 9] = [
        Self::Floor,
        Self::Native,
        Self::Generic,
        Self::XdpFilter,
        Self::NftNetdev,
        Self::NftConcatenated,
        Self::NftInet,
        Self::Iptables,
        Self::IptablesLegacy,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Native => "gate, native",
            Self::Generic => "gate, generic",
            Self::XdpFilter => "xdp-filter",
            Self::NftNetdev => "nft, netdev ingress",
            Self::NftConcatenated => "nft, netdev ingress, concatenated",
            Self::NftInet => "nft, inet prerouting raw",
            Self::Iptables => "iptables-nft raw, ipset",
            Self::IptablesLegacy => "iptables-legacy raw, ipset",
        }
    }

    /// The commands without which there is no such subject.
    pub(crate) const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Floor | Self::Native | Self::Generic => &[],
            Self::XdpFilter => &[xdp_filter::COMMAND],
            Self::NftNetdev | Self::NftConcatenated | Self::NftInet => &["nft"],
            Self::Iptables => &[IPTABLES_NFT, "ipset"],
            Self::IptablesLegacy => &[IPTABLES_LEGACY, "ipset"],
        }
    }

    /// Whether it knows relays and exempt sources.
    pub(crate) const fn knows_policy(self) -> bool {
        !matches!(self, Self::Floor | Self::XdpFilter)
    }
}

/// The filter, in force.
enum Filter {
    /// A program that drops, on its link.
    Program(#[expect(dead_code, reason = "it is held, not used")] OwnedFd),
    Gate {
        // It ends before its pins and its socket go.
        _daemon: Daemon,
        pins: Pins,
        scratch: TempDir,
    },
    Xdp(Pins),
    Nft,
    /// By this command.
    Iptables(&'static str),
}

/// iptables through the machinery of nftables, which Debian's `iptables` is, and with its own.
const IPTABLES_NFT: &str = "iptables-nft";
const IPTABLES_LEGACY: &str = "iptables-legacy";

/// The subject on its line.
pub(crate) struct Lane {
    pub(crate) subject: Subject,
    filter: Filter,
    pub(crate) line: Line,
    /// Its rules, as they were given.
    pub(crate) rules: Option<RuleSet>,
}

impl Lane {
    /// Builds the line, and puts the filter in force.
    pub(crate) fn new(subject: Subject, gate: &Path, sink: bool) -> Result<Self> {
        let line = Line::new(sink)?;
        let (filter, text) = match subject {
            Subject::Floor => {
                let program = pin::dropping_program()?;
                let attach = || pin::attach(&program, if_nametoindex(ACCESS)?);
                (Filter::Program(line.router.run(attach)??), None)
            }
            Subject::Native => start(gate, &line, "native")?,
            Subject::Generic => start(gate, &line, "generic")?,
            Subject::XdpFilter => {
                let pins = XdpFilter::load(&line.router, ACCESS)?.into_pins();
                (Filter::Xdp(pins), Some(xdp_filter::typed(ACCESS)))
            }
            Subject::NftNetdev => nft(&line, &policy::nft("netdev", &ingress(), Keys::Addresses))?,
            Subject::NftConcatenated => {
                nft(&line, &policy::nft("netdev", &ingress(), Keys::WithPorts))?
            }
            Subject::NftInet => {
                let hook = "prerouting priority raw";
                nft(&line, &policy::nft("inet", hook, Keys::Addresses))?
            }
            Subject::Iptables => iptables(&line, IPTABLES_NFT)?,
            Subject::IptablesLegacy => iptables(&line, IPTABLES_LEGACY)?,
        };
        Ok(Self {
            subject,
            filter,
            line,
            rules: text.map(|text| RuleSet {
                subject: subject.name().to_owned(),
                text,
            }),
        })
    }

    /// How many packets it says that it refused; `None` where it does not count.
    pub(crate) fn refused(&self, gate: &Path) -> Result<Option<u64>> {
        Ok(match &self.filter {
            Filter::Nft => None,
            Filter::Program(_) => Some(self.line.dropped_in_driver()?),
            Filter::Gate { pins, scratch, .. } => {
                let gate = Gate::here(gate, pins.path(), scratch.path()).within(&self.line.router);
                Some(gate.counters()?.verdicts.refused)
            }
            Filter::Xdp(pins) => Some(xdp_filter::counts(&self.line.router, pins)?.hits),
            Filter::Iptables(command) => {
                let list = [
                    "--table",
                    "raw",
                    "--list",
                    "PREROUTING",
                    "--verbose",
                    "--numeric",
                    "--exact",
                    "--wait",
                ];
                let text = self.line.inside(command, &list, "")?;
                let count = rule_count(&text);
                Some(count.with_context(|| format!("unexpected output of iptables: {text}"))?)
            }
        })
    }
}

/// A filter, and its rules.
type InForce = (Filter, Option<String>);

fn start(program: &Path, line: &Line, mode: &str) -> Result<InForce> {
    let name = LabName::fresh().to_string();
    let pins = Pins::new(&name)?;
    let scratch = tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir()
        .context("cannot make a temporary directory")?;
    let text = policy::gate(mode);
    let config = scratch.path().join("bench.toml");
    fs::write(&config, &text)?;
    let gate = Gate::here(program, pins.path(), scratch.path()).within(&line.router);
    let daemon = gate.run(&config)?;
    ensure!(
        line.router.attached()?.contains_key(ACCESS),
        "the gate is not on {ACCESS}"
    );
    let filter = Filter::Gate {
        pins,
        scratch,
        _daemon: daemon,
    };
    Ok((filter, Some(text)))
}

/// The earliest hook that nftables has.
fn ingress() -> String {
    format!("ingress device {ACCESS} priority filter")
}

fn iptables(line: &Line, command: &'static str) -> Result<InForce> {
    let sets = policy::ipset();
    line.inside("ipset", &["restore"], &sets)?;
    line.inside(command, &policy::IPTABLES, "")?;
    let text = format!("{sets}\n{command} {}\n", policy::IPTABLES.join(" "));
    Ok((Filter::Iptables(command), Some(text)))
}

fn nft(line: &Line, rules: &str) -> Result<InForce> {
    line.inside("nft", &["-f", "-"], rules)?;
    Ok((Filter::Nft, Some(rules.to_owned())))
}

/// The packets of the only rule that drops.
fn rule_count(list: &str) -> Option<u64> {
    let mut rules = list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let packets = words.next()?;
        (words.nth(1) == Some("DROP")).then(|| packets.parse().ok())
    });
    rules.next()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_drops_has_a_count() {
        let list = "Chain PREROUTING (policy ACCEPT 5 packets, 300 bytes)\n    pkts      bytes target     prot opt in     out     source  destination\n\
                    \x20    4096   245760 DROP       6    --  *      *       0.0.0.0/0   0.0.0.0/0   tcp dpt:25 match-set\n";
        assert_eq!(rule_count(list), Some(4096));
        assert_eq!(
            rule_count("Chain PREROUTING (policy DROP 5 packets, 300 bytes)\n"),
            None
        );
    }
}
