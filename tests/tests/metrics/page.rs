//! The status page in a real browser: it says what the commands say, at the width of a desk and of a phone, and other people's words are text.
#![expect(
    clippy::indexing_slicing,
    reason = "a key that a JSON value lacks is null, which equals nothing that is compared"
)]

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Config,
    interrupt,
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    agree::{config, traffic},
    bench::{Bench, Found},
    browser::{Browser, CHROMIUM},
    http::{self, DEFAULT},
};

/// How long the page may take to have what is asked for: more than a step of the last hour, and the pause of a look after it.
const PATIENCE: Duration = Duration::from_secs(40);

const PAGE: &str = "http://127.0.0.1:25587/";

/// A desk, and a phone.
const SIZES: [(u32, u32); 2] = [(1280, 900), (360, 740)];

/// The directory for pictures of the page, if they are wanted.
const PICTURES: &str = "GATE_PICTURES";

/// What rows of the page are about where sources are not shown.
const KINDS: &str =
    "all,reasons,interfaces,pools,relays,classes,countries,shown,answers,unsent,limits";

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let there = exec::found(CHROMIUM);
    if !there {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "the trials of `page` are ignored: chromium not found; `cargo xtask setup browser` installs it"
        );
    }
    let trials = vec![
        found.lab_trial("page::says_what_the_commands_say", agree),
        found.lab_trial("page::sources_only_on_request_and_words_as_text", words),
        found.lab_trial("page::says_when_nothing_is_new", gone),
    ];
    trials
        .into_iter()
        .map(|trial| {
            let ignored = trial.has_ignored_flag() || !there;
            trial.with_ignored_flag(ignored)
        })
        .chain([found.lab_trial("page::can_be_switched_off", off)])
        .collect()
}

/// What is on the page, as somebody sees it.
const READ: &str = "(() => {
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
        })),
        too_wide: [document.documentElement, ...all('body *')]
            .filter((it) => it.getBoundingClientRect().right > width + 1 || it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).overflowX !== 'visible')
            .filter((it) => !it.closest('thead') || width > 700).map((it) => it.outerHTML.slice(0, 200)),
        // On a telephone, the window grows with what is too wide; this does not.
        width,
        scrolls: document.documentElement.scrollWidth > width,
    };
})()";

fn json(bench: &Bench<'_>, arguments: &[&str]) -> Result<Value> {
    let output = bench
        .gate()
        .output(&[&["--format", "json"], arguments].concat())?;
    serde_json::from_str(&output.stdout).with_context(|| output.stderr)
}

/// The rows of `gate counters`, as the page would write them.
fn counted(bench: &Bench<'_>, kinds: &str) -> Result<BTreeSet<Vec<String>>> {
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

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
        .collect()
}

