//! What was judged in all, by verdict, class and country. No source is looked at, of which there can be a million: it is read all the time.

use std::collections::BTreeMap;

use super::{ObjectPackets, countries, totals};
use crate::{
    error::Error,
    filter::UNKNOWN_COUNTRY,
    kernel::{self, Maps},
    pins::Pins,
    sys::Access,
    view,
};

/// Packets since the gate was loaded, by the names of `gate counters`.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// The kernel's number for the map of totals: another one begins at nothing.
    pub(crate) loaded: u32,
    pub(crate) verdicts: BTreeMap<String, u64>,
    pub(crate) classes: BTreeMap<String, u64>,
    pub(crate) countries: BTreeMap<String, u64>,
}

impl Judged {
    /// Reads them.
    pub(crate) fn read(pins: &Pins) -> Result<Self, Error> {
        let manifest = view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
        let maps = Maps::open(pins, Access::Read)?;
        let (verdicts, ..) = totals(&maps)?;
        let verdicts = verdicts.named().into_iter();
        let mut classes = BTreeMap::new();
        for it in manifest.classes {
            let packets = ObjectPackets::sum(&maps.counter(it.counter)?);
            classes.insert(it.name, packets.verdicts.all());
        }
        let countries = countries(&maps)?.into_iter();
        Ok(Self {
            loaded: maps.totals_id(),
            verdicts: verdicts.map(|(name, n)| (name.to_owned(), n)).collect(),
            classes,
            countries: countries
                .map(|it| {
                    let name = it.country.unwrap_or_else(|| UNKNOWN_COUNTRY.to_owned());
                    (name, it.packets)
                })
                .collect(),
        })
    }
}
