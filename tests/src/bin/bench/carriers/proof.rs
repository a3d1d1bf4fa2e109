//! The proof that every packet was treated as its case says: the gate's own counters.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use gate_tests::gate::{Counters, Packets};

use super::setup::CLASS;

/// What becomes of each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treated {
    /// It is let by, and counted nowhere.
    Passed,
    /// It opens a connection that gets a tag, which shows in the packet, if at all, as this word of `gate counters` says.
    Tagged(Option<&'static str>),
    /// The same over the limit of its class; nothing shows.
    Over,
    /// Nothing is decided, and the tag shows as this word says.
    Shown(&'static str),
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    verdicts: Packets,
    over_limit: u64,
    shown: BTreeMap<String, u64>,
}

impl Counts {
    fn of(counters: &Counters) -> Self {
        let class = counters.classes.iter().find(|it| it.name == CLASS);
        let shown = counters.shown.iter();
        Self {
            verdicts: counters.verdicts,
            over_limit: class.map_or(0, |it| it.packets.over_limit),
            shown: shown.map(|it| (it.shown.clone(), it.packets)).collect(),
        }
    }

    fn since(mut self, before: &Self) -> Self {
        self.verdicts = self.verdicts.since(before.verdicts);
        self.over_limit -= before.over_limit;
        for (word, packets) in &mut self.shown {
            *packets -= before.shown.get(word).copied().unwrap_or(0);
        }
        self.shown.retain(|_, packets| *packets > 0);
        self
    }
}

impl Treated {
    fn moves(self, packets: u64) -> Counts {
        let (tagged, over, shown) = match self {
            Self::Passed => (false, false, None),
            Self::Tagged(shown) => (true, false, shown),
            Self::Over => (true, true, None),
            Self::Shown(shown) => (false, false, Some(shown)),
        };
        let mut moved = Counts::default();
        moved.verdicts.tagged = if tagged { packets } else { 0 };
        moved.over_limit = if over { packets } else { 0 };
        moved.shown.extend(shown.map(|it| (it.to_owned(), packets)));
        moved
    }

    /// An error unless so many packets that were treated so, and nothing else, lie between `before` and `after`.
    pub(super) fn check(self, before: &Counters, after: &Counters, packets: u64) -> Result<()> {
        let moved = Counts::of(after).since(&Counts::of(before));
        let wanted = self.moves(packets);
        ensure!(
            moved == wanted,
            "{packets} packets moved the gate's counters by {moved:?} and not by {wanted:?}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(tagged: u64, over: u64, shown: &[(&str, u64)]) -> Counters {
        let packets = |tagged, over: u64| {
            serde_json::json!({
                "passed": 1, "refused": 2, "observed": 3, "tagged": tagged, "unparsed": 4, "over_limit": over
            })
        };
        let shown: Vec<_> = shown
            .iter()
            .map(|(word, packets)| serde_json::json!({ "shown": word, "packets": packets }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "generation": 1, "verdicts": packets(tagged, 0), "reasons": [], "shown": shown, "answers": [],
            "limits": [], "unsent": [], "interfaces": [], "pools": [], "countries": [],
            "classes": [
                { "name": "domestic", "packets": packets(0, 77) },
                { "name": CLASS, "packets": packets(tagged, over) },
            ],
            "sources": { "counted": false, "retention_seconds": 60, "entries": [], "expired": packets(0, 0), "other": packets(0, 0) },
        }))
        .unwrap()
    }

    #[test]
    fn every_packet_has_to_be_treated_so() {
        let before = counters(5, 1, &[("dscp", 3)]);
        let is = |treated: Treated, after: Counters| treated.check(&before, &after, 10).is_ok();
        let plain = || counters(15, 1, &[("dscp", 3)]);
        let over = || counters(15, 11, &[("dscp", 3)]);
        let written = || counters(15, 1, &[("dscp", 13)]);
        assert!(is(Treated::Tagged(None), plain()));
        assert!(is(Treated::Over, over()));
        assert!(is(Treated::Tagged(Some("dscp")), written()));
        assert!(is(Treated::Passed, before.clone()));
        assert!(is(Treated::Shown("dscp"), counters(5, 1, &[("dscp", 13)])));
        for treated in [
            Treated::Over,
            Treated::Tagged(Some("dscp")),
            Treated::Passed,
        ] {
            assert!(!is(treated, plain()), "{treated:?}");
        }
        assert!(!is(Treated::Tagged(None), over()));
        assert!(!is(Treated::Tagged(None), written()));
        assert!(!is(Treated::Tagged(Some("metadata")), written()));
        // One packet is missing.
        assert!(!is(Treated::Over, counters(15, 10, &[("dscp", 3)])));
        assert!(!is(Treated::Tagged(None), counters(14, 1, &[("dscp", 3)])));
        assert!(!is(
            Treated::Tagged(Some("metadata")),
            counters(15, 1, &[("dscp", 3), ("metadata", 9), ("no_metadata", 1)])
        ));
    }
}
