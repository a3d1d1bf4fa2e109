//! `gate rehearse`: what it says of real packets, and that nothing comes of it while it says so.
//!
//! | module | what it tries |
//! |---|---|
//! | `ends` | what ends a rehearsal, and what is left of it |
//! | `replayed` | hundreds of frames, about which `gate replay` has to say the same |
//! | `submission` | classes and limits of submission: what is said comes true |

mod ends;
pub(crate) mod replayed;
mod submission;

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{Config, Rehearsal, RehearsedDifference},
    interrupt,
    lab::{Family, Who},
    matrix::Profile,
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.lab_trial("rehearse::observe_to_enforce_is_told_by_source", enforce),
        found.lab_trial("rehearse::a_relay_an_exemption_and_a_class_that_go", lists),
        found.lab_trial("rehearse::nothing_differs_from_itself", nothing),
        found.lab_trial("rehearse::what_replay_says_of_both", replayed::replayed),
        found.lab_trial(
            "rehearse::what_is_said_of_submission_comes_true",
            submission::comes_true,
        ),
        found.lab_trial("rehearse::mistakes_are_told", mistakes),
    ];
    trials.extend(ends::trials(found));
    trials
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

/// A `gate rehearse` that goes on.
pub(crate) struct Going(pub(crate) Child);

