//! Configurations that are wrong: each with the line that the error has to point to.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_tests::exec::Output;
use libtest_mimic::Trial;

use super::{Complaint, changes_nothing, run, text};
use crate::bench::{Bench, Found};

/// One change that makes a configuration wrong.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// What to replace in a configuration that is right.
    replace: &'static str,
    /// By what. The error has to point to the line with `>>>`, which is taken out.
    with: &'static str,
    /// What the error has to say.
    says: &'static str,
}

const fn case(
    name: &'static str,
    replace: &'static str,
    with: &'static str,
    says: &'static str,
) -> Case {
    Case {
        name,
        replace,
        with,
        says,
    }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("malformed_toml", "[port25]\n", ">>>[port25\n", "TOML"),
    case("unknown_key", "[port25]\n", "[port25]\n>>>colour = \"red\"\n", "colour"),
    case("unknown_table", "[counters]\n", ">>>[counter]\n", "counter"),
    case("unknown_word", "action   = \"enforce\"", ">>>action   = \"block\"", "block"),
    case("host_bits", "[\"100.64.0.0/16\",", ">>>[\"100.64.0.1/16\",", "100.64.0.0/16"),
    case("no_prefix", "[\"100.64.0.0/16\",", ">>>[\"100.64.0.0/33\",", "100.64.0.0/33"),
    case("one_prefix_with_two_policies", "[\"100.64.9.8/32\",", ">>>[\"100.64.0.0/16\",", "100.64.0.0/16"),
    case("unknown_country", "countries = [\"JP\"]", ">>>countries = [\"JP\", \"XX\"]", "XX"),
    case("two_default_classes", "default = true\n", "default = true\n[[class]]\nname = \"rest\"\n>>>default = true\n", "default"),
    case("submission_cannot_be_refused", "[port25]\n", "[port25]\n>>>ports = [25, 587]\n", "ports"),
    case("unknown_answer", "answer   = \"drop\"", ">>>answer   = \"reject\"", "reject"),
    case("throttle_without_a_limit", "action   = \"enforce\"", ">>>action   = \"throttle\"", "throttle"),
    case("stripped_without_vlans", "role = \"access\"\n", "role = \"access\"\n>>>stripped = \"pass\"\n", "stripped"),
    case("not_built_yet", "policy   = \"restrict\"", "policy   = \"restrict\"\n>>>relays   = []", "relays"),
];

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let cases = CASES.iter().map(|case| {
        let name = format!("bad_input::configuration::{}", case.name);
        found.lab_trial(name, |bench| wrong(bench, *case))
    });
    let others = [
        found.lab_trial("bad_input::configuration::missing", missing),
        found.lab_trial("bad_input::configuration::list_with_a_bad_line", bad_line),
    ];
    cases.chain(others).collect()
}

/// Both commands that read a configuration complain alike, and point to the line of a file, where there is one.
fn complains(
    bench: &Bench<'_>,
    config: &Path,
    place: (&Path, Option<usize>),
    says: &str,
) -> Result<()> {
    let (file, line) = place;
    let complaint = Complaint {
        code: 2,
        says: &[text(file)?, says],
    };
    let made_in = |output: &Output| {
        complaint.is_made_in(output)?;
        match line {
            Some(line) => points_to(&output.stderr, file, line),
            None => Ok(()),
        }
    };
    changes_nothing(bench, || {
        made_in(&run(bench.gate(), config)?)?;
        made_in(&bench.gate().output(&["check", "--config", text(config)?])?)
    })
}

/// `FILE:LINE:COLUMN: ` is in the error.
fn points_to(error: &str, file: &Path, line: usize) -> Result<()> {
    let place = format!("{}:{line}:", file.display());
    let column = error
        .split(&place)
        .nth(1)
        .and_then(|rest| rest.split_once(": "))
        .is_some_and(|(column, _)| column.parse::<usize>().is_ok_and(|column| column > 0));
    ensure!(column, "should point to {place}COLUMN: {error}");
    Ok(())
}

fn wrong(bench: &Bench<'_>, case: Case) -> Result<()> {
    let Case {
        name: _,
        replace,
        with,
        says,
    } = case;
    let right = bench.config()?.to_string();
    ensure!(
        right.contains(replace),
        "the lab's configuration has no `{replace}`"
    );
    let marked = right.replacen(replace, with, 1);
    let line = 1 + marked
        .lines()
        .position(|line| line.contains(">>>"))
        .context("no line is marked")?;
    let path = bench.lab.scratch().join("wrong.toml");
    fs::write(&path, marked.replace(">>>", ""))?;
    complains(bench, &path, (&path, Some(line)), says)
}

fn missing(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("absent.toml");
    complains(bench, &path, (&path, None), "No such file")
}

fn bad_line(bench: &Bench<'_>) -> Result<()> {
    let list = bench.lab.scratch().join("pool.txt");
    fs::write(
        &list,
        "# customers\n100.64.1.0/24 ticket=A-1\n100.64.2.0/33\n",
    )?;
    let text = bench.config()?.to_string().replacen(
        "name     = \"dynamic\"\n",
        "name     = \"dynamic\"\nfiles    = [\"pool.txt\"]\n",
        1,
    );
    let path = bench.lab.scratch().join("wrong.toml");
    fs::write(&path, text)?;
    complains(bench, &path, (&list, Some(3)), "100.64.2.0/33")
}
