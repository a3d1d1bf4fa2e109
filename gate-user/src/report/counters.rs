//! `gate counters`: how many packets got which verdict, and whose they were.

use std::io;

use gate_common::{
    Country, Reason, Role, Verdict,
    abi::{Packets, SourceKey, began_ns},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Report, Table,
    limited::{self, ByAnswered, ByBucket, ByShown, Unsent},
};
use crate::{
    clock,
    error::Error,
    generation::{Manifest, Prefix},
    kernel::{self, KernelError, Maps},
    pins::Pins,
    sys::Access,
    view,
};

/// Packets by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// [`Verdict::Passed`].
    pub passed: u64,
    /// [`Verdict::Refused`].
    pub refused: u64,
    /// [`Verdict::Observed`].
    pub observed: u64,
    /// [`Verdict::Tagged`].
    pub tagged: u64,
    /// [`Verdict::Unparsed`].
    pub unparsed: u64,
}

impl Verdicts {
    fn add(&mut self, other: &Packets) {
        let Packets {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
            over_limit: _,
        } = other;
        self.passed += passed;
        self.refused += refused;
        self.observed += observed;
        self.tagged += tagged;
        self.unparsed += unparsed;
    }

    fn sum<'a>(packets: impl IntoIterator<Item = &'a Packets>) -> Self {
        let mut sum = Self::default();
        packets.into_iter().for_each(|it| sum.add(it));
        sum
    }

    fn of(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Refused => &mut self.refused,
            Verdict::Observed => &mut self.observed,
            Verdict::Tagged => &mut self.tagged,
            Verdict::Unparsed => &mut self.unparsed,
        }
    }

    fn cells(&self) -> [String; 5] {
        let Self {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
        } = self;
        [passed, refused, observed, tagged, unparsed].map(u64::to_string)
    }

    fn all(&self) -> u64 {
        let Self {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
        } = self;
        passed + refused + observed + tagged + unparsed
    }

    /// What of `self` is not in `part`. Sources are read after the totals, so a part can be ahead of its whole.
    fn without(&self, part: &Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(part.passed),
            refused: self.refused.saturating_sub(part.refused),
            observed: self.observed.saturating_sub(part.observed),
            tagged: self.tagged.saturating_sub(part.tagged),
            // Sources are those of connections; what could not be parsed has none.
            unparsed: 0,
        }
    }
}

/// Packets of an object that is counted by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct ObjectPackets {
    /// By verdict.
    #[serde(flatten)]
    verdicts: Verdicts,
    /// Of all of these, those for the reason `over_limit`.
    over_limit: u64,
}

impl ObjectPackets {
    fn sum(packets: &[Packets]) -> Self {
        Self {
            verdicts: Verdicts::sum(packets),
            over_limit: packets.iter().map(|it| it.over_limit).sum(),
        }
    }

    fn cells(&self) -> impl Iterator<Item = String> + use<> {
        let Self {
            verdicts,
            over_limit,
        } = self;
        verdicts.cells().into_iter().chain([over_limit.to_string()])
    }
}

/// Everything that is counted.
#[derive(Clone, Debug, Serialize)]
pub struct Counters {
    /// The generation in force.
    pub generation: u32,
    /// All packets that were judged.
    pub verdicts: Verdicts,
    /// The same, by reason; those that never came up are left out.
    pub reasons: Vec<ByReason>,
    /// What came of showing the tags of connections to those behind the gate; what never came up is left out.
    pub shown: Vec<ByShown>,
    /// What came of answers to refused clients; what never came up is left out.
    pub answers: Vec<ByAnswered>,
    /// Answers that failed to leave, by interface; one that is left out has none counted.
    pub unsent: Vec<Unsent>,
    /// What limits did; those that were never asked are left out.
    pub limits: Vec<ByBucket>,
    /// By interface.
    pub interfaces: Vec<ByInterface>,
    /// By pool.
    pub pools: Vec<ByPool>,
    /// By prefix that stands in the configuration itself.
    pub prefixes: Vec<ByPrefix>,
    /// By relay.
    pub relays: Vec<ByRelay>,
    /// By class.
    pub classes: Vec<ByClass>,
    /// Tagged packets by country of the source; those that never came up are left out.
    pub countries: Vec<ByCountry>,
    /// By source.
    pub sources: Sources,
    /// What the databases' licences ask for.
    pub attribution: Vec<String>,
}

