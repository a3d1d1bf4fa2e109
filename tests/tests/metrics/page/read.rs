//! What is on the page, beside what the commands say.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result, ensure};
use gate_tests::interrupt;
use serde_json::Value;

use super::PATIENCE;
use crate::{bench::Bench, browser::Browser};

/// What rows of the page are about where sources are not shown.
pub(super) const KINDS: &str =
    "all,reasons,interfaces,pools,relays,classes,countries,shown,answers,unsent,limits";

/// What is on the page, as somebody sees it.
pub(super) const READ: &str = "(() => {
    const text = (it) => it.textContent.trim();
    const count = (it) => text(it).replaceAll(',', '').replace('–', '');
    const width = document.documentElement.clientWidth;
    const all = (selector, of = document) => [...of.querySelectorAll(selector)];
    return {
        state: text(document.querySelector('#state')),
        about: text(document.querySelector('#about')),
        problems: all('#problems li').map((it) => it.textContent),
        facts: all('#force dd').map(text),
        interfaces: all('#interfaces li').map(text),
        databases: all('#databases li').map(text),
        tiles: all('#tiles div').map((it) => [it.dataset.verdict, count(it.querySelector('.all'))]),
        rates: all('#tiles .rate').map(text),
        rows: all('tr[data-kind]').map((it) => [
            it.dataset.kind, text(it.querySelector('bdi')), count(it.querySelector('td.all')),
            ...all('td.part', it).map((part) => part.dataset.word + ' ' + count(part)),
        ]),
        charts: all('figure').map((it) => ({
            kind: it.dataset.chart,
            names: all('.legend bdi', it).map(text),
            lines: all('path.line[d*=L]', it).length,
            labels: all('text', it).map(text),
            generations: all('line.force', it).map((line) => line.dataset.generation),
        })),
        too_wide: [document.documentElement, ...all('body *')]
            .filter((it) => it.getBoundingClientRect().right > width + 1 || it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).overflowX !== 'visible')
            .filter((it) => !it.closest('thead') || width > 700).map((it) => it.outerHTML.slice(0, 200)),
        // On a telephone, the window grows with what is too wide; this does not.
        width,
        scrolls: document.documentElement.scrollWidth > width,
    };
})()";

pub(super) fn json(bench: &Bench<'_>, arguments: &[&str]) -> Result<Value> {
    let output = bench
        .gate()
        .output(&[&["--format", "json"], arguments].concat())?;
    serde_json::from_str(&output.stdout).with_context(|| output.stderr)
}

/// The rows of `gate counters`, as the page would write them.
pub(super) fn counted(bench: &Bench<'_>, kinds: &str) -> Result<BTreeSet<Vec<String>>> {
    const PARTS: [&str; 6] = [
        "passed",
        "refused",
        "observed",
        "tagged",
        "unparsed",
        "over_limit",
    ];
    let rows = json(bench, &["counters", "--by", kinds])?;
    let rows = rows["rows"].as_array().context("no rows")?;
    // A table has the columns that one of its rows has.
    let has = |kind: &Value, keys: &[&str]| {
        let mut of_kind = rows.iter().filter(|it| it["kind"] == *kind);
        of_kind.any(|it| keys.iter().any(|key| !it[key].is_null()))
    };
    let word = |value: &Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => String::new(),
        None => value.to_string(),
    };
    let row = |it: &Value| {
        let mut cells = vec![word(&it["kind"]), word(&it["name"]), word(&it["packets"])];
        let [verdicts, over] = [&PARTS[..5], &PARTS[5..]];
        for keys in [verdicts, over] {
            if has(&it["kind"], keys) {
                cells.extend(
                    keys.iter()
                        .map(|key| format!("{} {}", key.replace('_', " "), word(&it[*key]))),
                );
            }
        }
        cells
    };
    // Of what failed, and of limits, the page leaves out what never came up.
    let never = |it: &&Value| {
        ["unsent", "limits"].iter().any(|kind| it["kind"] == *kind) && it["packets"] == 0
    };
    Ok(rows.iter().filter(|it| !never(it)).map(row).collect())
}

