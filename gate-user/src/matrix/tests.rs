//! What is planned is in the table.

use std::{io, path::Path};

use jiff::{Timestamp, tz::TimeZone};

use super::{Cell, Cells, Destination, Form, Language, Style, Then, matrix};
use crate::{
    config,
    generation::{Inputs, Plan},
    view::View,
};

const REFUSED: Cells = [Cell::Refused, Cell::Allowed, Cell::Allowed];
const OBSERVED: Cells = [Cell::Observed, Cell::Allowed, Cell::Allowed];
const ALLOWED: Cells = [Cell::Allowed; 3];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Who connects, cells, and changes by seconds from now.
type Outward = (Option<String>, Cells, Vec<(i64, Cells)>);

/// The rows of who connects to the outside.
fn outward(pools: &str) -> Vec<Outward> {
    let text = format!(
        "[[interface]]\nname = \"eth1\"\nrole = \"access\"\n[port25]\naction = \"enforce\"\n{pools}"
    );
    let read = |path: &Path| match path.to_str() {
        Some("gate.toml") => Ok(text.clone()),
        Some("lines") => Ok("192.0.0.0/24 until=2027-01-15T08:00:10Z\n192.0.1.0/24\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let config = config::load_at(Path::new("gate.toml"), &read, at(0)).unwrap();
    let inputs = Inputs {
        config: &config,
        countries: None,
        previous: None,
        previous_sources: None,
        directory: Path::new("/"),
        number: 1,
        now: at(0),
    };
    let view = View::planned(Plan::new(inputs).unwrap());
    let form = Form {
        language: Language::English,
        style: Style::Text,
        zone: TimeZone::UTC,
    };
    let rows = matrix(&view, at(0), form).unwrap().rows.into_iter();
    let outside = rows.filter(|row| row.destination == Destination::Outside);
    let seconds = |it: Then| (it.from.as_second() - at(0).as_second(), it.cells);
    outside
        .map(|row| {
            let changes = row.changes.into_iter().map(seconds).collect();
            (row.pool, row.cells, changes)
        })
        .collect()
}

#[test]
fn a_pool_that_begins_and_one_that_ends_say_when() {
    let found = outward(
        r#"
        [[access]]
        name = "all"
        prefixes = ["100.64.0.0/10"]
        policy = "restrict"
        effective_from = 2027-01-15T09:00:00Z

        [[access]]
        name = "fair"
        prefixes = ["100.64.0.0/24"]
        policy = "exempt"
        until = 2027-01-15T08:01:00Z

        [[access]]
        name = "short"
        prefixes = ["192.0.2.0/24"]
        policy = "restrict"
        effective_from = 2027-01-15T08:01:00Z
        until = 2027-01-15T08:02:00Z

        # The end of a line is not that of its pool.
        [[access]]
        name = "lines"
        files = ["lines"]
        policy = "restrict"
        effective_from = 2027-01-15T08:01:00Z
        "#,
    );
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(
        found,
        [
            (some("all"), OBSERVED, vec![(3600, REFUSED)]),
            // What covers it begins later.
            (some("fair"), ALLOWED, vec![(60, OBSERVED), (3600, REFUSED)]),
            (some("short"), OBSERVED, vec![(60, REFUSED), (120, ALLOWED)]),
            (some("lines"), OBSERVED, vec![(60, REFUSED)]),
            (None, ALLOWED, vec![]),
        ]
    );
}
