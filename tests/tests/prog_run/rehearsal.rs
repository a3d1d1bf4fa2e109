//! Candidates beside the generation in force: what they are said to make of a packet is what they make of it when they are in force, and what is in
//! force decides, counts and limits as if there were none.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::{
    Rehearsed,
    abi::{GenerationWord, Treatment},
};
use gate_tests::packets::{self, Ethernet, V4, flag};
use gate_user::{
    generation::{Manifest, Plan},
    kernel::{Found, Rehearsal},
};
use jiff::{Span, Timestamp};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::{Configuration, NOW},
    kernel::{Action, Change, names},
    rows::{self, Row, Side},
};

/// What is in force, what is rehearsed beside it, and the side that packets come from. No candidate has a limit: a packet does not know of what
/// others took.
const BESIDE: [(Configuration, Configuration, Side); 3] = [
    (
        Configuration::AllObserve,
        Configuration::Enforce,
        Side::Access,
    ),
    (Configuration::Enforce, Configuration::Vlans, Side::Access),
    (Configuration::Enforce, Configuration::FlipFar, Side::Uplink),
];
/// How many rows of the table are tried with each, three times: an emulated processor takes its time.
const ROWS: usize = 24;
/// Longer than any trial takes.
const LONG: Duration = Duration::from_hours(1);
/// How many sources there is room for.
const SOURCES: u32 = 65_536;

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    let mut trials: Vec<Trial> = BESIDE
        .into_iter()
        .map(|(live, candidate, side)| {
            bench.trial(
                format!("rehearsal: {candidate:?} beside {live:?}"),
                move |state| table(state, live, candidate, side),
            )
        })
        .collect();
    trials.extend([
        bench.trial("rehearsal: limits are the candidate's own", limits),
        bench.trial("rehearsal: buckets go on from what is in force", buckets),
        bench.trial("rehearsal: it is over at its deadline", deadline),
        bench.trial("rehearsal: it is over with the generation", replaced),
        bench.trial("rehearsal: what there is no room for is counted", room),
    ]);
    trials
}

/// Total, and pool or class, as two generations have them; and how often.
type Pairs = BTreeMap<[String; 2], u64>;

/// Frames of both configurations' rows, three times each: without a rehearsal, with one, and with the candidate in force.
fn table(
    state: &mut State,
    live: Configuration,
    candidate: Configuration,
    side: Side,
) -> Result<()> {
    let mut rows: Vec<Row> = rows::by_configuration()
        .into_iter()
        .map(|(_, row)| row)
        .filter(|row| row.side == side && [live, candidate].contains(&row.configuration))
        .collect();
    let step = rows.len().div_ceil(ROWS);
    let mut place = 0..;
    rows.retain(|_| {
        place
            .next()
            .is_some_and(|it: usize| it.is_multiple_of(step))
    });
    state.put_in_force(live, side)?;
    let manifest = state.device.manifest().context("nothing in force")?.clone();
    let alone = outcomes(state, &rows)?;
    let plan = candidate.plan(Some(&manifest))?;
    let rehearsal = begin(state, &plan, side, LONG)?;
    let beside = outcomes(state, &rows)?;
    let found = state.device.gate.maps.end_rehearsal(&rehearsal)?;
    for (row, (alone, beside)) in rows.iter().zip(alone.iter().zip(&beside)) {
        ensure!(
            alone == beside,
            "{}: alone {} and\n{}  beside a candidate {} and\n{}",
            row.name,
            alone.0,
            alone.1,
            beside.0,
            beside.1
        );
    }
    state.put_in_force(candidate, side)?;
    let then = outcomes(state, &rows)?;
    let mut expected = Pairs::new();
    for (row, (alone, then)) in rows.iter().zip(alone.iter().zip(&then)) {
        // What is of no concern, whatever is configured, is never asked about.
        if concerns(&row.frame) {
            let pair = [said(&alone.1), said(&then.1)];
            *expected.entry(pair).or_default() += 1;
        }
    }
    let pairs = pairs(&found, &manifest, &plan.manifest);
    ensure!(
        pairs == expected,
        "expected {expected:#?}, found {pairs:#?}"
    );
    let [compared, different, sourceless, lost, lost_sources] = [
        Rehearsed::Compared,
        Rehearsed::Different,
        Rehearsed::Sourceless,
        Rehearsed::LostTreatments,
        Rehearsed::LostSources,
    ]
    .map(|it| found.count(it));
    ensure!(pairs.values().sum::<u64>() == compared, "{compared}");
    let listed: u64 = found.sources.values().sum();
    ensure!(
        listed + sourceless == different && (lost, lost_sources) == (0, 0),
        "{listed} of {different} by source, {lost} and {lost_sources} lost"
    );
    ensure!(different > 0, "not one packet differs");
    Ok(())
}

