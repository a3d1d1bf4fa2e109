//! How many packets of each kind there were, and what became of them: so that nobody has to believe that all shapes were met.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::{Result, ensure};

use crate::{packets, rules::Fate};

/// How many of each kind of packet, and of each verdict and reason, there must have been.
const LEAST: u64 = 40;

/// Every verdict and reason that a packet can get while a generation is in force.
const OUTCOMES: [&str; 37] = [
    "not judged",
    "total passed exempt",
    "total passed no_role",
    "total passed relay",
    "total passed unlisted",
    "total refused restricted",
    "total refused unlisted",
    "total refused tiny_fragment",
    "total refused overlapping_fragment",
    "total refused too_many_extensions",
    "total observed restricted",
    "total observed unlisted",
    "total observed tiny_fragment",
    "total observed overlapping_fragment",
    "total observed too_many_extensions",
    "total tagged class_country",
    "total tagged class_prefix",
    "total tagged class_unknown",
    "total unparsed truncated_link",
    "total unparsed too_many_tags",
    "total unparsed truncated_ip",
    "total unparsed bad_ip_header",
    "total unparsed truncated_tcp",
    "total unparsed later_fragment",
    "total unparsed tiny_fragment",
    "total unparsed overlapping_fragment",
    "total unparsed too_many_extensions",
    "total unparsed truncated_extension",
    "total unparsed pppoe_session",
    "total unparsed mpls",
    "total unparsed tunnel",
    "edit none",
    "edit octets",
    "edit bits",
    "edit cut",
    "edit longer",
    "edit length",
];

/// The counts.
#[derive(Default)]
pub(crate) struct Census(BTreeMap<String, u64>);

impl Census {
    /// Takes a packet down: its kind, what was done to it, what became of it.
    pub(crate) fn take(&mut self, kind: &str, edit: &str, fate: &Fate) {
        let outcome = fate.lines.first().map_or("not judged", String::as_str);
        for what in [&format!("kind {kind}"), &format!("edit {edit}"), outcome] {
            *self.0.entry(what.to_owned()).or_default() += 1;
        }
    }

    /// Prints the counts, and makes sure that nothing was missed.
    pub(crate) fn finish(&self, packets: u64) -> Result<()> {
        let mut text = format!("{packets} packets\n");
        for (what, count) in &self.0 {
            let _ = writeln!(text, "  {count:>7} {what}");
        }
        // Where standard output is closed there is nobody to tell.
        let _ = io::stdout().write_all(text.as_bytes());
        let kinds = packets::KINDS
            .iter()
            .map(|(kind, _)| format!("kind {kind}"));
        for what in kinds.chain(OUTCOMES.map(str::to_owned)) {
            let count = self.0.get(&what).copied().unwrap_or(0);
            ensure!(
                count >= LEAST,
                "{count} of \"{what}\", should be {LEAST} at least"
            );
        }
        Ok(())
    }
}
