//! `gate explain`: the connection that is asked about.

use std::net::IpAddr;

use clap::Args;
use gate_user::{
    Error,
    explain::{self, Explanation, Question},
    pins::Pins,
};

/// The connection.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Who opens it
    #[arg(long, value_name = "ADDR")]
    from: IpAddr,
    /// To whom
    #[arg(long, value_name = "ADDR")]
    to: IpAddr,
    /// The port there
    #[arg(long, value_name = "PORT", default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The device that its packets arrive at [default: the only one with the role that fits]
    #[arg(long = "in", value_name = "NAME")]
    interface: Option<String>,
    /// The VLAN ID that they carry; 0 is none [default: one of the interface's VLANs, if there is one such]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(..=4094))]
    vlan: Option<u16>,
}

impl Arguments {
    pub(super) fn explain(self, pins: &Pins) -> Result<Explanation, Error> {
        let Self {
            from,
            to,
            port,
            interface,
            vlan,
        } = self;
        let question = Question {
            from,
            to,
            port,
            interface,
            vlan,
        };
        explain::explain(pins, &question)
    }
}
