//! What opens the gate on an interface, other than `gate detach`, shows as open and is mended: by a daemon that runs, and by one that starts.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{interrupt, lab::Who, pin};
use gate_user::sys::XdpLink;
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Found},
    interfaces::{HOME, home},
};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let ways: [(&str, Way); 3] = [
        ("opened::by_another_program_in_the_link", replaced),
        ("opened::by_a_link_that_is_detached", |link| {
            Ok(XdpLink::detach(link)?)
        }),
        ("opened::by_a_pin_that_is_removed", |link| {
            Ok(fs::remove_file(link)?)
        }),
    ];
    ways.into_iter()
        .map(|(name, way)| found.lab_trial(name, move |bench| opened(bench, way)))
        .collect()
}

/// What somebody does to the pinned link of an interface.
type Way = fn(&Path) -> Result<()>;

/// How long the daemon may take.
const SOON: Duration = Duration::from_secs(20);

fn replaced(link: &Path) -> Result<()> {
    pin::replace_program(link, &pin::passing_program()?)
}

fn opened(bench: &Bench<'_>, way: Way) -> Result<()> {
    let link = bench
        .lab
        .pins()
        .join(format!("v{ABI_VERSION}/links/{HOME}"));
    let (from, to) = (Who::Subscriber, Who::OtherMail);
    let config = bench.config()?;
    bench.run(&config)?.terminate()?;
    bench.refused(from, to, 25)?;
    way(&link).context("nobody runs")?;
    // The kernel takes its time to let a link go whose pin is removed.
    let opens = interrupt::wait_until(SOON, || bench.open(from, to, 25).is_ok())?;
    ensure!(opens, "it opens nothing");
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3) && status.state == "open" && home(&status) == Some("open"),
        "{code:?}, {status:?}"
    );
    ensure!(
        status
            .problems
            .iter()
            .any(|it| it.starts_with(HOME) && it.contains("nothing is judged on it")),
        "{status:?}"
    );
    bench.refused(Who::Neighbour, to, 25)?;
    let _daemon = bench.run(&config)?;
    bench.refused(from, to, 25).context("a daemon starts")?;
    is_well(bench)?;
    way(&link).context("a daemon runs")?;
    is_well(bench)?;
    bench.refused(from, to, 25).context("a daemon runs")
}

fn is_well(bench: &Bench<'_>) -> Result<()> {
    let mut last = None;
    let came = interrupt::wait_until(SOON, || {
        let status = bench.gate().status().map(|(_, status)| status);
        let is_well = status.as_ref().is_ok_and(|it| it.state == "ok");
        last = Some(status);
        is_well
    })?;
    ensure!(came, "not well, for {SOON:?}: {last:?}");
    Ok(())
}