/// Packets with one verdict for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct ByReason {
    verdict: &'static str,
    reason: &'static str,
    packets: u64,
}

/// Packets of an interface, or of some of its VLANs.
#[derive(Clone, Debug, Serialize)]
pub struct ByInterface {
    name: String,
    /// The VLANs; nothing for every frame, or for `stripped` ones.
    vlans: Option<String>,
    /// Whether these are the frames that carry no VLAN ID.
    stripped: bool,
    /// What the text calls it.
    #[serde(skip)]
    label: String,
    role: String,
    packets: ObjectPackets,
}

/// Packets of a pool.
#[derive(Clone, Debug, Serialize)]
pub struct ByPool {
    name: String,
    policy: String,
    action: Option<String>,
    packets: ObjectPackets,
}

/// Packets of a prefix.
#[derive(Clone, Debug, Serialize)]
pub struct ByPrefix {
    pool: String,
    prefix: String,
    packets: ObjectPackets,
}

/// Packets to a relay.
#[derive(Clone, Debug, Serialize)]
pub struct ByRelay {
    prefix: String,
    packets: ObjectPackets,
}

/// Packets of a class.
#[derive(Clone, Debug, Serialize)]
pub struct ByClass {
    name: String,
    packets: ObjectPackets,
}

/// Packets from a country.
#[derive(Clone, Debug, Serialize)]
pub struct ByCountry {
    country: Option<String>,
    packets: u64,
}

/// Packets by source, as far as the bounded map goes.
#[derive(Clone, Debug, Serialize)]
pub struct Sources {
    /// Whether the configuration wants sources counted.
    pub counted: bool,
    /// The sources that are in the map, those with most packets first.
    pub entries: Vec<BySource>,
    /// What the map does not have: the totals less the entries.
    pub other: Verdicts,
}

/// Packets of a source since its entry exists.
#[derive(Clone, Debug, Serialize)]
pub struct BySource {
    /// The address, or the prefix that counts as one source.
    pub source: String,
    role: &'static str,
    packets: Verdicts,
    /// Of all of these, those for the reason `over_limit`; nothing where that is not counted by source, on access interfaces.
    over_limit: Option<u64>,
    /// When its first packet came.
    pub first_seen: Timestamp,
    /// When its last packet came.
    pub last_seen: Timestamp,
}

/// Reads the counters of the loaded gate.
pub fn counters(pins: &Pins) -> Result<Counters, Error> {
    let (manifest, settings) = view::with_current(pins, |directory| {
        Ok((kernel::manifest(directory)?, view::settings(directory)?))
    })?;
    let maps = Maps::open(pins, Access::Read)?;
    Ok(Counters::read(
        &maps,
        &manifest,
        pins,
        settings.count_sources != 0,
    )?)
}

impl Counters {
    /// Reads the counters of a gate whose generation is described by `manifest`.
    pub fn read(
        maps: &Maps,
        manifest: &Manifest,
        pins: &Pins,
        count_sources: bool,
    ) -> Result<Self, KernelError> {
        let object = |counter: u32| {
            maps.counter(counter)
                .map(|values| ObjectPackets::sum(&values))
        };
        let pool_name = |index: usize| {
            manifest
                .pools
                .get(index)
                .map(|pool| pool.name.clone())
                .unwrap_or_default()
        };
        let (verdicts, reasons, judged) = totals(maps)?;
        Ok(Self {
            generation: manifest.number,
            verdicts,
            reasons,
            shown: limited::shown(maps)?,
            answers: limited::answers(maps)?,
            unsent: limited::unsent(maps, manifest, pins)?,
            limits: limited::limits(maps)?,
            interfaces: each(&manifest.interfaces, |it| {
                Ok(ByInterface {
                    name: it.name.clone(),
                    vlans: it.vlans.clone(),
                    stripped: it.stripped,
                    label: it.label(),
                    role: it.role.clone(),
                    packets: object(it.counter)?,
                })
            })?,
            pools: each(&manifest.pools, |it| {
                let packets = object(it.counter)?;
                Ok(ByPool {
                    name: it.name.clone(),
                    policy: it.policy.clone(),
                    action: it.action.clone(),
                    packets,
                })
            })?,
            prefixes: each(&manifest.prefixes, |it| {
                Ok(ByPrefix {
                    pool: pool_name(it.pool),
                    prefix: it.prefix.clone(),
                    packets: object(it.counter)?,
                })
            })?,
            relays: each(&manifest.relays, |it| {
                Ok(ByRelay {
                    prefix: it.prefix.clone(),
                    packets: object(it.counter)?,
                })
            })?,
            classes: each(&manifest.classes, |it| {
                Ok(ByClass {
                    name: it.name.clone(),
                    packets: object(it.counter)?,
                })
            })?,
            countries: countries(maps)?,
            sources: sources(maps, count_sources, &judged)?,
            attribution: manifest.attribution.clone(),
        })
    }
}

