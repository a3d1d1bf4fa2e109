//! What was sent, what was counted, what came out, and whether the three belong together.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use gate_common::{
    Country,
    abi::{FlowKey, FlowTag},
};
use gate_tests::gate::{Counters, Packets};
use gate_user::{generation::Manifest, sys::Map};

use super::sides::{Says, Side};

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Segments sent to port 25, by the subscriber's link.
    pub(super) smtp: u64,
    /// Submissions sent, by the link of who sent them.
    pub(super) submissions: u64,
    /// Segments to port 25 that came out.
    pub(super) smtp_out: u64,
    /// Submissions that came out.
    pub(super) submissions_out: u64,
    /// What the last link had no room for.
    pub(super) lost: u64,
    /// What the gate counted.
    pub(super) counted: BTreeMap<String, u64>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Packets were not judged, or judged twice.
    Judged,
    /// Packets were judged as neither generation says, or counted for what it does not say.
    Mixed,
    /// What came out is not what passed.
    Out,
}

/// Each with its numbers.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, String)>);

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.0.iter().any(|(it, _)| *it == fault)
    }

    fn check(&mut self, fault: Fault, what: &str, found: u64, expected: u64) {
        if found != expected {
            let text = format!("{what}: {found}, should be {expected}");
            self.0.push((fault, text));
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(fault, text)| write!(f, "\n  {fault:?}: {text}"))
    }
}

impl Account {
    /// Adds what `gate counters` says about one thing.
    pub(super) fn count(&mut self, what: &str, packets: Packets) {
        let Packets {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
            over_limit: _,
        } = packets;
        for (verdict, count) in [
            ("passed", passed),
            ("refused", refused),
            ("observed", observed),
            ("tagged", tagged),
            ("unparsed", unparsed),
        ] {
            self.counted.insert(format!("{what} {verdict}"), count);
        }
    }

    /// Adds everything that `gate counters` says.
    pub(super) fn count_all(&mut self, counters: &Counters) {
        for it in &counters.reasons {
            let what = format!("reason {} {}", it.reason, it.verdict);
            self.counted.insert(what, it.packets);
        }
        for it in &counters.countries {
            let what = format!("country {}", it.country.as_deref().unwrap_or("none"));
            self.counted.insert(what, it.packets);
        }
        for it in &counters.interfaces {
            self.count(&format!("interface {}", it.name), it.packets);
        }
        for it in &counters.pools {
            self.count(&format!("pool {}", it.name), it.packets);
        }
        for it in &counters.classes {
            self.count(&format!("class {}", it.name), it.packets);
        }
    }

    /// Checks that nothing that was counted at `before` is fewer now, or counted no more.
    pub(super) fn not_before(&self, before: &Self) -> Result<()> {
        for (what, count) in &before.counted {
            let now = self.counted.get(what);
            ensure!(
                now >= Some(count),
                "counters went backwards: {what} was {count}, and then {now:?}"
            );
        }
        Ok(())
    }

