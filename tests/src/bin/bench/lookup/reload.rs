//! Reloads of the same data while packets of one country keep coming: each of them that gets another answer, or none, is misjudged.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{self, Config, GATE_BIN, Gate, Mode},
    interrupt,
    lab::{Database, Family as LabFamily, Lab, NetNs, Who},
    packets::{Ethernet, V4, tcp},
};
use gate_user::table::Family;

use super::{
    NAME,
    addresses::Set,
    case::Subject,
    ipset::{self, Counters, Ipset},
    kernel::{Kernel, Loaded, TableMaps},
    layout::PORT,
    list::List,
    live::{self, Link, OUT, Round, Source},
    nft::{self, Nft, Policy},
    peers::{self, Effort},
};
use crate::figure::Figure;

/// The flag of a segment that opens a connection.
const SYN: u8 = 0x02;
/// The case of times and packets.
pub(crate) const CASE: &str = "reload";
/// The subject: the gate itself.
pub(crate) const GATE: &str = "gate";
/// The metrics: how many packets were judged, and how many of them wrong.
pub(crate) const JUDGED: &str = "judged";
pub(crate) const MISJUDGED: &str = "misjudged";
/// How many addresses the packets come from, and how many packets at a time.
const ADDRESSES: u32 = 1 << 10;
const BURST: u32 = 1 << 10;
const PAUSE: Duration = Duration::from_millis(1);
/// The traffic flows for so long before the first reload and after the last.
const MARGIN: Duration = Duration::from_millis(50);

/// Packets of one country.
pub(crate) struct Traffic {
    source: Mutex<(Source, Loaded)>,
    set: Set,
    number: u16,
}

/// What came of the reloads of a subject.
pub(crate) struct Reloaded {
    subject: &'static str,
    /// How long each took.
    seconds: Vec<f64>,
    sent: u64,
    judged: u64,
    right: u64,
}

impl Reloaded {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let name = (CASE, self.subject);
        let judged = self.judged as f64;
        let wrong = self.judged.saturating_sub(self.right) as f64;
        let figures = [
            Figure::of(NAME, name, ("time", "s"), &self.seconds),
            Figure::of(NAME, name, (JUDGED, "packets"), &[judged]),
            Figure::of(NAME, name, (MISJUDGED, "packets"), &[wrong]),
        ];
        figures.into_iter().flatten().collect()
    }
}

impl Traffic {
    pub(crate) fn new(object: &[u8], set: &Set) -> Result<Self> {
        let set = set
            .of_one_number(ADDRESSES)
            .context("no country has enough of the addresses")?;
        let mut source = Source::new(object, ADDRESSES)?;
        let loaded = source.add(&set)?;
        let (_, number) = set.answers(1).next().context("no addresses")?;
        Ok(Self {
            source: Mutex::new((source, loaded)),
            set,
            number,
        })
    }

    /// Reloads so often while frames leave `interface` of `netns`. Returns what each reload took, and how many frames left.
    fn flow(
        &self,
        netns: &NetNs,
        interface: &str,
        frame: &[u8],
        times: u32,
        mut reload: impl FnMut() -> Result<()>,
    ) -> Result<(Vec<f64>, u64)> {
        let stop = AtomicBool::new(false);
        let mut seconds = Vec::new();
        let (reloaded, frames) = thread::scope(|scope| {
            let sender = scope.spawn(|| -> Result<u64> {
                let mut guard = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                let (source, set) = &mut *guard;
                let mut total = 0;
                while !stop.load(Ordering::Relaxed) {
                    let round = Round {
                        set: *set,
                        size: ADDRESSES,
                        first: 0,
                        count: BURST,
                    };
                    source.send(netns, interface, frame, round)?;
                    total += u64::from(BURST);
                    thread::sleep(PAUSE);
                }
                Ok(total)
            });
            let mut work = || -> Result<()> {
                interrupt::sleep(MARGIN)?;
                for _ in 0..times {
                    interrupt::check()?;
                    let start = Instant::now();
                    reload()?;
                    seconds.push(start.elapsed().as_secs_f64());
                }
                Ok(interrupt::sleep(MARGIN)?)
            };
            let reloaded = work();
            stop.store(true, Ordering::Relaxed);
            (reloaded, sender.join())
        });
        let frames = frames.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        reloaded?;
        Ok((seconds, frames?))
    }
}

