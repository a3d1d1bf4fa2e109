//! `gate geoip`: looks at country databases, and fetches them.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use gate_common::Country;
use gate_user::{
    Error, Exit,
    config::{CountryField, country_code},
    databases::{self, Wanted},
    pins::Pins,
};

use super::{Format, show};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read databases from end to end, and say what they are and whether they are in force
    ///
    /// Exit codes: 0 all can be read; 2 one cannot.
    Info {
        /// The databases [default: those in force]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        field: FieldArgument,
    },
    /// Say which addresses another database has in another country, counted to the address; change nothing
    ///
    /// What that means for classes is what `gate diff` says.
    Diff {
        /// The database before
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The database after
        #[arg(value_name = "NEW")]
        new: PathBuf,
        /// Only addresses that leave this country or come to it
        #[arg(long, value_name = "CODE", value_parser = country_code)]
        country: Option<Country>,
        /// How many prefixes of each group of addresses to list
        #[arg(long, value_name = "COUNT", default_value_t = 3)]
        prefixes: usize,
        #[command(flatten)]
        field: FieldArgument,
    },
    /// Fetch databases from where `[[geoip.update]]` says, unless their servers have no others; the daemon then takes them by itself
    ///
    /// What is wrong with one leaves the file as it is. Databases that no `[[geoip.update]]` is about are looked at only. Exit codes: 0 all are what their
    /// servers have; 2 a bad configuration, credentials that are not kept secret, or data that is refused; 1 anything else.
    Update {
        /// The configuration [default: the one that is in force]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Take them even if the guards refuse them; damaged data is refused all the same
        #[arg(long)]
        force: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct FieldArgument {
    /// Which country of an entry counts, as `geoip.country` says it in a configuration
    #[arg(long, value_enum, default_value_t = Field::Country)]
    field: Field,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Field {
    /// Where addresses are used
    Country,
    /// Where they are registered
    RegisteredCountry,
}

impl FieldArgument {
    const fn get(self) -> CountryField {
        match self.field {
            Field::Country => CountryField::Country,
            Field::RegisteredCountry => CountryField::RegisteredCountry,
        }
    }
}

pub(crate) fn run(pins: &Pins, command: Command, format: Format) -> anyhow::Result<Exit> {
    match command {
        Command::Info { files, field } => {
            let infos = databases::info(pins, &files, field.get())?;
            show(&infos, format)?;
            Ok(if infos.readable() {
                Exit::Ok
            } else {
                Exit::Usage
            })
        }
        Command::Diff {
            old,
            new,
            country,
            prefixes,
            field,
        } => {
            let wanted = Wanted {
                field: field.get(),
                country,
                prefixes,
            };
            let moves = databases::moves(&old, &new, wanted).map_err(Error::from)?;
            show(&moves, format)
        }
        Command::Update { config, force } => {
            let updates = databases::update(pins, config.as_deref(), force)?;
            show(&updates, format)?;
            Ok(updates.exit())
        }
    }
}
