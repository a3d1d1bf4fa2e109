//! How a generation treats an address.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
};

use gate_common::{
    Addr, Policy,
    abi::{List, Rule},
    decide::{Tables as _, classify, rule_in_force},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::view::View;

/// What an address is looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    /// As a subscriber.
    Access,
    /// As the source of a submission connection.
    Class,
    /// As a destination on port 25.
    Relay,
    /// As a destination of submission.
    Server,
}

impl Aspect {
    pub(super) const ALL: [Self; 4] = [Self::Access, Self::Class, Self::Relay, Self::Server];

    /// What output calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Access => "subscribers",
            Self::Class => "classes",
            Self::Relay => "relays",
            Self::Server => "servers",
        }
    }

    /// The lists that an answer depends on.
    pub(super) const fn lists(self) -> &'static [List] {
        match self {
            Self::Access => &[List::Access],
            Self::Class => &[List::Classes, List::Countries],
            Self::Relay => &[List::Relays],
            Self::Server => &[List::Servers],
        }
    }
}

/// How an address is treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Treatment {
    /// The pool that it is in.
    pub pool: Option<String>,
    /// The class that it has.
    pub class: Option<String>,
    /// What is done, in words.
    pub words: String,
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, class, words } = self;
        if let Some(pool) = pool {
            write!(f, "pool {pool}, ")?;
        }
        if let Some(class) = class {
            write!(f, "class {class}, ")?;
        }
        f.write_str(words)
    }
}

/// How an address is treated, and the country that it was found in, where its class depends on that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Treated {
    pub(super) treatment: Treatment,
    pub(super) country: Option<String>,
}

/// What a treatment is the same by, without words.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Same {
    Rule(Option<Rule>),
    Class(u8, u16),
    Listed(bool),
}

/// The treatments of one generation at one time, each put into words once.
pub(super) struct Treatments<'v> {
    aspect: Aspect,
    view: &'v View,
    at: Timestamp,
    known: HashMap<Same, Treated>,
}

impl<'v> Treatments<'v> {
    pub(super) fn new(aspect: Aspect, view: &'v View, at: Timestamp) -> Self {
        Self {
            aspect,
            view,
            at,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, addr: Addr) -> &Treated {
        let same = self.same(addr);
        let Self {
            view, at, known, ..
        } = self;
        known.entry(same).or_insert_with(|| words(same, view, *at))
    }

    fn same(&self, addr: Addr) -> Same {
        let view = self.view;
        match self.aspect {
            Aspect::Access => {
                let at_ns = u64::try_from(self.at.as_nanosecond()).unwrap_or(0);
                // The counters of prefixes and the numbers of rules are nobody's treatment, but words are made of the rest only.
                Same::Rule(rule_in_force(addr, view, at_ns))
            }
            Aspect::Class => match view.settings() {
                Some(settings) if !view.manifest.classes.is_empty() => {
                    let it = classify(addr, settings, view);
                    Same::Class(it.class, it.country.number())
                }
                _ => Same::Listed(false),
            },
            Aspect::Relay => Same::Listed(view.relay(addr).is_some()),
            Aspect::Server => Same::Listed(
                view.server(addr) || view.settings().is_some_and(|it| it.any_server != 0),
            ),
        }
    }
}

fn words(same: Same, view: &View, at: Timestamp) -> Treated {
    let country = match same {
        Same::Class(_, country) => gate_common::Country::from_number(country).code(),
        Same::Rule(_) | Same::Listed(_) => None,
    };
    let treatment = match same {
        Same::Rule(Some(rule)) => of_rule(rule, view, at),
        Same::Rule(None) => of_unlisted(view, at),
        Same::Class(class, _) => of_class(class, view, at),
        Same::Listed(listed) => Treatment {
            words: if listed { "listed" } else { "not listed" }.to_owned(),
            ..Treatment::default()
        },
    };
    Treated {
        treatment,
        country: country.map(|it| it.to_string()),
    }
}

/// `enforce`, or what is only observed and until when.
fn in_force(action: Option<&str>, effective_from: Option<Timestamp>, at: Timestamp) -> String {
    let action = action.unwrap_or("-");
    match effective_from.filter(|from| at < *from) {
        Some(from) => format!("{action} from {from} on, observe until then"),
        None => action.to_owned(),
    }
}

fn of_rule(rule: Rule, view: &View, at: Timestamp) -> Treatment {
    let mut pools = view.manifest.pools.iter();
    let pool = pools.find(|it| it.counter == rule.pool_counter);
    let mut words = if rule.policy == Policy::Exempt as u8 {
        "exempt".to_owned()
    } else {
        let action = pool.and_then(|it| it.action.as_deref());
        let from = pool.and_then(|it| it.effective_from);
        let answer = pool.and_then(|it| it.answer.as_deref()).unwrap_or("-");
        format!("restrict, {}, answer {answer}", in_force(action, from, at))
    };
    words.push_str(&unit(rule.source_v4, rule.source_v6));
    let until = Timestamp::from_nanosecond(i128::from(rule.until_ns)).ok();
    if let Some(until) = until.filter(|_| rule.until_ns != 0) {
        let _ = write!(words, ", until {until}");
    }
    Treatment {
        pool: pool.map(|it| it.name.clone()),
        words,
        ..Treatment::default()
    }
}

/// What one source is, where that is not what it is by default.
fn unit(v4: u8, v6: u8) -> String {
    if (v4, v6) == gate_common::decide::SOURCE_LENGTHS {
        String::new()
    } else {
        format!(", a source is a /{v4} or a /{v6}")
    }
}

fn of_unlisted(view: &View, at: Timestamp) -> Treatment {
    let words = match &view.manifest.unlisted {
        None => "in no pool, passes".to_owned(),
        Some(unlisted) => {
            let action = in_force(Some(&unlisted.action), unlisted.effective_from, at);
            format!("in no pool, refuse, {action}")
        }
    };
    Treatment {
        words,
        ..Treatment::default()
    }
}

fn of_class(class: u8, view: &View, at: Timestamp) -> Treatment {
    let class = view.manifest.classes.get(usize::from(class));
    let words = class.map_or_else(String::new, |class| {
        let mut words = match &class.action {
            None => class.policy.clone(),
            Some(action) => in_force(Some(action), class.effective_from, at),
        };
        if let Some(connections) = &class.connections {
            let _ = write!(words, ", connections {connections}");
        }
        words.push_str(&unit(class.source_v4, class.source_v6));
        words
    });
    Treatment {
        pool: None,
        class: class.map(|it| it.name.clone()),
        words,
    }
}
