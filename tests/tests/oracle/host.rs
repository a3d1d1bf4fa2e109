//! The gate's decision, in this process, held against the oracle.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result, ensure};
use gate_common::{
    Addr, Flow, Shape, Verdict,
    decide::{Decision, decide},
    parse::parse,
};
use gate_user::generation::{Manifest, host::HostTables};

use crate::{
    census::Census,
    kernel, library,
    packets::{self, Frame},
    random::Random,
    reading,
    rules::{Fate, Side},
    world::{TIMES, World},
};

/// How many configurations there are, and how many packets for each.
const WORLDS: u64 = 60;
const PACKETS: usize = 2500;
/// How many packets the library must have had an opinion about.
const OPINIONS: u64 = 20_000;

/// The gate and the oracle agree about every packet, and the library does where it can.
pub(crate) fn agrees(seed: u64) -> Result<()> {
    let mut census = Census::default();
    let mut opinions = 0;
    for number in 0..WORLDS {
        let mut random = Random::new(seed, number);
        let world = World::new(number, &mut random)?;
        let host = Host::new(&world);
        for packet in 0..PACKETS {
            let frame = packets::next(&world, &mut random);
            let (side, now) = (side(&mut random), random.pick(&TIMES));
            let case = || {
                format!(
                    "world {number}, packet {packet}, {side:?} side, at {now}: {}, edit {}: {}",
                    frame.kind,
                    frame.edit,
                    hex(&frame.bytes)
                )
            };
            let reading = reading::read(&frame.bytes);
            opinions += u64::from(library::agrees(&frame.bytes, &reading).with_context(case)?);
            let expected = world.rules.judge(&reading, side, now);
            let found = host.fate(&frame, side, now)?;
            ensure!(
                found == expected,
                "{}\n{reading:?}\n  the oracle says {expected:#?}\n  the gate says {found:#?}",
                case()
            );
            census.take(frame.kind, frame.edit, &expected);
        }
    }
    ensure!(
        opinions >= OPINIONS,
        "the library had {opinions} opinions, should be {OPINIONS} at least"
    );
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(
        io::stdout(),
        "the library had an opinion about {opinions} of them"
    );
    census.finish(WORLDS * u64::try_from(PACKETS)?)
}

fn side(random: &mut Random) -> Side {
    let mut place = random.below(50);
    for side in Side::ALL {
        match place.checked_sub(side.share()) {
            Some(rest) => place = rest,
            None => return side,
        }
    }
    Side::Neither
}

/// A world as the gate has it in this process.
pub(crate) struct Host<'w> {
    tables: HostTables<'w>,
    manifest: &'w Manifest,
    names: BTreeMap<u32, String>,
    count_sources: bool,
}

impl<'w> Host<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            tables: HostTables::new(&world.plan, |name| match name {
                "access" => Some(1),
                "uplink" => Some(2),
                _ => None,
            }),
            manifest: &world.plan.manifest,
            names: kernel::names(&world.plan.manifest),
            count_sources: world.plan.settings.count_sources != 0,
        }
    }

    /// What the gate decides about a frame, and what that makes it count.
    pub(crate) fn fate(&self, frame: &Frame, side: Side, now: i64) -> Result<Fate> {
        let interface = match side {
            Side::Access => 1,
            Side::Uplink => 2,
            Side::Neither => 3,
        };
        let mut flow = Flow::default();
        let shape = parse(frame.bytes.as_slice(), &mut flow);
        let now_ns = u64::try_from(now)? * 1_000_000_000;
        let decision = decide(shape, &flow, interface, &self.tables, now_ns);
        Ok(decision.map_or_else(Fate::default, |it| self.lines(shape, &flow, &it)))
    }

    /// The lines of `gate-ebpf/src/account.rs`.
    fn lines(&self, shape: Shape, flow: &Flow, decision: &Decision) -> Fate {
        let Decision {
            verdict,
            reason,
            answer: _,
            class,
            country,
            source_v4,
            source_v6,
            role,
            interface,
            group,
            prefix,
            relay,
        } = *decision;
        let mut lines = vec![format!("total {verdict} {reason}")];
        for counter in [interface, group, prefix, relay] {
            if let Some(name) = self.names.get(&counter) {
                lines.push(format!("{name} {verdict}"));
            } else if counter != 0 {
                lines.push(format!("counter {counter} {verdict}"));
            }
        }
        if let (Some(role), true) = (role, self.count_sources && verdict != Verdict::Unparsed) {
            let source = flow.src.truncated(source_v4, source_v6);
            let length = if flow.src.is_v4() {
                source_v4
            } else {
                source_v6
            };
            lines.push(format!(
                "source {role} {}/{length} {verdict}",
                source.to_ip()
            ));
        }
        if verdict == Verdict::Tagged && shape == Shape::Tcp {
            let class = self
                .manifest
                .classes
                .get(usize::from(class))
                .map_or("?", |it| &it.name);
            let country = country
                .code()
                .map_or_else(|| "none".to_owned(), |it| it.to_string());
            let ip = Addr::to_ip;
            lines.push(format!("country {country}"));
            lines.push(format!(
                "tag 6 {} {} {} {} {class} {country} 0",
                ip(flow.src),
                flow.sport,
                ip(flow.dst),
                flow.dport
            ));
        }
        Fate {
            dropped: verdict == Verdict::Refused,
            lines,
        }
    }
}

/// The octets of a frame.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
