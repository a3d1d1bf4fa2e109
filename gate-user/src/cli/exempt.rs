//! `gate exempt`.

use std::io::{self, Write as _};

use clap::Subcommand;
use gate_user::{
    Exit,
    exempt::{self, Wanted},
    object,
    pins::Pins,
};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{Format, show};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open port 25 to a prefix, or give its exemption another end and ticket
    Add {
        /// Whose: a prefix, or one address
        #[arg(value_name = "PREFIX", value_parser = exempt::prefix)]
        prefix: IpNet,
        /// Until when: a time with an offset (2027-01-01T00:00:00+09:00), or a length (30d, 12h); without end if it is left out
        #[arg(long, value_name = "TIME", value_parser = until)]
        until: Option<Timestamp>,
        /// Why: a number or a word that your records know
        #[arg(long, value_name = "TEXT")]
        ticket: Option<String>,
    },
    /// End the exemption of a prefix
    Del {
        /// Whose, as `gate exempt list` shows it
        #[arg(value_name = "PREFIX", value_parser = exempt::prefix)]
        prefix: IpNet,
    },
    /// Show all exemptions, and whether they are in force
    List,
}

pub(super) fn run(pins: &Pins, command: Command, format: Format) -> anyhow::Result<Exit> {
    let object = object::OBJECT;
    let mut waiting = || {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "waits for another `gate exempt`, which is changing the same file"
        );
    };
    match command {
        Command::Add {
            prefix,
            until,
            ticket,
        } => {
            let wanted = Wanted {
                prefix,
                until,
                ticket,
            };
            show(&exempt::add(pins, object, &wanted, &mut waiting)?, format)
        }
        Command::Del { prefix } => {
            show(&exempt::delete(pins, object, prefix, &mut waiting)?, format)
        }
        Command::List => {
            let listing = exempt::list(pins)?;
            show(&listing, format)?;
            Ok(listing.exit())
        }
    }
}

fn until(text: &str) -> Result<Timestamp, String> {
    exempt::until(text, Timestamp::now())
}
