//! How many packets of each kind there were, and what became of them: so that nobody has to believe that all shapes were met.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::{Result, ensure};

use crate::{
    packets::{self, Frame, LARGE_KIND},
    rules::Fate,
};

/// How many of each kind of packet and of each outcome there must have been.
const LEAST: u64 = 10;

/// Every verdict and reason that a packet can get while a generation is in force, and every edit.
const OUTCOMES: [&str; 60] = [
    "not judged",
    "total passed exempt",
    "total passed no_role",
    "total passed relay",
    "total passed unlisted",
    "total passed within_limit",
    "total refused restricted",
    "total refused unlisted",
    "total refused over_limit",
    "total refused source_routed",
    "total refused too_many_tags",
    "total refused tiny_fragment",
    "total refused overlapping_fragment",
    "total refused too_many_extensions",
    "total refused too_many_labels",
    "total refused bad_length",
    "total observed restricted",
    "total observed unlisted",
    "total observed source_routed",
    "total observed too_many_tags",
    "total observed tiny_fragment",
    "total observed overlapping_fragment",
    "total observed too_many_extensions",
    "total observed too_many_labels",
    "total observed bad_length",
    "total observed over_limit",
    "total tagged over_limit",
    "uplink refused",
    "uplink exempt",
    "uplink observed within_limit",
    "total tagged class_country",
    "total tagged class_prefix",
    "total tagged class_unknown",
    "total tagged tiny_fragment",
    "total tagged overlapping_fragment",
    "total tagged too_many_extensions",
    "total tagged bad_length",
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
    "total unparsed unread_ppp",
    "total unparsed too_many_labels",
    "total unparsed unread_tunnel",
    "total unparsed unread_mpls",
    "total unparsed nested_tunnel",
    "total unparsed bad_length",
    "edit none",
    "edit octets",
    "edit bits",
    "edit cut",
    "edit every cut",
    "edit longer",
    "edit length",
];

/// The counts.
#[derive(Default)]
pub(crate) struct Census(BTreeMap<String, u64>);

impl Census {
    /// Takes a packet down: its kind, what was done to it, what became of it.
    pub(crate) fn take(&mut self, frame: &Frame, fate: &Fate) {
        let outcome = fate.lines.first().map_or("not judged", String::as_str);
        self.count(outcome);
        let has = |end: &str| fate.lines.iter().any(|line| line.ends_with(end));
        for (what, end) in [
            ("uplink refused", "interface uplink refused"),
            ("uplink exempt", "class own tagged"),
            ("uplink observed within_limit", " 2"),
        ] {
            if has(end) {
                self.count(what);
            }
        }
        self.count(&format!("kind {}", frame.kind));
        self.count(&format!("edit {}", frame.edit));
    }

    /// Takes down something else that happened.
    pub(crate) fn count(&mut self, what: &str) {
        if let Some(count) = self.0.get_mut(what) {
            *count += 1;
        } else {
            self.0.insert(what.to_owned(), 1);
        }
    }

    /// Prints the counts, and makes sure that there was enough of everything, of `more` too.
    pub(crate) fn finish(&self, packets: u64, more: &[&str]) -> Result<()> {
        let mut text = format!("{packets} packets\n");
        for (what, count) in &self.0 {
            let _ = writeln!(text, "  {count:>7} {what}");
        }
        // Where standard output is closed there is nobody to tell.
        let _ = io::stdout().write_all(text.as_bytes());
        let kinds = packets::KINDS
            .iter()
            .map(|(kind, _)| *kind)
            .chain([LARGE_KIND])
            .map(|kind| format!("kind {kind}"));
        let others = OUTCOMES.iter().chain(more).map(|it| (*it).to_owned());
        for what in kinds.chain(others) {
            let count = self.0.get(&what).copied().unwrap_or(0);
            ensure!(
                count >= LEAST,
                "{count} of \"{what}\", should be {LEAST} at least"
            );
        }
        Ok(())
    }
}