/// The gate itself: `gate reload` under connections to a submission server, counted by country by the gate.
pub(crate) fn gate(traffic: &Traffic, database: &Path, times: u32) -> Result<Vec<Reloaded>> {
    let program = gate::path_from(GATE_BIN)?;
    let database = Database::open(database)?;
    let (first, _) = traffic.set.answers(1).next().context("no addresses")?;
    let country = database
        .country(first)?
        .context("the first address has no country")?;
    let lab = Lab::new(&database)?;
    let gate = Gate::new(&program, &lab);
    let config = Config::of(&lab, database.path(), Mode::Native)?.write(&lab, "bench.toml")?;
    let daemon = gate.run(&config)?;
    let IpAddr::V4(server) = lab.address(Who::OwnMail, LabFamily::V4)? else {
        anyhow::bail!("the server has no IPv4 address");
    };
    let [router, own] = lab.link_addresses(Who::Domestic)?;
    let segment = tcp(40_000, PORT, SYN);
    let packet = V4::new(Ipv4Addr::UNSPECIFIED, server).tcp(&segment);
    let mut frame = Ethernet::new().carry(&packet);
    for (place, octet) in frame.iter_mut().zip([router, own].concat()) {
        *place = octet;
    }
    let count = || -> Result<(u64, u64)> {
        let counters = gate.counters()?;
        let of = |code: &str| {
            let found = counters
                .countries
                .iter()
                .find(|it| it.country.as_deref() == Some(code));
            found.map_or(0, |it| it.packets)
        };
        let all = counters.countries.iter().map(|it| it.packets).sum();
        Ok((all, of(&country)))
    };
    let before = count()?;
    let netns = lab.netns(Who::Domestic)?;
    let (seconds, sent) = traffic.flow(netns, "eth0", &frame, times, || {
        let (code, reload) = gate.reload(&[])?;
        ensure!(
            code == Some(0),
            "gate reload ended with {code:?}: {reload:?}"
        );
        Ok(())
    })?;
    let after = count()?;
    daemon.terminate()?;
    gate.detach()?;
    Ok(vec![checked(Reloaded {
        subject: GATE,
        seconds,
        sent,
        judged: after.0 - before.0,
        right: after.1 - before.1,
    })?])
}

/// The gate's table with nothing around it, the trie in a map of maps, and the trie that a program knows, which can only be emptied and
/// filled again: that one is to be caught.
pub(crate) fn ours(
    traffic: &Traffic,
    link: &Link,
    kernel: &mut Kernel,
    list: &List,
    times: u32,
) -> Result<Vec<Reloaded>> {
    let frame = live::frame(Family::V4);
    let mut all = Vec::new();
    for (subject, name, times) in [
        (Subject::Table, "table", times),
        (Subject::LpmSlotted, "lpm-slotted", 1),
        (Subject::Lpm, "lpm, in place", 1),
    ] {
        let attached = peers::attach(kernel, link, subject, Family::V4)?;
        attached.reset(traffic.number.into())?;
        let (seconds, sent) = traffic.flow(&link.sender, OUT, &frame, times, || match subject {
            Subject::Table => attached.kernel().place(&TableMaps::new(&list.table)?),
            Subject::LpmSlotted => attached.kernel().replace_trie(list),
            Subject::Floor | Subject::Lpm | Subject::LpmOrtc => attached.kernel().refill_trie(list),
        })?;
        let judged = attached.judged()?;
        ensure!(
            subject != Subject::Lpm || judged.right < judged.frames,
            "no packet met the trie while it was empty: what is to be caught is not, and no count of this run counts"
        );
        all.push(checked(Reloaded {
            subject: name,
            seconds,
            sent,
            judged: judged.frames,
            right: judged.right,
        })?);
    }
    Ok(all)
}

/// One transaction, and two.
pub(crate) fn nft(
    traffic: &Traffic,
    link: &Link,
    files: &Nft,
    effort: Effort,
) -> Result<Vec<Reloaded>> {
    let netns = &link.receiver;
    nft::set_policy(netns, Policy::Accept)?;
    let mut all = vec![marked(traffic, link, ("nft", effort.loads), || {
        nft::run(netns, &files.reload).map(drop)
    })?];
    if effort.slow {
        all.push(marked(traffic, link, ("nft, in place", 1), || {
            nft::run(netns, &files.empty)?;
            nft::run(netns, &files.fill).map(drop)
        })?);
    }
    Ok(all)
}

/// By swap, and in place.
pub(crate) fn ipset(
    traffic: &Traffic,
    link: &Link,
    files: &Ipset,
    effort: Effort,
) -> Result<Vec<Reloaded>> {
    let netns = &link.receiver;
    let mut all = vec![marked(traffic, link, ("ipset", effort.loads), || {
        ipset::run(netns, &files.reload).map(drop)
    })?];
    if effort.slow {
        all.push(marked(traffic, link, ("ipset, in place", 1), || {
            ipset::run(netns, &files.in_place).map(drop)
        })?);
    }
    Ok(all)
}

/// Counts marks behind the hook that sets them.
fn marked(
    traffic: &Traffic,
    link: &Link,
    (subject, times): (&'static str, u32),
    reload: impl FnMut() -> Result<()>,
) -> Result<Reloaded> {
    let counters = Counters::new(&link.receiver, traffic.number)?;
    let frame = live::frame(Family::V4);
    let (seconds, sent) = traffic.flow(&link.sender, OUT, &frame, times, reload)?;
    let (right, wrong) = counters.end()?;
    checked(Reloaded {
        subject,
        seconds,
        sent,
        judged: right + wrong,
        right,
    })
}

/// Nothing that was sent may go uncounted.
fn checked(reloaded: Reloaded) -> Result<Reloaded> {
    ensure!(
        reloaded.judged == reloaded.sent,
        "{}: {} packets were sent and {} judged: no figure of this run counts",
        reloaded.subject,
        reloaded.sent,
        reloaded.judged
    );
    Ok(reloaded)
}
