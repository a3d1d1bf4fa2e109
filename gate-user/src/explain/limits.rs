//! How full the token buckets are that a packet takes from. Nothing is taken.

use std::time::Duration;

use gate_common::{
    Addr, Answer, Bucket, Policy, Role, Verdict,
    abi::{BucketKey, Limit, Settings},
    decide::{Decision, Now},
    limit::SKEW_NS,
};
use jiff::Timestamp;
use serde::Serialize;

use super::tables;
use crate::{generation::Prefix, kernel::Buckets};

/// A token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// What it is for: a [`Bucket`].
    pub limit: &'static str,
    /// Whose it is; nothing for that of all.
    pub source: Option<String>,
    /// How many events it has at once.
    pub burst: u64,
    /// How long it takes until there is one more, in nanoseconds.
    pub interval_ns: u64,
    /// What they are.
    #[serde(skip)]
    of: &'static str,
    /// How many are left, before the packet that is asked about.
    pub left: u64,
    /// When there is one again, where none is left.
    pub next: Option<Timestamp>,
}

/// The buckets that concern a decision.
pub(super) fn fills(
    decision: &Decision,
    throttled: bool,
    settings: &Settings,
    buckets: &Buckets,
    now: Now,
) -> Vec<Fill> {
    let lengths = (decision.source_v4, decision.source_v6);
    let source = decision.source;
    let mut keys = Vec::new();
    if throttled {
        keys.push(BucketKey::new(Bucket::Throttle, source, lengths));
    }
    let class = settings.class(decision.class);
    if decision.role == Some(Role::Uplink)
        && class.policy == Policy::Restrict as u8
        && class.connections.interval_ns != 0
    {
        keys.push(BucketKey::of_class(decision.class, source, lengths));
    }
    let answers = matches!(decision.answer, Ok(answer) if answer != Answer::Drop);
    if decision.verdict == Verdict::Refused && answers {
        keys.push(BucketKey::new(Bucket::Answer, source, lengths));
        keys.push(BucketKey::new(
            Bucket::AnswerTotal,
            Addr::UNSPECIFIED,
            (0, 0),
        ));
    }
    let fill = |key: &BucketKey| {
        let of = match (key.bucket, decision.answer) {
            (Bucket::Answer, Ok(Answer::Reset)) => "TCP resets",
            (Bucket::Answer, _) => "ICMP errors",
            (Bucket::AnswerTotal, _) => "answers",
            (_, _) => "connections",
        };
        fill(
            key,
            of,
            settings.limit(key),
            tables::word(buckets, key),
            now,
        )
    };
    keys.iter().map(fill).collect()
}

fn fill(key: &BucketKey, of: &'static str, limit: &Limit, word: u64, now: Now) -> Fill {
    let Limit {
        interval_ns,
        burst_ns,
    } = *limit;
    let interval = interval_ns.max(1);
    // As `limit::take` has it: a word beyond what a bucket can owe is none.
    let owed = match word.saturating_sub(now.monotonic_ns) {
        owed if owed > burst_ns.saturating_add(SKEW_NS) => 0,
        owed => owed,
    };
    let left = burst_ns.saturating_sub(owed) / interval;
    let wait_ns = (owed + interval).saturating_sub(burst_ns);
    let next = i128::from(now.unix_ns) + i128::from(wait_ns);
    let length = if key.address.is_v4() {
        key.v4_length + Prefix::V4.length()
    } else {
        key.v6_length
    };
    Fill {
        limit: key.bucket.name(),
        source: (key.bucket != Bucket::AnswerTotal)
            .then(|| Prefix::of(key.address, length).to_string()),
        burst: burst_ns / interval,
        interval_ns,
        of,
        left,
        next: (left == 0)
            .then(|| Timestamp::from_nanosecond(next).ok())
            .flatten(),
    }
}

impl Fill {
    /// `answers to 100.64.0.2/32: 3 of 10 TCP resets left, one more each 12s`
    pub(super) fn text(&self) -> String {
        let Self {
            limit,
            source,
            burst,
            interval_ns,
            of,
            left,
            next,
        } = self;
        let whose = source
            .as_ref()
            .map_or("all sources together", String::as_str);
        let limit = match *limit {
            "answer" | "answer_total" => "answers to",
            "class" => "`connections` of the class for",
            _ => "`throttle` of port 25 for",
        };
        let each = Duration::from_nanos(*interval_ns);
        let next = next.map_or_else(String::new, |next| format!(", the next at {next:.0}"));
        format!("{limit} {whose}: {left} of {burst} {of} left, one more each {each:?}{next}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const LIMIT: Limit = Limit {
        interval_ns: 10 * SECOND,
        burst_ns: 30 * SECOND,
    };
    const NOW: Now = Now {
        unix_ns: 1_800_000_000 * SECOND,
        monotonic_ns: 1_000 * SECOND,
    };

    fn left(word: u64) -> (u64, Option<i64>) {
        let key = BucketKey::new(Bucket::Throttle, Addr::v4(0x6440_0002), (24, 64));
        let fill = fill(&key, "connections", &LIMIT, word, NOW);
        assert_eq!(fill.source.as_deref(), Some("100.64.0.0/24"));
        assert_eq!(fill.burst, 3);
        (
            fill.left,
            fill.next.map(|it| it.as_second() - 1_800_000_000),
        )
    }

    #[test]
    fn what_is_left_is_what_take_would_give() {
        assert_eq!(left(0), (3, None));
        let mut word = 0;
        for expected in [(2, None), (1, None), (0, Some(10))] {
            word = gate_common::limit::take(word, NOW.monotonic_ns, &LIMIT).unwrap();
            assert_eq!(left(word), expected);
        }
        // Some time later.
        assert_eq!(left(word - 4 * SECOND), (0, Some(6)));
        assert_eq!(left(word - 10 * SECOND), (1, None));
        // From a limit with a longer burst: begins anew, as `take` has it.
        assert_eq!(left(NOW.monotonic_ns + 32 * SECOND), (3, None));
    }
}
