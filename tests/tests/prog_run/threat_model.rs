//! The table of shapes in `docs/threat-model.md`: made from the code's own enum and from the rows that try each shape.
//!
//! `GATE_BLESS=1 cargo test -p gate-tests --test prog_run -- threat` writes it anew.

use std::{env, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_common::{Reason, Shape, ShapePolicy};
use libtest_mimic::Trial;

use crate::rows::{self, Row};

const DOCUMENT: &str = include_str!("../../../docs/threat-model.md");
const BEGIN: &str = "<!-- shapes: begin -->\n";
const END: &str = "<!-- shapes: end -->\n";
/// How many rows are named for each shape.
const NAMED: usize = 3;

pub(crate) fn trials() -> Vec<Trial> {
    let document = || table_is_current().map_err(|error| format!("{error:#}").into());
    let covered = || every_shape_is_tried().map_err(|error| format!("{error:#}").into());
    vec![
        Trial::test("threat model: the table of shapes is current", document),
        Trial::test("threat model: every shape is tried", covered),
    ]
}

fn table_is_current() -> Result<()> {
    let (before, rest) = DOCUMENT.split_once(BEGIN).context("no beginning")?;
    let (now, after) = rest.split_once(END).context("no end")?;
    let table = table();
    if env::var_os("GATE_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/threat-model.md");
        fs::write(path, format!("{before}{BEGIN}{table}{END}{after}"))?;
        return Ok(());
    }
    ensure!(
        now == table,
        "docs/threat-model.md is not what the code says: write it anew with `GATE_BLESS=1 cargo test -p gate-tests --test prog_run \
         -- threat`"
    );
    Ok(())
}

fn every_shape_is_tried() -> Result<()> {
    let rows = rows::all();
    for shape in Shape::ALL {
        let count = tried(&rows, *shape).count();
        ensure!(count > 0, "no row has the shape {}", shape.name());
    }
    Ok(())
}

fn table() -> String {
    let rows = rows::all();
    let mut table = String::from(
        "| shape | what it is | on an access line | to a listed server, from an uplink | counter | standard | tried by |\n|---|---|---|---|---|---|---|\n",
    );
    for shape in Shape::ALL {
        let names: Vec<String> = tried(&rows, *shape)
            .take(NAMED)
            .map(|(group, row)| format!("{group}: {}", row.name))
            .collect();
        let more = tried(&rows, *shape).count() - names.len();
        let more = if more == 0 {
            String::new()
        } else {
            format!("; {more} more")
        };
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} | {} | {} | {}{more} |",
            shape.name(),
            shape.description().trim(),
            treatment(*shape),
            inbound(*shape),
            counter(*shape),
            shape.standard(),
            names.join("; "),
        );
    }
    table
}

const fn treatment(shape: Shape) -> &'static str {
    match (shape, shape.policy()) {
        (Shape::Tcp, _) => "judged by its port",
        (Shape::Unrelated, _) => "passes, uncounted",
        (_, ShapePolicy::Pass) => "passes, counted",
        (_, ShapePolicy::Drop) => "judged like port 25",
    }
}

const fn inbound(shape: Shape) -> &'static str {
    // Before an IP header they are not read on.
    let nowhere = matches!(shape, Shape::TooManyTags | Shape::TooManyLabels);
    match shape.policy() {
        ShapePolicy::Drop if nowhere => "passes, counted",
        ShapePolicy::Drop => "judged like a new connection",
        ShapePolicy::Pass => treatment(shape),
    }
}

fn counter(shape: Shape) -> String {
    if shape.is_unparsed() {
        format!("`{}`", Reason::Shape(shape))
    } else if shape == Shape::Tcp {
        "by verdict and reason".to_owned()
    } else {
        "none".to_owned()
    }
}

/// The rows that show what becomes of a shape.
fn tried<'r>(
    rows: &'r [(&'static str, Row)],
    shape: Shape,
) -> impl Iterator<Item = &'r (&'static str, Row)> {
    rows.iter().filter(move |(_, row)| {
        let reason = row.expected.change.reason();
        if shape.is_unparsed() {
            reason == Some(shape.name())
        } else if shape == Shape::Tcp {
            reason == Some(Reason::Restricted.name())
        } else {
            reason.is_none()
        }
    })
}
