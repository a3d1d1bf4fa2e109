//! `gate matrix`: what the table says of a pool, a destination and a port is what happens to a connection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    exec,
    gate::{Answer, Limit, Matrix, MatrixRow},
    lab::{Family, Who},
};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("matrix::cells_are_what_happens", happens),
        found.lab_trial("matrix::every_kind_of_cell", kinds),
        found.lab_trial("matrix::what_is_planned_happens", planned),
        found.lab_trial("matrix::languages_and_formats", shown),
        found.lab_trial("matrix::mistakes_are_told", mistakes),
    ]
}

/// The row of a pool, or of who is in none.
fn row<'m>(matrix: &'m Matrix, pool: Option<&str>, destination: &str) -> Result<&'m MatrixRow> {
    let mut rows = matrix.rows.iter();
    let row = rows.find(|row| row.pool.as_deref() == pool && row.destination == destination);
    row.with_context(|| format!("no row of {pool:?} to {destination}: {matrix:?}"))
}

/// The cell of a pool, or of who is in none.
fn cell<'m>(
    matrix: &'m Matrix,
    pool: Option<&str>,
    destination: &str,
    port: u16,
) -> Result<&'m str> {
    let row = row(matrix, pool, destination)?;
    let mut cells = matrix.ports.iter().zip(&row.cells);
    let cell = cells.find(|(it, _)| **it == port);
    cell.map(|(_, cell)| cell.as_str()).context("no such port")
}

fn happens(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.relays = vec!["198.51.100.25".to_owned(), "2001:db8:5100::25".to_owned()];
    let _daemon = bench.run(&config)?;
    let matrix = bench.gate().matrix()?;
    for (from, pool) in [
        (Who::Subscriber, Some("dynamic")),
        (Who::Static, Some("static")),
        (Who::Unlisted, None),
    ] {
        for (to, destination) in [
            (Who::ThirdNetwork, "outside"),
            (Who::OtherMail, "relays"),
            (Who::OwnMail, "servers"),
        ] {
            for port in [25, 587, 465] {
                let cell = cell(&matrix, pool, destination, port)?;
                for family in Family::ALL {
                    let seen = bench.lab.connect(from, to, family, port)?;
                    let expected = if seen.local().is_some() {
                        "allowed"
                    } else {
                        "refused"
                    };
                    ensure!(
                        cell == expected,
                        "{from} to {to}, {family}, port {port}: {seen}, the table says {cell}"
                    );
                }
            }
        }
    }
    Ok(())
}

fn kinds(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 1,
    });
    config.answer = Answer::Reset;
    config.unlisted = "refuse";
    let pool = config.pools.first_mut().context("no pool")?;
    pool.action = Some("observe");
    let _daemon = bench.run(&config)?;
    let matrix = bench.gate().matrix()?;
    for (pool, expected) in [
        (Some("dynamic"), "observed"),
        (Some("static"), "allowed"),
        (None, "limited"),
    ] {
        let found = cell(&matrix, pool, "outside", 25)?;
        ensure!(found == expected, "{pool:?}: {found}, not {expected}");
        for port in [587, 465] {
            let found = cell(&matrix, pool, "servers", port)?;
            ensure!(found == "allowed", "{pool:?}, port {port}: {found}");
        }
    }
    for (from, open, verdict, reason) in [
        (Who::Subscriber, [true, true], "observed", "restricted"),
        (Who::Static, [true, true], "passed", "exempt"),
        // So many pass in so much time: one a day.
        (Who::Unlisted, [true, false], "passed", "within_limit"),
    ] {
        for family in Family::ALL {
            let before = bench.gate().counters()?.judged(verdict, reason);
            let mut seen = Vec::new();
            for _ in open {
                let one = bench.lab.connect(from, Who::OtherMail, family, 25)?;
                seen.push(one.local().is_some());
            }
            ensure!(seen == open, "{from}, {family}: {seen:?}, not {open:?}");
            let counted = bench.gate().counters()?.judged(verdict, reason) - before;
            let passed = open.iter().filter(|it| **it).count() as u64;
            ensure!(counted == passed, "{from}, {family}: {counted} {verdict}");
        }
    }
    Ok(())
}