/// What becomes of the frame of each row under what is in force.
fn outcomes(state: &mut State, rows: &[Row]) -> Result<Vec<(Action, Change)>> {
    let mut outcomes = Vec::new();
    for row in rows {
        state.renew(row.now)?;
        outcomes.push(state.observe(&row.frame)?);
    }
    Ok(outcomes)
}

/// Whether any generation is asked about the frame.
fn concerns(frame: &[u8]) -> bool {
    let mut flow = gate_common::Flow::default();
    if gate_common::decide::leaves(frame) {
        return false;
    }
    let shape = gate_common::parse::parse(frame, &mut flow);
    gate_common::decide::concerns(shape, &flow)
}

/// Total, and pool or class, of what was counted.
fn said(change: &Change) -> String {
    let total = change.totals().into_keys().next();
    let group = change.group().unwrap_or_default();
    format!("{} {group}", total.as_deref().unwrap_or("nothing"))
}

/// The same of what a rehearsal found.
fn pairs(found: &Found, live: &Manifest, candidate: &Manifest) -> Pairs {
    let words = |it: Treatment, manifest: &Manifest| {
        let (Some(verdict), Some(reason)) = (it.verdict(), it.reason()) else {
            return "nothing ".to_owned();
        };
        let group = names(manifest).get(&it.group()).cloned();
        format!("total {verdict} {reason} {}", group.unwrap_or_default())
    };
    let mut pairs = Pairs::new();
    for ((from, to), count) in &found.treatments {
        let pair = [words(*from, live), words(*to, candidate)];
        *pairs.entry(pair).or_default() += count;
    }
    pairs
}

fn begin(state: &State, plan: &Plan, side: Side, length: Duration) -> Result<Rehearsal> {
    let maps = &state.device.gate.maps;
    let against = maps.generation()?.number();
    let index = |name: &str| Some(side.index_of(name));
    Ok(maps.begin_rehearsal(plan, &index, against, None, length)?)
}

fn syn(source: u32) -> Vec<u8> {
    let segment = packets::tcp(40_000, 25, flag::SYN);
    let source = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(100, 64, 0, 0)) + source);
    Ethernet::new().carry(&V4::new(source, Ipv4Addr::new(198, 51, 100, 9)).tcp(&segment))
}

/// An observing generation in force, full buckets, and the plan of another configuration.
fn beside(state: &mut State, live: Configuration, candidate: Configuration) -> Result<Plan> {
    state.put_in_force(live, Side::Access)?;
    state.device.set_time(NOW.parse()?)?;
    state.device.fill_buckets()?;
    candidate.plan(state.device.manifest())
}

/// How many packets are refused over the limit, and pass within it.
fn limited(found: &Found) -> [u64; 2] {
    ["refused over_limit", "passed within_limit"].map(|wanted| {
        let of = found.treatments.iter().filter(|((_, to), _)| {
            let words = to.verdict().zip(to.reason());
            words.is_some_and(|(verdict, reason)| format!("{verdict} {reason}") == wanted)
        });
        of.map(|(_, count)| count).sum()
    })
}

