//! The decision in this process.

use gate_common::{
    Role,
    decide::{Decision, Now, decide},
};

use super::{Arrival, Judge, Outcome};
use crate::{
    error::Error,
    generation::{Plan, host::HostTables},
    judge::Judgement,
    replay::{ARRIVAL, Interface},
};

/// The tables of a generation in memory.
pub(in crate::replay) struct Host<'p> {
    tables: HostTables<'p>,
}

impl<'p> Host<'p> {
    /// Packets arrive at `interface`.
    pub(in crate::replay) fn new(plan: &'p Plan, interface: &Interface) -> Self {
        let index = |name: &str| (name == interface.name).then_some(ARRIVAL);
        Self {
            tables: HostTables::new(plan, index),
        }
    }
}

impl Judge for Host<'_> {
    fn judge(&mut self, arrival: Arrival<'_>) -> Result<Outcome, Error> {
        let Arrival {
            frame: _,
            shape,
            flow,
            now_ns,
        } = arrival;
        let decision = decide(shape, flow, ARRIVAL, &self.tables, Now::both(now_ns));
        Ok(decision.map_or(Outcome::Untouched, |decision| {
            let Decision {
                verdict,
                reason,
                class,
                country,
                group,
                role,
                ..
            } = decision;
            Outcome::Judged(Judgement {
                verdict,
                reason,
                // On an uplink, what is counted for a group has a class.
                class: (role == Some(Role::Uplink) && group != 0).then_some((class, country)),
            })
        }))
    }
}
