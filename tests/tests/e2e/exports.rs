//! `gate counters` for programs: what CSV, NDJSON and JSON have is what `gate counters` says, by readers that know nothing of the gate.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not in a JSON value is null, which no check here takes"
)]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Packets,
    interrupt,
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use serde_json::{Map, Value, json};

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("exports::every_form_has_what_the_counters_have", forms),
        found.lab_trial("exports::filters_and_orders", filters),
        found.lab_trial("exports::intervals_add_up", intervals),
    ]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);
/// Kinds of rows of which `gate counters` says the same number by another way.
const KINDS: &str = "all,reasons,interfaces,pools,classes,countries,sources";

type Row = Map<String, Value>;
/// Which rows a filter leaves.
type Wanted = fn(&Row) -> bool;

/// Packets of every verdict, from subscribers and from the Internet.
fn traffic(bench: &Bench<'_>) -> Result<()> {
    bench.in_force()?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.tagged(Who::HighSpam, "high-spam")
}

fn rows(text: &str) -> Result<Vec<Row>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no object: {line}")))
        .collect()
}

/// What `gate counters` says with these options, an object a line.
fn ndjson(bench: &Bench<'_>, options: &[&str]) -> Result<Vec<Row>> {
    let arguments = [&["--format", "ndjson", "counters"], options].concat();
    rows(&bench.gate().text(&arguments)?)
}

fn of<'r>(rows: &'r [Row], kind: &str) -> impl Iterator<Item = &'r Row> {
    rows.iter().filter(move |row| row["kind"] == kind)
}

/// The row of this kind and name has these packets.
fn has(rows: &[Row], kind: &str, name: &str, packets: Packets) -> Result<()> {
    let row = of(rows, kind)
        .find(|row| row["name"] == name)
        .with_context(|| format!("no row of {kind}, {name}: {rows:?}"))?;
    let verdicts = [
        ("passed", packets.passed),
        ("refused", packets.refused),
        ("observed", packets.observed),
        ("tagged", packets.tagged),
        ("unparsed", packets.unparsed),
    ];
    let sum: u64 = verdicts.iter().map(|(_, count)| count).sum();
    for (verdict, count) in verdicts {
        // Sources have no packets that cannot be read.
        let said = row[verdict].as_u64();
        ensure!(
            said == Some(count) || (said.is_none() && count == 0),
            "{kind} {name}: {verdict} is {count} in gate counters: {row:?}"
        );
    }
    ensure!(row["packets"] == sum, "{kind} {name}, {sum}: {row:?}");
    Ok(())
}

fn forms(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    traffic(bench)?;
    let counters = bench.gate().counters()?;
    let found = ndjson(bench, &["--by", KINDS])?;
    has(&found, "all", "all", counters.verdicts)?;
    for it in &counters.interfaces {
        has(&found, "interfaces", &it.name, it.packets)?;
    }
    for it in &counters.pools {
        has(&found, "pools", &it.name, it.packets)?;
    }
    for it in &counters.classes {
        has(&found, "classes", &it.name, it.packets)?;
    }
    let sources = &counters.sources.entries;
    ensure!(!sources.is_empty(), "{counters:?}");
    for it in sources {
        has(&found, "sources", &it.source, it.packets)?;
    }
    let sum = |kind: &str| {
        of(&found, kind)
            .filter_map(|row| row["packets"].as_u64())
            .sum::<u64>()
    };
    let all = counters.reasons.iter().map(|it| it.packets).sum::<u64>();
    ensure!(sum("reasons") == all, "{all} by reason: {found:?}");
    let all = counters.countries.iter().map(|it| it.packets).sum::<u64>();
    ensure!(
        all > 0 && sum("countries") == all,
        "{all} by country: {found:?}"
    );

    let json: Value = serde_json::from_str(
        &bench
            .gate()
            .text(&["--format", "json", "counters", "--by", KINDS])?,
    )?;
    let plain: Vec<Value> = found
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row.retain(|column, _| !["at", "seconds", "generation"].contains(&column.as_str()));
            Value::Object(row)
        })
        .collect();
    ensure!(
        json["rows"] == json!(plain) && json["generation"] == json!(counters.generation),
        "{json}\n{found:?}"
    );

    let path = bench.lab.scratch().join("counters.csv");
    fs::write(
        &path,
        bench
            .gate()
            .text(&["--format", "csv", "counters", "--by", KINDS])?,
    )?;
    let read = read_csv(&path)?;
    ensure!(read.len() == found.len(), "{read:?}\n{found:?}");
    for (cells, row) in read.iter().zip(&found) {
        let columns: BTreeSet<&String> = row.keys().collect();
        ensure!(
            columns == cells.keys().collect::<BTreeSet<_>>(),
            "{cells:?}"
        );
        for (column, value) in row {
            let cell = cells[column].as_str().context("no text")?;
            let same = match value {
                // Both were counted at moments of their own.
                _ if column == "at" => cell.ends_with('Z'),
                Value::Null => cell.is_empty(),
                // CSV has whole seconds.
                Value::String(text) if column.ends_with("_seen") => {
                    text.get(..19) == cell.get(..19)
                }
                Value::String(text) => text == cell,
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    serde_json::from_str::<Value>(cell).is_ok_and(|it| it == *value)
                }
            };
            ensure!(same, "{column}: {value} is {cell:?} in CSV: {row:?}");
        }
    }
    Ok(())
}

