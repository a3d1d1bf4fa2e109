//! The part of `gate counters` about tags, answers and limits.

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use gate_common::{
    Answered, Bucket, Shown,
    abi::{DeviceKey, Limited},
};
use serde::Serialize;

use super::Table;
use crate::{
    generation::Manifest,
    kernel::{KernelError, Maps},
    pins::Pins,
    sys::XdpLink,
};

/// Answers to refused clients that came out in one way.
#[derive(Clone, Debug, Serialize)]
pub struct ByAnswered {
    pub(crate) answered: &'static str,
    pub(crate) packets: u64,
}

/// Packets that showed the tag of their connection in one way, or did not.
#[derive(Clone, Debug, Serialize)]
pub struct ByShown {
    pub(crate) shown: &'static str,
    pub(crate) packets: u64,
}

/// Answers that failed to leave by one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsent {
    pub(crate) interface: String,
    pub(crate) packets: u64,
}

/// What the token buckets of one kind said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ByBucket {
    pub(crate) limit: &'static str,
    /// Events within the limit.
    pub(crate) within: u64,
    /// Events over the limit.
    pub(crate) over: u64,
    /// Events taken for over the limit because CPUs were in one another's way, or there was no room for a bucket.
    pub(crate) contended: u64,
    /// Buckets made.
    pub(crate) made: u64,
    /// Buckets that made room for others before they were full again: those sources had their burst anew.
    pub(crate) evicted: u64,
}

/// What came of answers; what never came up is left out.
pub(super) fn answers(maps: &Maps) -> Result<Vec<ByAnswered>, KernelError> {
    let mut answers = Vec::new();
    for answered in Answered::ALL {
        let packets = maps.answered(*answered)?;
        if packets > 0 {
            answers.push(ByAnswered {
                answered: answered.name(),
                packets,
            });
        }
    }
    Ok(answers)
}

/// What came of showing tags; what never came up is left out.
pub(super) fn shown(maps: &Maps) -> Result<Vec<ByShown>, KernelError> {
    let mut found = Vec::new();
    for shown in Shown::ALL {
        let packets = maps.shown(*shown)?;
        if packets > 0 {
            found.push(ByShown {
                shown: shown.name(),
                packets,
            });
        }
    }
    Ok(found)
}

/// Answers that failed to leave, by each interface that has them counted.
pub(super) fn unsent(
    maps: &Maps,
    manifest: &Manifest,
    pins: &Pins,
) -> Result<Vec<Unsent>, KernelError> {
    let names: BTreeSet<&str> = manifest.interfaces.iter().map(|it| &*it.name).collect();
    // The link knows the interface, whoever has its name now. One that has no link is none that could answer.
    let index = |name: &str| Some(XdpLink::open(&pins.link(name)).ok()?.interface);
    Ok(by_interface(names, index, &maps.unsent()?))
}

fn by_interface<'a>(
    names: impl IntoIterator<Item = &'a str>,
    index: impl Fn(&str) -> Option<u32>,
    counted: &HashMap<DeviceKey, u64>,
) -> Vec<Unsent> {
    let packets = |index| counted.iter().find(|(key, _)| key.index == index);
    let unsent = |name: &str| {
        let (_, packets) = packets(index(name)?)?;
        Some(Unsent {
            interface: name.to_owned(),
            packets: *packets,
        })
    };
    names.into_iter().filter_map(unsent).collect()
}

/// What token buckets said; kinds that never came up are left out.
pub(super) fn limits(maps: &Maps) -> Result<Vec<ByBucket>, KernelError> {
    let mut limits = Vec::new();
    for bucket in Bucket::ALL {
        limits.push(by_bucket(*bucket, &maps.limited(*bucket)?));
    }
    limits.retain(|it| it.within + it.over + it.contended > 0);
    Ok(limits)
}

fn by_bucket(bucket: Bucket, said: &[Limited]) -> ByBucket {
    let sum = |field: fn(&Limited) -> u64| said.iter().map(field).sum();
    ByBucket {
        limit: bucket.name(),
        within: sum(|it| it.within),
        over: sum(|it| it.over),
        contended: sum(|it| it.contended),
        made: sum(|it| it.made),
        evicted: sum(|it| it.evicted),
    }
}

pub(super) fn text(
    shown: &[ByShown],
    answers: &[ByAnswered],
    unsent: &[Unsent],
    limits: &[ByBucket],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if !shown.is_empty() {
        let mut table = Table::new(&["shown", "packets"]);
        for it in shown {
            table.row([it.shown.to_owned(), it.packets.to_string()]);
        }
        writeln!(out, "\ntags shown")?;
        table.write(out)?;
    }
    if !answers.is_empty() {
        let mut table = Table::new(&["answered", "packets"]);
        for it in answers {
            table.row([it.answered.to_owned(), it.packets.to_string()]);
        }
        writeln!(out, "\nanswers")?;
        table.write(out)?;
    }
    if unsent.iter().any(|it| it.packets > 0) {
        let mut table = Table::new(&["interface", "unsent"]);
        for it in unsent.iter().filter(|it| it.packets > 0) {
            table.row([it.interface.clone(), it.packets.to_string()]);
        }
        writeln!(out, "\nanswers that failed to leave")?;
        table.write(out)?;
    }
    if !limits.is_empty() {
        let headings = ["limit", "within", "over", "contended", "made", "evicted"];
        let mut table = Table::new(&headings);
        for it in limits {
            let counts = [it.within, it.over, it.contended, it.made, it.evicted];
            table.row(std::iter::once(it.limit.to_owned()).chain(counts.map(|it| it.to_string())));
        }
        writeln!(out, "\nlimits")?;
        table.write(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsent_answers_are_those_of_the_interface_that_has_the_link() {
        let key = |index| DeviceKey { netns: 7, index };
        let counted = HashMap::from([(key(3), 30), (key(4), 0), (key(9), 90)]);
        let index = |name: &str| match name {
            "a" => Some(3),
            "b" => Some(4),
            // Attached, and not counted.
            "c" => Some(5),
            _ => None,
        };
        let found = by_interface(["a", "b", "c", "d"], index, &counted);
        let expected = [("a", 30), ("b", 0)].map(|(interface, packets)| Unsent {
            interface: interface.to_owned(),
            packets,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn the_text_names_interfaces_that_answers_failed_to_leave_by() {
        let unsent = |packets: &[u64]| {
            let unsent: Vec<Unsent> = packets
                .iter()
                .zip(["eth0", "eth1"])
                .map(|(packets, interface)| Unsent {
                    interface: interface.to_owned(),
                    packets: *packets,
                })
                .collect();
            let mut out = Vec::new();
            text(&[], &[], &unsent, &[], &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(unsent(&[0, 0]), "");
        assert_eq!(
            unsent(&[0, 1204]),
            "\nanswers that failed to leave\n  interface  unsent\n  eth1         1204\n"
        );
    }

    #[test]
    fn what_all_cpus_said_is_added_up() {
        let said = [
            Limited {
                within: 1,
                over: 2,
                contended: 3,
                made: 4,
                evicted: 5,
            },
            Limited {
                within: 10,
                over: 20,
                contended: 30,
                made: 40,
                evicted: 50,
            },
        ];
        let expected = ByBucket {
            limit: "answer",
            within: 11,
            over: 22,
            contended: 33,
            made: 44,
            evicted: 55,
        };
        assert_eq!(by_bucket(Bucket::Answer, &said), expected);
    }
}
