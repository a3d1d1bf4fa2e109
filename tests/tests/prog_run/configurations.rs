//! The configurations of the table, as the gate reads them, and the countries of their addresses.

use std::{io, path::Path};

use anyhow::{Context as _, Result};
use gate_common::Country;
use gate_user::{
    config::{self, Config},
    generation::{Inputs, Manifest, Plan},
    geoip::Countries,
};
use ipnet::IpNet;
use jiff::Timestamp;

/// The time at which rows run that name no other.
pub(crate) const NOW: &str = "2026-06-01T00:00:00Z";

/// The countries that counters are looked at for each time.
pub(crate) fn watched() -> Vec<Country> {
    let named = COUNTRIES
        .iter()
        .filter_map(|(_, code)| Country::from_code(code));
    named.chain([Country::NONE]).collect()
}

/// Which networks are in which country; documentation prefixes (RFC 5737, RFC 3849) stand for networks of the world.
const COUNTRIES: [(&str, &str); 9] = [
    ("198.51.100.0/24", "US"),
    ("198.51.100.64/26", "JP"),
    ("198.51.100.192/26", "KP"),
    ("203.0.113.0/24", "XK"),
    ("2001:db8:8000::/40", "US"),
    ("2001:db8:8000:1::/64", "JP"),
    ("2001:db8:8100::/40", "JP"),
    ("2001:db8:8200::/40", "KP"),
    // Inside a tunnel prefix: 6to4 of 198.51.100.0/24.
    ("2002:c633:6400::/40", "US"),
];

/// Of two that disagree, the ones that are near. The most frequent country has the first number: a second one, from which
/// nothing comes, sees to it that the numbers differ.
const NEAR: [(&str, &str); 5] = [
    ("198.51.100.0/24", "JP"),
    ("2001:db8:8000::/40", "JP"),
    ("203.0.113.0/30", "AU"),
    ("203.0.113.8/30", "AU"),
    ("203.0.113.16/30", "AU"),
];

/// And the ones that are far.
const FAR: [(&str, &str); 3] = [
    ("198.51.100.0/24", "US"),
    ("2001:db8:8000::/40", "US"),
    ("203.0.113.0/30", "FR"),
];

macro_rules! configurations {
    ($($name:ident = $file:literal;)+) => {
        /// A configuration of `tests/fixtures/configurations`, whose first lines say what it is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Configuration {
            $($name,)+
        }

        impl Configuration {
            /// Its file name and text.
            const fn file(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($file, include_str!(concat!("../../fixtures/configurations/", $file))),)+
                }
            }
        }
    };
}

configurations! {
    Enforce = "enforce.toml";
    Refuse = "refuse.toml";
    Observe = "observe.toml";
    ScopeAll = "scope-all.toml";
    Until = "until.toml";
    AnyServer = "any-server.toml";
    NoSources = "no-sources.toml";
    EverythingV6 = "everything-v6.toml";
    RelaysV6 = "relays-v6.toml";
    FlipRefuse = "flip-refuse.toml";
    FlipPass = "flip-pass.toml";
    FlipNear = "flip-near.toml";
    FlipFar = "flip-far.toml";
    Answers = "answers.toml";
    Limits = "limits.toml";
    Vlans = "vlans.toml";
    VlansOnly = "vlans-only.toml";
    VlansMany = "vlans-many.toml";
    AllObserve = "all-observe.toml";
    ClassLimits = "class-limits.toml";
    EffectiveFrom = "effective-from.toml";
    Tags = "tags.toml";
    TagsEvery = "tags-every.toml";
    Shapes = "shapes.toml";
}

impl Configuration {
    /// The generation that it makes after `previous`.
    pub(crate) fn plan(self, previous: Option<&Manifest>) -> Result<Plan> {
        let (name, _) = self.file();
        let config = self.config().with_context(|| name.to_owned())?;
        let countries = Countries::of(countries(self.countries())?)?;
        Ok(Plan::new(Inputs {
            config: &config,
            countries: Some(&countries),
            previous,
            previous_sources: None,
            directory: Path::new("/"),
            number: previous.map_or(1, |it| it.number + 1),
            now: NOW.parse()?,
        })?)
    }

    fn countries(self) -> &'static [(&'static str, &'static str)] {
        if self == Self::FlipNear {
            &NEAR
        } else if self == Self::FlipFar {
            &FAR
        } else {
            &COUNTRIES
        }
    }

    fn config(self) -> Result<Config> {
        let (name, text) = self.file();
        let read = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
            Some(file) if file == name => Ok(text.to_owned()),
            Some("listed.txt") => {
                Ok(include_str!("../../fixtures/configurations/listed.txt").to_owned())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let now: Timestamp = NOW.parse()?;
        Ok(config::load_at(Path::new(name), &read, now)?)
    }
}

fn countries(networks: &[(&str, &str)]) -> Result<Vec<(IpNet, Country)>> {
    networks
        .iter()
        .map(|(network, code)| {
            let network: IpNet = network.parse()?;
            let country = Country::from_code(code).context("no country code")?;
            Ok((network, country))
        })
        .collect()
}
