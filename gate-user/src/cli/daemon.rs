//! The daemon: says what is in force, follows the clock, and waits to be ended.

use std::{
    io,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
#[cfg(feature = "log")]
use gate_user::packet_log::PacketLog;
use gate_user::{
    Error, Exit,
    pins::Pins,
    run::{self, Running, Start},
    sys::XdpMode,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};

/// How often the clock is looked at: how late a deadline can be after somebody set it.
const CLOCK: Duration = Duration::from_secs(1);

/// How often the log of packets is read, where there is one.
const PACKET_LOG: Duration = Duration::from_millis(100);
/// How often tags that are too old are removed.
const SWEEP: Duration = Duration::from_hours(1);

/// What takes the place of the log of packets where there is none.
#[cfg(not(feature = "log"))]
enum PacketLog {}

#[cfg(not(feature = "log"))]
impl PacketLog {
    fn flush(&mut self) {
        match *self {}
    }
}

/// Puts the configuration in force with the program in `object`, and looks after it until told to end.
pub(crate) fn run(pins: &Pins, config: &Path, object: &'static [u8]) -> anyhow::Result<Exit> {
    // Before anything is in force: told to end in the middle of it, the start is finished or taken back, never cut short.
    let ended = Ended::new().context("cannot listen for SIGTERM and SIGINT")?;
    let start = Start {
        config,
        object,
        cancelled: &|| ended.is(),
    };
    let mut running = run::start(pins, start)?;
    let packets = packet_log(&mut running, object)?;
    announce(&running);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?
        .block_on(wait(&running, packets, &ended))?;
    Ok(Exit::Ok)
}

#[cfg(feature = "log")]
fn packet_log(running: &mut Running, object: &'static [u8]) -> Result<Option<PacketLog>, Error> {
    let logs = std::ptr::eq(object, gate_user::object::LOG_OBJECT);
    Ok(if logs {
        Some(PacketLog::new(running.gate())?)
    } else {
        None
    })
}

#[cfg(not(feature = "log"))]
#[expect(clippy::unnecessary_wraps, reason = "as the one that can fail")]
fn packet_log(_: &mut Running, _: &'static [u8]) -> Result<Option<PacketLog>, Error> {
    Ok(None)
}

/// Whether the process was told to end.
struct Ended(Arc<AtomicBool>);

impl Ended {
    fn new() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

async fn wait(
    running: &Running,
    mut packets: Option<PacketLog>,
    ended: &Ended,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut clock = tokio::time::interval(CLOCK);
    let mut packet_log = tokio::time::interval(PACKET_LOG);
    let mut sweep = tokio::time::interval(SWEEP);
    // A signal that came before the two above listened is in `ended`.
    while !ended.is() {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = clock.tick() => {
                if running.follow_clock()? {
                    log("the clock was set: deadlines follow it");
                }
            }
            _ = packet_log.tick(), if packets.is_some() => {
                packets.iter_mut().for_each(PacketLog::flush);
            }
            _ = sweep.tick() => running.sweep()?,
        }
    }
    log("ended; the gate goes on without its daemon (`gate detach` opens it)");
    Ok(())
}

fn announce(running: &Running) {
    let manifest = running.manifest();
    for warning in running.warnings() {
        log(&format!("warning: {warning}"));
    }
    for name in &running.removed {
        log(&format!(
            "{name}: detached, since the configuration names it no more"
        ));
    }
    for it in &manifest.databases {
        log(&format!(
            "{}: {} IPv4 and {} IPv6 networks, {} countries, built {:.0}",
            it.path.display(),
            it.networks_v4,
            it.networks_v6,
            it.countries,
            it.built
        ));
    }
    for line in &manifest.attribution {
        log(line);
    }
    for it in &manifest.pools {
        log(&format!(
            "pool {}: {}{}",
            it.name,
            it.policy,
            it.action
                .as_ref()
                .map_or_else(String::new, |it| format!(", {it}"))
        ));
    }
    for (it, mode) in manifest.interfaces.iter().zip(running.modes()) {
        let fallback = it.mode == "auto" && *mode == XdpMode::Generic;
        let note = if fallback {
            " (the driver has no native XDP)"
        } else {
            ""
        };
        log(&format!(
            "{}: {}, {} mode{note}",
            it.name,
            it.role,
            mode.name()
        ));
    }
    let how = if running.adopted() {
        "adopted what was in force"
    } else {
        "started"
    };
    log(&format!("ready: generation {} ({how})", manifest.number));
}

/// One line on standard error. That nobody reads it must not end the daemon.
fn log(line: &str) {
    let _ = writeln!(io::stderr().lock(), "gate: {line}");
}