/// Three at once and one in ten seconds: of five, and five more ten seconds later, four pass. In force everything is observed.
fn limits(state: &mut State) -> Result<()> {
    let plan = beside(state, Configuration::Observe, Configuration::Limits)?;
    let rehearsal = begin(state, &plan, Side::Access, LONG)?;
    let now: Timestamp = NOW.parse()?;
    for at in [now, now + Span::new().seconds(10)] {
        state.device.set_time(at)?;
        for _ in 0..5 {
            let (action, change) = state.observe(&syn(2))?;
            ensure!(action == Action::Pass, "{action}");
            ensure!(!change.says("bucket"), "a live bucket:\n{change}");
        }
    }
    let found = state.device.gate.maps.end_rehearsal(&rehearsal)?;
    ensure!(limited(&found) == [6, 4], "{:?}", limited(&found));
    // And there were none left behind in what is in force.
    state.put_in_force(Configuration::Limits, Side::Access)?;
    let (action, _) = state.observe(&syn(2))?;
    ensure!(
        action == Action::Pass,
        "{action}: the rehearsal took tokens"
    );
    Ok(())
}

/// With the same limits, a source that has nothing left has nothing left in the rehearsal either: not one packet differs.
fn buckets(state: &mut State) -> Result<()> {
    let plan = beside(state, Configuration::Limits, Configuration::Limits)?;
    for _ in 0..3 {
        state.observe(&syn(2))?;
    }
    let rehearsal = begin(state, &plan, Side::Access, LONG)?;
    for source in [2, 2, 3] {
        state.observe(&syn(source))?;
    }
    let found = state.device.gate.maps.end_rehearsal(&rehearsal)?;
    let counts = [Rehearsed::Compared, Rehearsed::Different].map(|it| found.count(it));
    ensure!(counts == [3, 0] && limited(&found) == [2, 1], "{found:?}");
    Ok(())
}

fn deadline(state: &mut State) -> Result<()> {
    let plan = beside(state, Configuration::Observe, Configuration::Enforce)?;
    for (length, expected) in [(Duration::ZERO, 0), (LONG, 1)] {
        let rehearsal = begin(state, &plan, Side::Access, length)?;
        state.observe(&syn(2))?;
        let found = state.device.gate.maps.end_rehearsal(&rehearsal)?;
        let compared = found.count(Rehearsed::Compared);
        ensure!(compared == expected, "{length:?}: {compared}");
    }
    Ok(())
}

fn replaced(state: &mut State) -> Result<()> {
    let plan = beside(state, Configuration::Observe, Configuration::Enforce)?;
    let rehearsal = begin(state, &plan, Side::Access, LONG)?;
    state.observe(&syn(2))?;
    let next = Configuration::Refuse.plan(state.device.manifest())?;
    state.forget();
    let index = |name: &str| Some(Side::Access.index_of(name));
    state.device.put_in_force(&next, &index)?;
    state.observe(&syn(2))?;
    let word: GenerationWord = state.device.gate.maps.generation()?;
    ensure!(word.number() == next.manifest.number, "{word:?}");
    let found = state.device.gate.maps.end_rehearsal(&rehearsal)?;
    ensure!(found.count(Rehearsed::Compared) == 1, "{found:?}");
    Ok(())
}

/// More sources than there is room for: every packet is in the totals, and those of the last sources are said to be in no line of a source.
fn room(state: &mut State) -> Result<()> {
    const MORE: u32 = 10;
    let plan = beside(state, Configuration::Observe, Configuration::Enforce)?;
    let rehearsal = begin(state, &plan, Side::Access, LONG)?;
    let program = state.device.program_again()?;
    for source in 0..SOURCES + MORE {
        crate::kernel::run(&program, &syn(source))?;
    }
    let found = state.device.gate.maps.end_rehearsal(&rehearsal)?;
    // Every later trial would read all of them, twice for each packet.
    state.device.forget_sources()?;
    let counts = [
        Rehearsed::Compared,
        Rehearsed::Different,
        Rehearsed::LostSources,
        Rehearsed::LostTreatments,
    ]
    .map(|it| found.count(it));
    let all = u64::from(SOURCES + MORE);
    ensure!(
        counts == [all, all, MORE.into(), 0] && found.sources.len() == SOURCES as usize,
        "{counts:?}, {} sources",
        found.sources.len()
    );
    Ok(())
}
