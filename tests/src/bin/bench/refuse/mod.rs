//! What refusing a packet costs a router: real frames on one processor, the gate beside other filters with the same policy.

mod lane;
mod line;
mod policy;
mod verdict;

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{self, GATE_BIN},
    packets::{Ethernet, V4, checked, flag, tcp_with_options},
};

use self::{
    lane::{Lane, Subject},
    line::Senders,
    policy::{EXEMPTED, MAIL_HOST, RELAY, SOURCE},
    verdict::Costs,
};
use crate::{
    object,
    plot::{Bars, Plot, Shape},
    suite::{Rounds, Section, Setting, Suite, interleaved, progress},
};

/// The suite.
pub(crate) const SUITE: Suite = Suite { name: NAME, run };

const NAME: &str = "refuse";
/// The case.
const REFUSED: &str = "port 25, refused";
/// How many frames a measurement has, and the first one of each subject, which is not counted.
const COPIES: u32 = 256 << 10;
const QUICK_COPIES: u32 = 32 << 10;
const WARM: u32 = 4 << 10;
/// How many frames show that a filter knows the policy.
const SAMPLE: u32 = 64;

fn run(setting: &Setting) -> Result<Section> {
    let rounds = Rounds {
        most: setting.either(7, 3),
        patience: Duration::from_mins(3),
    };
    let copies = setting.either(COPIES, QUICK_COPIES);
    let program = gate::path_from(GATE_BIN)?;
    let mut object = object::load()?;
    let senders = Senders::new(object::program(&mut object, "frame_send")?)?;
    let sink = exec::found("nft");
    let mut absent = Vec::new();
    let mut lanes = Vec::new();
    for subject in Subject::ALL {
        let missing: Vec<&str> = subject
            .needs()
            .iter()
            .copied()
            .filter(|it| !exec::found(it))
            .collect();
        if !missing.is_empty() {
            let name = subject.name();
            absent.push(format!(
                "{name}: there is no {} here",
                missing.join(" and ")
            ));
            continue;
        }
        progress(&format!("setting up: {}", subject.name()));
        let lane = Lane::new(subject, &program, sink);
        lanes.push(lane.with_context(|| subject.name())?);
    }
    let rule_sets = lanes.iter().filter_map(|it| it.rules.clone()).collect();
    let bench = Bench {
        program,
        senders,
        sink,
        rounds,
        copies,
    };
    for lane in &lanes {
        bench.prove(lane).with_context(|| lane.subject.name())?;
    }
    let mut costs = None;
    if setting.wants(REFUSED) {
        costs = Some(bench.refuse(&lanes)?);
    }
    let cpu = bench.senders.cpu;
    Ok(Section {
        title: "Refusing packets, on one processor",
        method: method(rounds.most, copies, cpu),
        figures: costs.as_ref().map(Costs::figures).unwrap_or_default(),
        outcomes: costs.as_ref().map(Costs::outcomes).unwrap_or_default(),
        plots: costs.iter().map(plot).collect(),
        rule_sets,
        absent,
    })
}

struct Bench {
    program: PathBuf,
    senders: Senders,
    sink: bool,
    rounds: Rounds,
    copies: u32,
}

/// What is known of a line's packets.
#[derive(Clone, Copy)]
struct Counts {
    refused: Option<u64>,
    passed: Option<u64>,
}

impl Bench {
    /// An opening segment.
    fn frame(source: Ipv4Addr, destination: Ipv4Addr, port: u16) -> Vec<u8> {
        let segment = tcp_with_options(40_000, port, flag::SYN, 5);
        let segment = checked(source.into(), destination.into(), segment);
        Ethernet::new().carry(&V4::new(source, destination).tcp(&segment))
    }

    fn counts(&self, lane: &Lane) -> Result<Counts> {
        Ok(Counts {
            refused: lane.refused(&self.program)?,
            passed: self.sink.then(|| lane.line.sunk()).transpose()?,
        })
    }

    /// Fails unless so many packets were refused, and all others passed.
    fn check(&self, lane: &Lane, before: Counts, sent: u64, refused: u64) -> Result<()> {
        let after = self.counts(lane)?;
        let moved = |after: Option<u64>, before: Option<u64>| Some(after? - before?);
        let counted = moved(after.refused, before.refused);
        ensure!(
            counted.is_none_or(|it| it == refused),
            "of {sent} packets {refused} were to be refused, and {counted:?} were"
        );
        let passed = moved(after.passed, before.passed);
        ensure!(
            passed.is_none_or(|it| it == sent - refused),
            "of {sent} packets {} were to pass, and {passed:?} did",
            sent - refused
        );
        ensure!(
            counted.is_some() || passed.is_some(),
            "nobody says what became of {sent} packets"
        );
        Ok(())
    }

