//! Who hides the port of a submission connection from abroad: the class of its source shows all the same, and its limit holds.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Config, Mode},
    lab::{Family, PATIENCE, Who, Wire},
    nft,
    packets::{flag, protocol},
};
use libtest_mimic::Trial;

use super::{
    shot::Shot,
    stage::offer,
    techniques::{DESTINATION, chain},
};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let shows = |mode: Mode| {
        let name = format!("evasion::who_hides_the_port_shows_its_class_in_{mode}_mode");
        found.lab_trial(name, move |bench| shows(bench, mode))
    };
    vec![
        shows(Mode::Native),
        shows(Mode::Generic),
        found.lab_trial("evasion::who_hides_the_port_escapes_no_limit", limited),
    ]
}

/// A way to hide the port, for which Linux opens a connection.
struct Way {
    name: &'static str,
    family: Family,
    /// How many frames it takes.
    frames: u64,
    make: fn(&Shot) -> Vec<Vec<u8>>,
}

const WAYS: [Way; 3] = [
    Way {
        name: "two tiny fragments",
        family: Family::V4,
        frames: 2,
        make: |it| it.cut(protocol::TCP, &it.long(), &[8]),
    },
    Way {
        name: "nine extension headers",
        family: Family::V6,
        frames: 1,
        make: |it| chain(it, &[DESTINATION; 9]),
    },
    Way {
        name: "two small fragments",
        family: Family::V6,
        frames: 2,
        make: |it| it.cut(protocol::TCP, &it.long(), &[24]),
    },
];

/// What has the mark of those from abroad: as it arrives, and as conntrack has put it together.
const ROUTER: &str = "table inet hidden {\n counter arriving { }\n counter whole { }\n \
    chain arriving { type filter hook prerouting priority -450; meta mark 0x20 counter name arriving\n }\n \
    chain whole { type filter hook prerouting priority mangle; ct state new meta mark 0x20 tcp dport 587 counter name whole\n }\n }\n";
/// What has their code point, at the mail host: every packet of the router's that opens a connection.
const MAIL: &str = "table inet hidden {\n counter shown { }\n \
    chain shown { type filter hook prerouting priority mangle; \
    tcp flags & (syn | ack) == syn ip dscp cs1 counter name shown\n tcp flags & (syn | ack) == syn ip6 dscp cs1 counter name shown\n }\n }\n";

/// The host abroad, by its link.
struct Abroad<'b> {
    bench: &'b Bench<'b>,
    wire: Wire,
    /// The next source port.
    port: u16,
}

impl<'b> Abroad<'b> {
    /// Stragglers get so long.
    const GRACE: Duration = Duration::from_millis(100);

    fn new(bench: &'b Bench<'b>) -> Result<Self> {
        // Neighbours know each other then.
        bench.open(Who::Foreign, Who::OwnMail, 80)?;
        let wire = bench.lab.wire(Who::Foreign)?;
        Ok(Self {
            bench,
            wire,
            port: 43_000,
        })
    }

    fn shot(&mut self, family: Family, port: u16) -> Result<Shot> {
        self.port += 1;
        let lab = &self.bench.lab;
        Ok(Shot {
            link: lab.link_addresses(Who::Foreign)?,
            source: lab.address(Who::Foreign, family)?,
            destination: lab.address(Who::OwnMail, family)?,
            source_port: self.port,
            port,
        })
    }

    /// Sends the frames of a shot; the answer to it must come.
    fn opens(&self, shot: &Shot, frames: &[Vec<u8>]) -> Result<()> {
        for frame in frames {
            self.wire.send(frame)?;
        }
        let wanted = (shot.destination, shot.port, shot.source_port);
        let (_, found) = self
            .wire
            .until(3 * PATIENCE, |frame| offer(frame) == Some(wanted))?;
        found.map(drop).context("the server did not answer")
    }

