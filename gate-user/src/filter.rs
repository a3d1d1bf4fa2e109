//! Which of what is counted or told somebody wants: the same filters for `gate counters` and for `gate events`.

use ipnet::IpNet;

use crate::generation::Manifest;

/// The country of addresses that no database knows, as it is shown and asked for.
pub const UNKNOWN_COUNTRY: &str = "-";

/// What somebody wants to see of it; what is nothing filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what is of this pool.
    pub pool: Option<String>,
    /// Only what is of this class.
    pub class: Option<String>,
    /// Only what is of this country, in capital letters, or of [`UNKNOWN_COUNTRY`].
    pub country: Option<String>,
    /// Only what has this verdict.
    pub verdict: Option<&'static str>,
    /// Only what lies in this prefix altogether.
    pub prefix: Option<IpNet>,
    /// Only what is of this interface.
    pub interface: Option<String>,
}

/// Something that can be asked for by a [`Filter`]. What does not apply to it is nothing, and no filter that names something takes that.
pub(crate) trait Filtered {
    fn pool(&self) -> Option<&str>;
    fn class(&self) -> Option<&str>;
    fn country(&self) -> Option<&str>;
    fn interface(&self) -> Option<&str>;
    /// Whether it has no country for the reason that no database knows one.
    fn is_of_unknown_country(&self) -> bool;
    fn has_verdict(&self, verdict: &str) -> bool;
    fn prefix(&self) -> Option<IpNet>;
}

/// A name that is asked for and that nothing has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("generation {generation} has no {what} {name:?}")]
pub struct UnknownName {
    /// What it would be.
    what: &'static str,
    /// The name.
    name: String,
    /// The generation in force.
    generation: u32,
    /// Those that there are.
    known: Vec<String>,
}

impl UnknownName {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        if self.known.is_empty() {
            "there is none at all".to_owned()
        } else {
            format!("there are: {}", self.known.join(", "))
        }
    }
}

impl Filter {
    /// Whether it leaves anything out.
    #[must_use]
    pub fn is_some(&self) -> bool {
        *self != Self::default()
    }

    /// Makes sure that the names in it are names of the generation in force: of others there would be nothing, as of those that are at rest.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), UnknownName> {
        let pools = manifest.pools.iter().map(|it| &it.name).collect();
        let classes = manifest.classes.iter().map(|it| &it.name).collect();
        // One for each of its VLANs.
        let interfaces = manifest.interfaces.iter().map(|it| &it.name);
        let mut interfaces: Vec<&String> = interfaces.collect();
        interfaces.dedup();
        let wanted: [(_, _, Vec<&String>); 3] = [
            ("pool", &self.pool, pools),
            ("class", &self.class, classes),
            ("interface", &self.interface, interfaces),
        ];
        for (what, name, known) in wanted {
            if let Some(name) = name
                && !known.contains(&name)
            {
                return Err(UnknownName {
                    what,
                    name: name.clone(),
                    generation: manifest.number,
                    known: known.into_iter().cloned().collect(),
                });
            }
        }
        Ok(())
    }

    /// Whether this is what is asked for.
    pub(crate) fn takes(&self, it: &impl Filtered) -> bool {
        let Self {
            pool,
            class,
            country,
            verdict,
            prefix,
            interface,
        } = self;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        let is_of_country = match country.as_deref() {
            Some(UNKNOWN_COUNTRY) => it.is_of_unknown_country(),
            _ => is(country, it.country()),
        };
        is(pool, it.pool())
            && is(class, it.class())
            && is(interface, it.interface())
            && is_of_country
            && verdict.is_none_or(|verdict| it.has_verdict(verdict))
            && prefix
                .is_none_or(|prefix| it.prefix().is_some_and(|within| prefix.contains(&within)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tagged connection from Australia.
    struct Tagged {
        country: Option<&'static str>,
        prefix: Option<&'static str>,
    }

    impl Filtered for Tagged {
        fn pool(&self) -> Option<&str> {
            None
        }

        fn class(&self) -> Option<&str> {
            Some("foreign")
        }

        fn country(&self) -> Option<&str> {
            self.country
        }

        fn interface(&self) -> Option<&str> {
            Some("eth0")
        }

        fn is_of_unknown_country(&self) -> bool {
            self.country.is_none()
        }

        fn has_verdict(&self, verdict: &str) -> bool {
            verdict == "tagged"
        }

        fn prefix(&self) -> Option<IpNet> {
            Some(self.prefix?.parse().unwrap())
        }
    }

    const IT: Tagged = Tagged {
        country: Some("AU"),
        prefix: Some("1.0.0.0/24"),
    };

    fn takes(change: impl FnOnce(&mut Filter), it: &Tagged) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.takes(it)
    }

    #[test]
    fn filters_take_what_they_name_and_nothing_else() {
        assert!(takes(|_| (), &IT));
        assert!(!Filter::default().is_some());
        let named = |name: &str| Some(name.to_owned());
        assert!(takes(|it| it.class = named("foreign"), &IT));
        assert!(!takes(|it| it.class = named("domestic"), &IT));
        assert!(!takes(|it| it.pool = named("foreign"), &IT));
        assert!(takes(|it| it.country = named("AU"), &IT));
        assert!(!takes(|it| it.country = named("JP"), &IT));
        assert!(takes(|it| it.verdict = Some("tagged"), &IT));
        assert!(!takes(|it| it.verdict = Some("refused"), &IT));
        assert!(takes(|it| it.interface = named("eth0"), &IT));
        assert!(!takes(|it| it.interface = named("eth1"), &IT));
        // All of them.
        let both = |class| Filter {
            class: named(class),
            country: named("AU"),
            ..Filter::default()
        };
        assert!(both("foreign").takes(&IT) && !both("domestic").takes(&IT));
    }

    #[test]
    fn an_unknown_country_is_asked_for_by_its_dash() {
        let dash = |it: &mut Filter| it.country = Some("-".to_owned());
        assert!(!takes(dash, &IT));
        let unknown = Tagged {
            country: None,
            ..IT
        };
        assert!(takes(dash, &unknown));
        assert!(!takes(|it| it.country = Some("AU".to_owned()), &unknown));
    }

    #[test]
    fn a_prefix_takes_what_is_in_it_altogether() {
        let within = |prefix: &str, it| {
            let prefix = prefix.parse().unwrap();
            takes(|filter| filter.prefix = Some(prefix), it)
        };
        assert!(within("1.0.0.0/8", &IT) && within("1.0.0.0/24", &IT));
        assert!(!within("1.0.0.1/32", &IT) && !within("::/0", &IT));
        assert!(!within("0.0.0.0/0", &Tagged { prefix: None, ..IT }));
    }
}
