//! Who may reach whom on which port: what an ISP that has closed port 25 promises its customers, as rows that are tried
//! one by one.
//!
//! A row is judged three times over. The client and the server say whether there was a connection; the gate's counters
//! say why, and must have moved by exactly that; and the tag on a submission connection is held against the country
//! database, which is read here without the gate.

mod expect;
mod judge;
mod reasons;
mod row;
mod run;
mod show;

pub use self::{
    expect::{Expect, Profile},
    judge::{Attempt, Observed, Tag},
    reasons::Reasons,
    row::{Group, ROWS, Row},
    run::{Account, Case, Judged, Run, control, guarded},
    show::{control_table, table},
};
