//! What a packet costs by its shape: the gate's program beside one that does nothing, xdp-filter's, and an older gate's.

pub(crate) mod frame;
pub(crate) mod subject;
mod targets;

use std::{env, os::fd::OwnedFd, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use gate_tests::{
    exec,
    gate::{self, GATE_BIN, GATE_MMDB},
    interrupt,
    lab::{Database, Lab, NetNs},
    pin, test_run,
};

use self::{
    frame::{Fate, PASS, Shape},
    subject::{Force, check_filter},
};
use crate::{
    costs::{self, Compared, Costs, EMPTY},
    object,
    repeat::{self, PARTS, Place, TIMES, WARM},
    suite::{Rounds, RuleSet, Section, Setting, Suite, progress},
    xdp_filter::{self, XdpFilter},
};

/// The suite.
pub(crate) const SUITE: Suite = Suite { name: NAME, run };

const NAME: &str = "shapes";
/// The environment variables with an older gate, and with its commit.
const OLDER: &str = "GATE_BIN_BEFORE";
const OLDER_COMMIT: &str = "GATE_COMMIT_BEFORE";
/// Subjects.
const GATE: &str = "gate";
const FILTER: &str = xdp_filter::COMMAND;
/// xdp-filter's interface.
const DEVICE: &str = "filtered";
/// The other end of its wire, where the empty program is.
const OTHER: &str = "unfiltered";

/// The gate of another commit.
struct Older {
    program: PathBuf,
    name: String,
}

fn run(setting: &Setting) -> Result<Section> {
    let rounds = Rounds {
        most: setting.either(7, 3),
        patience: Duration::from_mins(2),
    };
    let program = gate::path_from(GATE_BIN)?;
    let database = Database::open(&gate::path_from(GATE_MMDB)?)?;
    let older = older();
    let mut absent = Vec::new();
    progress("starting the gate in a lab");
    let lab = Lab::new(&database)?;
    let mut force = Force::start(&program, &lab, subject::config(&lab, &database)?)?;
    let older_lab = older.as_ref().map(|_| Lab::new(&database)).transpose()?;
    let mut older_force = None;
    if let (Some(Older { program, name }), Some(lab)) = (&older, &older_lab) {
        progress(&format!("starting {name}"));
        let force = Force::start(program, lab, subject::config(lab, &database)?);
        older_force = Some((name.as_str(), force.with_context(|| name.clone())?));
    } else {
        absent.push(
            "the gate of an earlier commit: --against names none, and no report is about another one than this"
                .to_owned(),
        );
    }
    let netns = repeat::wire([DEVICE, OTHER])?;
    let (empty, _link) = repeat::floor(&netns, OTHER)?;
    let filter = if exec::found(FILTER) {
        Some(XdpFilter::load(&netns, DEVICE)?)
    } else {
        absent.push(format!("{FILTER}: there is no such command here"));
        None
    };
    let filter_program = filter.as_ref().map(|_| attached(&netns)).transpose()?;
    let mut rule_sets = vec![RuleSet {
        subject: GATE.to_owned(),
        text: force.text()?,
    }];
    if filter.is_some() {
        rule_sets.push(RuleSet {
            subject: FILTER.to_owned(),
            text: xdp_filter::typed(DEVICE),
        });
    }
    let mut bench = Bench {
        lab: &lab,
        older: older_force,
        filter: filter.as_ref().zip(filter_program),
        netns: &netns,
        empty,
        rounds,
        absent: Vec::new(),
    };
    let mut costs = Vec::new();
    for shape in frame::all(&lab)? {
        if !setting.wants(shape.name) {
            continue;
        }
        progress(shape.name);
        let measured = if shape.fate == Fate::Reset {
            force.reset()?;
            bench.remade(&force, &shape)
        } else {
            bench.shape(&force, &shape)
        };
        costs.push((shape.fate, measured.with_context(|| shape.name)?));
    }
    if setting.wants(frame::RESET) {
        rule_sets.push(RuleSet {
            subject: format!("{GATE}, {}", frame::RESET),
            text: force.text()?,
        });
    }
    absent.append(&mut bench.absent);
    let all = || costs.iter().map(|(_, it)| it);
    absent.extend(all().filter_map(Costs::left_out));
    Ok(Section {
        title: "Cost of a packet by its shape",
        method: method(rounds.most),
        figures: all().flat_map(Costs::figures).collect(),
        outcomes: targets::outcomes(&costs),
        plots: vec![costs::plot(
            NAME,
            "Cost of a packet by its shape, the loop included",
            all(),
        )],
        rule_sets,
        absent,
    })
}

/// Everything that is measured but the gate, whose configuration changes meanwhile.
struct Bench<'a> {
    lab: &'a Lab,
    older: Option<(&'a str, Force<'a>)>,
    filter: Option<(&'a XdpFilter<'a>, OwnedFd)>,
    netns: &'a NetNs,
    empty: OwnedFd,
    rounds: Rounds,
    /// What the older gate does otherwise.
    absent: Vec<String>,
}

