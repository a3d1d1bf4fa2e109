//! `gate counters --forget`: deletes what is known of sources before its time is over, for who asks for it.
//!
//! It needs no daemon and no lock: entries are deleted as programs replace them. Token buckets and tags of connections stay, which other decisions depend on; `gate privacy`
//! says for how long.

use std::{collections::BTreeSet, io};

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    error::Error,
    generation::Prefix,
    kernel::{self, Maps},
    pins::Pins,
    report::Report,
    sys::Access,
    view,
};

/// What was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// What was asked for.
    pub prefix: String,
    /// How many entries of sources.
    pub sources: u64,
}

/// Deletes the sources that are in `prefix`, or of which it is a part.
pub fn forget(pins: &Pins, prefix: IpNet) -> Result<Forgotten, Error> {
    // Whoever asks hears that nothing is loaded, rather than that nothing is known.
    view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
    let maps = Maps::open(pins, Access::Write)?;
    let deleted = maps.delete_sources(&BTreeSet::new(), |key, _| {
        let source = Prefix::of_source(key.address, (key.v4_length, key.v6_length));
        let source = source.to_net();
        source.is_some_and(|it| it.contains(&prefix) || prefix.contains(&it))
    })?;
    Ok(Forgotten {
        prefix: prefix.to_string(),
        sources: deleted.entries,
    })
}

impl Report for Forgotten {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { prefix, sources } = self;
        writeln!(
            out,
            "{prefix}: {sources} sources deleted; their packets count as expired"
        )
    }
}