    /// Shows that the filter has the policy: subscribers are refused, but not those that are exempt, and not to relays.
    fn prove(&self, lane: &Lane) -> Result<()> {
        let samples = [
            (SOURCE, MAIL_HOST, true),
            (EXEMPTED, MAIL_HOST, false),
            (SOURCE, RELAY, false),
        ];
        for (source, destination, is_refused) in samples {
            let before = self.counts(lane)?;
            let frame = Self::frame(source, destination, 25);
            lane.line
                .send(&self.senders, &self.senders.plain, &frame, SAMPLE)?;
            let is_refused = is_refused || !lane.subject.knows_policy();
            let refused = if is_refused { SAMPLE } else { 0 };
            self.check(lane, before, SAMPLE.into(), refused.into())
                .with_context(|| format!("{source} to {destination}"))?;
        }
        Ok(())
    }

    /// Everybody on packets to port 25.
    fn refuse(&self, lanes: &[Lane]) -> Result<Costs> {
        progress(REFUSED);
        let frame = Self::frame(SOURCE, MAIL_HOST, 25);
        let mut lanes: Vec<&Lane> = lanes.iter().collect();
        for lane in &lanes {
            self.burst(lane, &frame, WARM)?;
        }
        let values = interleaved(&mut lanes, self.rounds, |lane, _| {
            self.burst(lane, &frame, self.copies)
        })?;
        let subjects = lanes.iter().map(|it| it.subject);
        Ok(Costs {
            case: REFUSED,
            of: subjects.zip(values).collect(),
        })
    }

    /// Returns what one packet took, in nanoseconds.
    fn burst(&self, lane: &Lane, frame: &[u8], copies: u32) -> Result<f64> {
        let work = || {
            let before = self.counts(lane)?;
            let ns = lane
                .line
                .send(&self.senders, &self.senders.random, frame, copies)?;
            self.check(lane, before, copies.into(), copies.into())?;
            anyhow::Ok(ns)
        };
        work().with_context(|| lane.subject.name())
    }
}

fn method(rounds: u32, copies: u32, cpu: usize) -> Vec<String> {
    vec![
        format!(
            "Live frames of `BPF_PROG_TEST_RUN` in batches of 64, over a veth pair into a router: up to {rounds} rounds of {copies} opening \
             segments (the options of Linux, 74 octets) from one of 4096 sources by chance. Sender and router share processor {cpu}. The figure \
             is the time that this processor spent for one packet, on the sending thread, within which the router's softirq runs, and on its \
             ksoftirqd; other programs of a busy machine are not in it, nor the kernel's grace periods before and after. The sender's own part \
             is the same for all, and in the floor: `floor` is an XDP program on the router that drops everything."
        ),
        "Every filter has 64 networks of subscribers, 8 relays' prefixes and 256 exempt addresses, and drops without an answer. `xdp-filter` knows no \
         such policy and refuses port 25 to everybody. The others are written to take the fewest steps: the port first, one set of \
         destinations, one of sources that holds the exemptions as well. There is no connection tracking. Filters that count by themselves \
         do so: the gate by interface, pool, reason and source address."
            .to_owned(),
        format!(
            "Each burst is checked: what was sent arrived in the driver, and was refused by the filter's own count where it has one, and none of it \
             came to a rule of nft that ends all packets in prerouting, behind every filter. For rules of nft, which have no counter, so that they \
             cost no more than they have to, that is the proof. Before, {SAMPLE} packets to a relay and {SAMPLE} from an exempt address came through, to \
             that rule, but with `xdp-filter`."
        ),
        "What it costs to let packets pass is in the suite `shapes` alone. On this line it would be no comparison: generic XDP turns the stack's \
         GRO off for the interface and passes for cheaper than no filter at all, and what lies between a driver's XDP program and the end of the \
         stack varies by more than such a program takes."
            .to_owned(),
    ]
}

fn plot(costs: &Costs) -> Plot {
    Plot {
        name: NAME,
        title: "Refusing a packet on one processor, the sender's part included".to_owned(),
        unit: "ns",
        shape: Shape::Bars(vec![Bars {
            case: costs.case.to_owned(),
            values: costs.spreads(),
        }]),
    }
}
