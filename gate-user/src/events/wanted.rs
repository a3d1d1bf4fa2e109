//! Which events somebody wants, and on which terms the program tells them.

use std::{ops::RangeInclusive, time::Duration};

use gate_common::abi::{CHANCES, Limit};
use ipnet::IpNet;

use super::{EventsError, line::EventLine};
use crate::{export::ExportError, generation::Manifest, kernel::Terms};

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
    /// Only events of this pool.
    pub pool: Option<String>,
    /// Only events of this class.
    pub class: Option<String>,
    /// Only events of this country, in capital letters; `-` is that of addresses that no database knows.
    pub country: Option<String>,
    /// Only events of this verdict.
    pub verdict: Option<&'static str>,
    /// Only events of sources in this prefix.
    pub prefix: Option<IpNet>,
    /// Only events of this interface.
    pub interface: Option<String>,
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

    /// Makes sure that names which are asked for are names of the generation in force.
    pub(super) fn names(&self, manifest: &Manifest) -> Result<(), ExportError> {
        let pools = manifest.pools.iter().map(|it| it.name.clone()).collect();
        let classes = manifest.classes.iter().map(|it| it.name.clone()).collect();
        let interfaces = manifest.interfaces.iter().map(|it| it.name.clone());
        let mut interfaces: Vec<String> = interfaces.collect();
        interfaces.dedup();
        for (what, wanted, known) in [
            ("pool", &self.pool, pools),
            ("class", &self.class, classes),
            ("interface", &self.interface, interfaces),
        ] {
            let known: Vec<String> = known;
            if let Some(name) = wanted.as_ref().filter(|it| !known.contains(it)) {
                return Err(ExportError::Unknown {
                    what,
                    name: name.clone(),
                    generation: manifest.number,
                    known,
                });
            }
        }
        Ok(())
    }

    /// Whether an event is one that is asked for.
    pub(super) fn takes(&self, line: &EventLine) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| {
            wanted.is_none() || wanted.as_deref() == found.as_deref()
        };
        let is_country = match self.country.as_deref() {
            None => true,
            // As for rows of counters: only who has a class can have a country.
            Some("-") => line.country.is_none() && line.role == Some("uplink"),
            Some(code) => line.country.as_deref() == Some(code),
        };
        let is_in = self.prefix.is_none_or(|wanted| {
            let source = line.source.as_ref();
            source.is_some_and(|source| wanted.contains(&source.0))
        });
        is(&self.pool, &line.pool)
            && is(&self.class, &line.class)
            && is(&self.interface, &line.interface)
            && is_country
            && is_in
            && self
                .verdict
                .is_none_or(|wanted| line.verdict == Some(wanted))
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
            pool: None,
            class: None,
            country: None,
            verdict: None,
            prefix: None,
            interface: None,
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

    fn takes(change: impl FnOnce(&mut Wanted), line: &EventLine) -> bool {
        let mut wanted = everything();
        change(&mut wanted);
        wanted.takes(line)
    }

    #[test]
    fn filters_take_what_they_name_and_nothing_else() {
        let it = &event();
        assert!(takes(|_| (), it));
        assert!(takes(
            |wanted| wanted.class = Some("foreign".to_owned()),
            it
        ));
        assert!(!takes(
            |wanted| wanted.class = Some("domestic".to_owned()),
            it
        ));
        assert!(!takes(
            |wanted| wanted.pool = Some("foreign".to_owned()),
            it
        ));
        assert!(takes(|wanted| wanted.country = Some("AU".to_owned()), it));
        assert!(!takes(|wanted| wanted.country = Some("-".to_owned()), it));
        assert!(takes(|wanted| wanted.verdict = Some("tagged"), it));
        assert!(!takes(|wanted| wanted.verdict = Some("refused"), it));
        assert!(takes(
            |wanted| wanted.interface = Some("eth0".to_owned()),
            it
        ));
        assert!(!takes(
            |wanted| wanted.interface = Some("eth1".to_owned()),
            it
        ));
    }

    #[test]
    fn no_country_is_one_of_who_could_have_one() {
        let mut it = event();
        it.country = None;
        assert!(takes(|wanted| wanted.country = Some("-".to_owned()), &it));
        it.role = Some("access");
        assert!(!takes(|wanted| wanted.country = Some("-".to_owned()), &it));
    }

    #[test]
    fn a_prefix_takes_sources_that_are_in_it_altogether() {
        let within = |prefix: &str, it: &EventLine| {
            let prefix = prefix.parse().unwrap();
            takes(|wanted| wanted.prefix = Some(prefix), it)
        };
        let mut it = event();
        assert!(within("1.0.0.0/8", &it));
        assert!(!within("1.0.0.1/32", &it) && !within("::/0", &it));
        it.source = None;
        assert!(!within("0.0.0.0/0", &it));
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
