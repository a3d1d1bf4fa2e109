//! A flood of at least a million packets a second, and counters that are looked at all the time.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use gate_tests::{
    gate::Gate,
    interrupt,
    lab::{Flood, Force, Who},
};
use libtest_mimic::{Completion, Trial};

use super::{LIMIT, PACE, account::Account, sides::frames};
use crate::bench::{Bench, Found};

/// How many packets a second there are at least, on the average of a trial; fewer are no flood.
const RATE: u64 = 1_000_000;
/// How often a trial is tried on a machine that has something else to do.
const TRIES: usize = 5;
/// How many packets meet what happens, at least: those of a tenth of a second.
pub(super) const MEET: u64 = RATE / 10;
/// For how long there is a flood, at least: what a machine does beside this for a moment says nothing about its average.
const DURATION: Duration = Duration::from_secs(3);

/// How many packets a second the gate met. Nothing but [`Torrent`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate(u64);

/// A trial under a flood, which says how many packets a second there were. Whether there are a million is [`rate`]'s question: what comes out of the gate
/// fails a trial however fast it came.
pub(super) fn trial(
    found: &Found,
    name: String,
    body: impl Fn(&Bench<'_>) -> Result<Rate> + Send + 'static,
) -> Trial {
    let of = name.clone();
    found.trial(name, move |tools| {
        let Rate(rate) = tools.in_lab(|bench| body(bench))?;
        say(&format!("{of}: {rate} packets a second"));
        Ok(())
    })
}

/// A trial of the flood itself: ignored with the rate where the machine never gives as much as is to be tried.
pub(super) fn rate(
    found: &Found,
    name: String,
    body: impl Fn(&Bench<'_>) -> Result<Rate> + Send + 'static,
) -> Trial {
    let of = name.clone();
    found.open_trial(name, move |tools| {
        let mut best = Rate(0);
        for _ in 0..TRIES {
            let rate = tools.in_lab(|bench| body(bench))?;
            say(&format!("{of}: {} packets a second", rate.0));
            if rate.0 >= RATE {
                return Ok(Completion::Completed);
            }
            best = best.max(rate);
        }
        Ok(Completion::ignored_with(format!(
            "of {RATE} packets a second the machine gave {} at best",
            best.0
        )))
    })
}

fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(io::stderr(), "{text}"));
}

/// A flood that is under way, of connections to port 25 from the subscriber.
pub(super) struct Torrent<'b> {
    bench: &'b Bench<'b>,
    flood: Flood,
    began: Instant,
    before: u64,
}

impl<'b> Torrent<'b> {
    pub(super) fn start(bench: &'b Bench<'b>) -> Result<Self> {
        let before = bench.lab.flooded(Who::Subscriber)?;
        let flood = bench
            .lab
            .flood(Who::Subscriber, frames(&[25]), Force::Torrent)?;
        Ok(Self {
            bench,
            flood,
            began: Instant::now(),
            before,
        })
    }

    /// Waits until [`MEET`] more packets were sent.
    pub(super) fn meet(&self) -> Result<()> {
        let progress = self.flood.progress();
        let before = progress.segments();
        let sent = interrupt::wait_until(LIMIT, || progress.segments() >= before + MEET)?;
        ensure!(sent, "the flood ran dry");
        Ok(())
    }

    /// Ends it; how many packets a second came, by the count of the link that they came by.
    pub(super) fn stop(self) -> Result<Rate> {
        interrupt::sleep(DURATION.saturating_sub(self.began.elapsed()))?;
        self.flood.stop()?;
        let came = self.bench.lab.flooded(Who::Subscriber)? - self.before;
        let millis = self.began.elapsed().as_millis();
        Ok(Rate(u64::try_from(
            u128::from(came) * 1000 / millis.max(1),
        )?))
    }
}

/// Does `work`, while no counter may go backwards. Between two versions of the map ABI it may be that neither of `programs` can read them.
pub(super) fn watched(programs: &[Gate<'_>], work: impl FnOnce() -> Result<()>) -> Result<()> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| never_backwards(programs, &done));
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        let watched = watching.join();
        outcome.and(watched.map_err(|_| anyhow!("the look at counters panicked"))?)
    })
}

fn never_backwards(programs: &[Gate<'_>], done: &AtomicBool) -> Result<()> {
    let mut before = Account::default();
    let mut looks = 0;
    while !done.load(Ordering::Relaxed) {
        let read: Vec<_> = programs.iter().map(Gate::counters).collect();
        let failed = read
            .iter()
            .find_map(|it| it.as_ref().err().map(|it| format!("{it:#}")));
        match read.into_iter().find_map(Result::ok) {
            Some(counters) => {
                let mut now = Account::default();
                now.count_all(&counters);
                now.count("all", counters.verdicts);
                now.not_before(&before)?;
                before = now;
                looks += 1;
            }
            // One program alone can always read its own.
            None if programs.len() == 1 => anyhow::bail!("{}", failed.unwrap_or_default()),
            None => {}
        }
        thread::sleep(PACE);
    }
    ensure!(looks > 1, "nobody could read the counters twice");
    Ok(())
}