pub(super) fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
        .collect()
}

/// The rows on the page, with the totals of the head as a row of the kind `all`.
pub(super) fn shown(page: &Value) -> BTreeSet<Vec<String>> {
    let rows = page["rows"].as_array().into_iter().flatten().map(strings);
    let tiles: Vec<Vec<String>> = page["tiles"]
        .as_array()
        .into_iter()
        .flatten()
        .map(strings)
        .collect();
    let sum: u64 = tiles
        .iter()
        .filter_map(|it| it.last()?.parse::<u64>().ok())
        .sum();
    let all = ["all", "all", &sum.to_string()]
        .map(str::to_owned)
        .into_iter();
    let all = all.chain(tiles.iter().map(|it| it.join(" ")));
    rows.chain([all.collect()]).collect()
}

/// A text with each address, and what belongs to it, left out.
fn hidden(text: &str) -> String {
    let ends = |it: char| it.is_whitespace() || "`\"',;()".contains(it);
    let word = |it: &str| {
        let (word, end) = it.split_at(it.find(ends).unwrap_or(it.len()));
        let whole = word.trim_end_matches(['.', ':']);
        let address = whole.split('/').next().unwrap_or_default();
        if address.parse::<IpAddr>().is_ok() {
            let after = word.strip_prefix(whole).unwrap_or_default();
            format!("[address]{after}{end}")
        } else {
            it.to_owned()
        }
    };
    text.split_inclusive(ends).map(word).collect()
}

/// Everything on the page is what the commands say, at this moment.
pub(super) fn compare(bench: &Bench<'_>, browser: &mut Browser, kinds: &str) -> Result<Value> {
    let mut last = Ok(Value::Null);
    interrupt::wait_until(PATIENCE, || {
        last = compared(bench, browser, kinds);
        last.is_ok()
    })?;
    last
}

pub(super) fn compared(bench: &Bench<'_>, browser: &mut Browser, kinds: &str) -> Result<Value> {
    let (counted, status) = (counted(bench, kinds)?, json(bench, &["status"])?);
    let page = browser.evaluate(READ)?;
    let rows = shown(&page);
    let different: Vec<_> = rows.symmetric_difference(&counted).collect();
    ensure!(different.is_empty(), "on one side only: {different:?}");
    ensure!(
        page["state"] == status["state"],
        "{} {}",
        page["state"],
        status["state"]
    );
    let problems: Vec<String> = strings(&status["problems"])
        .iter()
        .map(|it| hidden(it))
        .collect();
    ensure!(
        strings(&page["problems"]) == problems,
        "{} should be {problems:?}",
        page["problems"]
    );
    let number = format!("generation {}", status["generation"]["number"]);
    ensure!(
        strings(&page["facts"]).contains(&number),
        "no {number}: {}",
        page["facts"]
    );
    ensure!(
        page["about"]
            .as_str()
            .is_some_and(|it| it.starts_with(&number)),
        "{}",
        page["about"]
    );
    for it in status["interfaces"].as_array().into_iter().flatten() {
        let words =
            ["name", "role", "state", "mode"].map(|key| it[key].as_str().unwrap_or_default());
        ensure!(
            strings(&page["interfaces"]).contains(&words.join(" · ")),
            "no {words:?}: {}",
            page["interfaces"]
        );
    }
    for it in status["databases"].as_array().into_iter().flatten() {
        let path = it["path"].as_str().context("no path")?;
        ensure!(
            strings(&page["databases"])
                .iter()
                .any(|line| line.starts_with(path)),
            "no {path}: {}",
            page["databases"]
        );
    }
    Ok(page)
}

/// The window is so wide, and nothing is wider.
pub(super) fn fits(page: &Value, width: u32) -> Result<()> {
    ensure!(
        page["width"] == width && page["scrolls"] == false && strings(&page["too_wide"]).is_empty(),
        "{} wide, {width} wanted, too wide: {}",
        page["width"],
        page["too_wide"]
    );
    Ok(())
}
