//! Rates and the last hour: what the page draws is what was counted.

use std::{env, ops::Range, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Config,
    interrupt,
    lab::{Family, Who},
};
use serde_json::Value;

use super::{
    PATIENCE, SIZES, begin, colours, kept_to_itself,
    read::{KINDS, compare, fits, json, strings},
};
use crate::{
    agree::{config, traffic},
    bench::Bench,
    browser::Browser,
    http::{self, DEFAULT},
};

/// The directory for pictures of the page, if they are wanted.
const PICTURES: &str = "GATE_PICTURES";

fn history(bench: &Bench<'_>) -> Result<Value> {
    let answer = http::get(bench.lab.router(), DEFAULT, "/history.json", "*/*")?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}

pub(super) fn agree(bench: &Bench<'_>) -> Result<()> {
    let first = config(bench, "")?;
    let _daemon = bench.run(&first)?;
    let mut browser = begin(bench)?;
    // What came before the first reading is in no step.
    let begun = || history(bench).is_ok_and(|it| !it["since"].is_null());
    ensure!(interrupt::wait_until(PATIENCE, begun)?, "no history");
    traffic(bench)?;
    if env::var_os(PICTURES).is_none() {
        live(bench, &mut browser)?;
    }
    some_minutes(bench, 0..40)?;
    let changed = Config {
        title: "another one".to_owned(),
        ..first
    };
    changed.write(&bench.lab, "gate.toml")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0));
    some_minutes(bench, 40..60)?;
    pictures(&mut browser)?;
    // The last hour adds up to what is counted, and the page draws all of it.
    let mut told = String::new();
    let complete = interrupt::wait_until(PATIENCE, || {
        let added = added_up(bench);
        told = format!("{added:?}");
        added.is_ok()
    })?;
    ensure!(complete, "{told}");
    let end = history(bench)?["ends"]
        .as_array()
        .and_then(|it| it.last()?.as_i64());
    let end = end.context("no step")?;
    browser.shows(
        "the last step",
        &format!("hour !== null && hour.ends.at(-1) >= {end}"),
    )?;
    browser.shows("the reload", "document.querySelector('#reloads li[data-ended=loaded]')?.textContent.endsWith('loaded (command) · generation 2')")?;
    browser.shows(
        "when the other generation came into force",
        "document.querySelectorAll('figure line.force').length === 3",
    )?;
    for (width, height) in SIZES {
        browser.size(width, height)?;
        let page = compare(bench, &mut browser, KINDS)?;
        fits(&page, width)?;
        ensure!(
            strings(&page["rates"]) == ["0"; 5],
            "nothing comes: {}",
            page["rates"]
        );
        let charts = page["charts"].as_array().context("no charts")?;
        let kinds: Vec<&str> = charts.iter().filter_map(|it| it["kind"].as_str()).collect();
        ensure!(kinds == ["verdicts", "classes", "countries"], "{kinds:?}");
        for chart in charts {
            let names = strings(&chart["names"]);
            let lines = chart["lines"]
                .as_u64()
                .and_then(|it| usize::try_from(it).ok());
            ensure!(!names.is_empty() && lines == Some(names.len()), "{chart}");
            // Axes, and a letter for each line that the legend has as well.
            let labels = strings(&chart["labels"]);
            ensure!(
                labels.iter().any(|it| it.contains(':')) && labels.contains(&"A".to_owned()),
                "{chart}"
            );
            ensure!(strings(&chart["generations"]) == ["2"], "{chart}");
        }
        colours::stand_out(&mut browser)?;
    }
    kept_to_itself(&mut browser)?;
    // A script that is not the page's own does not run, whoever puts it there.
    browser.evaluate("{ const it = document.createElement('script'); it.textContent = 'window.hit = 1'; document.body.append(it); }")?;
    ensure!(
        browser.evaluate("typeof window.hit")? == "undefined",
        "a foreign script ran"
    );
    Ok(())
}

/// Two documents that the page has read, and the rates that it shows: of verdicts, and of each row.
const LIVE: &str = "(() => {
    const rows = (of, kind) => of.tables.find((it) => it.kind === kind)?.rows ?? [];
    const row = (of, kind, name) => rows(of, kind).find((it) => it.name === name);
    const text = (it) => it.querySelector('.rate').textContent;
    const [old, all] = [before, now].map((it) => rows(it, 'all')[0].verdicts);
    const tiles = [...document.querySelectorAll('#tiles div')].map((it, index) => [it.dataset.verdict, old[index], all[index], text(it)]);
    const lines = [...document.querySelectorAll('tr[data-kind]')].map((it) => [it.dataset.kind, it.querySelector('bdi').textContent, text(it)])
        .filter(([kind, name]) => row(before, kind, name))
        .map(([kind, name, text]) => [kind + ' ' + name, row(before, kind, name).packets, row(now, kind, name).packets, text]);
    return { milliseconds: Date.parse(now.at) - Date.parse(before.at), rates: [...tiles, ...lines] };
})()";

