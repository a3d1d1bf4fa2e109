//! What a rehearsal found, in the words of both generations.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use gate_common::{
    Country, Reason, Rehearsed, Verdict,
    abi::{DifferenceKey, Treatment},
    decide::Tables as _,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    generation::{Manifest, Prefix},
    judge::{Judgement, Rule, Rules},
    kernel::Found,
    view::View,
};

/// What a rehearsal found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// The number of the generation in force.
    pub generation: u32,
    /// The configuration that it was made from.
    pub config: PathBuf,
    /// The configuration that was rehearsed.
    pub new_config: PathBuf,
    /// When it began.
    pub since: Timestamp,
    /// When it ended.
    pub until: Timestamp,
    /// Why it ended.
    pub ended: Ended,
    /// How many packets it was about.
    pub packets: Totals,
    /// What differed, most packets first.
    pub differences: Vec<Difference>,
    /// What the configuration has that no packet came of; nothing where it is not known of every packet how it was treated.
    pub unseen: Unseen,
    /// Interfaces of the configuration on which no packet could be compared, since the gate is not on them.
    pub unattached: Vec<String>,
    /// What speaks against the configuration, or against its data.
    pub warnings: Vec<String>,
    /// What the licences of the databases ask for.
    pub attribution: Vec<String>,
}

/// Why a rehearsal ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Ended {
    /// Its time was over.
    Over,
    /// Somebody ended it.
    Interrupted,
    /// Another generation is in force.
    Replaced {
        /// Its number.
        generation: u32,
    },
    /// Everything is only observed.
    Bypassed {
        /// Since when, if that is known.
        since: Option<Timestamp>,
    },
    /// The gate was taken out of the kernel.
    Detached,
}

/// How many packets a rehearsal was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Packets that at least one of the two judges.
    pub compared: u64,
    /// Of those, packets with another verdict or another class.
    pub otherwise: u64,
    /// Of those, packets with the same verdict and class for another reason.
    pub other_reason: u64,
    /// Of the different packets, those whose source cannot be read.
    pub sourceless: u64,
    /// Of the different packets, those of sources that there was no room for.
    pub lost_sources: u64,
    /// Packets of which it is not known how they were treated, since there was no room for another pair of treatments.
    pub lost_treatments: u64,
    /// Of those, packets that differ, if only for another reason.
    pub lost_differences: u64,
}

/// What a generation makes of packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It has no business with them: they pass, uncounted.
    Unjudged,
    /// It judges them.
    Judged(Treated),
}

/// How packets are treated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Treated {
    /// The verdict.
    pub verdict: &'static str,
    /// Why.
    pub reason: &'static str,
    /// The pool of the source; nothing where no pool decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The class of the connection, on an uplink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// Packets that both generations treat in one way each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What the generation in force makes of them.
    pub from: Outcome,
    /// What the configuration would.
    pub to: Outcome,
    /// Whether verdict and class are the same, and only the reason is another one.
    pub reason_only: bool,
    /// How many packets.
    pub packets: u64,
    /// Of how many sources that there was room for.
    pub sources: usize,
    /// Those with most packets.
    pub top: Vec<Source>,
}

/// A source of packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The address, or the prefix that counts as one source.
    pub source: String,
    /// How many packets.
    pub packets: u64,
    /// The line of the configuration that would decide.
    pub rule: Option<Rule>,
}

/// What the configuration has that no packet came of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// Pools.
    pub pools: Vec<String>,
    /// Classes.
    pub classes: Vec<String>,
}

/// The two generations.
pub(super) struct Both {
    pub(super) live: View,
    pub(super) candidate: View,
}

