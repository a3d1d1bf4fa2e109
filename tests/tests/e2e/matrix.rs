//! `gate matrix`: what the table says of a pool, a destination and a port is what happens to a connection.

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Limit, Matrix},
    lab::{Family, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("matrix::cells_are_what_happens", happens),
        found.lab_trial("matrix::every_kind_of_cell", kinds),
        found.lab_trial("matrix::languages_and_formats", shown),
        found.lab_trial("matrix::mistakes_are_told", mistakes),
    ]
}

/// The cell of a pool, or of who is in none.
fn cell<'m>(
    matrix: &'m Matrix,
    pool: Option<&str>,
    destination: &str,
    port: u16,
) -> Result<&'m str> {
    let mut rows = matrix.rows.iter();
    let row = rows.find(|row| row.pool.as_deref() == pool && row.destination == destination);
    let row = row.with_context(|| format!("no row of {pool:?} to {destination}: {matrix:?}"))?;
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
    Ok(())
}

fn shown(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    for (arguments, words) in [
        (
            &["matrix"][..],
            &[
                "dynamic",
                "our submission servers",
                "refused: connections are refused",
            ][..],
        ),
        (
            &["matrix", "--lang", "ja"],
            &[
                "接続元",
                "動的IPアドレス",
                "ブロック対象",
                "制限なし",
                "当社の送信サーバ",
            ],
        ),
        (
            &["matrix", "--format", "markdown", "--lang", "ja"],
            &["| 接続元 | 宛先 | 25番ポート |", "|---|---|---|"],
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
        let text = bench.gate().text(arguments)?;
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
    Ok(())
}
