//! The part of `gate counters` about answers and limits.

use std::io;

use gate_common::{Answered, Bucket, abi::Limited};
use serde::Serialize;

use super::Table;
use crate::kernel::{KernelError, Maps};

/// Answers to refused clients that came out in one way.
#[derive(Clone, Debug, Serialize)]
pub struct ByAnswered {
    answered: &'static str,
    packets: u64,
}

/// What the token buckets of one kind said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ByBucket {
    limit: &'static str,
    /// Events within the limit.
    within: u64,
    /// Events over the limit.
    over: u64,
    /// Events taken for over the limit because CPUs were in one another's way, or there was no room for a bucket.
    contended: u64,
    /// Buckets made.
    made: u64,
    /// Buckets that made room for others: those sources had their burst anew.
    evicted: u64,
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

/// What token buckets said; kinds that never came up are left out.
pub(super) fn limits(maps: &Maps) -> Result<Vec<ByBucket>, KernelError> {
    let mut read = Vec::new();
    for bucket in Bucket::ALL {
        read.push((*bucket, maps.limited(*bucket)?));
    }
    // After the counts: a bucket made meanwhile makes none appear to be evicted.
    let buckets = maps.buckets()?;
    let of_kind = |bucket: Bucket| buckets.keys().filter(move |key| key.bucket == bucket as u8);
    Ok(read
        .into_iter()
        .map(|(bucket, said)| by_bucket(bucket, &said, of_kind(bucket).count()))
        .filter(|it| it.within + it.over + it.contended > 0)
        .collect())
}

fn by_bucket(bucket: Bucket, said: &[Limited], live: usize) -> ByBucket {
    let sum = |field: fn(&Limited) -> u64| said.iter().map(field).sum();
    let made: u64 = sum(|it| it.made);
    ByBucket {
        limit: bucket.name(),
        within: sum(|it| it.within),
        over: sum(|it| it.over),
        contended: sum(|it| it.contended),
        made,
        evicted: made.saturating_sub(live as u64),
    }
}

pub(super) fn text(
    answers: &[ByAnswered],
    limits: &[ByBucket],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if !answers.is_empty() {
        let mut table = Table::new(&["answered", "packets"]);
        for it in answers {
            table.row([it.answered.to_owned(), it.packets.to_string()]);
        }
        writeln!(out, "\nanswers")?;
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
    fn what_was_made_and_is_not_there_was_evicted() {
        let said = [
            Limited {
                within: 1,
                over: 2,
                contended: 3,
                made: 4,
            },
            Limited {
                within: 10,
                over: 20,
                contended: 30,
                made: 40,
            },
        ];
        let expected = ByBucket {
            limit: "answer",
            within: 11,
            over: 22,
            contended: 33,
            made: 44,
            evicted: 34,
        };
        assert_eq!(by_bucket(Bucket::Answer, &said, 10), expected);
        assert_eq!(by_bucket(Bucket::Answer, &said, 50).evicted, 0);
    }
}