/// What the table says that becomes of a row at a moment is what happens once that moment is past.
fn planned(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.answer = Answer::Reset;
    let at = |from: Timestamp| format!("{from:.0}");
    let hour = SignedDuration::from_hours(1);
    let until = at(Timestamp::now() + hour);
    config.pools.get_mut(1).context("no second pool")?.until = Some(until.clone());
    let _daemon = bench.run(&config)?;
    let matrix = bench.gate().matrix()?;
    let now = row(&matrix, Some("static"), "outside")?;
    let then = match now.changes.as_slice() {
        [then] if at(then.from) == until => then,
        other => bail!("not one change, at {until}: {other:?}"),
    };
    let outcome = |cell: Option<&String>| match cell.map(String::as_str) {
        Some("allowed") => Ok(true),
        Some("refused") => Ok(false),
        other => bail!("neither allowed nor refused: {other:?}"),
    };
    let before = outcome(now.cells.first())?;
    let after = outcome(then.cells.first())?;
    ensure!(before && !after, "{matrix:?}");
    let try_it = |expected: bool| -> Result<()> {
        for family in Family::ALL {
            let seen = bench.lab.connect(Who::Static, Who::OtherMail, family, 25)?;
            ensure!(
                seen.local().is_some() == expected,
                "{family}: {seen}, the table says {expected}"
            );
        }
        Ok(())
    };
    try_it(before)?;
    config.pools.get_mut(1).context("no second pool")?.until = Some(at(Timestamp::now() - hour));
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {reload:?}");
    try_it(after)
}

fn shown(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    for (arguments, words) in [
        (
            &["matrix"][..],
            &[
                "dynamic",
                "our submission servers",
                "refused: connections are refused; mail is sent by port 587 or 465",
            ][..],
        ),
        (
            &["matrix", "--lang", "ja"],
            &[
                "接続元",
                "dynamic（ブロック対象）",
                "上記以外のIPアドレス",
                "制限なし",
                "当社の送信用メールサーバ（Submission）",
                "（日本時間）現在",
            ],
        ),
        (
            &["matrix", "--format", "markdown", "--lang", "ja"],
            &["| 接続元 | 接続先 | 25番ポート |", "|---|---|---|"],
        ),
        (
            &["matrix", "--format", "html", "--lang", "ja"],
            &[
                "<html lang=\"ja\">",
                "<td class=\"refused\">ブロック対象</td>",
                "</html>",
            ],
        ),
    ] {
        // A zone that needs no database of zones.
        let mut command = bench.gate().command(arguments);
        let text = exec::tool(command.env("TZ", "JST-9"), "")?;
        for words in words {
            ensure!(
                text.contains(words),
                "{arguments:?} should say `{words}`: {text}"
            );
        }
    }
    Ok(())
}

fn mistakes(bench: &Bench<'_>) -> Result<()> {
    for (arguments, code, words) in [
        (&["matrix"][..], 1, "no gate is loaded here"),
        (&["matrix", "--lang", "de"], 2, "en, ja"),
        (&["status", "--format", "html"], 2, "only `gate matrix`"),
    ] {
        let output = bench.gate().output(arguments)?;
        ensure!(
            output.code() == Some(code) && output.stderr.contains(words),
            "{arguments:?} should end with {code} and say `{words}`: {output:?}"
        );
    }
    let mut nowhere = bench.gate().command(&["matrix"]);
    let output = exec::output(nowhere.env("TZ", "Asia/Tokio"), "", Duration::from_mins(1))?;
    ensure!(
        output.code() == Some(2) && output.stderr.contains("Asia/Tokio"),
        "{output:?}"
    );
    Ok(())
}