    /// What changed since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let counted = self.counted.iter().map(|(what, count)| {
            let before = before.counted.get(what).copied().unwrap_or(0);
            (what.clone(), count - before)
        });
        Self {
            smtp: self.smtp - before.smtp,
            submissions: self.submissions - before.submissions,
            smtp_out: self.smtp_out - before.smtp_out,
            submissions_out: self.submissions_out - before.submissions_out,
            lost: self.lost - before.lost,
            counted: counted.filter(|(_, count)| *count > 0).collect(),
        }
    }

    fn of(&self, what: &str) -> u64 {
        self.counted.get(what).copied().unwrap_or(0)
    }

    /// How many connections to port 25, and how many submissions, were judged as this side says.
    pub(super) fn judged_by(&self, side: Side) -> [u64; 2] {
        let Says {
            verdict,
            reason,
            country,
            ..
        } = side.says();
        [
            self.of(&format!("reason {reason} {verdict}")),
            self.of(&format!("country {country}")),
        ]
    }

    /// Whether every packet was judged once, by one side from the beginning to the end, and came out if that is what the
    /// side says.
    pub(super) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        let mut rest = self.counted.clone();
        let mut take = |what: String| rest.remove(&what).unwrap_or(0);
        let mut submissions = 0;
        for side in Side::ALL {
            let Says {
                verdict,
                reason,
                pool,
                class,
                country,
            } = side.says();
            let judged = take(format!("reason {reason} {verdict}"));
            let counts = [
                format!("pool {pool} {verdict}"),
                format!("interface {ACCESS} {verdict}"),
            ];
            for what in counts {
                faults.check(Fault::Mixed, &what.clone(), take(what), judged);
            }
            let classed = take(format!("class {class} tagged"));
            let what = format!("country {country}");
            faults.check(Fault::Mixed, &what.clone(), take(what), classed);
            submissions += classed;
        }
        let by_reason = ["class_prefix", "class_country"]
            .map(|reason| take(format!("reason {reason} tagged")))
            .iter()
            .sum();
        faults.check(Fault::Mixed, "tagged by reason", by_reason, submissions);
        let uplink = take(format!("interface {UPLINK} tagged"));
        for (what, count) in rest {
            faults.check(Fault::Mixed, &what, count, 0);
        }
        let judged = |verdict: &str| self.of(&format!("interface {ACCESS} {verdict}"));
        let passed = judged("passed") + judged("observed");
        let all = passed + judged("refused");
        faults.check(Fault::Judged, "judged on port 25", all, self.smtp);
        faults.check(
            Fault::Judged,
            "judged submissions",
            uplink,
            self.submissions,
        );
        let passed = passed + uplink;
        let out = self.smtp_out + self.submissions_out + self.lost;
        faults.check(
            Fault::Out,
            "came out or was lost on the last link",
            out,
            passed,
        );
        faults
    }
}

/// The interface of subscribers in the flood.
pub(super) const ACCESS: &str = "acc-home";
/// The interface of submissions in the flood.
pub(super) const UPLINK: &str = "up-abroad";

/// Tags by what they say: generation, class, country.
#[derive(Debug, Default)]
pub(super) struct Tags(BTreeMap<(u32, u8, u16), u64>);

impl Tags {
    /// Looks at every tag that there is.
    pub(super) fn look(&mut self, flows: &Map) -> Result<()> {
        for tag in flows.entries::<FlowKey, FlowTag>()?.into_values() {
            let says = (tag.generation, tag.class, tag.country);
            *self.0.entry(says).or_default() += 1;
        }
        Ok(())
    }

    /// How many tags of `side` were looked at.
    pub(super) fn of(&self, side: Side, generations: &Generations) -> u64 {
        let of_side = |number: u32| generations.get(&number).is_some_and(|(it, _)| *it == side);
        let tags = self.0.iter().filter(|((number, ..), _)| of_side(*number));
        tags.map(|(_, count)| count).sum()
    }

    /// Tags that are not what their generation says, and how many there are.
    pub(super) fn wrong(&self, generations: &Generations) -> BTreeMap<String, u64> {
        let mut wrong = BTreeMap::new();
        for ((number, class, country), count) in &self.0 {
            let generation = generations.get(number);
            let class = generation.and_then(|(_, manifest)| {
                let class = manifest.classes.get(usize::from(*class))?;
                Some(class.name.as_str())
            });
            let code = Country::from_number(*country).code();
            let country = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
            let side = generation.map(|(side, _)| *side);
            let right = side.is_some_and(|side| {
                let says = side.says();
                class == Some(says.class) && country == says.country
            });
            if !right {
                let what = format!("generation {number}, {side:?}, but {class:?} and {country}");
                *wrong.entry(what).or_default() += count;
            }
        }
        wrong
    }
}

/// The generations that were in force, by number, and what their numbers mean.
pub(super) type Generations = BTreeMap<u32, (Side, Manifest)>;
