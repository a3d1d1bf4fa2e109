//! Which line of the configuration a verdict comes from.

use std::{cell::RefCell, collections::HashMap, fmt, path::PathBuf};

use gate_common::{
    Addr, Country, Reason, Verdict,
    abi::{self, List},
    decide::{Tables as _, rule_in_force},
};
use jiff::Timestamp;
use serde::Serialize;

use super::Judgement;
use crate::{
    generation::{Decides, Line, Source},
    view::View,
};

/// How many answers are kept: looking through a long list for each packet takes longer than anything else.
const KEPT: usize = 65_536;

/// What matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `pool`, `relay`, `class`, `country`, `unknown` or `unlisted`.
    pub kind: &'static str,
    /// The name of the pool or class, or the country; nothing for a relay, and where nothing is known of the source.
    pub name: Option<String>,
    /// The prefix; of a country, the largest network around the address that it has everywhere.
    pub prefix: Option<String>,
    /// The file that has the prefix, the country, or what holds where there is none; nothing for prefixes that the gate knows by itself.
    pub file: Option<PathBuf>,
    /// The line in it.
    pub line: Option<u32>,
    /// The operator's note.
    pub ticket: Option<String>,
    /// Since when it has been in force, of the generation in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Rule {
    fn listed(view: &View, kind: &'static str, source: &Source<'_>) -> Self {
        Self {
            kind,
            name: source.owner.map(str::to_owned),
            prefix: Some(source.prefix.to_string()),
            file: source.place.map(|(file, _)| file.to_owned()),
            line: source.place.map(|(_, line)| line),
            ticket: source.ticket.map(str::to_owned),
            since: view.loaded.then_some(source.since),
        }
    }

    /// A line about nobody's prefix.
    fn line(view: &View, kind: &'static str, line: Option<&Line>) -> Self {
        Self {
            kind,
            name: None,
            prefix: None,
            file: line.map(|it| it.file.clone()),
            line: line.map(|it| it.line),
            ticket: None,
            since: line.filter(|_| view.loaded).map(|it| it.since),
        }
    }
}

/// `pool static by 100.64.9.8/32, gate.toml:23, since 2026-11-22T18:00:00Z, ticket NOC-4711`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            name,
            prefix,
            file,
            line,
            ticket,
            since,
        } = self;
        f.write_str(match *kind {
            "unknown" => "`geoip.unknown`",
            "unlisted" => "`port25.unlisted`",
            kind => kind,
        })?;
        if let Some(name) = name {
            write!(f, " {name}")?;
        }
        if let Some(prefix) = prefix {
            write!(f, " by {prefix}")?;
        }
        if let (Some(file), Some(line)) = (file, line) {
            write!(f, ", {}:{line}", file.display())?;
        }
        if let Some(since) = since {
            write!(f, ", since {since}")?;
        }
        if let Some(ticket) = ticket {
            write!(f, ", ticket {ticket}")?;
        }
        Ok(())
    }
}

/// What an answer depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Pool(Addr, abi::Rule),
    Relay(Addr),
    Class(Addr),
    /// The country is the key of a line.
    Country(Addr, Country),
    Unknown,
    Unlisted,
}

/// Finds what matched.
pub(crate) struct Rules {
    view: View,
    answers: RefCell<HashMap<Question, Option<Rule>>>,
}

impl Rules {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view,
            answers: RefCell::default(),
        }
    }

    /// The generation.
    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    /// The name of a class by its number.
    pub(crate) fn class(&self, number: u8) -> Option<String> {
        let class = self.view.manifest.classes.get(usize::from(number));
        class.map(|class| class.name.clone())
    }

    /// What the databases' licences ask for.
    pub(crate) fn attribution(&self) -> &[String] {
        &self.view.manifest.attribution
    }

    /// What led to a judgement on a packet of `now_ns` from `source`, as decisions count it.
    pub(crate) fn of(
        &self,
        judgement: Judgement,
        source: Addr,
        destination: Addr,
        now_ns: u64,
    ) -> Option<Rule> {
        let question = match judgement.reason {
            // The limit is that of its class, and what hides its port has a class like any other.
            Reason::OverLimit | Reason::Shape(_) if let Some((_, country)) = judgement.class => {
                if self.view.class_prefix(source).is_some() {
                    Question::Class(source)
                } else if country == Country::NONE {
                    Question::Unknown
                } else {
                    Question::Country(source, country)
                }
            }
            // What passes for its shape passes whoever sent it.
            Reason::Shape(_) if judgement.verdict == Verdict::Unparsed => return None,
            Reason::WithinLimit | Reason::OverLimit => {
                match rule_in_force(source, &self.view, now_ns) {
                    Some(rule) => Question::Pool(source, rule),
                    None => Question::Unlisted,
                }
            }
            Reason::Exempt | Reason::Restricted | Reason::SourceRouted | Reason::Shape(_) => {
                Question::Pool(source, rule_in_force(source, &self.view, now_ns)?)
            }
            Reason::Relay => Question::Relay(destination),
            Reason::ClassPrefix => Question::Class(source),
            Reason::ClassCountry => {
                let country = judgement
                    .class
                    .map_or(Country::NONE, |(_, country)| country);
                Question::Country(source, country)
            }
            Reason::ClassUnknown => Question::Unknown,
            Reason::Unlisted => Question::Unlisted,
            Reason::NoGeneration | Reason::NoRole => return None,
        };
        let mut answers = self.answers.borrow_mut();
        if let Some(answer) = answers.get(&question) {
            return answer.clone();
        }
        let answer = self.answer(question);
        if answers.len() == KEPT {
            answers.clear();
        }
        answers.insert(question, answer.clone());
        answer
    }

    fn answer(&self, question: Question) -> Option<Rule> {
        let view = &self.view;
        match question {
            Question::Pool(addr, rule) => {
                let source = view.access_source(addr, rule)?;
                Some(Rule::listed(view, "pool", &source))
            }
            Question::Relay(addr) => {
                let source = view.source(List::Relays, addr)?;
                Some(Rule::listed(view, "relay", &source))
            }
            Question::Class(addr) => {
                let source = view.source(List::Classes, addr)?;
                Some(Rule::listed(view, "class", &source))
            }
            Question::Country(addr, country) => {
                let name = country.code().map(|it| it.to_string());
                let own = name.clone().and_then(|it| self.line(&Decides::Country(it)));
                let line = own.or_else(|| self.line(&Decides::Default));
                Some(Rule {
                    name,
                    prefix: view.network(addr).map(|it| it.to_string()),
                    ..Rule::line(view, "country", line)
                })
            }
            Question::Unknown => {
                let line = self.line(&Decides::Unknown);
                let line = line.or_else(|| self.line(&Decides::Default));
                line.map(|line| Rule::line(view, "unknown", Some(line)))
            }
            Question::Unlisted => {
                let line = self.line(&Decides::Unlisted);
                line.map(|line| Rule::line(view, "unlisted", Some(line)))
            }
        }
    }

    fn line(&self, of: &Decides) -> Option<&Line> {
        self.view.manifest.lines.iter().find(|it| it.of == *of)
    }
}