fn each<T, R>(
    objects: &[T],
    read: impl Fn(&T) -> Result<R, KernelError>,
) -> Result<Vec<R>, KernelError> {
    objects.iter().map(read).collect()
}

/// The totals, the same by reason, and the part of them that has sources.
fn totals(maps: &Maps) -> Result<(Verdicts, Vec<ByReason>, Verdicts), KernelError> {
    let mut verdicts = Verdicts::default();
    let mut judged = Verdicts::default();
    let mut reasons = Vec::new();
    for verdict in Verdict::ALL {
        for reason in Reason::all() {
            let packets = maps.total(*verdict, reason)?;
            if packets == 0 {
                continue;
            }
            *verdicts.of(*verdict) += packets;
            if !matches!(reason, Reason::NoGeneration | Reason::NoRole) {
                *judged.of(*verdict) += packets;
            }
            reasons.push(ByReason {
                verdict: verdict.name(),
                reason: reason.name(),
                packets,
            });
        }
    }
    Ok((verdicts, reasons, judged))
}

fn countries(maps: &Maps) -> Result<Vec<ByCountry>, KernelError> {
    let mut countries = Vec::new();
    for country in Country::all() {
        let packets = maps.country(country)?;
        if packets > 0 {
            countries.push(ByCountry {
                country: country.code().map(|code| code.to_string()),
                packets,
            });
        }
    }
    countries.sort_by_key(|it| std::cmp::Reverse(it.packets));
    Ok(countries)
}

fn sources(maps: &Maps, counted: bool, judged: &Verdicts) -> Result<Sources, KernelError> {
    let wall_offset = maps.wall_offset()?;
    let mut listed = Verdicts::default();
    let mut entries: Vec<(u64, BySource)> = Vec::new();
    for (key, found) in maps.sources()? {
        let by_verdict = found.by_verdict();
        listed.add(&by_verdict);
        let packets = Verdicts::sum([&by_verdict]);
        let role = Role::from_number(key.role);
        let source = BySource {
            source: source_name(&key),
            role: role.map_or("none", Role::name),
            packets,
            over_limit: (role == Some(Role::Uplink)).then_some(by_verdict.over_limit),
            first_seen: clock::timestamp(began_ns(found.first), wall_offset),
            last_seen: clock::timestamp(began_ns(found.last), wall_offset),
        };
        entries.push((packets.all(), source));
    }
    entries.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.source.cmp(&y.source)));
    let entries = entries.into_iter().map(|(_, source)| source).collect();
    Ok(Sources {
        counted,
        entries,
        other: judged.without(&listed),
    })
}

fn source_name(key: &SourceKey) -> String {
    let length = if key.address.is_v4() {
        96 + key.v4_length
    } else {
        key.v6_length
    };
    Prefix::of(key.address, length).to_string()
}

/// How many sources the text shows; JSON has all of them.
const SHOWN: usize = 20;

