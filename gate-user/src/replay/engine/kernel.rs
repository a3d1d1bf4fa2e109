//! The program in the kernel, filled with what the configuration makes.
//!
//! What the tag of a connection says is read from the tag; one that is refused has none, nor has what hides its port, and their class is looked up in
//! the tables that the maps were filled from.

use gate_common::{
    Country, Flow, Role, Verdict,
    decide::{Tables as _, classify},
};

use super::{Arrival, Judge, Outcome};
use crate::{
    error::Error,
    floor,
    generation::{Plan, host::HostTables},
    judge::{Instance, Judgement},
    kernel::{Gate, KernelError, LOOPBACK, SHORTEST},
    object::OBJECT,
    privilege,
    replay::{Interface, ReplayError},
};

/// Up to here the kernel takes every frame: what fits into a page beside its own structures. Beyond, it depends on the
/// program and on the version.
const SURELY: usize = 3_000;

/// A loaded program with one generation.
pub(in crate::replay) struct Kernel<'p> {
    instance: Instance,
    tables: HostTables<'p>,
    role: Role,
}

impl<'p> Kernel<'p> {
    /// Loads the program and fills its maps; packets arrive at `interface`.
    pub(in crate::replay) fn load(plan: &'p Plan, interface: &Interface) -> Result<Self, Error> {
        floor::check()?;
        privilege::check().map_err(|error| {
            if let Error::Privilege { missing } = error {
                ReplayError::Privilege { missing }.into()
            } else {
                error
            }
        })?;
        let gate = Gate::private(OBJECT)?;
        let index = |name: &str| (name == interface.name).then_some(LOOPBACK);
        let prepared = gate.maps.prepare(plan, &index, None)?;
        gate.maps.activate(&prepared)?;
        Ok(Self {
            tables: HostTables::new(plan, index),
            role: interface.role,
            instance: Instance::new(gate, interface.counter)?,
        })
    }

    /// Class and country of the tag that the packet left.
    fn tag(&self, flow: &Flow) -> Result<(u8, Country), Error> {
        let tag = self.instance.tag(flow)?;
        Ok((tag.class, Country::from_number(tag.country)))
    }

    /// Class and country of a connection that has a class.
    fn class(&self, verdict: Verdict, flow: &Flow) -> Result<Option<(u8, Country)>, Error> {
        match (verdict, self.role) {
            (Verdict::Tagged | Verdict::Observed, Role::Uplink) if flow.is_segment() => {
                self.tag(flow).map(Some)
            }
            (Verdict::Tagged | Verdict::Observed | Verdict::Refused, Role::Uplink) => {
                Ok(self.tables.settings().map(|settings| {
                    let it = classify(flow.src, settings, &self.tables);
                    (it.class, it.country)
                }))
            }
            (Verdict::Tagged | Verdict::Observed | Verdict::Refused, Role::Access)
            | (Verdict::Passed | Verdict::Unparsed, _) => Ok(None),
        }
    }
}

impl Judge for Kernel<'_> {
    fn judge(&mut self, arrival: Arrival<'_>) -> Result<Outcome, Error> {
        let Arrival {
            frame,
            shape: _,
            flow,
            now_ns,
        } = arrival;
        if frame.len() < SHORTEST {
            return Ok(Outcome::Skipped(format!(
                "the kernel takes no frame of less than {SHORTEST} octets"
            )));
        }
        self.instance.maps().set_now(now_ns.max(1))?;
        let ran = match self.instance.run(frame, LOOPBACK) {
            Err(Error::Kernel(KernelError::TestRun { octets, error })) if octets > SURELY => {
                return Ok(Outcome::Skipped(format!(
                    "the kernel takes no frame of {octets} octets: {error}"
                )));
            }
            ran => ran?,
        };
        let Some((verdict, reason)) = ran.judged else {
            return Ok(Outcome::Untouched);
        };
        Ok(Outcome::Judged(Judgement {
            verdict,
            reason,
            class: self.class(verdict, flow)?,
        }))
    }
}
