//! The gate's decision, in this process, held against the oracle.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result, ensure};
use gate_common::{
    Addr, Bucket, Flow, Reason, Role, Verdict,
    abi::{BucketKey, Interface, InterfaceKey, Rule, Settings},
    decide::{Decision, Now, Tables, decide},
    parse::parse,
};
use gate_user::{
    answer,
    generation::{Manifest, host::HostTables},
};

use crate::{
    census::Census,
    kernel, library,
    packets::{Frame, Packets},
    random::Random,
    reading::{self, What},
    rules::{Buckets, Fate, Side},
    world::{TIMES, World},
};

/// How many configurations there are, and how many packets for each.
const WORLDS: u64 = 60;
const PACKETS: usize = 4000;
/// How many packets the library must have had an opinion about.
const OPINIONS: u64 = 20_000;

/// What must have become of packets from an uplink that hide their port.
const HIDDEN: [&str; 3] = [
    "hidden total tagged over_limit",
    "hidden total refused over_limit",
    "hidden total observed over_limit",
];

/// The gate and the oracle agree about every packet, and the library does where it can.
pub(crate) fn agrees(seed: u64) -> Result<()> {
    let mut census = Census::default();
    let mut opinions = 0;
    for number in 0..WORLDS {
        let mut random = Random::new(seed, number);
        let world = World::new(number, &mut random)?;
        let host = Host::new(&world);
        let mut packets = Packets::default();
        let mut buckets = Buckets::default();
        let mut now_ns = 0;
        for packet in 0..PACKETS {
            let frame = packets.next(&world, &mut random);
            let side = side(&mut random);
            // As far as the last time whose turn has come, and then on in steps of some milliseconds.
            let turn = TIMES.get(packet * TIMES.len() / PACKETS).copied();
            let turn = u64::try_from(turn.unwrap_or_default())? * 1_000_000_000;
            now_ns = turn.max(now_ns + random.next() % 5_000_000);
            let case = || {
                format!(
                    "world {number}, packet {packet}, {side:?} side, at {now_ns}: {}, edit {}: {}",
                    frame.kind,
                    frame.edit,
                    hex(&frame.bytes)
                )
            };
            let reading = reading::read(&frame.bytes);
            opinions += u64::from(library::agrees(&frame.bytes, &reading).with_context(case)?);
            let expected = world.rules.judge(&reading, side, now_ns, &mut buckets);
            let found = host.judge(&frame, side, now_ns);
            ensure!(
                found.fate == expected && found.vlan == reading.vlan,
                "{}\n{reading:?}\n  the oracle says {expected:#?}\n  the gate says {:#?}, VLAN {}",
                case(),
                found.fate,
                found.vlan
            );
            census.take(&frame, &expected);
            if let (What::Hidden(..), Side::Uplink) = (&reading.what, side) {
                let outcome = expected.lines.first().context("it is counted")?;
                census.count(&format!("hidden {outcome}"));
            }
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
    census.finish(WORLDS * u64::try_from(PACKETS)?, &HIDDEN)
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
    tables: Counting<'w>,
    manifest: &'w Manifest,
    names: BTreeMap<u32, String>,
    count_sources: bool,
}

/// What the gate makes of a frame.
pub(crate) struct Judgement {
    pub(crate) fate: Fate,
    pub(crate) vlan: u16,
    /// What token buckets and answers count.
    pub(crate) limits: Vec<String>,
    /// What goes back.
    pub(crate) answer: Option<Vec<u8>>,
}

impl<'w> Host<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let tables = HostTables::new(&world.plan, |name| match name {
            "access" => Some(1),
            "uplink" => Some(2),
            _ => None,
        });
        Self {
            tables: Counting {
                tables,
                bypass_until_ns: world.bypass_until_ns(),
                made: RefCell::default(),
                lines: RefCell::default(),
            },
            manifest: &world.plan.manifest,
            names: kernel::names(&world.plan.manifest),
            count_sources: world.plan.settings.count_sources != 0,
        }
    }

    /// What the gate decides about a frame, what that makes it count, and what it answers.
    pub(crate) fn judge(&self, frame: &Frame, side: Side, now_ns: u64) -> Judgement {
        let interface = match side {
            Side::Access => 1,
            Side::Uplink => 2,
            Side::Neither => 3,
        };
        let mut flow = Flow::default();
        let shape = parse(frame.bytes.as_slice(), &mut flow);
        let decision = decide(shape, &flow, interface, &self.tables, Now::both(now_ns));
        let refused = decision.filter(|it| it.verdict == Verdict::Refused);
        let reply =
            refused.and_then(|it| answer::reply(&frame.bytes, &flow, &it, &self.tables, now_ns));
        let mut limits = self.tables.lines.take();
        limits.extend(reply.iter().map(|it| format!("answer {}", it.answered)));
        Judgement {
            fate: decision.map_or_else(Fate::default, |it| self.fate(&flow, &it)),
            vlan: flow.vlan,
            limits,
            answer: reply.and_then(|it| it.frame),
        }
    }

    /// The lines of `gate-ebpf/src/account.rs`.
    fn fate(&self, flow: &Flow, decision: &Decision) -> Fate {
        let Decision {
            verdict,
            reason,
            answer: _,
            class,
            country,
            flags,
            source,
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
            if counter == 0 {
                continue;
            }
            let nameless = || format!("counter {counter}");
            let name = self.names.get(&counter).cloned().unwrap_or_else(nameless);
            lines.push(format!("{name} {verdict}"));
            if reason == Reason::OverLimit {
                lines.push(format!("{name} over_limit"));
            }
        }
        let named = flow.has_source() && verdict != Verdict::Unparsed;
        if let (Some(role), true) = (role, self.count_sources && named) {
            let length = if source.is_v4() { source_v4 } else { source_v6 };
            let source = source.truncated(source_v4, source_v6).to_ip();
            let over = match (verdict, reason) {
                (Verdict::Tagged, Reason::OverLimit) => " over_limit",
                _ => "",
            };
            lines.push(format!("source {role} {source}/{length} {verdict}{over}"));
        }
        let uplink = role == Some(Role::Uplink);
        if verdict == Verdict::Tagged || (uplink && verdict == Verdict::Observed) {
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
            if flow.is_segment() {
                lines.push(format!(
                    "tag 6 {} {} {} {} {class} {country} {flags}",
                    ip(flow.src),
                    flow.sport,
                    ip(flow.dst),
                    flow.dport
                ));
            }
        }
        Fate {
            dropped: verdict == Verdict::Refused,
            lines,
        }
    }
}

