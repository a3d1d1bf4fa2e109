//! `gate geoip`: what a country database is, which addresses another one would have elsewhere, and how another one is fetched.
//!
//! | module | what it is |
//! |---|---|
//! | `info` | databases, beside those in force |
//! | `moves` | the addresses whose country differs between two of them |
//! | `update` | databases fetched from where the configuration says |

mod info;
mod moves;
mod update;

pub use self::{
    info::{Info, Infos, Loaded, info},
    moves::{Balance, Group, Moves, Wanted, moves},
    update::{Outcome, UnpackError, UpdateError, Updated, Updates, update},
};
