//! Limits of classes: what becomes of a second connection where one is allowed, over time, by the clock, and on two processors.

use std::{
    net::IpAddr,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    cpu,
    packets::{self, Ethernet, V4, V6, flag},
};
use jiff::{Span, Timestamp};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::{Configuration, NOW},
    kernel::{Action, Change, Tally, run},
    rows::Side,
};

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    let mut trials: Vec<Trial> = CASES
        .iter()
        .map(|case| {
            bench.trial(format!("class limits: {}", case.name), move |state| {
                case.check(state)
            })
        })
        .collect();
    trials.extend([
        bench.trial("class limits: a burst, then the rate", rate),
        bench.trial("class limits: a source is what source_prefix says", sources),
        bench.trial("class limits: resets are limited as answers are", resets),
        bench.trial("class limits: setting the clock moves no bucket", clock),
        bench.trial("class limits: exact on two processors", two_processors),
        bench.trial("class limits: a new source on two processors", new_sources),
    ]);
    trials
}

/// The day before the moment of the classes `later-*`, and that moment.
const BEFORE: &str = "2026-06-01T23:59:59.999999999Z";
const MOMENT: &str = "2026-06-02T00:00:00Z";
const SERVER: &str = "192.0.2.1";

/// Two connections of one source, written by hand.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    class: &'static str,
    pub(crate) source: &'static str,
    pub(crate) at: &'static str,
    /// The flags of the first one's tag (1 over the limit, 2 observed), which always passes.
    first: u8,
    pub(crate) second: Second,
}

/// What becomes of the second one.
pub(crate) enum Second {
    /// As of the first: there is no limit.
    Unlimited,
    /// It is tagged, with these flags.
    Tagged(u8),
    /// It passes and is observed, with these flags.
    Observed(u8),
    Reset,
    Dropped,
}

#[rustfmt::skip]
pub(crate) const CASES: [Case; 14] = [
    Case { name: "over = reset", class: "reset", source: "198.51.100.17", at: NOW, first: 0, second: Second::Reset },
    Case { name: "over = drop", class: "drop", source: "198.51.100.33", at: NOW, first: 0, second: Second::Dropped },
    Case { name: "over = tag, observed", class: "observed-tag", source: "198.51.100.49", at: NOW, first: 2, second: Second::Tagged(3) },
    Case { name: "over = reset, observed", class: "observed-reset", source: "198.51.100.65", at: NOW, first: 2, second: Second::Observed(3) },
    Case { name: "over = drop, observed", class: "observed-drop", source: "198.51.100.81", at: NOW, first: 2, second: Second::Observed(3) },
    Case { name: "over = tag, before its moment", class: "later-tag", source: "198.51.100.97", at: BEFORE, first: 2, second: Second::Tagged(3) },
    Case { name: "over = tag, at its moment", class: "later-tag", source: "198.51.100.97", at: MOMENT, first: 0, second: Second::Tagged(1) },
    Case { name: "over = reset, before its moment", class: "later-reset", source: "198.51.100.113", at: BEFORE, first: 2, second: Second::Observed(3) },
    Case { name: "over = reset, at its moment", class: "later-reset", source: "198.51.100.113", at: MOMENT, first: 0, second: Second::Reset },
    Case { name: "over = drop, before its moment", class: "later-drop", source: "198.51.100.129", at: BEFORE, first: 2, second: Second::Observed(3) },
    Case { name: "over = drop, at its moment", class: "later-drop", source: "198.51.100.129", at: MOMENT, first: 0, second: Second::Dropped },
    Case { name: "exempt", class: "own-service", source: "198.51.100.145", at: NOW, first: 0, second: Second::Unlimited },
    Case { name: "no limit", class: "unlimited", source: "198.51.100.161", at: NOW, first: 0, second: Second::Unlimited },
    Case { name: "no limit, before its moment", class: "unlimited-later", source: "198.51.100.177", at: NOW, first: 2, second: Second::Unlimited },
];

