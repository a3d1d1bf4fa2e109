//! The program in the kernel: an instance of its own, attached to nothing and pinned nowhere.
//!
//! The program answers whether a packet goes on; why is what it counted. Nobody else counts in these maps, so that the one
//! total that moved is that of the packet. Reading all totals takes longer than all the rest: where packets arrive at one interface only, it is
//! done when the counter of that says that the packet was judged at all.

use gate_common::{
    Flow, Reason, Verdict,
    abi::{FlowKey, FlowTag, Packets, total_index},
};

use crate::{
    error::{Error, Exit},
    kernel::{Action, Gate, KernelError, Maps, test_run_at},
};

/// What an instance of the program does that it never should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program in the kernel {what}")]
pub struct InstanceError {
    /// In these words.
    pub what: &'static str,
}

impl InstanceError {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what }
    }

    /// The exit code of a command that fails so.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        Exit::Failed
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "this is a fault of the gate: report it with what it was asked about; `gate replay --engine host` decides without the kernel"
            .to_owned()
    }
}

/// A loaded program with a generation in force.
pub(crate) struct Instance {
    gate: Gate,
    /// The counter of the interface that packets arrive at, and what it says so far, by CPU; nothing if there are several.
    judged: Option<(u32, Vec<Packets>)>,
    /// The totals so far.
    totals: Vec<u64>,
}

/// What came of a frame.
pub(crate) struct Ran {
    /// What the program wants done with it.
    pub(crate) action: Action,
    /// What it was counted as; nothing if the gate has no business with it.
    pub(crate) judged: Option<(Verdict, Reason)>,
}

impl Instance {
    /// Of a program whose maps are filled; `counter` is that of the interface that all packets arrive at, if there is one such.
    pub(crate) fn new(gate: Gate, counter: Option<u32>) -> Result<Self, KernelError> {
        Ok(Self {
            judged: match counter {
                Some(counter) => Some((counter, gate.maps.counter(counter)?)),
                None => None,
            },
            totals: gate.maps.totals()?,
            gate,
        })
    }

    /// Its maps.
    pub(crate) const fn maps(&self) -> &Maps {
        &self.gate.maps
    }

    /// Runs a frame as if it had come in by the interface with this index.
    pub(crate) fn run(&mut self, frame: &[u8], interface: u32) -> Result<Ran, Error> {
        let action = test_run_at(self.gate.program()?, frame, interface)?;
        let judged = self.counted()?;
        match judged {
            None if action != Action::Pass => {
                Err(InstanceError::new("dropped a packet, and did not count it").into())
            }
            Some((verdict, _)) if (verdict == Verdict::Refused) != (action != Action::Pass) => {
                Err(InstanceError::new("counted one thing and did another").into())
            }
            judged => Ok(Ran { action, judged }),
        }
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
            [] => Err(InstanceError::new("counted a packet for its interface only").into()),
            [index] => Ok(Some(words(*index).ok_or(InstanceError::new(
                "counted a packet under a reason that this program does not know",
            ))?)),
            _ => Err(InstanceError::new("counted a packet more than once").into()),
        }
    }

    /// The tag that a packet of this flow left.
    pub(crate) fn tag(&self, flow: &Flow) -> Result<FlowTag, Error> {
        let tag = self.gate.maps.flow(&FlowKey::of(flow))?;
        Ok(tag.ok_or(InstanceError::new("tagged a packet, and left no tag"))?)
    }
}

/// The verdict and the reason of a total.
fn words(index: usize) -> Option<(Verdict, Reason)> {
    Verdict::ALL
        .iter()
        .flat_map(|verdict| Reason::all().map(|reason| (*verdict, reason)))
        .find(|(verdict, reason)| total_index(*verdict, *reason) as usize == index)
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
