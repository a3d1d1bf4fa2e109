//! Which events somebody wants, and on which terms the program tells them.

use std::{ops::RangeInclusive, time::Duration};

use gate_common::{
    Role,
    abi::{CHANCES, Limit},
};
use ipnet::IpNet;

use super::{EventsError, line::EventLine};
use crate::{
    filter::{Filter, Filtered},
    kernel::Terms,
};

/// One event in so many.
pub const SAMPLES: RangeInclusive<u64> = 1..=1_000_000;
/// So many events a second.
pub const RATES: RangeInclusive<u64> = 1..=1_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What somebody wants to hear.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// One event in so many, by chance.
    pub sample: u64,
    /// So many events a second at most, of all CPUs, and so many at once.
    pub rate: u64,
    /// Only these events.
    pub filter: Filter,
    /// How many; nothing for no end.
    pub count: Option<u64>,
    /// For how long; nothing for no end.
    pub length: Option<Duration>,
}

impl Wanted {
    /// Makes sure that the terms are some.
    pub fn check(&self) -> Result<(), EventsError> {
        for (what, wanted, accepted) in
            [("sample", self.sample, SAMPLES), ("rate", self.rate, RATES)]
        {
            if !accepted.contains(&wanted) {
                return Err(EventsError::Terms {
                    what,
                    wanted,
                    least: *accepted.start(),
                    most: *accepted.end(),
                });
            }
        }
        Ok(())
    }

    /// The terms, as the program has them.
    pub(super) const fn terms(&self) -> Terms {
        let interval_ns = SECOND_NS / self.rate;
        Terms {
            chance: CHANCES / self.sample,
            limit: Limit {
                interval_ns,
                burst_ns: interval_ns * self.rate,
            },
        }
    }
}

impl Filtered for EventLine {
    fn pool(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    fn country(&self) -> Option<&str> {
        self.country.as_deref()
    }

    fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    fn is_of_unknown_country(&self) -> bool {
        // Who has no class has no country either.
        self.country.is_none() && self.role == Some(Role::Uplink.name())
    }

    fn has_verdict(&self, verdict: &str) -> bool {
        self.verdict == Some(verdict)
    }

    fn prefix(&self) -> Option<IpNet> {
        self.source.as_ref().map(|source| source.0)
    }
}

#[cfg(test)]
mod tests {
    use gate_common::limit;
    use jiff::Timestamp;

    use super::*;
    use crate::events::line::Source;

    fn everything() -> Wanted {
        Wanted {
            sample: 1,
            rate: 1000,
            filter: Filter::default(),
            count: None,
            length: None,
        }
    }

    fn event() -> EventLine {
        EventLine {
            at: Timestamp::UNIX_EPOCH,
            generation: 1,
            interface: Some("eth0".to_owned()),
            role: Some("uplink"),
            verdict: Some("tagged"),
            reason: Some("class_country"),
            pool: None,
            prefix: None,
            class: Some("foreign".to_owned()),
            country: Some("AU".to_owned()),
            observed: Some(false),
            source: "1.0.0.0/24".parse().ok().map(Source),
            source_port: Some(40_000),
            destination: None,
            destination_port: Some(587),
        }
    }

    fn of_country(code: &str) -> Filter {
        Filter {
            country: Some(code.to_owned()),
            ..Filter::default()
        }
    }

    #[test]
    fn an_event_has_what_its_line_says() {
        let mut it = event();
        assert_eq!((it.pool(), it.class()), (None, Some("foreign")));
        assert_eq!((it.interface(), it.country()), (Some("eth0"), Some("AU")));
        assert!(it.has_verdict("tagged") && !it.has_verdict("refused"));
        // Its source, and not the rule's prefix.
        it.prefix = Some("192.0.2.0/24".to_owned());
        assert_eq!(Filtered::prefix(&it), "1.0.0.0/24".parse().ok());
        it.source = None;
        assert_eq!(Filtered::prefix(&it), None);
    }

    #[test]
    fn no_country_is_one_of_who_could_have_one() {
        let mut it = event();
        assert!(!of_country("-").takes(&it));
        it.country = None;
        assert!(of_country("-").takes(&it));
        it.role = Some("access");
        assert!(!of_country("-").takes(&it));
    }

    #[test]
    fn a_rate_is_so_many_at_once_and_so_many_a_second() {
        for rate in [1, 3, 1000, 1_000_000] {
            let Terms { limit, .. } = Wanted {
                rate,
                ..everything()
            }
            .terms();
            let now = 1_000 * SECOND_NS;
            let mut word = 0;
            for second in 0..2 {
                let now = now + second * SECOND_NS;
                for at in 0..rate {
                    word = limit::take(word, now, &limit)
                        .unwrap_or_else(|| panic!("{rate}: only {at} in second {second}"));
                }
                assert!(limit::take(word, now, &limit).is_none(), "{rate}: more");
            }
        }
    }

    #[test]
    fn terms_that_are_none_are_refused() {
        for wanted in [
            Wanted {
                sample: 0,
                ..everything()
            },
            Wanted {
                rate: 0,
                ..everything()
            },
            Wanted {
                rate: 1_000_001,
                ..everything()
            },
        ] {
            assert!(wanted.check().is_err(), "{wanted:?}");
        }
        assert!(everything().check().is_ok());
        assert_eq!(everything().terms().chance, CHANCES);
    }
}