impl Both {
    /// Puts words to what was found in this time; of each difference, so many sources are listed.
    pub(super) fn report(
        self,
        found: &Found,
        ended: Ended,
        (since, until): (Timestamp, Timestamp),
        listed: usize,
    ) -> Rehearsal {
        let Self { live, candidate } = self;
        let rules = Rules::new(candidate);
        let new = &rules.view().manifest;
        // What belongs to a connection that was judged, for example, is no business of either.
        let nobodys = (Treatment::UNJUDGED, Treatment::UNJUDGED);
        let nobodys = found.treatments.get(&nobodys).copied().unwrap_or_default();
        let mut packets = Totals {
            compared: found.count(Rehearsed::Compared).saturating_sub(nobodys),
            sourceless: found.count(Rehearsed::Sourceless),
            lost_sources: found.count(Rehearsed::LostSources),
            lost_treatments: found.count(Rehearsed::LostTreatments),
            ..Totals::default()
        };
        let mut differences = Vec::new();
        for ((from, to), count) in &found.treatments {
            if !from.differs(*to) {
                continue;
            }
            let reason_only = same_but_for_the_reason(*from, *to);
            let kind = if reason_only {
                &mut packets.other_reason
            } else {
                &mut packets.otherwise
            };
            *kind += count;
            let of = |key: &DifferenceKey| (key.from, key.to) == (*from, *to);
            let mut sources: Vec<(&DifferenceKey, u64)> = found
                .sources
                .iter()
                .filter(|(key, _)| of(key))
                .map(|(key, count)| (key, *count))
                .collect();
            sources.sort_by_key(|(key, count)| (u64::MAX - count, key.address));
            let top = sources.iter().take(listed).map(|(key, count)| Source {
                source: prefix(key).to_string(),
                packets: *count,
                rule: rule(&rules, key, until),
            });
            differences.push(Difference {
                from: outcome(*from, &live.manifest),
                to: outcome(*to, new),
                reason_only,
                packets: *count,
                sources: sources.len(),
                top: top.collect(),
            });
        }
        packets.lost_differences = found
            .count(Rehearsed::Different)
            .saturating_sub(packets.otherwise + packets.other_reason);
        differences.sort_by(|a, b| {
            let order = |it: &Difference| (it.reason_only, u64::MAX - it.packets);
            (order(a), &a.from, &a.to).cmp(&(order(b), &b.from, &b.to))
        });
        Rehearsal {
            generation: live.manifest.number,
            config: live.manifest.config.clone(),
            new_config: new.config.clone(),
            since,
            until,
            ended,
            packets,
            differences,
            // Whatever no line tells of may have been among those that there was no room for.
            unseen: if packets.lost_treatments == 0 {
                unseen(found, new)
            } else {
                Unseen::default()
            },
            unattached: Vec::new(),
            warnings: Vec::new(),
            attribution: rules.attribution().to_vec(),
        }
    }
}

/// Whether a packet is let through or not, with the class that it has, in both.
fn same_but_for_the_reason(from: Treatment, to: Treatment) -> bool {
    let class = |it: Treatment| it.is_of_uplink().then(|| it.group());
    // Where no generation has business with a packet, or its interface has no role, it passes; that it is counted is no treatment.
    let verdict = |it: Treatment| it.verdict().unwrap_or(Verdict::Passed);
    verdict(from) == verdict(to) && class(from) == class(to)
}

fn outcome(treatment: Treatment, manifest: &Manifest) -> Outcome {
    let (Some(verdict), Some(reason)) = (treatment.verdict(), treatment.reason()) else {
        return Outcome::Unjudged;
    };
    let group = treatment.group();
    let (pool, class) = if treatment.is_of_uplink() {
        let mut classes = manifest.classes.iter();
        (
            None,
            classes
                .find(|it| it.counter == group)
                .map(|it| it.name.clone()),
        )
    } else {
        let mut pools = manifest.pools.iter();
        (
            pools
                .find(|it| it.counter == group)
                .map(|it| it.name.clone()),
            None,
        )
    };
    Outcome::Judged(Treated {
        verdict: verdict.name(),
        reason: reason.name(),
        pool,
        class,
    })
}

fn prefix(key: &DifferenceKey) -> Prefix {
    Prefix::of_source(key.address, (key.v4_length, key.v6_length))
}