/// The rows on the page, with the totals of the head as a row of the kind `all`.
fn shown(page: &Value) -> BTreeSet<Vec<String>> {
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

/// Everything on the page is what the commands say, at this moment.
fn compare(bench: &Bench<'_>, browser: &mut Browser, kinds: &str) -> Result<Value> {
    let mut last = Ok(Value::Null);
    interrupt::wait_until(PATIENCE, || {
        last = compared(bench, browser, kinds);
        last.is_ok()
    })?;
    last
}

fn compared(bench: &Bench<'_>, browser: &mut Browser, kinds: &str) -> Result<Value> {
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
fn fits(page: &Value, width: u32) -> Result<()> {
    ensure!(
        page["width"] == width && page["scrolls"] == false && strings(&page["too_wide"]).is_empty(),
        "{} wide, {width} wanted, too wide: {}",
        page["width"],
        page["too_wide"]
    );
    Ok(())
}

/// The browser asked nobody but the gate, and has nothing to complain about.
fn kept_to_itself(browser: &mut Browser) -> Result<()> {
    let seen = browser.seen()?;
    let elsewhere = |it: &&String| !it.starts_with(PAGE) && !it.starts_with("data:");
    let elsewhere: Vec<_> = seen.asked.iter().filter(elsewhere).collect();
    ensure!(
        elsewhere.is_empty() && seen.asked.len() > 3,
        "{:?}",
        seen.asked
    );
    ensure!(seen.complaints.is_empty(), "{:?}", seen.complaints);
    Ok(())
}

fn begin(bench: &Bench<'_>) -> Result<Browser> {
    let mut browser = Browser::start(bench.lab.router(), &bench.lab.scratch().join("browser"))?;
    // A daemon that is ready listens a moment later.
    let listens = || http::get(bench.lab.router(), DEFAULT, "/healthz", "*/*").is_ok();
    ensure!(interrupt::wait_until(PATIENCE, listens)?, "nobody listens");
    let [(width, height), _] = SIZES;
    browser.size(width, height)?;
    browser.open(PAGE)?;
    browser.shows(
        "a state",
        "document.querySelector('#state').textContent !== '…'",
    )?;
    Ok(browser)
}

fn history(bench: &Bench<'_>) -> Result<Value> {
    let answer = http::get(bench.lab.router(), DEFAULT, "/history.json", "*/*")?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}

fn agree(bench: &Bench<'_>) -> Result<()> {
    let first = config(bench, "")?;
    let _daemon = bench.run(&first)?;
    let mut browser = begin(bench)?;
    // What came before the first reading is in no step.
    let begun = || history(bench).is_ok_and(|it| !it["since"].is_null());
    ensure!(interrupt::wait_until(PATIENCE, begun)?, "no history");
    let knocking = bench
        .lab
        .hammer(Who::Neighbour, Who::OtherMail, Family::V4, 25)?;
    traffic(bench)?;
    browser.shows(
        "a rate",
        "parseFloat(document.querySelector('[data-verdict=refused] .rate').textContent) > 0",
    )?;
    if env::var_os(PICTURES).is_some() {
        some_minutes(bench)?;
    }
    knocking.stop()?;
    let changed = Config {
        title: "another one".to_owned(),
        ..first
    };
    changed.write(&bench.lab, "gate.toml")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0));
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
        }
        picture(&mut browser, width)?;
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

/// Traffic for charts that are worth a look: more and less of it, from several countries.
fn some_minutes(bench: &Bench<'_>) -> Result<()> {
    for round in 0..60_u32 {
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

fn words(bench: &Bench<'_>) -> Result<()> {
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

fn gone(bench: &Bench<'_>) -> Result<()> {
    const STALE: &str = "!document.querySelector('#stale').hidden";
    let config = config(bench, "")?;
    let daemon = bench.run(&config)?;
    traffic(bench)?;
    let mut browser = begin(bench)?;
    compare(bench, &mut browser, KINDS)?;
    ensure!(browser.evaluate(STALE)? == false, "stale at once");
    daemon.kill()?;
    browser.shows("that nothing is new", STALE)?;
    // What was known stays, without rates.
    let page = browser.evaluate(READ)?;
    ensure!(shown(&page) == counted(bench, KINDS)?, "{page}");
    ensure!(strings(&page["rates"]) == ["–"; 5], "{}", page["rates"]);
    let _daemon = bench.run(&config)?;
    browser.shows(
        "that there is news",
        "document.querySelector('#stale').hidden",
    )?;
    compare(bench, &mut browser, KINDS)?;
    Ok(())
}

fn off(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&config(bench, "[metrics]\npage = false")?)?;
    let get = |path: &str| http::get(bench.lab.router(), DEFAULT, path, "*/*");
    ensure!(
        interrupt::wait_until(PATIENCE, || get("/healthz")
            .is_ok_and(|it| it.status == 200))?,
        "nobody listens"
    );
    let index = get("/")?;
    ensure!(
        index.status == 200 && index.head.contains("text/plain") && index.body.contains("/metrics"),
        "{index:?}"
    );
    for path in ["/status.json", "/history.json"] {
        ensure!(get(path)?.status == 404, "{path} is there");
    }
    let on = config(bench, "")?;
    on.write(&bench.lab, "gate.toml")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0));
    let there = || {
        get("/").is_ok_and(|it| {
            it.head.contains("text/html")
                && it
                    .head
                    .contains("content-security-policy: default-src 'none'")
        })
    };
    ensure!(
        interrupt::wait_until(PATIENCE, there)?,
        "the control has no page"
    );
    Ok(())
}