/// Rows as the reader of another language sees them.
fn read_csv(path: &Path) -> Result<Vec<Row>> {
    const PROGRAM: &str = "import csv, json, sys\n\
                           rows = csv.DictReader(open(sys.argv[1], newline='', encoding='utf-8'), strict=True)\n\
                           print(json.dumps(list(rows)))";
    let text = exec::tool(
        Command::new("/usr/bin/python3")
            .args(["-c", PROGRAM])
            .arg(path),
        "",
    )?;
    Ok(serde_json::from_str(&text)?)
}

fn filters(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    traffic(bench)?;
    let everything = ndjson(bench, &["--by", KINDS])?;
    let number = |row: &Row, column: &str| row[column].as_u64().unwrap_or_default();
    let names = |rows: &[Row]| -> Vec<String> {
        let name = |row: &Row| row["name"].as_str().unwrap_or_default().to_owned();
        rows.iter().map(name).collect()
    };
    let cases: [(&[&str], &str, Wanted); 5] = [
        (&["--by", "pools", "--pool", "dynamic"], "pools", |row| {
            row["name"] == "dynamic"
        }),
        (
            &["--by", "classes", "--class", "foreign"],
            "classes",
            |row| row["name"] == "foreign",
        ),
        (&["--verdict", "refused"], "sources", |row| {
            row["refused"].as_u64() > Some(0)
        }),
        (&["--prefix", "100.64.0.0/10"], "sources", |row| {
            row["name"]
                .as_str()
                .is_some_and(|it| it.starts_with("100.64."))
        }),
        (
            &["--prefix", "2001:db8:100::/40", "--verdict", "refused"],
            "sources",
            |row| {
                row["refused"].as_u64() > Some(0)
                    && row["name"]
                        .as_str()
                        .is_some_and(|it| it.starts_with("2001:db8:1"))
            },
        ),
    ];
    for (options, kind, wanted) in cases {
        let mut expected: Vec<Row> = of(&everything, kind)
            .filter(|row| wanted(row))
            .cloned()
            .collect();
        let mut found: Vec<Row> = of(&ndjson(bench, options)?, kind).cloned().collect();
        for row in expected.iter_mut().chain(&mut found) {
            row.remove("at");
        }
        let left_out = of(&everything, kind).count() - expected.len();
        ensure!(
            !found.is_empty() && left_out > 0,
            "{options:?} tells nothing"
        );
        ensure!(found == expected, "{options:?}: {found:?}\n{expected:?}");
    }
    let largest = ndjson(bench, &["--sort", "refused", "--top", "2"])?;
    let mut counts: Vec<u64> = of(&everything, "sources")
        .map(|row| number(row, "refused"))
        .collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts.truncate(2);
    let shown: Vec<u64> = of(&largest, "sources")
        .map(|row| number(row, "refused"))
        .collect();
    ensure!(
        shown == counts && counts.len() == 2 && counts[1] > 0,
        "{largest:?}"
    );
    let by_name = names(&ndjson(bench, &["--by", "pools", "--sort", "name"])?);
    ensure!(
        by_name.is_sorted() && by_name.len() > 1,
        "{by_name:?} is in no order"
    );
    for options in [
        &["--by", "pools", "--pool", "nobody"][..],
        &["--by", "countries", "--prefix", "100.64.0.0/10"],
        &["--top", "x"],
    ] {
        let arguments = [&["--format", "csv", "counters"], options].concat();
        let output = bench.gate().output(&arguments)?;
        ensure!(
            output.code() == Some(2) && output.stdout.is_empty() && !output.stderr.is_empty(),
            "{options:?}: {output:?}"
        );
    }
    Ok(())
}

/// What came in each interval, until all has come, is what came in all.
fn intervals(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    traffic(bench)?;
    let before = bench.gate().counters()?.verdicts.refused;
    let path = bench.lab.scratch().join("intervals.ndjson");
    let mut command = bench.gate().command(&[
        "--format",
        "ndjson",
        "counters",
        "--by",
        "all",
        "--interval",
        "1s",
    ]);
    command.stdin(Stdio::null()).stdout(File::create(&path)?);
    let mut export = exec::spawn(&mut command)?;
    let outcome = (|| {
        let batches = || -> Result<Vec<Row>> {
            let text = fs::read_to_string(&path)?;
            // The last line may be half written.
            rows(text.rsplit_once('\n').map_or("", |(whole, _)| whole))
        };
        let quiet = interrupt::wait_until(LIMIT, || batches().is_ok_and(|it| !it.is_empty()))?;
        ensure!(quiet, "no interval was over");
        for family in Family::ALL {
            bench
                .lab
                .connect(Who::Subscriber, Who::OtherMail, family, 25)?;
        }
        let came = bench.gate().counters()?.verdicts.refused - before;
        ensure!(came > 0, "nothing was refused");
        let so_far = batches()?.len();
        // Two more: what is counted once is not counted again.
        ensure!(
            interrupt::wait_until(LIMIT, || batches().is_ok_and(|it| it.len() >= so_far + 2))?,
            "no further interval was over"
        );
        let rows = batches()?;
        let sum: u64 = rows.iter().filter_map(|row| row["refused"].as_u64()).sum();
        ensure!(
            sum == came && rows[0]["refused"] == 0,
            "{came} were refused: {rows:?}"
        );
        ensure!(
            rows.iter()
                .all(|row| row["seconds"].as_f64().is_some_and(|it| it >= 0.5)),
            "{rows:?}"
        );
        Ok(())
    })();
    export.kill()?;
    export.wait()?;
    outcome
}