impl Case {
    fn check(&self, state: &mut State) -> Result<()> {
        begin(state)?;
        state.device.set_time(self.at.parse()?)?;
        let limited = !matches!(self.second, Second::Unlimited);
        let bucket = ["bucket class within", "bucket class made"];
        let taken = if limited { &bucket[..] } else { &[] };
        let within = self.counted("tagged", "class_prefix", Some((1001, self.first)), taken);
        self.holds(state, 1001, Action::Pass, &within)?;
        let over = ["bucket class over"];
        let (action, expected) = match self.second {
            Second::Unlimited => (
                Action::Pass,
                self.counted("tagged", "class_prefix", Some((1002, self.first)), &[]),
            ),
            Second::Tagged(flags) => (
                Action::Pass,
                self.counted("tagged", "over_limit", Some((1002, flags)), &over),
            ),
            Second::Observed(flags) => (
                Action::Pass,
                self.counted("observed", "over_limit", Some((1002, flags)), &over),
            ),
            Second::Reset => (
                Action::Answer,
                self.counted(
                    "refused",
                    "over_limit",
                    None,
                    &[
                        over[0],
                        "answer reset",
                        "bucket answer within",
                        "bucket answer made",
                        "bucket answer_total within",
                    ],
                ),
            ),
            Second::Dropped => (
                Action::Drop,
                self.counted("refused", "over_limit", None, &over),
            ),
        };
        self.holds(state, 1002, action, &expected)
    }

    fn holds(&self, state: &mut State, port: u16, action: Action, expected: &Change) -> Result<()> {
        let found = state.observe(&syn(self.source, port)?)?;
        ensure!(
            found.0 == action && found.1 == *expected,
            "the connection from port {port}: expected {action}, and\n{expected}  seen {}, and\n{}",
            found.0,
            found.1
        );
        Ok(())
    }

    /// Everything that counts a connection, and its tag, if it has one: the port that it comes from, and the flags.
    pub(crate) fn counted(
        &self,
        verdict: &str,
        reason: &str,
        tag: Option<(u16, u8)>,
        more: &[&str],
    ) -> Change {
        let Self { class, source, .. } = self;
        let mut tally = Tally::default();
        tally.count(format!("total {verdict} {reason}"));
        for counter in ["interface uplink", &format!("class {class}")] {
            tally.count(format!("{counter} {verdict}"));
            if reason == "over_limit" {
                tally.count(format!("{counter} over_limit"));
            }
        }
        let one = if *class == "reset" {
            "198.51.100.16/30".to_owned()
        } else {
            format!("{source}/32")
        };
        let over = match (verdict, reason) {
            ("tagged", "over_limit") => " over_limit",
            _ => "",
        };
        tally.count(format!("source uplink {one} {verdict}{over}"));
        if let Some((port, flags)) = tag {
            let country = self.country();
            tally.count(format!("country {country}"));
            tally.count(format!(
                "tag 6 {source} {port} {SERVER} 587 {class} {country} {flags}"
            ));
        }
        for line in more {
            tally.count(*line);
        }
        tally.into()
    }

    /// The country of its source.
    pub(crate) fn country(&self) -> &'static str {
        match self.class {
            "observed-reset" | "observed-drop" | "later-tag" | "later-reset" => "JP",
            _ => "US",
        }
    }
}

/// Full buckets, no tags, and the configuration of all trials here.
pub(crate) fn begin(state: &mut State) -> Result<()> {
    state.put_in_force(Configuration::ClassLimits, Side::Uplink)?;
    state.device.gate.maps.sweep_flows(u64::MAX)?;
    state.device.fill_buckets()?;
    state.device.set_time(NOW.parse()?)
}

/// A connection to a submission server.
fn syn(source: &str, port: u16) -> Result<Vec<u8>> {
    let segment = packets::tcp(port, 587, flag::SYN);
    let packet = match source.parse()? {
        IpAddr::V4(source) => V4::new(source, SERVER.parse()?).tcp(&segment),
        IpAddr::V6(source) => V6::new(source, "2001:db8:587::1".parse()?).tcp(&segment),
    };
    Ok(Ethernet::new().carry(&packet))
}

/// Whether a connection is within the limit; each is one that the gate passes.
fn within(state: &mut State, source: &str) -> Result<bool> {
    let (_, change) = state.observe(&syn(source, 1000)?)?;
    Ok(change.get("bucket class within") == 1)
}

