//! `gate flow`: the tag of a submission connection.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use gate_common::{
    Country,
    abi::{FLOW_TTL_NS, FlowKey},
};
use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use crate::{
    clock,
    error::Error,
    kernel::{self, KernelError, Maps},
    pins::Pins,
    sys::Access,
};

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
    /// Its class: the name that the generation which tagged it gave it; nothing if that generation is gone.
    pub class: Option<String>,
    /// The number of the class in that generation.
    pub class_number: u8,
    /// The country of the source.
    pub country: Option<String>,
    /// The generation that tagged it.
    pub generation: u32,
    /// When it was opened.
    pub opened: Timestamp,
}

/// Reads the tag of the connection from `source` to `destination`.
pub fn flow(pins: &Pins, source: Endpoint, destination: Endpoint) -> Result<FlowReport, Error> {
    if !pins.exist() {
        return Err(Error::NotLoaded {
            pins: pins.root().to_owned(),
        });
    }
    let maps = Maps::open(pins, Access::Read)?;
    let key = FlowKey {
        src: source.0.ip().into(),
        dst: destination.0.ip().into(),
        sport: source.0.port(),
        dport: destination.0.port(),
        protocol: 6,
        reserved: 0,
        spare: 0,
    };
    let now =
        clock::monotonic_ns().map_err(|errno| Error::system("read the clock")(errno.into()))?;
    let tag = maps
        .flow(&key)?
        .filter(|tag| now.saturating_sub(tag.time_ns) < FLOW_TTL_NS);
    let tag = tag.ok_or_else(|| Error::NoTag {
        connection: format!("{source} -> {destination}"),
    })?;
    // Class numbers mean what their own generation says.
    let manifest = match kernel::manifest(&pins.generation(tag.generation)) {
        Ok(manifest) => Some(manifest),
        Err(KernelError::Open { error, .. }) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let class = manifest.and_then(|it| Some(it.classes.get(usize::from(tag.class))?.name.clone()));
    Ok(FlowReport {
        source: source.to_string(),
        destination: destination.to_string(),
        class,
        class_number: tag.class,
        country: Country::from_number(tag.country)
            .code()
            .map(|code| code.to_string()),
        generation: tag.generation,
        opened: clock::timestamp(tag.time_ns, maps.wall_offset()?),
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
        writeln!(out, "  generation  {}", self.generation)?;
        writeln!(out, "  opened      {}", self.opened)
    }
}
