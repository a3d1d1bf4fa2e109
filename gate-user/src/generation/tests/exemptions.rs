//! Exemptions made anew in a generation: as if the whole of it had been made anew.

use std::{fmt::Write as _, io, path::Path};

use gate_common::abi::List;
use proptest::prelude::*;

use super::{HEAD, at};
use crate::{
    config::{self, exemptions::load},
    generation::{Exemption, Inputs, Plan, Source, list_file},
};

const POOLS: &str = r#"
[[access]]
name = "dynamic"
policy = "restrict"
prefixes = ["10.0.0.0/30", "10.0.0.2"]
files = ["dynamic.txt"]
[[access]]
name = "static"
policy = "exempt"
prefixes = ["10.0.0.0/31"]
[exemptions]
file = "exemptions"
"#;

/// A reader of the configuration and these two list files.
fn reader<'t>(dynamic: &'t str, exemptions: &'t str) -> impl Fn(&Path) -> io::Result<String> + 't {
    move |path: &Path| match path.to_str() {
        Some("gate.toml") => Ok(format!("{HEAD}\n{POOLS}")),
        Some("dynamic.txt") => Ok(dynamic.to_owned()),
        Some("exemptions") => Ok(exemptions.to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn whole(dynamic: &str, exemptions: &str, before: Option<&Plan>) -> Plan {
    let read = reader(dynamic, exemptions);
    let config = config::load_at(Path::new("gate.toml"), &read, at(0)).unwrap();
    Plan::new(Inputs {
        config: &config,
        countries: None,
        previous: before.map(|it| &it.manifest),
        previous_sources: before.map(|it| &it.source_map),
        directory: Path::new(""),
        number: before.map_or(1, |it| it.manifest.number + 1),
        now: at(if before.is_some() { 100 } else { 0 }),
    })
    .unwrap()
}

/// Lines with some prefixes of a few addresses, each once.
fn lists() -> impl Strategy<Value = String> {
    let line = (0..5u8, 29..=32u8, 0..4i64, any::<bool>());
    proptest::collection::vec(line, 0..7).prop_map(|lines| {
        let mut known = Vec::new();
        let mut text = String::new();
        for (host, length, until, ticket) in lines {
            let net = ipnet::IpNet::new(std::net::Ipv4Addr::new(10, 0, 0, host).into(), length);
            let net = net.unwrap().trunc();
            // Those that stand in the configuration itself are another pool's.
            let written = ["10.0.0.0/30", "10.0.0.2/32", "10.0.0.0/31"];
            if known.contains(&net) || (written.contains(&net.to_string().as_str()) && !ticket) {
                continue;
            }
            known.push(net);
            text.push_str(&net.to_string());
            if until > 0 {
                let _ = write!(text, " until={}", at(until * 1000));
            }
            if ticket {
                let _ = write!(text, " ticket=t{until}");
            }
            text.push('\n');
        }
        text
    })
}

/// The lines of prefixes that no pool of the configuration has.
fn others(text: &str) -> String {
    let written = ["10.0.0.0/30 ", "10.0.0.2/32 ", "10.0.0.0/31 "];
    text.split_inclusive('\n')
        .filter(|line| {
            let line = format!("{} ", line.trim_end());
            !written.iter().any(|it| line.starts_with(it))
        })
        .collect()
}

proptest! {
    #[test]
    fn it_is_the_generation_that_the_files_would_make(
        dynamic in lists(),
        first in lists(),
        second in lists(),
    ) {
        let dynamic = others(&dynamic);
        let before = whole(&dynamic, &first, None);
        let expected = whole(&dynamic, &second, Some(&before));

        let (read, file) = load(Path::new("exemptions"), &reader("", &second)).unwrap();
        let known = Exemption::of(&before.source_map, &before.rules);
        let exemptions = Exemption::listed(&read, &known, at(100));
        let mut plan = before.clone();
        plan.exempt(&exemptions, &file).unwrap();

        prop_assert_eq!(&plan.rules, &expected.rules);
        prop_assert_eq!(plan.lists.table(List::Access).sha256(), expected.lists.table(List::Access).sha256());
        prop_assert_eq!(&plan.manifest.lists, &expected.manifest.lists);
        prop_assert_eq!(list_file(&plan.manifest), list_file(&expected.manifest));
        let sources = |plan: &Plan| -> Vec<String> {
            let shown = |it: Source<'_>| format!("{it:?}");
            plan.source_map.of(List::Access).map(shown).collect()
        };
        prop_assert_eq!(sources(&plan), sources(&expected));

        // Nothing else differs, and the way back is the same.
        prop_assert_eq!(plan.settings, expected.settings);
        plan.exempt(&known, list_file(&before.manifest).unwrap()).unwrap();
        prop_assert_eq!(&plan.rules, &before.rules);
        prop_assert_eq!(sources(&plan), sources(&before));
        prop_assert_eq!(&plan.manifest.list_files, &before.manifest.list_files);
    }
}
