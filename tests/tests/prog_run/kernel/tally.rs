//! Everything that the program's maps say, as lines of text with a number each.
//!
//! The maps are read through aya and taken apart by hand, by the layout in `gate-common/abi.lock`: the gate's own reader could agree
//! with a mistake of its writer. So much of every map is read that what should not have been counted shows as well as
//! what should.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv6Addr,
};

use anyhow::{Context as _, Result};
use aya::{
    maps::{HashMap, Map, MapData, PerCpuArray},
    programs::ProgramInfo,
};
use gate_common::{Answered, Bucket, Country, Reason, Role, Verdict};
use gate_user::generation::Manifest;

use super::sources::Sources;

/// Packets of one counter, by verdict, and those of all that were over a limit.
type Packets = [u64; 6];
/// Events within the limit, over it, contended; buckets made, evicted.
type Limited = [u64; 5];
/// Addresses (two words each), ports and protocol.
type FlowKey = [u64; 5];
/// Time; generation, country, class, flags.
type FlowTag = [u64; 2];

/// How many counters without a name are looked at each time.
const NAMELESS: u32 = 32;

/// Numbers by what they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Counts one more `what`.
    pub(crate) fn count(&mut self, what: impl Into<String>) {
        self.add(what, 1);
    }

    fn add(&mut self, what: impl Into<String>, number: u64) {
        if number > 0 {
            *self.0.entry(what.into()).or_default() += number;
        }
    }

    /// How many there are of `what`.
    pub(crate) fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// What changed since `before`.
    pub(crate) fn since(&self, before: &Self) -> Change {
        let keys: BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        Change(
            keys.into_iter()
                .map(|key| {
                    let change = i128::from(self.get(key)) - i128::from(before.get(key));
                    (key.clone(), change)
                })
                .filter(|(_, change)| *change != 0)
                .collect(),
        )
    }
}

/// What changed between two tallies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change(BTreeMap<String, i128>);

impl Change {
    /// This, and what `tally` has.
    pub(crate) fn and(mut self, tally: Tally) -> Self {
        for (what, count) in tally.0 {
            *self.0.entry(what).or_default() += i128::from(count);
        }
        self
    }

    /// By how much this changed.
    pub(crate) fn get(&self, what: &str) -> i128 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Whether anything changed whose name has this word.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.0.keys().any(|it| it.split(' ').any(|it| it == word))
    }

    /// This, without what begins so.
    pub(crate) fn without(&self, beginnings: &[&str]) -> Self {
        let begins = |it: &str| beginnings.iter().any(|begin| it.starts_with(begin));
        let rest = self.0.iter().filter(|(what, _)| !begins(what));
        Self(rest.map(|(what, count)| (what.clone(), *count)).collect())
    }

    /// This, with another word for one.
    pub(crate) fn reworded(&self, old: &str, new: &str) -> Self {
        let reworded = |what: &str| {
            let words = what.split(' ').map(|it| if it == old { new } else { it });
            words.collect::<Vec<_>>().join(" ")
        };
        let all = self.0.iter();
        Self(all.map(|(what, count)| (reworded(what), *count)).collect())
    }

    /// The reason of the total that changed, if one did.
    pub(crate) fn reason(&self) -> Option<&str> {
        let mut totals = self.0.keys().filter_map(|it| it.strip_prefix("total "));
        totals.next()?.split_once(' ').map(|(_, reason)| reason)
    }

    /// The pool or class of the counters that changed, if one did.
    pub(crate) fn group(&self) -> Option<String> {
        let mut groups = self
            .0
            .keys()
            .filter(|it| it.starts_with("pool ") || it.starts_with("class "))
            .filter(|it| !it.ends_with(" over_limit"));
        let (group, _verdict) = groups.next()?.rsplit_once(' ')?;
        Some(group.to_owned())
    }

    /// Only what changed in the totals by verdict and reason.
    pub(crate) fn totals(&self) -> BTreeMap<String, i128> {
        let totals = self.0.iter().filter(|(what, _)| what.starts_with("total "));
        totals
            .map(|(what, change)| (what.clone(), *change))
            .collect()
    }
}

impl From<Tally> for Change {
    fn from(tally: Tally) -> Self {
        tally.since(&Tally::default())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("    nothing\n");
        }
        self.0
            .iter()
            .try_for_each(|(what, change)| writeln!(f, "    {change:+} {what}"))
    }
}

