//! `gate exempt list`: the file beside what is in force.

use std::{collections::BTreeMap, io, path::PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::InForce;
use crate::{
    config::exemptions::load,
    error::{Error, Exit},
    file,
    generation::Exemption,
    pins::Pins,
    report::{Report, Table},
};

/// Whether an exemption is what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is in force.
    InForce,
    /// It is over, whatever the file says.
    Expired,
    /// It stands in the file, and is not in force.
    NotInForce,
    /// It is in force, and does not stand in the file.
    NotInFile,
    /// It is in force with another end or ticket than the file has.
    Differs,
}

impl State {
    const fn words(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Expired => "expired",
            Self::NotInForce => "in the file, not in force",
            Self::NotInFile => "in force, not in the file",
            Self::Differs => "in force otherwise than the file has it",
        }
    }
}

/// An exemption.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Whose.
    #[serde(serialize_with = "super::as_text")]
    pub prefix: IpNet,
    /// When it ends; nothing if it does not.
    pub until: Option<Timestamp>,
    /// In how many seconds that is; nothing if it is over or has no end.
    pub left_seconds: Option<i64>,
    /// The operator's note.
    pub ticket: Option<String>,
    /// Since when it has been in force; nothing if it is not.
    pub since: Option<Timestamp>,
    /// The line of the file.
    pub line: Option<u32>,
    /// What it is.
    pub state: State,
}

/// All exemptions.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The file.
    pub file: PathBuf,
    /// The generation in force.
    pub generation: u32,
    /// The exemptions, by prefix.
    pub exemptions: Vec<Item>,
    /// Why the file cannot be read; what is shown then is what is in force.
    pub problem: Option<String>,
}

/// The exemptions of the gate in force and of their file.
pub fn list(pins: &Pins) -> Result<Listing, Error> {
    let in_force = InForce::read(pins)?;
    let path = in_force.file()?;
    let now = Timestamp::now();
    let loaded = Exemption::of(&in_force.sources, &in_force.rules);
    let (read, problem) = match load(&path, &file::read_text) {
        Ok((read, _)) => (Exemption::listed(&read, &[], now), None),
        Err(error) => (loaded.clone(), Some(error.to_string())),
    };
    Ok(Listing {
        file: path,
        generation: in_force.manifest.number,
        exemptions: compare(&read, &loaded, now),
        problem,
    })
}

/// What there is in the file, in force or both.
fn compare(read: &[Exemption], loaded: &[Exemption], now: Timestamp) -> Vec<Item> {
    type Pair<'e> = (Option<&'e Exemption>, Option<&'e Exemption>);
    let mut pairs: BTreeMap<IpNet, Pair<'_>> = BTreeMap::new();
    for it in read {
        if let Some(net) = it.prefix.to_net() {
            pairs.entry(net).or_default().0 = Some(it);
        }
    }
    for it in loaded {
        if let Some(net) = it.prefix.to_net() {
            pairs.entry(net).or_default().1 = Some(it);
        }
    }
    let item = |(prefix, (file, gate)): (IpNet, Pair<'_>)| {
        let shown = file.or(gate)?;
        let until = shown.until();
        let is_over = |it: &Exemption| it.until().is_some_and(|until| until <= now);
        let state = match (file, gate) {
            (Some(file), Some(gate))
                if (file.until_ns, &file.ticket) != (gate.until_ns, &gate.ticket) =>
            {
                State::Differs
            }
            (Some(_), None) => State::NotInForce,
            (None, _) => State::NotInFile,
            (Some(file), Some(_)) if is_over(file) => State::Expired,
            (Some(_), Some(_)) => State::InForce,
        };
        Some(Item {
            prefix,
            until,
            left_seconds: until
                .map(|until| until.as_second() - now.as_second())
                .filter(|left| *left > 0),
            ticket: shown.ticket.clone(),
            since: gate.map(|it| it.since),
            line: file.map(|it| it.line),
            state,
        })
    };
    pairs.into_iter().filter_map(item).collect()
}

/// How long something lasts, as far as anybody wants to know.
fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl Listing {
    /// Whether what is in force is what the file says.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let mut states = self.exemptions.iter().map(|it| it.state);
        if self.problem.is_none() && states.all(|it| matches!(it, State::InForce | State::Expired))
        {
            Exit::Ok
        } else {
            Exit::Degraded
        }
    }
}

impl Report for Listing {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            file,
            generation,
            exemptions,
            problem,
        } = self;
        writeln!(
            out,
            "{}: {}, generation {generation}",
            file.display(),
            match exemptions.len() {
                1 => "1 exemption".to_owned(),
                many => format!("{many} exemptions"),
            }
        )?;
        let mut table = Table::new(&["prefix", "until", "left", "ticket", "since", ""]);
        for it in exemptions {
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                it.prefix.to_string(),
                or_none(it.until.map(|it| it.to_string())),
                or_none(it.left_seconds.map(span)),
                or_none(it.ticket.clone()),
                or_none(it.since.map(|it| it.to_string())),
                it.state.words().to_owned(),
            ]);
        }
        if !exemptions.is_empty() {
            table.write(out)?;
        }
        if let Some(problem) = problem {
            writeln!(
                out,
                "the file cannot be used; this is what is in force: {problem}"
            )?;
        }
        if self.exit() != Exit::Ok {
            writeln!(
                out,
                "hint: the daemon follows the file within seconds, unless something is held or refused, which `gate status` says; \
                 `gate exempt add` and `gate exempt del` put their change in force in any case"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Prefix;

    fn exemption(prefix: &str, until: i64, ticket: &str) -> Exemption {
        Exemption {
            prefix: Prefix::from(prefix.parse::<IpNet>().unwrap()),
            until_ns: u64::try_from(until).unwrap() * 1_000_000_000,
            file: "/f".into(),
            line: 1,
            ticket: Some(ticket.to_owned()),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_differs_between_file_and_gate_is_named() {
        let read = [
            exemption("192.0.2.1/32", 0, "same"),
            exemption("192.0.2.2/32", 50, "over"),
            exemption("192.0.2.3/32", 200, "new"),
            exemption("192.0.2.4/32", 200, "later"),
            exemption("192.0.2.5/32", 200, "a"),
        ];
        let loaded = [
            exemption("192.0.2.1/32", 0, "same"),
            exemption("192.0.2.2/32", 50, "over"),
            exemption("192.0.2.4/32", 150, "later"),
            exemption("192.0.2.5/32", 200, "b"),
            exemption("192.0.2.6/32", 200, "gone"),
        ];
        let found = compare(&read, &loaded, Timestamp::from_second(100).unwrap());
        let states: Vec<_> = found.iter().map(|it| (it.state, it.left_seconds)).collect();
        assert_eq!(
            states,
            [
                (State::InForce, None),
                (State::Expired, None),
                (State::NotInForce, Some(100)),
                (State::Differs, Some(100)),
                (State::Differs, Some(100)),
                (State::NotInFile, Some(100)),
            ]
        );
    }
}
