//! The judgement on one connection: pure functions of what was expected and what was seen.

use super::{Expect, Reasons};
use crate::lab::Seen;

/// A connection attempt, as client and server saw it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// How it ended for the client.
    pub seen: Seen,
    /// How many connections the server accepted from that client on that port meanwhile.
    pub accepted: u64,
}

/// The tag of a connection, beside what the database says without the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The class on it.
    pub class: String,
    /// The country on it.
    pub country: Option<String>,
    /// The country it should have.
    pub of_database: Option<String>,
}

/// What the gate said about an attempt.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What it counted.
    pub reasons: Reasons,
    /// How it tagged the connection.
    pub tag: Option<Tag>,
}

/// What is wrong with `attempt` where a connection should come about, or be refused so that the client sees `refused`.
pub(super) fn attempt_faults(refused: Option<Seen>, attempt: Attempt) -> Vec<String> {
    let Attempt { seen, accepted } = attempt;
    let as_expected = match refused {
        Some(refused) => seen == refused,
        None => matches!(seen, Seen::Open(_)),
    };
    let mut faults = Vec::new();
    if !as_expected {
        let expected = refused.map_or("open".to_owned(), |refused| refused.to_string());
        faults.push(format!("the client saw {seen}, not {expected}"));
    }
    if accepted != u64::from(refused.is_none()) {
        faults.push(format!("the server accepted {accepted} connections"));
    }
    faults
}

/// What is wrong where the gate was to do what `expect` says, and a refused client sees `refused`.
pub(super) fn faults(
    expect: Expect,
    refused: Seen,
    attempt: Attempt,
    observed: &Observed,
) -> Vec<String> {
    let Observed { reasons, tag } = observed;
    let mut faults = attempt_faults((!expect.is_open()).then_some(refused), attempt);
    if !reasons.are(expect.counted()) {
        let expected = match expect.counted() {
            Some((verdict, reason)) => format!("1 {verdict}/{reason}"),
            None => "nothing".to_owned(),
        };
        faults.push(format!("the gate counted {reasons}, not {expected}"));
    }
    match (expect.class(), tag) {
        (None, None) => {}
        (Some(class), None) => faults.push(format!("no tag, not {class}")),
        (None, Some(tag)) => faults.push(format!("tagged {}, should have no tag", tag.class)),
        (Some(class), Some(tag)) => {
            let Tag {
                class: found,
                country,
                of_database,
            } = tag;
            if found != class {
                faults.push(format!("tagged {found}, not {class}"));
            }
            if country != of_database {
                faults.push(format!(
                    "tagged as from {country:?}, the database says {of_database:?}"
                ));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Counters, ReasonPackets};

    const OPEN: Attempt = Attempt {
        seen: Seen::Open(std::net::SocketAddr::new(
            std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            1,
        )),
        accepted: 1,
    };
    const REFUSED: Seen = Seen::Refused(nix::errno::Errno::ECONNREFUSED);
    const CLOSED: Attempt = Attempt {
        seen: REFUSED,
        accepted: 0,
    };
    /// Gone without an answer, where there should have been one.
    const LOST: Attempt = Attempt {
        seen: Seen::NoAnswer,
        accepted: 0,
    };
    /// The server accepted what the client never got.
    const HALF: Attempt = Attempt {
        seen: Seen::NoAnswer,
        accepted: 1,
    };
    const TAGGED: Expect = Expect::Tagged {
        class: "foreign",
        reason: "class_country",
    };

    fn counters(packets: u64, verdict: &str, reason: &str) -> Counters {
        Counters {
            reasons: vec![ReasonPackets {
                verdict: verdict.to_owned(),
                reason: reason.to_owned(),
                packets,
            }],
            ..Counters::default()
        }
    }

    fn counted(verdict: &str, reason: &str) -> Observed {
        Observed {
            reasons: Reasons::between(&counters(4, verdict, reason), &counters(5, verdict, reason)),
            tag: None,
        }
    }

    fn refused() -> Observed {
        counted("refused", "restricted")
    }

    fn nothing() -> Observed {
        Observed::default()
    }

    fn tag(class: &str, country: &str) -> Observed {
        Observed {
            tag: Some(Tag {
                class: class.to_owned(),
                country: Some(country.to_owned()),
                of_database: Some("US".to_owned()),
            }),
            ..counted("tagged", "class_country")
        }
    }

    #[test]
    fn what_is_as_expected_has_no_fault() {
        for (expect, attempt, observed) in [
            (Expect::Untouched, OPEN, nothing()),
            (Expect::Refused, CLOSED, refused()),
            (Expect::Passed("relay"), OPEN, counted("passed", "relay")),
            (TAGGED, OPEN, tag("foreign", "US")),
        ] {
            assert_eq!(
                faults(expect, REFUSED, attempt, &observed),
                Vec::<String>::new(),
                "{expect:?}"
            );
        }
    }

    #[test]
    fn a_leak_a_wrong_reason_and_a_wrong_tag_are_faults() {
        for (what, count, expect, attempt, observed) in [
            ("leak", 2, Expect::Refused, OPEN, refused()),
            ("half open", 2, Expect::Refused, HALF, refused()),
            ("no answer", 1, Expect::Refused, LOST, refused()),
            ("blocked", 2, Expect::Untouched, CLOSED, nothing()),
            (
                "reason",
                1,
                Expect::Passed("relay"),
                OPEN,
                counted("passed", "exempt"),
            ),
            ("not counted", 1, Expect::Refused, CLOSED, nothing()),
            (
                "counted",
                1,
                Expect::Untouched,
                OPEN,
                counted("passed", "relay"),
            ),
            ("class", 1, TAGGED, OPEN, tag("domestic", "US")),
            ("country", 1, TAGGED, OPEN, tag("foreign", "JP")),
            (
                "no tag",
                1,
                TAGGED,
                OPEN,
                counted("tagged", "class_country"),
            ),
            ("tag", 2, Expect::Untouched, OPEN, tag("foreign", "US")),
        ] {
            let found = faults(expect, REFUSED, attempt, &observed);
            assert_eq!(found.len(), count, "{what}: {found:?}");
        }
    }
}
