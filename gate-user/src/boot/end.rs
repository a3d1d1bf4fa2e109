//! `gate boot-rules --end`: what is to become of the rules once there is a gate.
//!
//! The rules of an interface are needed until the gate is on it: while it is open, and while it is missing, since it may come any time. What is in force
//! says which interfaces there are, not the file that the rules were made of.

use std::{collections::BTreeSet, io};

use gate_common::Role;
use serde::Serialize;

use super::{
    devices::{self, Arrival},
    text,
};
use crate::{
    config::Vlans,
    error::{Error, Exit},
    pins::Pins,
    report::{self, Link, Report, State},
};

/// What is left of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootEnd {
    /// The access interfaces that the gate is not on; nothing if there is no gate.
    pub without: Option<BTreeSet<String>>,
    /// What nft(8) does about it; nothing if there is no gate.
    pub rules: String,
}

/// An access interface of what is in force.
struct Access {
    arrival: Arrival,
    is_judged: bool,
}

/// What is left of the rules beside the gate of these pins.
pub fn boot_end(pins: &Pins) -> Result<BootEnd, Error> {
    let status = report::status(pins)?;
    if status.state == State::Absent {
        return Ok(BootEnd {
            without: None,
            rules: String::new(),
        });
    }
    let interfaces = status.interfaces.iter();
    let access = interfaces.filter(|it| it.role == Role::Access.name());
    Ok(left(access.map(|it| {
        let name = it.name.clone();
        let arrival = match it.vlans.as_deref().map(Vlans::written) {
            Some(Some(vlans)) => Arrival::Vlans(name, vlans),
            None if it.stripped => Arrival::Stripped(name),
            // Those of whom nobody knows which they are, for all.
            None | Some(None) => Arrival::Every(name),
        };
        Access {
            arrival,
            is_judged: it.state == Link::Attached,
        }
    })))
}

fn left(access: impl Iterator<Item = Access>) -> BootEnd {
    let without = access.filter(|it| !it.is_judged).map(|it| it.arrival);
    let without: Vec<Arrival> = without.collect();
    let rules = text::left(&devices::names(&without));
    let names = without.into_iter().map(|it| match it {
        Arrival::Every(name) | Arrival::Vlans(name, _) | Arrival::Stripped(name) => name,
    });
    BootEnd {
        without: Some(names.collect()),
        rules,
    }
}

impl BootEnd {
    /// Whether no rule is needed any more.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.without {
            Some(without) if without.is_empty() => Exit::Ok,
            Some(_) | None => Exit::Degraded,
        }
    }
}

impl Report for BootEnd {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(self.rules.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(arrival: Arrival, is_judged: bool) -> Access {
        Access { arrival, is_judged }
    }

    fn every(name: &str) -> Arrival {
        Arrival::Every(name.to_owned())
    }

    #[test]
    fn rules_stay_for_what_the_gate_is_not_on() {
        let vlans = Vlans::written("7,100-101").unwrap();
        let found = left(
            [
                access(every("eth1"), true),
                access(every("eth2"), false),
                access(Arrival::Vlans("eth3".to_owned(), vlans), false),
                access(Arrival::Stripped("eth3".to_owned()), false),
                access(Arrival::Stripped("eth4".to_owned()), true),
            ]
            .into_iter(),
        );
        assert_eq!(
            found.rules,
            "flush set inet gate_boot arrivals\n\
             add element inet gate_boot arrivals { \"eth2\", \"eth2.*\", \"eth3\", \"eth3.100\", \"eth3.101\", \"eth3.7\" }\n"
        );
        assert_eq!(found.exit(), Exit::Degraded);
    }

    #[test]
    fn where_the_gate_is_on_all_of_them_no_rule_stays() {
        let found = left([access(every("eth1"), true)].into_iter());
        assert_eq!(found.rules, "delete table inet gate_boot\n");
        assert_eq!(found.exit(), Exit::Ok);
    }

    #[test]
    fn vlans_are_read_as_they_are_written() {
        for text in ["7", "7,100-101", "1-4094"] {
            assert_eq!(Vlans::written(text).unwrap().to_string(), text);
        }
        assert_eq!(Vlans::written("7, x"), None);
    }
}