/// The tables, and the lines of `gate-ebpf/src/limits.rs`.
struct Counting<'w> {
    tables: HostTables<'w>,
    bypass_until_ns: u64,
    made: RefCell<HashSet<BucketKey>>,
    lines: RefCell<Vec<String>>,
}

impl Tables for Counting<'_> {
    fn settings(&self) -> Option<&Settings> {
        self.tables.settings()
    }

    fn interface(&self, key: InterfaceKey) -> Option<Interface> {
        self.tables.interface(key)
    }

    fn access(&self, source: Addr) -> Option<u32> {
        self.tables.access(source)
    }

    fn rule(&self, number: u32) -> Option<Rule> {
        self.tables.rule(number)
    }

    fn relay(&self, destination: Addr) -> Option<u32> {
        self.tables.relay(destination)
    }

    fn server(&self, destination: Addr) -> bool {
        self.tables.server(destination)
    }

    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.tables.class_prefix(source)
    }

    fn country(&self, source: Addr) -> Option<u32> {
        self.tables.country(source)
    }

    fn bypass_until_ns(&self) -> u64 {
        self.bypass_until_ns
    }

    fn take(&self, key: BucketKey, monotonic_ns: u64) -> bool {
        let within = self.tables.take(key, monotonic_ns);
        let bucket = key.bucket;
        let outcome = if within { "within" } else { "over" };
        let mut lines = self.lines.borrow_mut();
        lines.push(format!("bucket {bucket} {outcome}"));
        // The one for all is an array's, and always there.
        let of_source = bucket != Bucket::AnswerTotal;
        if of_source && self.made.borrow_mut().insert(key) {
            lines.push(format!("bucket {bucket} made"));
        }
        within
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
