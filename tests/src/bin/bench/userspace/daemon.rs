//! The gate itself with the whole database: how long until it judges, until everything is in force, and how much memory the daemon takes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    gate::{self, Answer, Config, GATE_BIN, Gate, Mode},
    interrupt,
    lab::{Database, Family, Lab, Who, Wire},
    packets::{Ethernet, V4, flag, tcp},
};

use crate::machine;

/// What one start took.
pub(crate) struct Start {
    /// From the start of the process to the reset that answers a SYN to port 25. A SYN is sent every millisecond.
    pub(crate) judged: f64,
    /// From the start of the process to the line that says that everything is in force. Looked for every 50 ms.
    pub(crate) in_force: f64,
    /// How long `gate reload` took that found nothing new, and was told to build a generation all the same.
    pub(crate) reload: f64,
    /// The most memory that the daemon ever had, that reload included.
    pub(crate) peak: u64,
}

/// A lab, and a subscriber in it who sends frames by hand.
pub(crate) struct Bench {
    lab: Lab,
    program: PathBuf,
    config: PathBuf,
    wire: Wire,
    syn: Vec<u8>,
}

/// How long is waited for a start.
const PATIENCE: Duration = Duration::from_secs(30);
const PORT: u16 = 40_000;

impl Bench {
    pub(crate) fn new(database: &Path) -> Result<Self> {
        let program = gate::path_from(GATE_BIN)?;
        let database = Database::open(database)?;
        let lab = Lab::new(&database)?;
        let mut config = Config::of(&lab, database.path(), Mode::Native)?;
        config.answer = Answer::Reset;
        let config = config.write(&lab, "bench.toml")?;
        let wire = lab.wire(Who::Subscriber)?;
        let syn = syn(&lab)?;
        Ok(Self {
            lab,
            program,
            config,
            wire,
            syn,
        })
    }

    /// Starts the daemon on nothing, has it read everything again, and takes the gate off.
    pub(crate) fn start(&self) -> Result<Start> {
        let gate = Gate::new(&self.program, &self.lab);
        let start = Instant::now();
        let mut daemon = gate.begin(&self.config)?;
        let judged = self.first_reset(start)?;
        if let Some(status) = daemon.outcome()? {
            bail!("gate run ended ({status}): {}", daemon.said());
        }
        let in_force = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let (code, reload) = gate.reload(&["--force"])?;
        let took = start.elapsed().as_secs_f64();
        ensure!(code == Some(0), "gate reload: {code:?}, {reload:?}");
        let peak = machine::peak(daemon.id()).context("the daemon's memory is not to be read")?;
        daemon.terminate()?;
        gate.detach()?;
        Ok(Start {
            judged,
            in_force,
            reload: took,
            peak,
        })
    }

    /// Knocks until the gate answers.
    fn first_reset(&self, start: Instant) -> Result<f64> {
        while start.elapsed() < PATIENCE {
            interrupt::check()?;
            self.wire.send(&self.syn)?;
            let (_, reset) = self.wire.until(Duration::from_millis(1), is_reset)?;
            if reset.is_some() {
                return Ok(start.elapsed().as_secs_f64());
            }
        }
        bail!("no SYN to port 25 was refused within {PATIENCE:?}")
    }
}

/// A SYN to port 25 of somebody else's mail server.
fn syn(lab: &Lab) -> Result<Vec<u8>> {
    let address = |who| {
        let address = lab.address(who, Family::V4)?;
        match SocketAddr::new(address, 25) {
            SocketAddr::V4(it) => Ok(*it.ip()),
            SocketAddr::V6(it) => bail!("{it} is not IPv4"),
        }
    };
    let [destination, source] = lab.link_addresses(Who::Subscriber)?;
    let packet = V4::new(address(Who::Subscriber)?, address(Who::OtherMail)?);
    let frame = Ethernet::new().carry(&packet.tcp(&tcp(PORT, 25, flag::SYN)));
    let (_, payload) = frame.split_at(12);
    Ok([&destination[..], &source, payload].concat())
}

/// A reset from port 25 to the port of [`syn`], in a frame without tags and options. Servers of the lab accept, and reset nothing.
fn is_reset(frame: &[u8]) -> bool {
    let at = |offset| frame.get(offset..).unwrap_or_default();
    at(12).starts_with(&[8, 0, 0x45])
        && at(34).starts_with(&25u16.to_be_bytes())
        && at(36).starts_with(&PORT.to_be_bytes())
        && frame.get(47).is_some_and(|flags| flags & flag::RST != 0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_reset_is_told_from_other_segments() {
        let packet = V4::new(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        let frame =
            |from, to, flags| Ethernet::new().carry(&packet.clone().tcp(&tcp(from, to, flags)));
        assert!(is_reset(&frame(25, PORT, flag::RST | flag::ACK)));
        assert!(!is_reset(&frame(25, PORT, flag::SYN | flag::ACK)));
        assert!(!is_reset(&frame(PORT, 25, flag::RST)));
        assert!(!is_reset(&frame(25, PORT + 1, flag::RST)));
        assert!(!is_reset(&[0; 40]));
    }
}
