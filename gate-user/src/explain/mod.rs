//! `gate explain`: what the gate in force makes of a packet, and why.
//!
//! | module | what it is |
//! |---|---|
//! | `arrival` | where such a packet arrives |
//! | `packet` | the packet |
//! | `tables` | the generation in force as the decision of this process reads it |
//! | `limits` | how full token buckets are |
//! | `words` | the answer in words |
//! | `changes` | what would change it, by who can do it |
//! | `report` | the answer as text and JSON |
//!
//! The packet runs through a private instance of the very program that is attached, with the very tables of the generation in force and copies of the
//! token buckets; the same decision in this process has to come to the same. Nothing that is in force is written.

mod arrival;
mod changes;
mod error;
mod limits;
mod packet;
mod report;
mod tables;
mod words;

use std::{fmt, net::IpAddr, path::Path};

use gate_common::{
    Addr, Answer, Answered, Country, Flow, Reason, Role, Verdict,
    abi::InterfaceKey,
    answer,
    decide::{Decision, Now, Tables as _, decide},
    parse::parse,
};

use jiff::Timestamp;

use self::{arrival::Arrival, tables::Live, words::outcome};
pub use self::{changes::Changes, error::ExplainError, limits::Fill, report::Explanation};
pub(crate) use self::{
    packet::syn,
    tables::{InForce, Interfaces, Kept},
};
use crate::{
    attach::{self, Placed},
    clock,
    error::Error,
    floor,
    judge::{Instance, Judgement, Rule, Rules},
    kernel::{self, Action, Buckets, Gate, Look, Maps},
    object::OBJECT,
    pins::Pins,
    privilege, run,
    sys::{Access, devices, linked_program_tag},
    view::{self, View},
};

/// Port 25.
const SMTP: u16 = 25;
/// The ports of submission.
const SUBMISSION: [u16; 2] = [587, 465];

/// The connection that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who opens it.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
    /// The port there.
    pub port: u16,
    /// The device that its packets arrive at, if it is named.
    pub interface: Option<String>,
    /// Their VLAN ID, if it is named; 0 is none.
    pub vlan: Option<u16>,
}

/// Asks the gate in force.
pub fn explain(pins: &Pins, question: &Question) -> Result<Explanation, Error> {
    let question = Question {
        // An IPv4 address in IPv6 form is that IPv4 address.
        from: question.from.to_canonical(),
        to: question.to.to_canonical(),
        ..question.clone()
    };
    if question.from.is_ipv4() != question.to.is_ipv4() {
        let Question { from, to, .. } = question;
        return Err(ExplainError::Families { from, to }.into());
    }
    floor::check()?;
    privilege::check()?;
    view::with_current(pins, |directory| one(pins, directory, &question))
}

