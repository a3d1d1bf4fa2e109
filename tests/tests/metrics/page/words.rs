//! Words of others are text, and addresses are shown on request only.

use std::fs;

use anyhow::{Result, ensure};
use gate_tests::{
    gate::Config,
    lab::{Family, Who},
};

use super::{
    SIZES, begin, colours, kept_to_itself,
    read::{KINDS, compare, fits, json, strings},
};
use crate::{
    agree::{config, traffic},
    bench::Bench,
    browser::Browser,
    http::{self, DEFAULT},
};

fn addresses(bench: &Bench<'_>) -> Result<Vec<String>> {
    let mut addresses = Vec::new();
    for who in Who::ALL {
        for family in Family::ALL {
            addresses.push(bench.lab.address(*who, family)?.to_string());
        }
    }
    Ok(addresses)
}

/// Everything that the endpoint has for a page, and what is on it.
fn everything(bench: &Bench<'_>, browser: &mut Browser) -> Result<String> {
    let mut all = browser
        .evaluate("document.documentElement.outerHTML")?
        .to_string();
    for path in ["/", "/status.json", "/history.json"] {
        let answer = http::get(bench.lab.router(), DEFAULT, path, "*/*")?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        all.push_str(&answer.body);
    }
    Ok(all)
}

/// Markup, text from right to left, and a word without end.
const HOSTILE: &str =
    "<img src=x onerror=window.hit=1><script>window.hit=1</script>\u{202e}gnp.exe";

pub(super) fn words(bench: &Bench<'_>) -> Result<()> {
    let first = config(bench, "")?;
    let path = first.write(&bench.lab, &format!("{}.toml", HOSTILE.replace('/', "|")))?;
    let _daemon = bench.gate().run(&path)?;
    let reason = format!("{HOSTILE}{}", "long".repeat(30));
    bench.gate().bypass(&["--for", "1h", "--reason", &reason])?;
    let mut browser = begin(bench)?;
    traffic(bench)?;
    // A mistake that names a subscriber.
    let subscriber = bench.lab.address(Who::Subscriber, Family::V4)?;
    let mistake: &'static str = format!(
        "[[access]]\nname = \"wrong\"\npolicy = \"exempt\"\nprefixes = [\"{subscriber}/12\"]"
    )
    .leak();
    let wrong = Config {
        tables: mistake,
        ..first.clone()
    };
    fs::write(&path, wrong.to_string())?;
    ensure!(
        bench.gate().reload(&[])?.0 == Some(2),
        "the mistake is taken"
    );
    browser.shows(
        "the refusal",
        "document.querySelectorAll('#reloads li[data-ended=refused]').length === 1",
    )?;
    for (width, height) in SIZES {
        browser.size(width, height)?;
        let page = compare(bench, &mut browser, KINDS)?;
        fits(&page, width)?;
        let problems = strings(&page["problems"]).concat();
        ensure!(
            problems.contains(&reason) && problems.contains("[address]"),
            "{problems}"
        );
        ensure!(
            strings(&page["facts"])
                .iter()
                .any(|it| it.contains("<img src=x")),
            "{}",
            page["facts"]
        );
        colours::stand_out(&mut browser)?;
    }
    ensure!(
        browser.evaluate("typeof window.hit")? == "undefined",
        "somebody's words ran"
    );
    ensure!(
        browser.evaluate("document.querySelectorAll('img, script').length")? == 1,
        "somebody's words are elements"
    );
    let status = json(bench, &["status"])?.to_string();
    ensure!(
        status.contains(&subscriber.to_string()),
        "nothing to leave out: {status}"
    );
    let everything_there = everything(bench, &mut browser)?;
    for address in addresses(bench)? {
        ensure!(
            !everything_there.contains(&address),
            "{address} is there: {everything_there}"
        );
    }
    kept_to_itself(&mut browser)?;
    // On request they are there: the control.
    let open = Config {
        tables: "[metrics]\nsources = 100",
        ..first
    };
    fs::write(&path, open.to_string())?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0));
    browser.shows(
        "sources",
        "document.querySelectorAll('tr[data-kind=sources]').length > 5",
    )?;
    // What has no entry is a row of `gate counters` only where there is any.
    let page = compare(bench, &mut browser, &format!("{KINDS},prefixes,sources"))?;
    fits(&page, SIZES[1].0)?;
    ensure!(
        everything(bench, &mut browser)?.contains(&subscriber.to_string()),
        "no {subscriber}"
    );
    Ok(())
}
