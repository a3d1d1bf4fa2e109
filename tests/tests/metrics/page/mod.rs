//! The status page in a real browser: it says what the commands say, at the width of a desk and of a phone, and other people's words are text.
//!
//! | module | what it tries |
//! |---|---|
//! | `read` | what is on the page, beside what the commands say |
//! | `charts` | rates, and the last hour |
//! | `words` | words of others, and whose addresses are shown |
//! | `colours` | that it can be read, in light colours and in dark ones |
#![expect(
    clippy::indexing_slicing,
    reason = "a key that a JSON value lacks is null, which equals nothing that is compared"
)]

mod charts;
mod colours;
mod read;
mod words;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::{Result, ensure};
use gate_tests::{exec, interrupt};
use libtest_mimic::Trial;

use self::read::{KINDS, READ, compare, counted, shown, strings};
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
        found.lab_trial("page::says_what_the_commands_say", charts::agree),
        found.lab_trial(
            "page::sources_only_on_request_and_words_as_text",
            words::words,
        ),
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
