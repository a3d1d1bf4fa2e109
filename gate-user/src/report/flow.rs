//! `gate flow`: the tag of a submission connection.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use gate_common::{Country, abi::FlowTag};
use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use crate::{clock, error::Error, pins::Pins, tags::TagReader};

/// One end of a connection, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint(pub SocketAddr);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is not ADDRESS:PORT, or [ADDRESS]:PORT for IPv6"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tag of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowReport {
    /// Who opened it.
    pub source: String,
    /// To whom.
    pub destination: String,
    /// Its class: the name that the generation which tagged it gave it; nothing if the configuration has other classes since.
    pub class: Option<String>,
    /// The number of the class in that generation.
    pub class_number: u8,
    /// The country of the source.
    pub country: Option<String>,
    /// Whether the source had more new connections than the limit of its class.
    pub over_limit: bool,
    /// Whether the class was only observed.
    pub observed: bool,
    /// The generation that tagged it.
    pub generation: u32,
    /// When it was opened.
    pub opened: Timestamp,
}

/// Reads the tag of the connection from `source` to `destination`.
pub fn flow(pins: &Pins, source: Endpoint, destination: Endpoint) -> Result<FlowReport, Error> {
    let reader = TagReader::open(pins.root())?;
    let Some((tag, class)) = reader.record(source.0, destination.0)? else {
        return Err(Error::NoTag {
            connection: format!("{source} -> {destination}"),
        });
    };
    let FlowTag {
        time_ns,
        generation,
        country,
        class: class_number,
        flags,
    } = tag;
    let offset =
        clock::wall_offset_ns().map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(FlowReport {
        source: source.to_string(),
        destination: destination.to_string(),
        class,
        class_number,
        country: Country::from_number(country)
            .code()
            .map(|code| code.to_string()),
        over_limit: flags & FlowTag::OVER_LIMIT != 0,
        observed: flags & FlowTag::OBSERVED != 0,
        generation,
        opened: clock::timestamp(time_ns, offset),
    })
}

impl Report for FlowReport {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let class = self.class.clone().unwrap_or_else(|| {
            format!(
                "number {} of generation {}",
                self.class_number, self.generation
            )
        });
        let country = self.country.as_deref().unwrap_or("in no database");
        writeln!(out, "{} -> {}", self.source, self.destination)?;
        writeln!(out, "  class       {class}")?;
        writeln!(out, "  country     {country}")?;
        let limit = match (self.over_limit, self.observed) {
            (false, false) => "within",
            (true, false) => "over",
            (false, true) => "within, and only observed",
            (true, true) => "over, and only observed",
        };
        writeln!(out, "  limit       {limit}")?;
        writeln!(out, "  generation  {}", self.generation)?;
        writeln!(out, "  opened      {}", self.opened)
    }
}