/// While packets come: each rate on the page is the difference of two looks by the time between them, and the last look lies between two of our own.
fn live(bench: &Bench<'_>, browser: &mut Browser) -> Result<()> {
    let refused = || -> Result<u64> {
        let rows = json(bench, &["counters", "--by", "all"])?;
        rows["rows"][0]["refused"].as_u64().context("no total")
    };
    let knocking = bench
        .lab
        .hammer(Who::Neighbour, Who::OtherMail, Family::V4, 25)?;
    browser.shows(
        "a rate",
        "parseFloat(document.querySelector('[data-verdict=refused] .rate').textContent) > 0",
    )?;
    let earlier = refused()?;
    // The first one may have been made before, and be on its way.
    for _ in 0..2 {
        let at = browser.evaluate("now.at")?;
        let next = format!("now.at !== {at} && before !== null && failures === 0");
        browser.shows("another look", &next)?;
    }
    let found = browser.evaluate(LIVE)?;
    let later = refused()?;
    knocking.stop()?;
    let seconds = found["milliseconds"].as_f64().context("no time")? / 1000.0;
    let rates = found["rates"].as_array().context("no rates")?;
    for rate in rates {
        let count = |index: usize| rate[index].as_f64().context("no number");
        let packets = count(2)? - count(1)?;
        let text = rate[3].as_str().context("no text")?;
        ensure!(
            packets >= 0.0 && says(text, packets / seconds)?,
            "{rate} in {seconds} s"
        );
    }
    let of = |name: &str| rates.iter().find(|it| it[0] == name);
    let total = of("refused").context("no verdict")?;
    let now = total[2].as_u64().context("no total")?;
    ensure!(
        total[1].as_u64() < Some(now) && (earlier..=later).contains(&now),
        "{earlier}, {later}: {total}"
    );
    let row = of("pools dynamic").context("no pool")?;
    ensure!(row[1].as_u64() < row[2].as_u64(), "{row}");
    Ok(())
}

/// Whether a text is this number, as near as its last digit says.
fn says(text: &str, value: f64) -> Result<bool> {
    let (number, size) = match text.split_once(' ') {
        None => (text, 1.0),
        Some((number, "k")) => (number, 1e3),
        Some((number, "M")) => (number, 1e6),
        Some(_) => return Ok(false),
    };
    let decimals = number.split_once('.').map_or(0, |(_, it)| it.len());
    let last = size / 10_f64.powi(i32::try_from(decimals)?);
    let number: f64 = number.parse()?;
    Ok((number * size - value).abs() <= last * 0.500_001 && (text == "0") == (value == 0.0))
}

/// Where pictures are wanted, traffic for charts that are worth a look: more and less of it, from several countries.
fn some_minutes(bench: &Bench<'_>, rounds: Range<u32>) -> Result<()> {
    if env::var_os(PICTURES).is_none() {
        return Ok(());
    }
    for round in rounds {
        for (from, times) in [
            (Who::Domestic, 9 + round % 17),
            (Who::Foreign, round % 11),
            (Who::HighSpam, if round % 40 > 25 { 12 } else { 2 }),
            (Who::OtherMail, 1),
        ] {
            for _ in 0..times {
                bench.lab.connect(from, Who::OwnMail, Family::V4, 587)?;
            }
        }
        for _ in 0..round % 7 {
            bench
                .lab
                .connect(Who::Static, Who::OtherMail, Family::V6, 25)?;
        }
        for _ in 0..=round % 5 {
            bench
                .lab
                .connect(Who::Subscriber, Who::OtherMail, Family::V4, 25)?;
        }
        interrupt::sleep(Duration::from_secs(2))?;
    }
    Ok(())
}

/// The steps of the last hour, as what they add up to.
fn added_up(bench: &Bench<'_>) -> Result<()> {
    let counters = json(bench, &["counters", "--by", "all,classes,countries"])?;
    let history = history(bench)?;
    let sum = |kind: &str, name: &str| -> u64 {
        let series = history[kind].as_array().into_iter().flatten();
        let steps = series
            .filter(|it| it["name"] == name)
            .filter_map(|it| it["packets"].as_array());
        steps.flatten().filter_map(Value::as_u64).sum()
    };
    for row in counters["rows"].as_array().context("no rows")? {
        let name = row["name"].as_str().context("no name")?;
        if row["kind"] == "all" {
            for verdict in ["passed", "refused", "observed", "tagged", "unparsed"] {
                ensure!(
                    Some(sum("verdicts", verdict)) == row[verdict].as_u64(),
                    "{verdict}: {row} {history}"
                );
            }
        } else {
            let kind = row["kind"].as_str().context("no kind")?;
            ensure!(
                Some(sum(kind, name)) == row["packets"].as_u64(),
                "{row} {history}"
            );
        }
    }
    Ok(())
}

/// The page as it looks at a desk, and in the dark colours of a telephone.
fn pictures(browser: &mut Browser) -> Result<()> {
    for ((width, height), scheme) in SIZES.into_iter().zip(["light", "dark"]) {
        browser.size(width, height)?;
        colours::prefer(browser, scheme)?;
        picture(browser, width)?;
    }
    colours::prefer(browser, "light")
}

/// Writes the page as it looks, where pictures are wanted.
fn picture(browser: &mut Browser, width: u32) -> Result<()> {
    let picture = browser.picture()?;
    ensure!(picture.starts_with("iVBORw0KGgo"), "no PNG");
    let Some(directory) = env::var_os(PICTURES) else {
        return Ok(());
    };
    let path = Path::new(&directory).join(format!("status-{width}.png"));
    let mut base64 = Command::new("sh");
    base64.args(["-c", "base64 --decode >\"$0\""]).arg(&path);
    exec::tool(&mut base64, &picture).map(drop)
}