impl Bench<'_> {
    /// Every subject on one frame.
    fn shape(&mut self, force: &Force<'_>, shape: &Shape) -> Result<Costs> {
        let interface = shape.from.interface();
        let action = shape.fate.action();
        let program = force.program(shape.from)?;
        let at = |netns, program| Place {
            netns,
            interface,
            program,
            repeat: test_run::repeat,
        };
        let mut subjects = vec![
            (EMPTY, at(self.lab.router(), &self.empty), PASS),
            (GATE, at(self.lab.router(), &program), action),
        ];
        let mut older = self.older.as_ref();
        if let Some((name, force)) = older
            && let Err(error) = knows(force, shape)
        {
            interrupt::check()?;
            self.absent
                .push(format!("{name}: {}: {error:#}", shape.name));
            older = None;
        }
        let older_program = older
            .map(|(_, older)| older.program(shape.from))
            .transpose()?;
        if let (Some((name, older)), Some(program)) = (older, &older_program) {
            subjects.push((name, at(older.netns(), program), action));
        }
        let filter = self.filter.as_ref().zip(shape.filtered);
        if let Some(((_, program), action)) = filter {
            let place = Place {
                netns: self.netns,
                interface: DEVICE,
                program,
                repeat: test_run::repeat,
            };
            subjects.push((FILTER, place, action));
        }
        let before = force.counts()?;
        let older_before = older.map(|(_, older)| older.counts()).transpose()?;
        let filter_before = filter.map(|((it, _), _)| it.counts()).transpose()?;
        let (costs, packets) = measured(shape, &subjects, self.rounds)?;
        force.counts()?.check(&before, shape.fate, packets)?;
        if let (Some((_, older)), Some(before)) = (older, older_before) {
            older.counts()?.check(&before, shape.fate, packets)?;
        }
        if let (Some(((filter, _), action)), Some(before)) = (filter, filter_before) {
            check_filter(filter, before, action, packets)?;
        }
        Ok(costs)
    }

    /// The gate on a frame that its answer overwrites: made again before each run by a program that then goes on in the gate's.
    fn remade(&mut self, force: &Force<'_>, shape: &Shape) -> Result<Costs> {
        let interface = shape.from.interface();
        let gate = force.program(shape.from)?;
        // One object for each: a program finds the next one in a map.
        let mut empty = object::load()?;
        let pass = object::program(&mut empty, "frame_pass")?;
        let empty_program = repeat::restoring(&mut empty, &shape.frame, &pass)?;
        let mut object = object::load()?;
        let gate_program = repeat::restoring(&mut object, &shape.frame, &gate)?;
        let at = |program| Place {
            netns: self.lab.router(),
            interface,
            program,
            repeat: test_run::repeat,
        };
        let subjects = [
            (EMPTY, at(&empty_program), PASS),
            (GATE, at(&gate_program), shape.fate.action()),
        ];
        let counts = force.counts()?;
        let (costs, packets) = measured(shape, &subjects, self.rounds)?;
        force.counts()?.check(&counts, shape.fate, packets)?;
        Ok(costs)
    }
}

/// An error unless an older gate makes the same of a frame: else its time would be that of something else.
fn knows(older: &Force<'_>, shape: &Shape) -> Result<()> {
    let program = older.program(shape.from)?;
    let place = Place {
        netns: older.netns(),
        interface: shape.from.interface(),
        program: &program,
        repeat: test_run::repeat,
    };
    let before = older.counts()?;
    place.run(&shape.frame, shape.fate.action(), WARM)?;
    older.counts()?.check(&before, shape.fate, WARM.into())
}

/// Every subject on one frame, and how many packets each saw.
fn measured(
    shape: &Shape,
    subjects: &[(&str, Place<'_>, u32)],
    rounds: Rounds,
) -> Result<(Costs, u64)> {
    let (of, packets) = repeat::measure(&shape.frame, subjects, rounds)?;
    let costs = Costs {
        suite: NAME,
        case: shape.name,
        compared: Compared::One(GATE),
        of,
    };
    Ok((costs, packets))
}

/// xdp-filter's program.
fn attached(netns: &NetNs) -> Result<OwnedFd> {
    let attached = netns.attached()?;
    let id = attached
        .get(DEVICE)
        .with_context(|| format!("{FILTER} did not attach anything to {DEVICE}"))?;
    pin::program(*id)
}

fn older() -> Option<Older> {
    let commit = env::var(OLDER_COMMIT).ok()?;
    Some(Older {
        program: env::var_os(OLDER)?.into(),
        name: format!("{GATE}@{commit}"),
    })
}

fn method(rounds: u32) -> Vec<String> {
    vec![
        format!(
            "`BPF_PROG_TEST_RUN` of the program that a running daemon has attached, on its live maps: up to {rounds} rounds of {PARTS} times {TIMES} runs \
             on one frame, all on one processor, by the kernel's clock for the time of threads; of each round the least of the {PARTS} means counts. The floor is a program of two instructions that \
             returns `XDP_PASS` (`{EMPTY}`), attached to an interface as all are: what the loop in the kernel takes. Caches are warm, and one frame is what the branch predictor \
             likes best, for everybody alike."
        ),
        "Each case checks the program's answer, and that the counters of the gate (and of xdp-filter) moved by the number of packets, and no \
         others. UDP and TCP of port 443 carry 512 octets, opening segments the options that Linux sends."
            .to_owned(),
        format!(
            "A reset overwrites the frame that it answers. Where that is measured, a program of the benchmark makes the frame anew before each \
             run and goes on in the gate's by a tail call; its own cost is in the figure of `{EMPTY}`, which it goes on in as well. The limits for \
             answers are as high as they go, so that each packet is answered: the counter of resets has to say so."
        ),
        format!(
            "`{FILTER}` is loaded without its dispatcher and with the smallest of its programs that knows TCP ports. It refuses port 25 to \
             everybody: it knows neither pools nor relays nor exemptions with prefixes, and it reads no PPPoE. Where it cannot do the same it is left out."
        ),
    ]
}
