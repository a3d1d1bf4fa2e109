//! A swap of generations under a flood: each packet is judged once, by one generation from the beginning to the end.
//!
//! Two generations that disagree about every address take turns while packets come in from both sides, each of them
//! counted where it is sent and where it comes out. Beside it are the same checks while somebody breaks the rule: puts a
//! table of one generation where the other one is looked up, or takes the program away for a moment.

mod account;
mod gaps;
mod jail;
mod looks;
mod migration;
mod sides;
mod steps;
mod torrent;

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use gate_common::abi::{ABI_VERSION, GenerationWord, List, State, maps};
use gate_tests::{
    exec,
    gate::{Config, Daemon},
    interrupt,
    lab::{Addresses, Flood, Force, Progress, Tap, Who},
    pin,
};
use gate_user::{
    kernel::{self, Maps},
    pins::Pins,
    sys::{Access, Map},
};
use libtest_mimic::Trial;
use serde::Deserialize;

use self::{
    account::{ACCESS, Account, Fault, Generations, Tags, UPLINK},
    sides::{SINK_V4, SINK_V6, Side, databases, frames},
};
use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.lab_trial("swap::each_packet_of_a_flood_sees_one_generation", reloads),
        found.lab_trial("swap::control_a_table_of_another_generation_shows", mixed),
        found.lab_trial("swap::control_a_moment_without_the_program_shows", gap),
    ];
    trials.extend(gaps::trials(found));
    trials.extend(migration::trials(found));
    trials.extend(steps::trials(found));
    trials
}

/// How many reloads there are under the flood, and how far apart they begin: ten a second.
const RELOADS: u32 = 40;
const PACE: Duration = Duration::from_millis(100);
/// How many packets of each side have to meet a reload, or a broken rule.
const MEET: u64 = 20_000;
/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The hardware address that frames of [`sides::frames`] are for.
const ROUTER: &str = "02:00:5e:00:00:01";
/// That of the host that they end at, and its link.
const SINK: &str = "02:00:5e:00:00:77";
const SINK_LINK: &str = "srv-sink";

/// A lab with a gate in it, and taps.
struct Scene<'a> {
    bench: &'a Bench<'a>,
    smtp: Tap,
    submissions: [Tap; 2],
    generations: Generations,
    daemon: Option<Daemon>,
}

impl<'a> Scene<'a> {
    /// In which the generation of [`Side::Refuse`] is in force, as number 1.
    fn new(bench: &'a Bench<'a>) -> Result<Self> {
        Self::of(bench, &Side::Refuse.config(bench)?)
    }

    /// The same with a configuration of that side.
    fn of(bench: &'a Bench<'a>, config: &Config) -> Result<Self> {
        let sink = bench.lab.add_host(
            "sink",
            SINK_LINK,
            Addresses {
                v4: SINK_V4,
                v6: SINK_V6,
            },
        )?;
        // It takes every packet and answers none.
        sink.ip(&format!(
            "link set eth0 address {SINK}\naddr flush dev eth0\n"
        ))?;
        bench.lab.router().ip(&format!(
            "link set {ACCESS} address {ROUTER}\n\
             link set {UPLINK} address {ROUTER}\n\
             neigh replace {SINK_V4} lladdr {SINK} nud permanent dev {SINK_LINK}\n\
             neigh replace {SINK_V6} lladdr {SINK} nud permanent dev {SINK_LINK}\n"
        ))?;
        let tap = |port| Tap::new(&sink, port);
        let (smtp, submissions) = (tap(25)?, [tap(587)?, tap(465)?]);
        databases(&bench.lab)?;
        let daemon = bench.run(config)?;
        let mut scene = Self {
            bench,
            smtp,
            submissions,
            generations: Generations::new(),
            daemon: Some(daemon),
        };
        scene.note(Side::Refuse, 1)?;
        Ok(scene)
    }

    fn version(&self) -> PathBuf {
        self.bench.lab.pins().join(format!("v{ABI_VERSION}"))
    }

    fn generation(&self, number: u32) -> PathBuf {
        self.version().join("generations").join(number.to_string())
    }

    fn map(&self, name: &str, access: Access) -> Result<Map> {
        let path = self.version().join("maps").join(name);
        Map::open(&path, access).with_context(|| format!("cannot open {}", path.display()))
    }

    /// Remembers what the numbers of the generation in force mean.
    fn note(&mut self, side: Side, number: u32) -> Result<()> {
        let manifest = kernel::manifest(&self.generation(number))?;
        ensure!(
            manifest.number == number,
            "generation {number} says that it is {}",
            manifest.number
        );
        self.generations.insert(number, (side, manifest));
        Ok(())
    }

    /// Puts the generation of `side` in force by `gate reload`; its number.
    fn reload(&mut self, side: Side) -> Result<u32> {
        let mut config = side.config(self.bench)?;
        // Another text makes another generation, whatever it says.
        config.title = format!("after generation {}", self.generations.len());
        config.write(&self.bench.lab, "gate.toml")?;
        let (code, reload) = self.bench.gate().reload(&[])?;
        let after = reload.change.as_ref().and_then(|it| it.generation.after);
        ensure!(
            code == Some(0) && reload.outcome == "loaded",
            "{side:?} should be in force: {code:?}, {reload:?}"
        );
        let number = u32::try_from(after.context("a generation without a number")?)?;
        self.note(side, number)?;
        Ok(number)
    }

