//! The decision in this process.

use gate_common::{
    Verdict,
    decide::{Decision, decide},
};

use super::{Arrival, Judge, Judgement, Outcome};
use crate::{
    error::Error,
    generation::{Plan, host::HostTables},
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
        let decision = decide(shape, flow, ARRIVAL, &self.tables, now_ns);
        Ok(decision.map_or(Outcome::Untouched, |decision| {
            let Decision {
                verdict,
                reason,
                class,
                country,
                ..
            } = decision;
            Outcome::Judged(Judgement {
                verdict,
                reason,
                tag: (verdict == Verdict::Tagged).then_some((class, country)),
            })
        }))
    }
}