    /// A connection by this way opens.
    fn submits(&mut self, way: &Way) -> Result<()> {
        let shot = self.shot(way.family, 587)?;
        self.opens(&shot, &(way.make)(&shot))
            .with_context(|| way.name)
    }

    /// Nothing of one arrives at the mail host, where what is sent after it does.
    fn is_refused(&mut self, way: &Way) -> Result<()> {
        let mail = self.bench.lab.wire(Who::OwnMail)?;
        let shot = self.shot(way.family, 587)?;
        for frame in (way.make)(&shot) {
            self.wire.send(&frame)?;
        }
        let after = self.shot(way.family, 80)?;
        self.opens(&after, &after.one(&after.segment(flag::SYN, &[])))?;
        let ports = [shot.source_port.to_be_bytes(), 587_u16.to_be_bytes()].concat();
        let emerged = mail.until(Self::GRACE, |frame| {
            frame.windows(ports.len()).any(|it| it == ports)
        })?;
        ensure!(emerged.1.is_none(), "{}: it arrives", way.name);
        Ok(())
    }
}

fn config(bench: &Bench<'_>) -> Result<Config> {
    let mut config = bench.config()?;
    config.class_keys("foreign", "mark = 0x20\ndscp = \"cs1\"")?;
    config.tables = "\n[tags]\nmark_mask = 0xff";
    Ok(config)
}

/// What the counters of [`ROUTER`] and [`MAIL`] say.
fn counted(bench: &Bench<'_>) -> Result<[u64; 3]> {
    let router = nft::packets(bench.lab.router())?;
    let mail = nft::packets(bench.lab.netns(Who::OwnMail)?)?;
    let of = |found: Option<&u64>| found.copied().context("a counter is not there");
    Ok([
        of(router.get("arriving"))?,
        of(router.get("whole"))?,
        of(mail.get("shown"))?,
    ])
}

fn shows(bench: &Bench<'_>, mode: Mode) -> Result<()> {
    nft::load(bench.lab.router(), ROUTER)?;
    nft::load(bench.lab.netns(Who::OwnMail)?, MAIL)?;
    let mut abroad = Abroad::new(bench)?;
    // The control.
    for way in &WAYS {
        abroad.submits(way)?;
    }
    ensure!(counted(bench)? == [0; 3], "without the gate");
    let mut config = config(bench)?;
    config.mode = mode;
    let _daemon = bench.run(&config)?;
    for way in &WAYS {
        let before = counted(bench)?;
        abroad.submits(way)?;
        let after = counted(bench)?;
        let grown: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        ensure!(
            grown == [way.frames, 1, 1],
            "{}: {grown:?}; the gate says {:?}",
            way.name,
            bench.gate().counters()?.shown
        );
    }
    Ok(())
}

/// Each frame that hides the port counts as a connection. Who is over the limit by them is over it by plain ones as well.
fn limited(bench: &Bench<'_>) -> Result<()> {
    let mut abroad = Abroad::new(bench)?;
    for way in &WAYS {
        abroad.submits(way)?;
        let mut config = bench.config()?;
        let foreign = config.classes.iter_mut().find(|it| it.name == "foreign");
        let foreign = foreign.context("no class for those abroad")?;
        foreign.keys.push(format!(
            "connections = {{ limit = 1, per = \"day\", burst = {}, over = \"drop\" }}",
            way.frames
        ));
        let daemon = bench.run(&config)?;
        abroad.submits(way)?;
        abroad.is_refused(way)?;
        let plain = bench
            .lab
            .connect(Who::Foreign, Who::OwnMail, way.family, 587)?;
        ensure!(plain.local().is_none(), "{}, plain: {plain}", way.name);
        let counters = bench.gate().counters()?;
        ensure!(
            counters.judged("refused", "over_limit") > way.frames,
            "{}: {counters:?}",
            way.name
        );
        daemon.terminate()?;
        bench.gate().detach()?;
    }
    Ok(())
}
