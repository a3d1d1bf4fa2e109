//! What is said about each packet.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use gate_common::{Addr, Flow, Reason, Shape};
use jiff::Timestamp;
use serde::Serialize;

use super::engine::Outcome;
use crate::judge::{Judgement, Rule};

/// A packet and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its place in the file, from 1.
    pub number: u64,
    /// When it was captured; nothing where the file does not say.
    pub time: Option<Timestamp>,
    /// What became of it; nothing if the gate has no business with it, or was not asked.
    pub verdict: Option<&'static str>,
    /// Why.
    pub reason: Option<&'static str>,
    /// What decided.
    pub rule: Option<Rule>,
    /// Where it comes from; nothing if that cannot be read.
    pub source: Option<IpAddr>,
    /// The port there; nothing if that cannot be read, or is none.
    pub source_port: Option<u16>,
    /// Where it goes to.
    pub destination: Option<IpAddr>,
    /// The port there.
    pub port: Option<u16>,
    /// The country of the source, of a packet that has a class; nothing if no database knows it.
    pub country: Option<String>,
    /// The class.
    pub class: Option<String>,
    /// What the frame turned out to be.
    pub shape: &'static str,
    /// How many octets it had on the wire.
    pub length: u32,
    /// How many of them were captured, if not all: the gate would have seen more, and the verdict may be another.
    pub captured: Option<usize>,
    /// Why the engine was not asked about it.
    pub skipped: Option<String>,
}

impl Line {
    /// The line about a packet before anything is decided.
    pub(super) fn new(number: u64, shape: Shape, flow: &Flow) -> Self {
        let addressed = (flow.src, flow.dst) != (Addr::default(), Addr::default());
        let ports = shape == Shape::Tcp || (flow.sport, flow.dport) != (0, 0);
        Self {
            number,
            time: None,
            verdict: None,
            reason: None,
            rule: None,
            source: addressed.then(|| flow.src.to_ip()),
            source_port: ports.then_some(flow.sport),
            destination: addressed.then(|| flow.dst.to_ip()),
            port: ports.then_some(flow.dport),
            country: None,
            class: None,
            shape: shape.name(),
            length: 0,
            captured: None,
            skipped: None,
        }
    }

    /// With what became of it.
    pub(super) fn with(self, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Untouched => self,
            Outcome::Skipped(why) => Self {
                skipped: Some(why.clone()),
                ..self
            },
            Outcome::Judged(Judgement {
                verdict, reason, ..
            }) => Self {
                verdict: Some(verdict.name()),
                reason: Some(reason.name()),
                // The engine's own word.
                shape: if let Reason::Shape(shape) = reason {
                    shape.name()
                } else {
                    self.shape
                },
                ..self
            },
        }
    }

    /// Writes it for people, as one line.
    pub fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let time = self
            .time
            .map_or_else(|| "-".to_owned(), |it| format!("{it:.6}"));
        let verdict = match (self.verdict, &self.skipped) {
            (_, Some(_)) => "skipped",
            (verdict, None) => verdict.unwrap_or("-"),
        };
        let reason = self.reason.unwrap_or("-");
        let Self { number, .. } = self;
        write!(out, "{number:>7}  {time:<27}  {verdict:<8}  {reason:<19}")?;
        match (self.source, self.destination) {
            (Some(source), Some(destination)) => write!(
                out,
                "  {} > {}",
                endpoint(source, self.source_port),
                endpoint(destination, self.port)
            )?,
            _ => write!(out, "  {}", self.shape)?,
        }
        if let Some(class) = &self.class {
            let country = self.country.as_deref().unwrap_or("no country");
            write!(out, "  {class}, {country}")?;
        }
        if let Some(rule) = &self.rule {
            write!(out, "  {rule}")?;
        }
        if let Some(captured) = self.captured {
            write!(out, "  ({captured} of {} octets captured)", self.length)?;
        }
        if let Some(why) = &self.skipped {
            write!(out, "  ({why})")?;
        }
        writeln!(out)
    }

    /// Writes it for programs, as one line.
    pub fn json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

fn endpoint(address: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(
        || address.to_string(),
        |port| SocketAddr::new(address, port).to_string(),
    )
}
