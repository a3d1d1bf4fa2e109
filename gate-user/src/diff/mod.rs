//! `gate diff`: which addresses a configuration and its data would treat otherwise than the generation in force does.
//!
//! | module | what it is |
//! |---|---|
//! | `treatment` | how a generation treats an address, in words |
//! | `changed` | the addresses whose treatment differs, counted |
//! | `moved` | how many addresses, and from which country to which |
//! | `prefixes` | from runs of addresses to prefixes |
//!
//! Tables answer for both sides, those in force and those that the configuration would make, wherever an answer of either can change. So every address
//! is looked at, and counts are exact.

mod changed;
pub(crate) mod moved;
pub(crate) mod prefixes;
mod text;
mod treatment;

use std::path::{Path, PathBuf};

use gate_common::{abi::Settings, decide::Tables as _};
use jiff::Timestamp;
use serde::Serialize;

use self::{changed::section, treatment::Aspect};
pub use self::{
    changed::{Group, Section},
    moved::{Countries, Size},
    treatment::Treatment,
};
use crate::{
    error::Error,
    load::{self, Base, Source},
    pins::Pins,
    progress::Progress,
    view::View,
};

/// What a configuration would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The number of the generation in force.
    pub generation: u32,
    /// The configuration that it was made from.
    pub config: PathBuf,
    /// The configuration that it is compared with.
    pub new_config: PathBuf,
    /// As of when: deadlines that have passed by then have passed on both sides.
    pub at: Timestamp,
    /// What differs, by what addresses are looked up for.
    pub sections: Vec<Section>,
    /// The parts of the configuration that differ and that belong to no address.
    pub settings: Vec<&'static str>,
    /// What the licences of the new databases ask for.
    pub attribution: Vec<String>,
}

/// Compares what is in force with what the configuration at `path` would make; of each group of addresses, so many prefixes are listed.
pub fn diff(pins: &Pins, path: &Path, listed: usize) -> Result<Diff, Error> {
    let before = View::loaded(pins)?;
    let mut progress = Progress::new();
    let loaded = load::load(Source::Named(path), Base::default(), &mut progress);
    progress.finish();
    let after = View::planned(loaded?.plan);
    Ok(between(&before, &after, Timestamp::now(), listed))
}

fn between(before: &View, after: &View, at: Timestamp, listed: usize) -> Diff {
    let sections = Aspect::ALL
        .into_iter()
        .map(|aspect| section(aspect, before, after, at, listed))
        .collect();
    let settings = match (before.settings(), after.settings()) {
        (Some(old), Some(new)) => {
            let mut keys = settings(old, new);
            let retention = |it: &View| it.manifest.counters.retention;
            if retention(before) != retention(after) {
                keys.push("counters.retention");
            }
            if before.manifest.metrics != after.manifest.metrics {
                keys.push("metrics");
            }
            keys
        }
        _ => Vec::new(),
    };
    Diff {
        generation: before.manifest.number,
        config: before.manifest.config.clone(),
        new_config: after.manifest.config.clone(),
        at,
        sections,
        settings: interfaces(before, after)
            .into_iter()
            .chain(settings)
            .collect(),
        attribution: after.manifest.attribution.clone(),
    }
}

fn interfaces(before: &View, after: &View) -> Option<&'static str> {
    let parts = |view: &View| -> Vec<_> {
        let interfaces = view.manifest.interfaces.iter();
        interfaces
            .map(|it| {
                let words = (it.role.clone(), it.identity.clone(), it.mode.clone());
                (it.label(), words)
            })
            .collect()
    };
    (parts(before) != parts(after)).then_some("interface")
}

/// The keys of the configuration whose values differ. What belongs to pools, classes and countries shows by address.
fn settings(before: &Settings, after: &Settings) -> Vec<&'static str> {
    /// The carriers of a class: mark, DSCP and those of connections over the limit.
    fn carriers(it: &Settings) -> impl Iterator<Item = [u32; 4]> {
        it.classes.iter().map(|class| {
            let dscp = [class.dscp, class.over_dscp].map(u32::from);
            let [dscp, over_dscp] = dscp;
            [class.mark, class.over_mark, dscp, over_dscp]
        })
    }
    let differs = [
        ("port25.throttle", before.throttle != after.throttle),
        ("port25.scope", before.scope != after.scope),
        (
            "port25.answer_from",
            (before.answer_v4, before.answer_v6) != (after.answer_v4, after.answer_v6),
        ),
        (
            "answers.source",
            before.answer_source != after.answer_source,
        ),
        ("answers.total", before.answer_total != after.answer_total),
        ("shapes", before.dropped_shapes != after.dropped_shapes),
        (
            "submission.ports",
            (before.submission, before.submissions) != (after.submission, after.submissions),
        ),
        (
            "submission.servers (any destination)",
            before.any_server != after.any_server,
        ),
        (
            "counters.sources",
            before.count_sources != after.count_sources,
        ),
        (
            "counters.source_prefix",
            (before.kept_v4, before.kept_v6) != (after.kept_v4, after.kept_v6),
        ),
        (
            "tags",
            (before.mark_mask, before.dscp_all, before.bleach)
                != (after.mark_mask, after.dscp_all, after.bleach)
                || !carriers(before).eq(carriers(after)),
        ),
    ];
    differs
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}

