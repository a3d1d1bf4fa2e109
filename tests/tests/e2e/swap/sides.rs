//! Two configurations that disagree about every address, and what the flood is made of.
//!
//! What one of them says by number means something else in the other: pools, classes and countries are there in another
//! order. So whoever looks one thing up in the tables of one, and the next in those of the other, comes to what neither
//! says.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use anyhow::Result;
use gate_tests::{
    gate::{Class, Config, Pool},
    lab::Lab,
    packets::{Ethernet, V4, V6, flag, tcp},
};

use crate::{bench::Bench, database};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Refuses everybody; the whole world is Japan, and domestic.
    Refuse,
    /// Passes everybody; the whole world is the United States, and foreign.
    Pass,
}

/// What one of them says about every packet.
pub(super) struct Says {
    /// The verdict on port 25.
    pub(super) verdict: &'static str,
    /// Why.
    pub(super) reason: &'static str,
    /// The pool of every subscriber.
    pub(super) pool: &'static str,
    /// The class of every submission.
    pub(super) class: &'static str,
    /// Its country.
    pub(super) country: &'static str,
}

impl Side {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Refuse, Self::Pass];

    /// What it says about every packet.
    pub(super) fn says(self) -> Says {
        match self {
            Self::Refuse => Says {
                verdict: "refused",
                reason: "restricted",
                pool: "dynamic",
                class: "domestic",
                country: "JP",
            },
            Self::Pass => Says {
                verdict: "passed",
                reason: "exempt",
                pool: "static",
                class: "foreign",
                country: "US",
            },
        }
    }

    /// Its configuration; [`databases`] makes what that names.
    pub(super) fn config(self, bench: &Bench<'_>) -> Result<Config> {
        let mut config = bench.config()?;
        config.databases = vec![self.database(&bench.lab)];
        config.servers = vec![format!("{SINK_V4}/32"), format!("{SINK_V6}/128")];
        let mut domestic = class("domestic", "JP");
        let mut foreign = class("foreign", "US");
        let mut other = class("own-service", "AQ");
        other.default = true;
        // Rules have their numbers in the order of their prefixes: those that somebody has in one configuration are in
        // the other those of a pool that nobody is in.
        // And half of the world is classed by prefix, half by country; not the same half.
        (config.pools, config.classes) = match self {
            Self::Refuse => {
                domestic.prefixes = vec!["0.0.0.0/1".to_owned(), "2000::/5".to_owned()];
                let pools = vec![
                    restrict("dynamic", &["::/1", "8000::/1", "0.0.0.0/1", "128.0.0.0/1"]),
                    observe("neither", &["::/0", "0.0.0.0/0"]),
                    exempt("static", &["203.0.113.1/32"]),
                ];
                (pools, vec![domestic, other, foreign])
            }
            Self::Pass => {
                foreign.prefixes = vec!["128.0.0.0/1".to_owned(), "2800::/5".to_owned()];
                let pools = vec![
                    observe("neither", &["::1/128", "0.0.0.1/32", "0.0.0.2/32"]),
                    exempt("static", &["::/0", "0.0.0.0/0"]),
                    restrict("dynamic", &["203.0.113.1/32"]),
                ];
                (pools, vec![other, foreign, domestic])
            }
        };
        Ok(config)
    }

    pub(super) fn database(self, lab: &Lab) -> PathBuf {
        lab.scratch().join(match self {
            Self::Refuse => "refuse.mmdb",
            Self::Pass => "pass.mmdb",
        })
    }
}

/// Both databases, with as many networks, of the same day: the guards have nothing against either.
pub(super) fn databases(lab: &Lab) -> Result<()> {
    for side in Side::ALL {
        fs::write(side.database(lab), content(side, 0)?)?;
    }
    Ok(())
}

/// That of `side`, as of so many days later.
pub(super) fn content(side: Side, day: i16) -> Result<Vec<u8>> {
    let crumbs = match side {
        Side::Refuse => ["AU", "DE"],
        Side::Pass => ["US", "FR"],
    };
    let country = side.says().country;
    let whole = ["0.0.0.0/1", "128.0.0.0/1", "2000::/3"];
    let mut networks: Vec<(String, &str)> =
        whole.map(|network| (network.to_owned(), country)).into();
    // The most frequent countries have the first numbers: crumbs, from which nobody sends, give the same country
    // different numbers.
    for (index, crumb) in (0..64).zip(crumbs.into_iter().cycle()) {
        networks.push((format!("203.0.113.{}/30", 4 * index), crumb));
    }
    let networks: Vec<(&str, &str)> = networks
        .iter()
        .map(|(network, country)| (network.as_str(), *country))
        .collect();
    database::of_day(day, &networks)
}

fn restrict(name: &'static str, prefixes: &[&str]) -> Pool {
    Pool {
        name,
        prefixes: prefixes.iter().map(|it| (*it).to_owned()).collect(),
        files: Vec::new(),
        policy: "restrict",
        action: None,
        until: None,
    }
}

fn observe(name: &'static str, prefixes: &[&str]) -> Pool {
    Pool {
        action: Some("observe"),
        ..restrict(name, prefixes)
    }
}

fn exempt(name: &'static str, prefixes: &[&str]) -> Pool {
    Pool {
        policy: "exempt",
        ..restrict(name, prefixes)
    }
}

fn class(name: &'static str, country: &str) -> Class {
    Class {
        name,
        countries: vec![country.to_owned()],
        prefixes: Vec::new(),
        default: false,
        keys: Vec::new(),
    }
}

/// Where the flood goes: nobody answers there.
pub(super) const SINK_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
/// The same.
pub(super) const SINK_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 0x77);

/// Opening segments to each of `ports`, by either family.
pub(super) fn frames(ports: &[u16]) -> Vec<Vec<u8>> {
    let v4 = |segment: &[u8]| V4::new(Ipv4Addr::new(16, 0, 239, 255), SINK_V4).tcp(segment);
    let v6 = |segment: &[u8]| V6::new(Ipv6Addr::UNSPECIFIED, SINK_V6).tcp(segment);
    let of = |port: &u16| {
        let segment = tcp(0, *port, flag::SYN);
        [v4(&segment), v6(&segment)].map(|packet| Ethernet::new().carry(&packet))
    };
    ports.iter().flat_map(of).collect()
}
