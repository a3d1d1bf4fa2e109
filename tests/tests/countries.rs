//! Country databases as people have them, read by the gate and held against what they are known to say.
//!
//! | module | what it is |
//! |---|---|
//! | `maxmind` | MaxMind's own test databases: each is read as its source says, or refused |
//! | `real` | real databases: every network and a million addresses, against the library's own look-up |
//! | `moves` | the addresses that two real databases have in different countries |
//!
//! None of this needs a privilege. Trials whose database is not named by its environment variable are reported as ignored.

#[path = "countries/library.rs"]
mod library;
#[path = "countries/maxmind.rs"]
mod maxmind;
#[path = "countries/moves.rs"]
mod moves;
#[path = "countries/real.rs"]
mod real;

use std::{path::Path, process::ExitCode};

use gate_user::{
    config::{CountryField, Geoip},
    geoip::{GeoipError, Opened},
};
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [maxmind::trials(), real::trials(), moves::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// Opens one database, in the order of fields that is the default.
fn open(path: &Path) -> Result<Opened, GeoipError> {
    let geoip = Geoip {
        databases: vec![path.to_owned()],
        country: CountryField::Country,
        attribution: None,
    };
    Opened::read(&geoip, &mut |_, _| {}, &|| false)
}