/// Three at once and one in ten seconds; a SYN that is sent again counts, what belongs to a connection does not.
fn rate(state: &mut State) -> Result<()> {
    begin(state)?;
    let beginning: Timestamp = NOW.parse()?;
    let source = "203.0.113.9";
    for (index, (seconds, expected)) in [
        (0, true),
        (0, true),
        (0, true),
        (0, false),
        (9, false),
        (10, true),
        (10, false),
        (30, true),
        (30, true),
        (30, false),
        (3600, true),
        (3600, true),
        (3600, true),
        (3600, false),
    ]
    .into_iter()
    .enumerate()
    {
        let now = beginning.checked_add(Span::new().seconds(seconds))?;
        state.device.set_time(now)?;
        let segment = packets::tcp(1000, 587, flag::ACK);
        let later = V4::new(source.parse()?, SERVER.parse()?).tcp(&segment);
        let (action, change) = state.observe(&Ethernet::new().carry(&later))?;
        ensure!(
            action == Action::Pass && change == Change::default(),
            "step {index}: a segment of a connection counts\n{change}"
        );
        let found = within(state, source)?;
        ensure!(
            found == expected,
            "step {index}, after {seconds} s: {found}"
        );
    }
    Ok(())
}

/// `reset` counts by /30 and /56, the others by /32 and /64; a source has a bucket for each class.
fn sources(state: &mut State) -> Result<()> {
    begin(state)?;
    for (source, expected) in [
        ("198.51.100.16", true),
        ("198.51.100.19", false),
        ("198.51.100.20", true),
        ("2001:db8:8000:0::1", true),
        ("2001:db8:8000:ff::1", false),
        ("2001:db8:8000:100::1", true),
        ("198.51.100.33", true),
        ("198.51.100.34", true),
        ("198.51.100.33", false),
    ] {
        let found = within(state, source)?;
        ensure!(found == expected, "{source}: {found}");
    }
    Ok(())
}

/// By default twenty at once to a source: the configuration says nothing else.
fn resets(state: &mut State) -> Result<()> {
    begin(state)?;
    ensure!(within(state, "198.51.100.17")?, "the first");
    let frame = syn("198.51.100.17", 1000)?;
    for number in 1..=22 {
        let (action, change) = state.observe(&frame)?;
        let (expected, line) = if number <= 20 {
            (Action::Answer, "answer reset")
        } else {
            (Action::Drop, "answer source_limit")
        };
        ensure!(
            action == expected && change.get(line) == 1,
            "refusal {number}: {action}\n{change}"
        );
    }
    Ok(())
}

/// The wall clock an hour forth and two back: the moments of rules follow it at once, buckets do not.
fn clock(state: &mut State) -> Result<()> {
    const HOUR: u64 = 3_600_000_000_000;
    begin(state)?;
    let moment: Timestamp = MOMENT.parse()?;
    let moment = u64::try_from(moment.as_nanosecond())?;
    let maps = &state.device.gate.maps;
    let offset_before = maps.wall_offset()?;
    // No time of its own for the program: it goes by the clocks.
    maps.set_now(0)?;
    let near = moment.wrapping_sub(gate_user::clock::monotonic_ns()?);
    let found = jump(state, near, HOUR);
    state.device.gate.maps.set_wall_offset(offset_before)?;
    found
}

fn jump(state: &mut State, near: u64, hour: u64) -> Result<()> {
    // Half an hour before the moment: all is observed.
    let half = hour / 2;
    state
        .device
        .gate
        .maps
        .set_wall_offset(near.wrapping_sub(half))?;
    let verdict = |state: &mut State, source: &str| -> Result<&'static str> {
        let (_, change) = state.observe(&syn(source, 1000)?)?;
        let verdicts = [
            "tagged class_prefix",
            "observed over_limit",
            "refused over_limit",
        ];
        let found = verdicts
            .into_iter()
            .find(|it| change.get(&format!("total {it}")) == 1);
        found.with_context(|| format!("{change}"))
    };
    let (used, throttled) = ("198.51.100.129", "198.51.100.33");
    for (offset, later, always) in [
        (
            near.wrapping_sub(half),
            "tagged class_prefix",
            "tagged class_prefix",
        ),
        (
            near.wrapping_sub(half),
            "observed over_limit",
            "refused over_limit",
        ),
        // An hour forth, which is past the moment, and two back.
        (
            near.wrapping_add(half),
            "refused over_limit",
            "refused over_limit",
        ),
        (
            near.wrapping_sub(3 * half),
            "observed over_limit",
            "refused over_limit",
        ),
        (
            near.wrapping_add(half),
            "refused over_limit",
            "refused over_limit",
        ),
    ] {
        state.device.gate.maps.set_wall_offset(offset)?;
        let found = (verdict(state, used)?, verdict(state, throttled)?);
        ensure!(
            found == (later, always),
            "{} s from the moment: {found:?}, not {later} and {always}",
            offset.wrapping_sub(near).cast_signed() / 1_000_000_000
        );
    }
    Ok(())
}

