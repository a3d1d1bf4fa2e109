//! The lines about who is in no list.

use super::{HEAD, Inputs, Manifest, Path, Plan, Timestamp, at, config, countries};
use crate::generation::{Decides, Line};

fn manifest(pools: &str, previous: Option<&Manifest>, now: Timestamp) -> Manifest {
    let (config, countries) = (config(pools), countries());
    let inputs = Inputs {
        config: &config,
        countries: Some(&countries),
        previous,
        previous_sources: None,
        directory: Path::new("/etc/gate"),
        number: previous.map_or(0, |it| it.number) + 1,
        now,
    };
    Plan::new(inputs).unwrap().manifest
}

const POOL: &str =
    "[[access]]\nname = \"all\"\nprefixes = [\"100.64.0.0/10\"]\npolicy = \"restrict\"\n";
const MORE: &str = "[[class]]\nname = \"near\"\ncountries = [\n  \"KR\",\n  \"TW\",\n]\n";

/// Whom a line decides about, what it says, its text and since when.
fn told(lines: &[Line], pools: &str) -> Vec<(Decides, String, String, i64)> {
    let text = format!("{HEAD}\n{pools}");
    let one = |it: &Line| {
        assert_eq!(it.file, Path::new("/etc/gate/gate.toml"));
        let line = text.lines().nth(it.line as usize - 1).unwrap().trim();
        let since = it.since.as_second() - at(0).as_second();
        (it.of.clone(), it.says.clone(), line.to_owned(), since)
    };
    lines.iter().map(one).collect()
}

#[test]
fn they_are_where_they_are_written_and_keep_since_when_while_they_say_the_same() {
    let country = |code: &str| Decides::Country(code.to_owned());
    let row = |of, says: &str, text: &str, since| (of, says.to_owned(), text.to_owned(), since);
    let first = manifest(POOL, None, at(0));
    assert_eq!(
        told(&first.lines, POOL),
        [
            row(country("JP"), "domestic", "countries = [\"JP\"]", 0),
            row(Decides::Default, "foreign", "default = true", 0),
            row(Decides::Unknown, "domestic", "unknown = \"domestic\"", 0),
        ]
    );
    let pools = format!("{POOL}\n{MORE}");
    let second = manifest(&pools, Some(&first), at(60));
    assert_eq!(
        told(&second.lines, &pools),
        [
            row(country("JP"), "domestic", "countries = [\"JP\"]", 0),
            row(country("KR"), "near", "\"KR\",", 60),
            row(country("TW"), "near", "\"TW\",", 60),
            row(Decides::Default, "foreign", "default = true", 0),
            row(Decides::Unknown, "domestic", "unknown = \"domestic\"", 0),
        ]
    );
    // Another class of the same country begins anew.
    let pools = format!("{POOL}\n{}", MORE.replace("near", "far"));
    let third = manifest(&pools, Some(&second), at(90));
    let since = told(&third.lines, &pools).into_iter().map(|it| it.3);
    assert_eq!(since.collect::<Vec<_>>(), [0, 90, 90, 0, 0]);
}

#[test]
fn a_manifest_without_them_is_read() {
    let manifest = manifest(POOL, None, at(0));
    let mut json: serde_json::Value = serde_json::to_value(&manifest).unwrap();
    json.as_object_mut().unwrap().remove("lines").unwrap();
    json["pools"][0]
        .as_object_mut()
        .unwrap()
        .remove("until")
        .unwrap();
    let read = Manifest::from_bytes(json.to_string().as_bytes()).unwrap();
    assert_eq!((read.lines.len(), read.pools[0].until), (0, None));
}