/// The line of the configuration that decides about a source. That of a relay goes by the destination, which nobody records.
fn rule(rules: &Rules, key: &DifferenceKey, at: Timestamp) -> Option<Rule> {
    let (verdict, reason) = (key.to.verdict()?, key.to.reason()?);
    if reason == Reason::Relay {
        return None;
    }
    let view = rules.view();
    let class = key.to.is_of_uplink().then(|| {
        let mut classes = (0..).zip(&view.manifest.classes);
        let number = classes.find(|(_, it)| it.counter == key.to.group());
        (number.map_or(0, |(number, _)| number), country(view, key))
    });
    let judgement = Judgement {
        verdict,
        reason,
        class,
    };
    let now_ns = u64::try_from(at.as_nanosecond()).unwrap_or_default();
    rules.of(judgement, key.address, key.address, now_ns)
}

fn country(view: &View, key: &DifferenceKey) -> Country {
    let place = view.country(key.address);
    let classed = place.and_then(|place| view.settings()?.countries.get(place as usize));
    classed.map_or(Country::NONE, |it| Country::from_number(it.country))
}

/// Pools and classes that no packet belonged to.
fn unseen(found: &Found, new: &Manifest) -> Unseen {
    let seen: BTreeSet<u32> = found.treatments.keys().map(|(_, to)| to.group()).collect();
    let named = |it: BTreeMap<u32, &String>| -> Vec<String> {
        let unseen = it
            .into_iter()
            .filter(|(counter, _)| !seen.contains(counter));
        unseen.map(|(_, name)| name.clone()).collect()
    };
    Unseen {
        pools: named(new.pools.iter().map(|it| (it.counter, &it.name)).collect()),
        classes: named(
            new.classes
                .iter()
                .map(|it| (it.counter, &it.name))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;
    use crate::{
        config,
        generation::{Inputs, Plan},
        report::Report as _,
    };

    const CONFIG: &str = r#"
        [[interface]]
        name = "eth1"
        role = "access"
        [[access]]
        name = "dynamic"
        policy = "restrict"
        prefixes = ["100.64.0.0/16"]
    "#;

    fn view() -> View {
        let read = |path: &Path| match path.to_str() {
            Some("gate.toml") => Ok(CONFIG.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let config = config::load_at(Path::new("gate.toml"), &read, Timestamp::UNIX_EPOCH).unwrap();
        let inputs = Inputs {
            config: &config,
            countries: None,
            previous: None,
            previous_sources: None,
            directory: Path::new("/"),
            number: 1,
            now: Timestamp::UNIX_EPOCH,
        };
        View::planned(Plan::new(inputs).unwrap())
    }

    /// Of no pool, for the same reason.
    fn treatment(verdict: Verdict) -> Treatment {
        let reason = u32::from(Reason::Restricted.number());
        Treatment(Treatment::UNJUDGED.0 | (verdict as u32 + 1) << 6 | reason)
    }

    /// Four packets treated alike, three otherwise, and so many more that there was no line for, of which some differ.
    fn report(lost: u64, differing: u64) -> Rehearsal {
        let (from, to) = (treatment(Verdict::Observed), treatment(Verdict::Refused));
        let mut found = Found {
            treatments: [((from, from), 4), ((from, to), 3)].into(),
            ..Found::default()
        };
        for (what, count) in [
            (Rehearsed::Compared, 7 + lost),
            (Rehearsed::Different, 3 + differing),
            (Rehearsed::LostTreatments, lost),
        ] {
            found.counts[what as usize] = count;
        }
        let both = Both {
            live: view(),
            candidate: view(),
        };
        let period = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        both.report(&found, Ended::Over, period, 3)
    }

    fn text(report: &Rehearsal) -> String {
        let mut text = Vec::new();
        report.text(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_no_line_tells_of_is_told_apart() {
        let whole = report(0, 0);
        assert_eq!(
            (whole.packets.otherwise, whole.packets.lost_differences),
            (3, 0)
        );
        assert_eq!(whole.unseen.pools, ["dynamic"]);
        assert!(!text(&whole).contains("no room"), "{}", text(&whole));
        let lost = report(5, 2);
        assert_eq!(
            (lost.packets.otherwise, lost.packets.lost_differences),
            (3, 2)
        );
        assert_eq!(lost.unseen, Unseen::default());
        let said = text(&lost);
        assert!(said.contains("3 of 12 packets"), "{said}");
        assert!(
            said.contains("5 of the packets were treated in ways"),
            "{said}"
        );
        assert!(said.contains("2 of the packets differ in ways"), "{said}");
    }
}
