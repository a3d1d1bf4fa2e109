//! `gate counters --forget`: deletes what is known of sources before its time is over, for who asks for it.
//!
//! It needs no daemon and no lock: entries are deleted as programs replace them. Token buckets and tags of connections stay, which other decisions depend on; `gate privacy`
//! says for how long.

use std::{collections::BTreeMap, io, thread, time::Duration};

use gate_common::abi::SourceKey;
use ipnet::IpNet;
use serde::Serialize;

use crate::{
    error::{Error, Exit},
    generation::Prefix,
    kernel::{self, Deleted, Maps},
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
    /// How many entries of sources: more than one of a source that went on sending.
    pub sources: u64,
    /// How many ways of the table were being changed each time it was looked, so that an entry of this prefix may be left.
    pub left: u64,
}

/// How often the table is looked through at most: what a packet moves or changes meanwhile is found the next time.
const PASSES: u32 = 16;
/// Between two of them. Programs are done with a way in microseconds.
const PAUSE: Duration = Duration::from_millis(5);

/// Deletes the sources that are in `prefix`, or of which it is a part.
pub fn forget(pins: &Pins, prefix: IpNet) -> Result<Forgotten, Error> {
    // Whoever asks hears that nothing is loaded, rather than that nothing is known.
    view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
    let maps = Maps::open(pins, Access::Write)?;
    let is_in = |key: &SourceKey| {
        let source = Prefix::of_source(key.address, (key.v4_length, key.v6_length));
        let source = source.to_net();
        source.is_some_and(|it| it.contains(&prefix) || prefix.contains(&it))
    };
    let pass = || Ok(maps.delete_sources(&BTreeMap::new(), |key, _| is_in(key))?);
    let (sources, left) = until_nothing(pass)?;
    Ok(Forgotten {
        prefix: prefix.to_string(),
        sources,
        left,
    })
}

/// Looks again until there is nothing; how many entries were deleted, and how many ways the last pass could not see into.
fn until_nothing(mut pass: impl FnMut() -> Result<Deleted, Error>) -> Result<(u64, u64), Error> {
    let (mut sources, mut left) = (0, 0);
    for _ in 0..PASSES {
        let Deleted {
            entries,
            busy,
            missed,
        } = pass()?;
        sources += entries;
        left = missed + busy.len() as u64;
        if entries == 0 && left == 0 {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok((sources, left))
}

impl Forgotten {
    /// Whether all of it is gone.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.left == 0 {
            Exit::Ok
        } else {
            Exit::Degraded
        }
    }
}

impl Report for Forgotten {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            prefix,
            sources,
            left,
        } = self;
        writeln!(
            out,
            "{prefix}: {sources} sources deleted; their packets count as expired"
        )?;
        if *left > 0 {
            writeln!(
                out,
                "{left} entries were being changed all the time and may be of {prefix}: ask again; what somebody left behind who was killed the daemon deletes \
                 within a minute"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(entries: u64, busy: &[usize], missed: u64) -> Deleted {
        Deleted {
            entries,
            busy: busy.iter().map(|it| (*it, 1)).collect(),
            missed,
        }
    }

    fn after(passes: Vec<Deleted>) -> (u64, u64) {
        let mut passes = passes.into_iter();
        until_nothing(|| Ok(passes.next().expect("it looks once too often"))).unwrap()
    }

    #[test]
    fn it_looks_again_until_there_is_nothing() {
        let nothing = || pass(0, &[], 0);
        assert_eq!(after(vec![nothing()]), (0, 0));
        assert_eq!(after(vec![pass(2, &[], 0), nothing()]), (2, 0));
        assert_eq!(
            after(vec![pass(0, &[7], 0), pass(1, &[], 0), nothing()]),
            (1, 0)
        );
        assert_eq!(
            after(vec![pass(0, &[], 1), pass(1, &[], 0), nothing()]),
            (1, 0)
        );
    }

    #[test]
    fn what_it_cannot_look_into_is_said() {
        let (sources, left) = until_nothing(|| Ok(pass(0, &[3, 7], 1))).unwrap();
        assert_eq!((sources, left), (0, 3));
        let forgotten = Forgotten {
            prefix: "100.64.0.2/32".to_owned(),
            sources,
            left,
        };
        assert_eq!(forgotten.exit(), Exit::Degraded);
        let mut text = Vec::new();
        forgotten.text(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("ask again"));
    }
}