impl Diff {
    /// Whether nothing at all differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.sections.iter().all(|it| it.groups.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io, net::Ipv4Addr};

    use ipnet::Ipv4Net;

    use super::{treatment::Treatments, *};
    use crate::{
        config,
        generation::{Inputs, Plan},
    };

    const HEAD: &str = "[[interface]]\nname = \"eth1\"\nrole = \"access\"\n";

    fn at() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// A pool: its name, its keys, its prefixes.
    type Named<'p> = (&'p str, &'p str, &'p [&'p str]);

    fn view(pools: &[Named<'_>]) -> View {
        let pools: Vec<String> = pools
            .iter()
            .map(|(name, keys, prefixes)| {
                format!("[[access]]\nname = \"{name}\"\n{keys}\nprefixes = {prefixes:?}\n")
            })
            .collect();
        let text = format!("{HEAD}{}", pools.concat());
        let read = |path: &Path| match path.to_str() {
            Some("gate.toml") => Ok(text.clone()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let config = config::load_at(Path::new("gate.toml"), &read, at()).unwrap();
        let inputs = Inputs {
            config: &config,
            countries: None,
            previous: None,
            previous_sources: None,
            directory: Path::new("/"),
            number: 1,
            now: at(),
        };
        View::planned(Plan::new(inputs).unwrap())
    }

    /// The addresses of a /22 whose treatment differs, one by one.
    fn one_by_one(before: &View, after: &View) -> BTreeSet<Ipv4Addr> {
        let [mut old, mut new] =
            [before, after].map(|view| Treatments::new(Aspect::Access, view, at()));
        let all: Ipv4Net = "100.64.0.0/22".parse().unwrap();
        let addresses = Ipv4Addr::from_bits(all.network().to_bits());
        (0..1024u32)
            .map(|offset| Ipv4Addr::from_bits(addresses.to_bits() + offset))
            .filter(|it| {
                let addr = std::net::IpAddr::V4(*it).into();
                old.of(addr) != new.of(addr)
            })
            .collect()
    }

    #[test]
    fn prefixes_are_the_addresses_that_differ_one_by_one() {
        const RESTRICT: &str = "policy = \"restrict\"";
        const EXEMPT: &str = "policy = \"exempt\"";
        const FOR_NOW: &str = "policy = \"exempt\"\nuntil = 2100-01-01T00:00:00Z";
        let before = view(&[
            ("all", RESTRICT, &["100.64.0.0/22"]),
            (
                "some",
                EXEMPT,
                &["100.64.1.0/25", "100.64.2.17", "100.64.3.254/31"],
            ),
            ("inner", RESTRICT, &["100.64.1.64/26"]),
        ]);
        let cases: [(&[Named<'_>], usize); 3] = [
            (&[("all", RESTRICT, &["100.64.0.0/22"])], 128 + 1 + 2),
            (&[("all", RESTRICT, &["100.64.0.0/23"])], 128 + 512),
            (
                &[
                    ("all", RESTRICT, &["100.64.0.0/22"]),
                    (
                        "some",
                        FOR_NOW,
                        &["100.64.1.0/25", "100.64.2.16/30", "100.64.3.254/31"],
                    ),
                    ("inner", RESTRICT, &["100.64.1.64/26"]),
                ],
                64 + 4 + 2,
            ),
        ];
        for (after, expected) in cases {
            let after = view(after);
            let wanted = one_by_one(&before, &after);
            let diff = between(&before, &after, at(), usize::MAX);
            let section = diff.sections.first().unwrap();
            let listed = section.groups.iter().flat_map(|it| &it.prefixes);
            let nets = listed.map(|it| it.parse::<Ipv4Net>().unwrap());
            let found: Vec<Ipv4Addr> = nets
                .flat_map(|net| net.network().to_bits()..=net.broadcast().to_bits())
                .map(Ipv4Addr::from_bits)
                .collect();
            assert_eq!(found.len(), expected);
            assert_eq!(found.len() as u64, section.size.v4_addresses);
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
        }
    }

    #[test]
    fn a_generation_does_not_differ_from_itself() {
        let pools: [Named<'_>; 1] = [(
            "all",
            "policy = \"restrict\"",
            &["100.64.0.0/22", "2001:db8::/33"],
        )];
        assert!(between(&view(&pools), &view(&pools), at(), 1).is_empty());
    }
}
