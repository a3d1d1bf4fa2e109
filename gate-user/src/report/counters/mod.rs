//! `gate counters`: how many packets got which verdict, and whose they were.

mod judged;
mod sources;
mod text;
mod verdicts;

use gate_common::{Country, Reason, Verdict};
use serde::Serialize;

use self::sources::sources;
pub(crate) use self::{
    judged::Judged,
    sources::Sources,
    verdicts::{ObjectPackets, Verdicts},
};
use super::limited::{self, ByAnswered, ByBucket, ByShown, Unsent};
use crate::{
    error::Error,
    generation::Manifest,
    kernel::{self, KernelError, Maps},
    pins::Pins,
    sys::Access,
    view,
};
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
    pub(crate) verdict: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) packets: u64,
}

/// Packets of an interface, or of some of its VLANs.
#[derive(Clone, Debug, Serialize)]
pub struct ByInterface {
    pub(crate) name: String,
    /// The VLANs; nothing for every frame, or for `stripped` ones.
    pub(crate) vlans: Option<String>,
    /// Whether these are the frames that carry no VLAN ID.
    pub(crate) stripped: bool,
    /// What the text calls it.
    #[serde(skip)]
    pub(crate) label: String,
    pub(crate) role: String,
    pub(crate) packets: ObjectPackets,
}

/// Packets of a pool.
#[derive(Clone, Debug, Serialize)]
pub struct ByPool {
    pub(crate) name: String,
    pub(crate) policy: String,
    pub(crate) action: Option<String>,
    pub(crate) packets: ObjectPackets,
}

/// Packets of a prefix.
#[derive(Clone, Debug, Serialize)]
pub struct ByPrefix {
    pub(crate) pool: String,
    pub(crate) prefix: String,
    pub(crate) packets: ObjectPackets,
}

/// Packets to a relay.
#[derive(Clone, Debug, Serialize)]
pub struct ByRelay {
    pub(crate) prefix: String,
    pub(crate) packets: ObjectPackets,
}

/// Packets of a class.
#[derive(Clone, Debug, Serialize)]
pub struct ByClass {
    pub(crate) name: String,
    pub(crate) packets: ObjectPackets,
}

/// Packets from a country.
#[derive(Clone, Debug, Serialize)]
pub struct ByCountry {
    pub(crate) country: Option<String>,
    pub(crate) packets: u64,
}
/// Reads the counters of the loaded gate.
pub fn counters(pins: &Pins) -> Result<Counters, Error> {
    let manifest = view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
    let maps = Maps::open(pins, Access::Read)?;
    Counters::read(&maps, &manifest, pins)
}

impl Counters {
    /// Reads the counters of a gate whose generation is described by `manifest`.
    pub fn read(maps: &Maps, manifest: &Manifest, pins: &Pins) -> Result<Self, Error> {
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
            sources: sources(maps, &manifest.counters, &judged)?,
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