impl Report for Counters {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "generation {}", self.generation)?;
        let headings = |first: &'static [&'static str]| {
            [
                first,
                &["passed", "refused", "observed", "tagged", "unparsed"],
            ]
            .concat()
        };
        let objects = |first| [headings(first), vec!["over limit"]].concat();
        let section = |out: &mut dyn io::Write, title: &str, table: Table| {
            if table.is_empty() {
                return Ok(());
            }
            writeln!(out, "\n{title}")?;
            table.write(out)
        };
        let mut table = Table::new(&headings(&[""]));
        table.row(std::iter::once("all".to_owned()).chain(self.verdicts.cells()));
        section(out, "verdicts", table)?;

        let mut table = Table::new(&["verdict", "reason", "packets"]);
        for it in &self.reasons {
            table.row([
                it.verdict.to_owned(),
                it.reason.to_owned(),
                it.packets.to_string(),
            ]);
        }
        section(out, "reasons", table)?;
        limited::text(&self.shown, &self.answers, &self.unsent, &self.limits, out)?;

        let mut table = Table::new(&objects(&["interface", "role"]));
        for it in &self.interfaces {
            table.row(
                [it.label.clone(), it.role.clone()]
                    .into_iter()
                    .chain(it.packets.cells()),
            );
        }
        section(out, "interfaces", table)?;

        let mut table = Table::new(&objects(&["pool", "policy", "action"]));
        for it in &self.pools {
            let action = it.action.clone().unwrap_or_else(|| "-".to_owned());
            table.row(
                [it.name.clone(), it.policy.clone(), action]
                    .into_iter()
                    .chain(it.packets.cells()),
            );
        }
        section(out, "pools", table)?;

        let mut table = Table::new(&objects(&["prefix", "pool"]));
        for it in &self.prefixes {
            table.row(
                [it.prefix.clone(), it.pool.clone()]
                    .into_iter()
                    .chain(it.packets.cells()),
            );
        }
        section(out, "prefixes", table)?;

        let mut table = Table::new(&objects(&["relay"]));
        for it in &self.relays {
            table.row(std::iter::once(it.prefix.clone()).chain(it.packets.cells()));
        }
        section(out, "relays", table)?;

        let mut table = Table::new(&["class", "tagged", "refused", "observed", "over limit"]);
        for it in &self.classes {
            let ObjectPackets {
                verdicts,
                over_limit,
            } = it.packets;
            let counts = [
                verdicts.tagged,
                verdicts.refused,
                verdicts.observed,
                over_limit,
            ];
            table.row(std::iter::once(it.name.clone()).chain(counts.map(|it| it.to_string())));
        }
        section(out, "classes", table)?;

        let mut table = Table::new(&["country", "tagged"]);
        for it in &self.countries {
            table.row([
                it.country
                    .clone()
                    .unwrap_or_else(|| "in no database".to_owned()),
                it.packets.to_string(),
            ]);
        }
        section(out, "countries", table)?;

        self.source_text(out)?;
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "\n{line}"))
    }
}

impl Counters {
    fn source_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Sources {
            counted,
            entries,
            other,
        } = &self.sources;
        if !counted && entries.is_empty() {
            return writeln!(
                out,
                "\nsources are not counted ([counters] sources = false)"
            );
        }
        let mut table = Table::new(&[
            "source",
            "role",
            "passed",
            "refused",
            "observed",
            "tagged",
            "over limit",
            "first seen",
            "last seen",
        ]);
        for it in entries.iter().take(SHOWN) {
            let [passed, refused, observed, tagged, _] = it.packets.cells();
            let (first, last) = (
                format!("{:.0}", it.first_seen),
                format!("{:.0}", it.last_seen),
            );
            table.row([
                it.source.clone(),
                it.role.to_owned(),
                passed,
                refused,
                observed,
                tagged,
                it.over_limit
                    .map_or_else(|| "-".to_owned(), |over| over.to_string()),
                first,
                last,
            ]);
        }
        writeln!(out, "\nsources")?;
        table.write(out)?;
        if let Some(more) = entries.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(out, "  ... and {more} more (--format json has all)")?;
        }
        if other.all() > 0 {
            let [passed, refused, observed, tagged, _] = other.cells();
            writeln!(
                out,
                "  other: passed {passed}, refused {refused}, observed {observed}, tagged {tagged}"
            )?;
        }
        Ok(())
    }
}