    /// Floods from both sides.
    fn flood(&self) -> Result<Floods> {
        let lab = &self.bench.lab;
        Ok(Floods([
            lab.flood(Who::Subscriber, frames(&[25]), Force::Even)?,
            lab.flood(Who::Foreign, frames(&[587, 465]), Force::Even)?,
        ]))
    }

    fn forget_tags(&self) -> Result<()> {
        let pins = Pins::new(self.bench.lab.pins())?;
        Ok(Maps::open(&pins, Access::Write)?.sweep_flows(u64::MAX)?)
    }

    /// Everything that is counted, once it is counted no more: what was sent last may still be on its way.
    fn account(&mut self) -> Result<Account> {
        let mut last = self.count()?;
        let mut failed = None;
        let steady = interrupt::wait_until(LIMIT, || match self.count() {
            Ok(now) => {
                let steady = now == last;
                last = now;
                steady
            }
            Err(error) => failed.insert(error).to_string().is_empty(),
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        ensure!(steady, "packets after the flood: {last:?}");
        Ok(last)
    }

    fn count(&mut self) -> Result<Account> {
        let lab = &self.bench.lab;
        let [submission, submissions] = &mut self.submissions;
        let mut account = Account {
            smtp: lab.flooded(Who::Subscriber)?,
            submissions: lab.flooded(Who::Foreign)?,
            smtp_out: self.smtp.segments()?,
            submissions_out: submission.segments()? + submissions.segments()?,
            lost: lost(self.bench)?,
            ..Account::default()
        };
        account.count_all(&self.bench.gate().counters()?);
        Ok(account)
    }
}

/// What the router could not get rid of on the way to the sink.
fn lost(bench: &Bench<'_>) -> Result<u64> {
    #[derive(Deserialize)]
    struct Link {
        stats64: Stats,
    }
    #[derive(Deserialize)]
    struct Stats {
        tx: Sent,
    }
    #[derive(Deserialize)]
    struct Sent {
        dropped: u64,
    }
    let mut ip = Command::new("ip");
    ip.args(["-n", bench.lab.router().name()]);
    ip.args(["-statistics", "-json", "link", "show", SINK_LINK]);
    let links: Vec<Link> = serde_json::from_str(&exec::tool(&mut ip, "")?)?;
    Ok(links.iter().map(|link| link.stats64.tx.dropped).sum())
}

/// A flood of connections to port 25 from subscribers, and one of submissions from the Internet.
struct Floods([Flood; 2]);

impl Floods {
    /// Waits until [`MEET`] more packets of each were sent.
    fn meet(&self) -> Result<()> {
        let Self(floods) = self;
        let all = floods.each_ref().map(Flood::progress);
        let before = all.each_ref().map(Progress::segments);
        let sent = interrupt::wait_until(LIMIT, || {
            let grown = all.iter().zip(before);
            grown
                .into_iter()
                .all(|(it, before)| it.segments() >= before + MEET)
        })?;
        ensure!(sent, "a flood ran dry");
        Ok(())
    }

    fn stop(self) -> Result<()> {
        let Self(floods) = self;
        floods.into_iter().try_for_each(Flood::stop)
    }
}

fn reloads(bench: &Bench<'_>) -> Result<()> {
    let mut scene = Scene::new(bench)?;
    let flows = scene.map(maps::FLOWS, Access::Read)?;
    let before = scene.account()?;
    let floods = scene.flood()?;
    floods.meet()?;
    let done = AtomicBool::new(false);
    // Beside the reloads: the map has no room for the connections of all of them.
    let tags = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut tags = Tags::default();
            while !done.load(Ordering::Relaxed) {
                tags.look(&flows)?;
                thread::sleep(PACE);
            }
            tags.look(&flows)?;
            Ok::<_, anyhow::Error>(tags)
        });
        let reloaded = take_turns(&mut scene).and_then(|()| floods.meet());
        let stopped = floods.stop();
        done.store(true, Ordering::Relaxed);
        let tags = looking
            .join()
            .map_err(|_| anyhow!("the look at tags panicked"))?;
        reloaded.and(stopped).and(tags)
    })?;
    let account = scene.account()?.since(&before);
    let faults = account.faults();
    ensure!(faults.is_empty(), "{faults}\n{account:#?}");
    let wrong = tags.wrong(&scene.generations);
    ensure!(wrong.is_empty(), "tags of no generation: {wrong:?}");
    for side in Side::ALL {
        ensure!(
            account.judged_by(side).iter().all(|it| *it > MEET)
                && tags.of(side, &scene.generations) > 0,
            "the flood hardly met {side:?}: {account:#?}"
        );
    }
    Ok(())
}