/// The maps of one program.
pub(crate) struct Reader {
    totals: PerCpuArray<MapData, u64>,
    counters: PerCpuArray<MapData, Packets>,
    countries: PerCpuArray<MapData, u64>,
    answers: PerCpuArray<MapData, u64>,
    limited: PerCpuArray<MapData, Limited>,
    /// The countries that are read each time.
    watched: BTreeSet<u32>,
    sources: Sources,
    flows: HashMap<MapData, FlowKey, FlowTag>,
}

impl Reader {
    /// Finds the maps of a loaded program by their names. The counters of `watched` are read each time.
    pub(crate) fn of(program: &ProgramInfo, watched: &[Country]) -> Result<Self> {
        let mut maps = BTreeMap::new();
        for id in program.map_ids()?.context("the kernel names no maps")? {
            let data = MapData::from_id(id)?;
            let name = data.info()?.name_as_str().unwrap_or_default().to_owned();
            maps.insert(name, data);
        }
        let sources = maps
            .remove("SOURCES")
            .context("the program has no map SOURCES")?;
        let mut map = |name: &str| {
            let data = maps
                .remove(name)
                .with_context(|| format!("the program has no map {name}"))?;
            Ok::<_, anyhow::Error>(Map::from_map_data(data)?)
        };
        Ok(Self {
            totals: map("TOTALS")?.try_into()?,
            counters: map("COUNTERS")?.try_into()?,
            countries: map("COUNTRIES")?.try_into()?,
            answers: map("ANSWERS")?.try_into()?,
            limited: map("LIMITED")?.try_into()?,
            watched: watched.iter().map(|it| it.number().into()).collect(),
            sources: Sources::new(&sources)?,
            flows: map("FLOWS")?.try_into()?,
        })
    }

    /// Reads all of them; `manifest` says what the counters count.
    pub(crate) fn read(&self, manifest: Option<&Manifest>) -> Result<Tally> {
        let mut tally = Tally::default();
        for index in 0..self.totals.len() {
            let packets = self.totals.get(&index, 0)?.iter().sum();
            tally.add(total(index), packets);
        }
        for index in &self.watched {
            let packets = self.countries.get(index, 0)?.iter().sum();
            tally.add(format!("country {}", country(*index)), packets);
        }
        self.read_answers(&mut tally)?;
        self.read_counters(manifest, &mut tally)?;
        self.read_sources(&mut tally);
        self.read_flows(manifest, &mut tally)?;
        Ok(tally)
    }

    fn read_answers(&self, tally: &mut Tally) -> Result<()> {
        for answered in Answered::ALL {
            let answers = self.answers.get(&(*answered as u32), 0)?.iter().sum();
            tally.add(format!("answer {answered}"), answers);
        }
        for bucket in Bucket::ALL {
            for counts in self.limited.get(&(*bucket as u32), 0)?.iter() {
                for (what, count) in ["within", "over", "contended", "made", "evicted"]
                    .iter()
                    .zip(counts)
                {
                    tally.add(format!("bucket {bucket} {what}"), *count);
                }
            }
        }
        Ok(())
    }

    /// Those that have a name, and some after them; [`Reader::stray`] looks at the rest.
    fn read_counters(&self, manifest: Option<&Manifest>, tally: &mut Tally) -> Result<()> {
        let names = manifest.map(names).unwrap_or_default();
        let end = names.keys().max().copied().unwrap_or(0) + NAMELESS;
        for index in 0..end.min(self.counters.len()) {
            for packets in self.counters.get(&index, 0)?.iter() {
                let verdicts = Verdict::ALL.iter().map(|it| it.name());
                for (what, count) in verdicts.chain(["over_limit"]).zip(packets) {
                    if *count > 0 {
                        let name = names.get(&index).cloned();
                        let name = name.unwrap_or_else(|| format!("counter {index}"));
                        tally.add(format!("{name} {what}"), *count);
                    }
                }
            }
        }
        Ok(())
    }