fn one(pins: &Pins, directory: &Path, question: &Question) -> Result<Explanation, Error> {
    let rules = Rules::new(View::pinned(directory)?);
    let interfaces = kernel::interfaces(directory)?;
    let arrival = arrival::choose(rules.view(), question)?;
    let index = index(pins, &arrival)?;
    if !interfaces.contains_key(&InterfaceKey::port(index)) {
        return Err(ExplainError::Unknown {
            interface: arrival.device,
            index,
            generation: rules.view().manifest.number,
        }
        .into());
    }
    let frame = syn(question.from, question.to, question.port, arrival.vlan)?;

    let live = Maps::open(pins, Access::Read)?;
    let (buckets, wall_offset_ns) = (live.buckets()?, live.wall_offset()?);
    let bypass_until_ns = live.bypass_until()?;
    let look = rules.view().settings().map_or_else(Look::default, Look::of);
    let mut gate = Gate::private_looking(OBJECT, look)?;
    let tag = same_program(pins, &arrival, &mut gate)?;
    let number = rules.view().manifest.number;
    gate.maps
        .share(directory, number, &buckets, wall_offset_ns, bypass_until_ns)?;
    let mut instance = Instance::new(gate, None)?;

    let host = Host {
        frame: &frame,
        index,
        view: rules.view(),
        interfaces: &interfaces,
        buckets: &buckets,
        bypass_until_ns,
    };
    // The program reads the clock by itself, in between: a deadline or a token may come meanwhile.
    let before = host.decide(now(wall_offset_ns)?);
    let told = program(&mut instance, &frame, index)?;
    let now = now(wall_offset_ns)?;
    let after = host.decide(now);
    let Some(judged) = [after, before].into_iter().find(|it| it.told() == told) else {
        return Err(ExplainError::Disagree {
            kernel: told.to_string(),
            host: after.told().to_string(),
        }
        .into());
    };
    let asked = Asked {
        confirm_until: run::pending(pins, &rules.view().manifest)?,
        question,
        arrival: &arrival,
        rules: &rules,
        interfaces: &interfaces,
        buckets: &buckets,
        bypass_until_ns,
        index,
        frame: &frame,
        now,
        tag,
    };
    report::explanation(&asked, &judged).ok_or_else(|| Error::NotLoaded {
        pins: pins.root().to_owned(),
    })
}

/// The index of the device, which has to be there, with the gate on it. A device elsewhere may have the index of one that is here.
fn index(pins: &Pins, arrival: &Arrival) -> Result<u32, Error> {
    let interface = || arrival.device.clone();
    let devices = devices().map_err(Error::system("list the network interfaces"))?;
    let links = attach::placed(&devices, pins)?;
    let is_here = devices.iter().any(|it| it.name == arrival.device);
    match links.get(&arrival.device) {
        Some(Placed {
            device: Some(device),
            ..
        }) => Ok(device.index),
        // Another device may have its name here.
        Some(placed) if placed.is_elsewhere() && !is_here => Err(ExplainError::Elsewhere {
            interface: interface(),
        }
        .into()),
        Some(_) | None => Err(ExplainError::Open {
            interface: interface(),
        }
        .into()),
    }
}

/// The answer of another program would be another program's.
fn same_program(pins: &Pins, arrival: &Arrival, gate: &mut Gate) -> Result<String, Error> {
    let attached = linked_program_tag(&pins.link(&arrival.device))
        .map_err(Error::system("read the tag of the attached program"))?;
    let own = gate.tag()?;
    if attached == own {
        return Ok(own);
    }
    Err(ExplainError::OtherProgram {
        interface: arrival.device.clone(),
        attached,
        own,
    }
    .into())
}

/// What the program goes by.
fn now(wall_offset_ns: u64) -> Result<Now, Error> {
    let monotonic_ns = clock::monotonic_coarse_ns()
        .map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(Now {
        unix_ns: monotonic_ns.wrapping_add(wall_offset_ns),
        monotonic_ns,
    })
}

/// What the kernel's decision shows of itself, to be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    judged: Option<(Verdict, Reason)>,
    is_answered: bool,
    /// Class, country and flags of the tag.
    tag: Option<(u8, Country, u8)>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.judged {
            Some((verdict, reason)) => write!(f, "{verdict}, {reason}")?,
            None => f.write_str("not judged")?,
        }
        if self.is_answered {
            f.write_str(", answered")?;
        }
        if let Some((class, country, flags)) = self.tag {
            let country = country.code().map(|it| it.to_string());
            let country = country.unwrap_or_else(|| "none".to_owned());
            write!(f, ", class {class}, country {country}, flags {flags:#x}")?;
        }
        Ok(())
    }
}

fn program(instance: &mut Instance, frame: &[u8], index: u32) -> Result<Told, Error> {
    let ran = instance.run(frame, index)?;
    let mut flow = Flow::default();
    parse(frame, &mut flow);
    let uplink = matches!(ran.judged, Some((Verdict::Tagged, _)))
        || matches!(ran.judged, Some((Verdict::Observed, Reason::OverLimit)));
    let tag = if uplink {
        Some(instance.tag(&flow)?)
    } else {
        None
    };
    Ok(Told {
        judged: ran.judged,
        is_answered: ran.action == Action::Answer,
        tag: tag.map(|it| (it.class, Country::from_number(it.country), it.flags)),
    })
}