/// Reloads, from one side to the other, each time to a next generation.
fn take_turns(scene: &mut Scene<'_>) -> Result<()> {
    // Each side twice, so that what was in a slot before is never what comes into it.
    let sides = [Side::Pass, Side::Pass, Side::Refuse, Side::Refuse];
    for (reload, side) in (1..=RELOADS).zip(sides.into_iter().cycle()) {
        let began = Instant::now();
        let number = scene.reload(side)?;
        ensure!(
            number == 1 + reload,
            "reload {reload} made generation {number}"
        );
        thread::sleep(PACE.saturating_sub(began.elapsed()));
    }
    Ok(())
}

/// Pins of a generation, the maps of maps that they go into, and as which list.
type Pinned = (&'static [(&'static str, &'static str)], Option<List>);

/// What somebody puts where another generation is in force.
const TABLES: [Pinned; 5] = [
    (&[(maps::SETTINGS, maps::SETTINGS)], None),
    (&[(maps::RULES, maps::RULES)], None),
    (
        &[("ACCESS_ROOT", maps::ROOTS), ("ACCESS_NODES", maps::NODES)],
        Some(List::Access),
    ),
    (
        &[
            ("CLASSES_ROOT", maps::ROOTS),
            ("CLASSES_NODES", maps::NODES),
        ],
        Some(List::Classes),
    ),
    (
        &[
            ("COUNTRIES_ROOT", maps::ROOTS),
            ("COUNTRIES_NODES", maps::NODES),
        ],
        Some(List::Countries),
    ),
];

/// A table of a generation, and where it is looked up.
struct Table {
    outer: Map,
    place: u32,
    inner: Map,
}

impl Table {
    /// Those of generation `number`, as they would be in `slot`.
    fn open(scene: &Scene<'_>, number: u32, (pins, list): Pinned, slot: u32) -> Result<Vec<Self>> {
        let open = |(pin, outer): &(&str, &str)| -> Result<Self> {
            Ok(Self {
                outer: scene.map(outer, Access::Write)?,
                place: list.map_or(slot, |list| list.place(slot)),
                inner: Map::open(&scene.generation(number).join(pin), Access::Read)?,
            })
        };
        pins.iter().map(open).collect()
    }

    fn put(tables: &[Self]) -> Result<()> {
        tables
            .iter()
            .try_for_each(|it| Ok(it.outer.update_inner(it.place, &it.inner)?))
    }
}

/// As a loader without slots would do it: table by table, where packets look things up.
fn mixed(bench: &Bench<'_>) -> Result<()> {
    let mut scene = Scene::new(bench)?;
    // Of a generation that is not there any more: its maps live for as long as somebody has them open.
    let foreign: Vec<Vec<Table>> = TABLES
        .into_iter()
        .map(|tables| Table::open(&scene, 1, tables, 1))
        .collect::<Result<_>>()?;
    let number = scene.reload(Side::Pass)?;
    let word: Option<u64> = scene
        .map(maps::STATE, Access::Read)?
        .lookup(&(State::Generation as u32))?;
    ensure!(
        word == Some(GenerationWord::new(number, 1).0),
        "generation {number} is not in slot 1: {word:?}"
    );
    let flows = scene.map(maps::FLOWS, Access::Read)?;
    let mut before = scene.account()?;
    for (tables, foreign) in TABLES.into_iter().zip(foreign) {
        let name = tables.0.first().context("no table")?.0;
        let own = Table::open(&scene, number, tables, 1)?;
        scene.forget_tags()?;
        let floods = scene.flood()?;
        floods.meet()?;
        Table::put(&foreign)?;
        floods.meet()?;
        let mut tags = Tags::default();
        tags.look(&flows)?;
        Table::put(&own)?;
        floods.meet()?;
        floods.stop()?;
        let after = scene.account()?;
        let account = after.since(&before);
        before = after;
        let faults = account.faults();
        ensure!(
            faults.has(Fault::Mixed) && !faults.has(Fault::Judged),
            "{name} of another generation does not show:{faults}\n{account:#?}"
        );
        let tagged = !matches!(tables, (_, Some(List::Access))) && name != maps::RULES;
        let wrong = tags.wrong(&scene.generations);
        ensure!(
            wrong.is_empty() != tagged,
            "{name} of another generation and tags: {wrong:?}"
        );
    }
    Ok(())
}

/// The program is away for a millisecond, or as long as it takes for some packets to come.
fn gap(bench: &Bench<'_>) -> Result<()> {
    let mut scene = Scene::new(bench)?;
    let link = scene.version().join("links").join(ACCESS);
    let own = pin::get(&scene.version().join("program"))?;
    let passing = pin::passing_program()?;
    let before = scene.account()?;
    let floods = scene.flood()?;
    floods.meet()?;
    pin::replace_program(&link, &passing)?;
    interrupt::sleep(Duration::from_millis(1))?;
    floods.meet()?;
    pin::replace_program(&link, &own)?;
    floods.meet()?;
    floods.stop()?;
    let account = scene.account()?.since(&before);
    let faults = account.faults();
    ensure!(
        faults.has(Fault::Judged) && faults.has(Fault::Out) && !faults.has(Fault::Mixed),
        "a gap does not show:{faults}\n{account:#?}"
    );
    Ok(())
}