impl Going {
    /// Starts one, and waits until `gate status` shows it.
    pub(crate) fn begin(bench: &Bench<'_>, config: &Config) -> Result<Self> {
        let path = config.write(&bench.lab, "new.toml")?;
        let path = path.to_str().context("a path that is no text")?;
        let arguments = [
            "--format", "json", "rehearse", "--config", path, "--for", "1h",
        ];
        let mut command = bench.gate().command(&arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let going = Self(exec::spawn(&mut command)?);
        let mut seen = false;
        interrupt::wait_until(LIMIT, || {
            seen = bench
                .gate()
                .status()
                .is_ok_and(|(_, status)| status.rehearsal.is_some());
            seen
        })?;
        ensure!(seen, "gate status shows no rehearsal");
        Ok(going)
    }

    /// Ends it with Ctrl-C; what it says.
    pub(crate) fn end(self) -> Result<Rehearsal> {
        self.signal(Signal::SIGINT)?;
        self.report()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        Ok(kill(pid, signal)?)
    }

    /// Waits for its end; what it says.
    fn report(self) -> Result<Rehearsal> {
        let output = self.0.wait_with_output()?;
        ensure!(
            output.status.success(),
            "gate rehearse: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The difference from one verdict and reason to another.
fn difference<'r>(
    rehearsal: &'r Rehearsal,
    from: [&str; 2],
    to: [&str; 2],
) -> Result<&'r RehearsedDifference> {
    let mut all = rehearsal.differences.iter();
    all.find(|it| it.from.words() == from && it.to.words() == to)
        .with_context(|| format!("no difference {from:?} -> {to:?}: {rehearsal:#?}"))
}

/// A pool that is observed, and would be enforced: its subscriber is named, with the line that would decide, and still gets through.
fn enforce(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    let _daemon = bench.run(&config)?;
    config.action = "enforce";
    let going = Going::begin(bench, &config)?;
    let before = bench.gate().counters()?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    bench.open(Who::Subscriber, Who::OtherMail, 587)?;
    let after = bench.gate().counters()?;
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(0) && status.state == "ok" && status.problems.is_empty(),
        "a rehearsal is no trouble: {status:?}"
    );
    let rehearsal = going.end()?;
    ensure!(rehearsal.ended.why == "interrupted", "{rehearsal:?}");
    let counted = after.verdicts.since(before.verdicts);
    ensure!(
        (counted.observed, counted.refused) == (4, 0),
        "two connections of each family, observed: {counted:?}"
    );
    let found = difference(
        &rehearsal,
        ["observed", "restricted"],
        ["refused", "restricted"],
    )?;
    ensure!(
        rehearsal.differences.len() == 1
            && (found.packets, found.sources) == (4, 4)
            && rehearsal.packets.compared == 4
            && rehearsal.packets.otherwise == 4
            && rehearsal.packets.lost_sources == 0
            && found.to.pool.as_deref() == Some("dynamic"),
        "{rehearsal:#?}"
    );
    let address = bench.lab.address(Who::Subscriber, Family::V4)?;
    let source = found
        .top
        .iter()
        .find(|it| it.source == format!("{address}/32"))
        .with_context(|| format!("no {address}: {found:?}"))?;
    let rule = source.rule.as_ref().context("no rule")?;
    ensure!(
        rule.name.as_deref() == Some("dynamic")
            && rule.line.is_some()
            && rule
                .file
                .as_ref()
                .is_some_and(|it| it.ends_with("new.toml")),
        "{rule:?}"
    );
    ensure!(bench.gate().status()?.1.rehearsal.is_none(), "it is over");
    // What was said comes true.
    config.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}

/// A relay and an exemption that disappear, and a class whose countries go to another one.
fn lists(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?.profile(&bench.lab, Profile::Listed)?;
    let _daemon = bench.run(&config)?;
    config.relays = Vec::new();
    config.pools.retain(|pool| pool.name != "static");
    config.classes.retain(|class| class.name != "high-spam");
    let going = Going::begin(bench, &config)?;
    bench.open(Who::Subscriber, Who::OwnMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    bench.tagged(Who::HighSpam, "high-spam")?;
    bench.tagged(Who::Foreign, "foreign")?;
    let rehearsal = going.end()?;
    let restricted = ["refused", "restricted"];
    for (from, pool) in [("relay", "dynamic"), ("exempt", "dynamic")] {
        let found = difference(&rehearsal, ["passed", from], restricted)?;
        ensure!(
            (found.packets, found.sources) == (2, 2) && found.to.pool.as_deref() == Some(pool),
            "{found:?}"
        );
    }
    let moved = rehearsal.differences.iter().find(|it| {
        [&it.from.class, &it.to.class].map(|class| class.as_deref())
            == [Some("high-spam"), Some("foreign")]
    });
    let moved = moved.with_context(|| format!("no class moves: {rehearsal:#?}"))?;
    ensure!((moved.packets, moved.sources) == (2, 2), "{moved:?}");
    ensure!(
        rehearsal.differences.len() == 3 && rehearsal.packets.compared == 8,
        "{rehearsal:#?}"
    );
    Ok(())
}

fn nothing(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let going = Going::begin(bench, &config)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.tagged(Who::Foreign, "foreign")?;
    let rehearsal = going.end()?;
    ensure!(
        rehearsal.differences.is_empty()
            && rehearsal.packets.otherwise == 0
            && rehearsal.packets.other_reason == 0
            && rehearsal.packets.compared >= 4,
        "{rehearsal:#?}"
    );
    Ok(())
}

fn mistakes(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let path = config.write(&bench.lab, "new.toml")?;
    let path = path.to_str().context("a path that is no text")?;
    let rehearse = |more: &[&str]| {
        let arguments = [&["rehearse", "--config", path], more].concat();
        bench.gate().output(&arguments)
    };
    let refused = rehearse(&[])?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("no gate is loaded"),
        "{refused:?}"
    );
    let _daemon = bench.run(&config)?;
    for (more, code, words) in [
        (&["--for", "0s"][..], 2, "lasts from 1 second"),
        (&["--for", "25h"], 2, "to 24 hours"),
        (&["--for", "soon"], 2, "length of time"),
    ] {
        let refused = rehearse(more)?;
        ensure!(
            refused.code() == Some(code) && refused.stderr.contains(words),
            "{more:?}: {refused:?}"
        );
    }
    let going = Going::begin(bench, &config)?;
    let refused = rehearse(&["--for", "1m"])?;
    ensure!(
        refused.code() == Some(4) && refused.stderr.contains("new.toml"),
        "{refused:?}"
    );
    going.end()?;
    Ok(())
}
