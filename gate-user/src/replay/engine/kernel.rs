//! The program in the kernel: an instance of its own, attached to nothing and pinned nowhere.
//!
//! The program answers whether a packet goes on; why is what it counted. Nobody else counts in these maps, so that the one
//! total that moved is that of the packet. Reading all totals takes longer than all the rest: it is done when the counter of
//! the interface says that the packet was judged at all.

use gate_common::{
    Country, Flow, Reason, Verdict,
    abi::{FlowKey, Packets, total_index},
};

use super::{Arrival, Judge, Judgement, Outcome};
use crate::{
    error::Error,
    floor,
    generation::Plan,
    kernel::{Action, Gate, KernelError, LOOPBACK, SHORTEST, test_run},
    object::OBJECT,
    privilege,
    replay::{Interface, ReplayError},
};

/// Up to here the kernel takes every frame: what fits into a page beside its own structures. Beyond, it depends on the
/// program and on the version.
const SURELY: usize = 3_000;

/// A loaded program with one generation.
pub(in crate::replay) struct Kernel {
    gate: Gate,
    /// The counter of the interface that packets arrive at, and what it says so far, by CPU; nothing if there are several.
    judged: Option<(u32, Vec<Packets>)>,
    /// The totals so far.
    totals: Vec<u64>,
}

impl Kernel {
    /// Loads the program and fills its maps; packets arrive at `interface`.
    pub(in crate::replay) fn load(plan: &Plan, interface: &Interface) -> Result<Self, Error> {
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
            judged: match interface.counter {
                Some(counter) => Some((counter, gate.maps.counter(counter)?)),
                None => None,
            },
            totals: gate.maps.totals()?,
            gate,
        })
    }

    /// Makes it `now_ns` of UNIX time for the program.
    fn set_time(&self, now_ns: u64) -> Result<(), Error> {
        Ok(self.gate.maps.set_now(now_ns.max(1))?)
    }

    /// Verdict and reason of what was counted since the last time; nothing if nothing was.
    fn counted(&mut self) -> Result<Option<(Verdict, Reason)>, Error> {
        if let Some((counter, judged)) = &mut self.judged {
            let now = self.gate.maps.counter(*counter)?;
            if *judged == now {
                return Ok(None);
            }
            *judged = now;
        }
        let totals = self.gate.maps.totals()?;
        let before = std::mem::replace(&mut self.totals, totals);
        let moved: Vec<usize> = (0..)
            .zip(self.totals.iter().zip(&before))
            .filter(|(_, (now, before))| now != before)
            .map(|(index, _)| index)
            .collect();
        match moved.as_slice() {
            [] if self.judged.is_none() => Ok(None),
            [] => Err(ReplayError::inconsistent("counted it for its interface only").into()),
            [index] => Ok(Some(words(*index).ok_or_else(|| {
                ReplayError::inconsistent(
                    "counted it under a reason that this program does not know",
                )
            })?)),
            _ => Err(ReplayError::inconsistent("counted it more than once").into()),
        }
    }

    /// Class and country of the tag that the packet left.
    fn tag(&self, flow: &Flow) -> Result<(u8, Country), Error> {
        let tag = self.gate.maps.flow(&FlowKey::of(flow))?;
        let tag = tag.ok_or_else(|| ReplayError::inconsistent("tagged it, and left no tag"))?;
        Ok((tag.class, Country::from_number(tag.country)))
    }
}

/// The verdict and the reason of a total.
fn words(index: usize) -> Option<(Verdict, Reason)> {
    Verdict::ALL
        .iter()
        .flat_map(|verdict| Reason::all().map(|reason| (*verdict, reason)))
        .find(|(verdict, reason)| total_index(*verdict, *reason) as usize == index)
}

impl Judge for Kernel {
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
        self.set_time(now_ns)?;
        let action = match test_run(self.gate.program()?, frame) {
            Err(KernelError::TestRun { octets, error }) if octets > SURELY => {
                return Ok(Outcome::Skipped(format!(
                    "the kernel takes no frame of {octets} octets: {error}"
                )));
            }
            action => action?,
        };
        let Some((verdict, reason)) = self.counted()? else {
            return match action {
                Action::Pass => Ok(Outcome::Untouched),
                Action::Drop | Action::Answer => {
                    Err(ReplayError::inconsistent("dropped it, and did not count it").into())
                }
            };
        };
        if (verdict == Verdict::Refused) != (action != Action::Pass) {
            return Err(ReplayError::inconsistent("counted one thing and did another").into());
        }
        let tag = match verdict {
            Verdict::Tagged => Some(self.tag(flow)?),
            Verdict::Passed | Verdict::Refused | Verdict::Observed | Verdict::Unparsed => None,
        };
        Ok(Outcome::Judged(Judgement {
            verdict,
            reason,
            tag,
        }))
    }
}

#[cfg(test)]
mod tests {
    use gate_common::{Shape, abi};

    use super::*;

    #[test]
    fn totals_have_the_words_that_they_are_counted_under() {
        let index = total_index(Verdict::Unparsed, Reason::Shape(Shape::TinyFragment));
        let expected = (Verdict::Unparsed, Reason::Shape(Shape::TinyFragment));
        assert_eq!(words(index as usize), Some(expected));
        let known = (0..abi::TOTALS as usize).filter_map(words).count();
        assert_eq!(known, Verdict::ALL.len() * Reason::all().count());
        assert_eq!(words(abi::TOTALS as usize), None);
    }
}