/// The decision of this process.
struct Host<'g> {
    frame: &'g [u8],
    index: u32,
    view: &'g View,
    interfaces: &'g Interfaces,
    buckets: &'g Buckets,
    bypass_until_ns: u64,
}

/// What it came to.
#[derive(Clone, Copy)]
struct Judged {
    decision: Option<Decision>,
    /// What a refused client hears.
    answered: Option<Result<Answer, Answered>>,
}

impl Host<'_> {
    fn decide(&self, now: Now) -> Judged {
        let tables = InForce {
            view: self.view,
            interfaces: self.interfaces,
            relays: true,
            bypass_until_ns: self.bypass_until_ns,
            limits: Live::new(self.buckets),
        };
        let mut flow = Flow::default();
        let shape = parse(self.frame, &mut flow);
        let decision = decide(shape, &flow, self.index, &tables, now);
        let refused = decision.filter(|it| it.verdict == Verdict::Refused);
        Judged {
            decision,
            answered: refused.and_then(|it| answer::due(&it, &tables, now.monotonic_ns)),
        }
    }
}

impl Judged {
    fn told(&self) -> Told {
        let classed = self.decision.filter(Decision::is_classed);
        Told {
            judged: self.decision.map(|it| (it.verdict, it.reason)),
            is_answered: matches!(self.answered, Some(Ok(_))),
            tag: classed.map(|it| (it.class, it.country, it.flags)),
        }
    }
}

/// What was asked, and of what.
struct Asked<'a> {
    question: &'a Question,
    /// Until when somebody has to confirm what is in force.
    confirm_until: Option<Timestamp>,
    arrival: &'a Arrival,
    rules: &'a Rules,
    interfaces: &'a Interfaces,
    buckets: &'a Buckets,
    bypass_until_ns: u64,
    index: u32,
    frame: &'a [u8],
    now: Now,
    /// The tag of the program.
    tag: String,
}

impl Asked<'_> {
    /// Until when everything is only observed; nothing if it is not.
    fn bypass_until(&self) -> Option<Timestamp> {
        let in_force = self.now.unix_ns < self.bypass_until_ns;
        let until = Timestamp::from_nanosecond(i128::from(self.bypass_until_ns)).ok();
        until.filter(|_| in_force)
    }

    /// What would be decided at another time, or without relays, in words; every limit is kept.
    fn supposed(&self, unix_ns: u64, relays: bool) -> String {
        let tables = InForce {
            view: self.rules.view(),
            interfaces: self.interfaces,
            relays,
            bypass_until_ns: self.bypass_until_ns,
            limits: Kept,
        };
        let mut flow = Flow::default();
        let shape = parse(self.frame, &mut flow);
        let now = Now {
            unix_ns,
            ..self.now
        };
        let decision = decide(shape, &flow, self.index, &tables, now);
        let rule = decision.and_then(|it| self.rule(&it, unix_ns));
        let by = rule.map_or_else(
            || decision.map_or_else(String::new, |it| format!(" ({})", it.reason)),
            |rule| format!(", {rule}"),
        );
        format!("{}{by}", outcome(decision.as_ref()))
    }

    /// What led to a decision.
    fn rule(&self, decision: &Decision, unix_ns: u64) -> Option<Rule> {
        let uplink = decision.role == Some(Role::Uplink);
        let judgement = Judgement {
            verdict: decision.verdict,
            reason: decision.reason,
            class: uplink.then_some((decision.class, decision.country)),
        };
        let destination = Addr::from(self.question.to);
        self.rules
            .of(judgement, decision.source, destination, unix_ns)
    }
}
