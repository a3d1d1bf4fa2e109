//! `gate geoip`: what a country database is, and which addresses another one would have elsewhere.
//!
//! | module | what it is |
//! |---|---|
//! | `info` | databases, beside those in force |
//! | `moves` | the addresses whose country differs between two of them |

mod info;
mod moves;

pub use self::{
    info::{Info, Infos, Loaded, info},
    moves::{Balance, Group, Moves, Wanted, moves},
};
