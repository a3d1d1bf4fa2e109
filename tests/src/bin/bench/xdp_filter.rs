//! xdp-filter of xdp-tools, on an interface of ours.
//!
//! It keeps its pins and its lock in one place for the whole machine. Here these are of this process, mounted over them for the
//! command alone, so that a filter that the machine has already is neither seen nor changed nor waited for.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result};
use gate_tests::{
    exec::{self, Output},
    lab::{BPFFS, LabName, NetNs, Pins},
};

/// The command.
pub(crate) const COMMAND: &str = "xdp-filter";
/// What it is told, in this order; the interface comes after `load`.
pub(crate) const LOAD: [&str; 6] = ["--mode", "native", "--policy", "allow", "--features", "tcp"];
pub(crate) const PORT: [&str; 6] = ["port", "25", "--proto", "tcp", "--mode", "dst"];

/// The filter, on one interface: everything passes but TCP segments to port 25.
pub(crate) struct XdpFilter<'a> {
    netns: &'a NetNs,
    pins: Pins,
}

/// What it says that it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) dropped: u64,
    /// Packets to the port.
    pub(crate) hits: u64,
}

impl Counts {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            passed: self.passed - before.passed,
            dropped: self.dropped - before.dropped,
            hits: self.hits - before.hits,
        }
    }
}

impl<'a> XdpFilter<'a> {
    /// Loads it, without the dispatcher that would let it share the interface with others: it is faster so.
    pub(crate) fn load(netns: &'a NetNs, interface: &str) -> Result<Self> {
        let filter = Self {
            netns,
            pins: Pins::new(&LabName::fresh().to_string())?,
        };
        filter.run(&[&["load", interface][..], &LOAD].concat())?;
        filter.run(&PORT)?;
        Ok(filter)
    }

    /// What it did so far.
    pub(crate) fn counts(&self) -> Result<Counts> {
        counts(self.netns, &self.pins)
    }

    /// What keeps its maps; it stays where it is.
    pub(crate) fn into_pins(self) -> Pins {
        self.pins
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        exec::tool(&mut command(self.netns, &self.pins, arguments), "").map(drop)
    }
}

/// What the filter with these pins did so far.
pub(crate) fn counts(netns: &NetNs, pins: &Pins) -> Result<Counts> {
    // It ends with an error where the smallest program is loaded, which lacks maps that it would show.
    let Output { stdout: text, .. } = exec::output(
        &mut command(netns, pins, &["status"]),
        "",
        Duration::from_secs(30),
    )?;
    parse(&text).with_context(|| format!("unexpected output of {COMMAND} status: {text}"))
}

fn command(netns: &NetNs, pins: &Pins, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-ec"])
        .arg(format!(
            "mount --bind \"$0\" {BPFFS}; exec {COMMAND} \"$@\""
        ))
        .arg(pins.path())
        .args(arguments)
        .env("LIBXDP_SKIP_DISPATCHER", "1");
    netns.contain(&mut command);
    command
}

/// The commands as one would type them.
pub(crate) fn typed(interface: &str) -> String {
    format!(
        "LIBXDP_SKIP_DISPATCHER=1 {COMMAND} load {interface} {}\n{COMMAND} {}\n",
        LOAD.join(" "),
        PORT.join(" ")
    )
}

/// The numbers in what `xdp-filter status` prints.
fn parse(text: &str) -> Option<Counts> {
    let number = |name: &str, column: usize| -> Option<u64> {
        let line = text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.nth(column))
        })?;
        line?.parse().ok()
    };
    Some(Counts {
        passed: number("XDP_PASS", 0)?,
        dropped: number("XDP_DROP", 0)?,
        hits: number("25", 1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "CURRENT XDP-FILTER STATUS:

Aggregate per-action statistics:
  XDP_ABORTED                                   0 pkts           0 KiB
  XDP_DROP                                     64 pkts           3 KiB
  XDP_PASS                                   1024 pkts          54 KiB

Loaded on interfaces:
                                           Enabled features
xdpfilt_alw_tcp
  v0 (native mode)                         tcp,allow

Filtered ports:
                                           Mode             Hit counter
  25                                       dst,tcp          63
";

    #[test]
    fn numbers_are_read_where_they_stand() {
        let counts = Counts {
            passed: 1024,
            dropped: 64,
            hits: 63,
        };
        assert_eq!(parse(STATUS), Some(counts));
        assert_eq!(parse(&STATUS.replace("  25  ", "  26  ")), None);
        let before = Counts {
            passed: 24,
            dropped: 4,
            hits: 3,
        };
        let since = counts.since(before);
        assert_eq!((since.passed, since.dropped, since.hits), (1000, 60, 60));
    }
}
