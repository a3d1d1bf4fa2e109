//! Which line of the configuration a verdict comes from.

use std::{collections::HashMap, path::PathBuf};

use gate_common::{
    Addr, Reason, Verdict,
    abi::{self, List},
    decide::rule_in_force,
};
use serde::Serialize;

use super::engine::Judgement;
use crate::{generation::Source, view::View};

/// How many answers are kept: looking through a long list for each packet takes longer than anything else.
const KEPT: usize = 65_536;

/// What matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `pool`, `relay`, `class` or `country`.
    pub kind: &'static str,
    /// The name of the pool or class, or the country; nothing for a relay.
    pub name: Option<String>,
    /// The prefix; of a country, the largest network around the address that it has everywhere.
    pub prefix: Option<String>,
    /// The file that has the prefix; nothing for prefixes that the gate knows by itself.
    pub file: Option<PathBuf>,
    /// The line in it.
    pub line: Option<u32>,
    /// The operator's note.
    pub ticket: Option<String>,
}

impl Rule {
    fn listed(kind: &'static str, source: &Source<'_>) -> Self {
        Self {
            kind,
            name: source.owner.map(str::to_owned),
            prefix: Some(source.prefix.to_string()),
            file: source.place.map(|(file, _)| file.to_owned()),
            line: source.place.map(|(_, line)| line),
            ticket: source.ticket.map(str::to_owned),
        }
    }
}

/// What an answer depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Pool(Addr, abi::Rule),
    Relay(Addr),
    Class(Addr),
    Country(Addr),
}

/// Finds what matched.
pub(super) struct Rules {
    view: View,
    answers: HashMap<Question, Option<Rule>>,
}

impl Rules {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            answers: HashMap::new(),
        }
    }

    /// The name of a class by its number.
    pub(super) fn class(&self, number: u8) -> Option<String> {
        let class = self.view.manifest.classes.get(usize::from(number));
        class.map(|class| class.name.clone())
    }

    /// What the databases' licences ask for.
    pub(super) fn attribution(&self) -> &[String] {
        &self.view.manifest.attribution
    }

    /// What led to a judgement on a packet of `now_ns` from `source`, as decisions count it.
    pub(super) fn of(
        &mut self,
        judgement: Judgement,
        source: Addr,
        destination: Addr,
        now_ns: u64,
    ) -> Option<Rule> {
        let question = match judgement.reason {
            // What passes for its shape passes whoever sent it.
            Reason::Shape(_) if judgement.verdict == Verdict::Unparsed => return None,
            Reason::Exempt
            | Reason::Restricted
            | Reason::WithinLimit
            | Reason::OverLimit
            | Reason::SourceRouted
            | Reason::Shape(_) => {
                Question::Pool(source, rule_in_force(source, &self.view, now_ns)?)
            }
            Reason::Relay => Question::Relay(destination),
            Reason::ClassPrefix => Question::Class(source),
            Reason::ClassCountry => Question::Country(source),
            Reason::NoGeneration | Reason::NoRole | Reason::Unlisted | Reason::ClassUnknown => {
                return None;
            }
        };
        if let Some(answer) = self.answers.get(&question) {
            return answer.clone();
        }
        let answer = self.answer(question, judgement);
        if self.answers.len() == KEPT {
            self.answers.clear();
        }
        self.answers.insert(question, answer.clone());
        answer
    }

    fn answer(&self, question: Question, judgement: Judgement) -> Option<Rule> {
        let view = &self.view;
        match question {
            Question::Pool(addr, rule) => {
                let source = view.access_source(addr, rule)?;
                Some(Rule::listed("pool", &source))
            }
            Question::Relay(addr) => {
                let source = view.source(List::Relays, addr)?;
                Some(Rule::listed("relay", &source))
            }
            Question::Class(addr) => {
                let source = view.source(List::Classes, addr)?;
                Some(Rule::listed("class", &source))
            }
            Question::Country(addr) => Some(Rule {
                kind: "country",
                name: judgement
                    .tag
                    .and_then(|(_, country)| country.code())
                    .map(|it| it.to_string()),
                prefix: view.network(addr).map(|it| it.to_string()),
                file: None,
                line: None,
                ticket: None,
            }),
        }
    }
}