/// Frames through the program from as many processors as there are, at most two, all at once; how many were passed.
fn hammer(state: &State, frames: &[Vec<u8>], each: usize) -> Result<u64> {
    let mut processors = cpu::allowed()?;
    processors.truncate(2);
    ensure!(!processors.is_empty(), "no processor to run on");
    let (passed, start) = (AtomicU64::new(0), Barrier::new(processors.len()));
    let (passed, start) = (&passed, &start);
    thread::scope(|scope| -> Result<()> {
        let started: Vec<_> = processors
            .into_iter()
            .map(|processor| {
                let program = state.device.program_again();
                scope.spawn(move || -> Result<()> {
                    let pinned = cpu::keep_to(processor);
                    for frame in frames {
                        start.wait();
                        for _ in 0..each {
                            if run(
                                program.as_ref().map_err(|it| anyhow::anyhow!("{it:#}"))?,
                                frame,
                            )? == Action::Pass
                            {
                                passed.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    pinned
                })
            })
            .collect();
        for thread in started {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })?;
    Ok(passed.load(Ordering::Relaxed))
}

/// A source that has a bucket: what is left of the burst, and one for each interval, however many take at once.
fn two_processors(state: &mut State) -> Result<()> {
    const BURST: u64 = 50;
    const EACH: usize = 2_000;
    begin(state)?;
    state.forget();
    let mut plan = Configuration::ClassLimits.plan(None)?;
    let class = plan
        .manifest
        .classes
        .iter()
        .position(|it| it.name == "drop");
    let class = plan.settings.classes.get_mut(class.context("no class")?);
    let limit = &mut class.context("no class")?.connections;
    (limit.interval_ns, limit.burst_ns) = (1_000_000, BURST * 1_000_000);
    state.device.put_in_force(&plan, &|name| {
        (name == "uplink").then_some(crate::kernel::LOOPBACK)
    })?;
    let frame = syn("198.51.100.33", 1000)?;
    ensure!(state.device.run(&frame)? == Action::Pass, "the first");
    let beginning: Timestamp = NOW.parse()?;
    let mut passed = 1;
    for (milliseconds, allowed) in [(0, 50), (1, 51), (7, 57), (7, 57), (40, 90), (1000, 140)] {
        let now = beginning.checked_add(Span::new().milliseconds(milliseconds))?;
        state.device.set_time(now)?;
        passed += hammer(state, std::slice::from_ref(&frame), EACH)?;
        ensure!(
            passed == allowed,
            "after {milliseconds} ms {passed} were let through, not {allowed}"
        );
    }
    Ok(())
}

/// Sources that nobody has seen, met by two processors at the same moment: at most one more event for the other one, as far as it goes.
fn new_sources(state: &mut State) -> Result<()> {
    const EACH: usize = 5;
    begin(state)?;
    let sources: Vec<String> = (32..48).map(|host| format!("198.51.100.{host}")).collect();
    let count = u64::try_from(sources.len())?;
    let frames: Vec<Vec<u8>> = sources
        .iter()
        .map(|source| syn(source, 1000))
        .collect::<Result<_>>()?;
    for round in 0..50 {
        state.device.fill_buckets()?;
        let passed = hammer(state, &frames, EACH)?;
        ensure!(
            (count..=2 * count).contains(&passed),
            "round {round}: {passed} of {count} sources with one connection each"
        );
    }
    Ok(())
}