    /// What was counted that [`Reader::read`] does not look at: counters from `first` on, and countries that nobody watches.
    pub(crate) fn stray(&self, first: u32) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for index in first..self.counters.len() {
            if self.counters.get(&index, 0)?.iter().any(|it| *it != [0; 6]) {
                found.push(format!("counter {index}"));
            }
        }
        for index in (0..self.countries.len()).filter(|it| !self.watched.contains(it)) {
            if self.countries.get(&index, 0)?.iter().any(|it| *it != 0) {
                found.push(format!("country {}", country(index)));
            }
        }
        Ok(found)
    }

    fn read_sources(&self, tally: &mut Tally) {
        for ([v4_length, v6_length, role], [_tag, hi, lo, packets @ .., _times]) in
            self.sources.live()
        {
            let address = address(hi, lo);
            let length = match address {
                std::net::IpAddr::V4(_) => v4_length,
                std::net::IpAddr::V6(_) => v6_length,
            };
            let role = Role::from_number(role).map_or("?", Role::name);
            for (verdict, count) in Verdict::ALL.iter().zip(packets) {
                // Nothing passes an uplink untagged: the word is what was tagged over a limit.
                let what = match (role, verdict) {
                    ("uplink", Verdict::Passed) => "tagged over_limit",
                    _ => verdict.name(),
                };
                tally.add(format!("source {role} {address}/{length} {what}"), count);
            }
        }
    }

    fn read_flows(&self, manifest: Option<&Manifest>, tally: &mut Tally) -> Result<()> {
        for entry in &self.flows {
            let ([src_hi, src_lo, dst_hi, dst_lo, rest], [_time, tag]) = entry?;
            let [s0, s1, d0, d1, protocol, ..] = rest.to_ne_bytes();
            let [g0, g1, g2, g3, c0, c1, class, flags] = tag.to_ne_bytes();
            let class = manifest
                .filter(|it| it.number == u32::from_ne_bytes([g0, g1, g2, g3]))
                .and_then(|it| it.classes.get(usize::from(class)))
                .map_or("of another generation", |class| &class.name);
            tally.count(format!(
                "tag {protocol} {} {} {} {} {class} {} {flags}",
                address(src_hi, src_lo),
                u16::from_ne_bytes([s0, s1]),
                address(dst_hi, dst_lo),
                u16::from_ne_bytes([d0, d1]),
                country(u32::from(u16::from_ne_bytes([c0, c1]))),
            ));
        }
        Ok(())
    }
}

/// The words of `abi::total_index`: the verdict in the upper bits, the reason in the lower six.
fn total(index: u32) -> String {
    let (verdict, reason) = (index >> 6, index & 0x3f);
    let verdict = u8::try_from(verdict).ok().and_then(Verdict::from_number);
    let name = Reason::all().find(|it| u32::from(it.number()) == reason);
    match (verdict, name) {
        (Some(verdict), Some(reason)) => format!("total {verdict} {reason}"),
        _ => format!("total number {index}, which is none"),
    }
}

fn country(number: u32) -> String {
    let country = u16::try_from(number).map_or(Country::NONE, Country::from_number);
    country
        .code()
        .map_or_else(|| "none".to_owned(), |code| code.to_string())
}

/// An address as the maps have it: two words, IPv4 in IPv4-mapped form.
fn address(hi: u64, lo: u64) -> std::net::IpAddr {
    Ipv6Addr::from_bits((u128::from(hi) << 64) | u128::from(lo)).to_canonical()
}

/// What each counter counts.
pub(crate) fn names(manifest: &Manifest) -> BTreeMap<u32, String> {
    let pool = |index: usize| manifest.pools.get(index).map_or("?", |pool| &pool.name);
    let interfaces = manifest.interfaces.iter();
    let pools = manifest.pools.iter();
    let prefixes = manifest.prefixes.iter();
    let relays = manifest.relays.iter();
    let classes = manifest.classes.iter();
    interfaces
        .map(|it| (it.counter, format!("interface {}", it.label())))
        .chain(pools.map(|it| (it.counter, format!("pool {}", it.name))))
        .chain(prefixes.map(|it| {
            let name = format!("prefix {} {}", pool(it.pool), it.prefix);
            (it.counter, name)
        }))
        .chain(relays.map(|it| (it.counter, format!("relay {}", it.prefix))))
        .chain(classes.map(|it| (it.counter, format!("class {}", it.name))))
        .collect()
}
