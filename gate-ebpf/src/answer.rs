//! Answers to refused clients, made out of the frame where it lies and sent back the way it came.

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers,
};
use gate_common::{
    Answer, Answered, Flow,
    answer::{self, Edit, QUOTE},
    decide::Decision,
    parse::Frame,
};

use crate::{
    DROP, maps,
    packet::{Far, SCRATCH},
    tables::Generation,
};

/// How many octets of a quoted packet are read at a time.
const CHUNK: usize = SCRATCH;

/// What is to be done about a refused packet: [`DROP`], or an order for [`gate_answer`].
#[inline(always)]
pub(crate) fn order(decision: &Decision, tables: &Generation, monotonic_ns: u64) -> u32 {
    match answer::due(decision, tables, monotonic_ns) {
        None => DROP,
        Some(Ok(answer)) => (answer as u32) << 8 | tables.slot() << 16,
        Some(Err(why_not)) => {
            count(why_not);
            DROP
        }
    }
}

#[inline(always)]
fn count(answered: Answered) {
    if let Some(count) = maps::ANSWERS.get_ptr_mut(answered as u32) {
        // SAFETY: this CPU's own word, and XDP programs do not interrupt one another on a CPU.
        unsafe { *count += 1 };
    }
}

/// Makes the frame into an answer as `order` says, and returns what becomes of it: an XDP action. A global function, so that the
/// verifier proves this part once.
///
/// # Safety
///
/// `ctx` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) unsafe extern "C" fn gate_answer(ctx: *mut xdp_md, flow: *mut Flow, order: u32) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return xdp_action::XDP_DROP;
    };
    let Some([settings]) = maps::SETTINGS.get_value(order >> 16, &0) else {
        return xdp_action::XDP_DROP;
    };
    let from = answer::source(settings, flow);
    let mut frame = Editable::new(ctx);
    let answer = if order >> 8 & 0xff == Answer::Prohibited as u32 {
        Answer::Prohibited
    } else {
        Answer::Reset
    };
    let outcome = answer::make(&mut frame, flow, answer, from);
    let (Ok(answered) | Err(answered)) = outcome;
    count(answered);
    if outcome.is_ok() {
        xdp_action::XDP_TX
    } else {
        xdp_action::XDP_DROP
    }
}

/// The frame, through the kernel's helpers, which know every buffer of it.
pub(crate) struct Editable(Far);

impl Editable {
    #[inline(always)]
    pub(crate) const fn new(ctx: *mut xdp_md) -> Self {
        Self(Far::new(ctx))
    }
}

impl Frame for Editable {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.read(offset)
    }
}

impl Edit for Editable {
    #[inline(always)]
    fn sum(&self, offset: usize, length: usize) -> Option<u64> {
        let mut sum = 0;
        for start in (0..QUOTE).step_by(CHUNK) {
            if start >= length {
                break;
            }
            let words = self.0.load(offset + start, (length - start).min(CHUNK))?;
            for word in words {
                let word = u64::from_be(word);
                sum += answer::sum(answer::halves(word));
            }
        }
        Some(sum)
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        self.0.store(offset, bytes)
    }

    #[inline(always)]
    fn put_words<const N: usize>(&mut self, offset: usize, words: [u32; N]) -> Option<()> {
        self.0.store(offset, words.map(u32::to_be))
    }

    #[inline(always)]
    fn insert(&mut self, offset: usize, length: usize) -> Option<()> {
        let delta = i32::try_from(length).ok()?;
        // SAFETY: the helper moves the beginning of the frame, or fails; nothing points into the frame.
        let moved = unsafe { helpers::generated::bpf_xdp_adjust_head(self.0.ctx(), -delta) };
        if moved != 0 {
            return None;
        }
        self.0.copy(length, 0, offset)
    }

    #[inline(always)]
    fn resize(&mut self, length: usize) -> Option<()> {
        let length = i32::try_from(length).ok()?;
        // SAFETY: the helper reads the context.
        let now = unsafe { helpers::generated::bpf_xdp_get_buff_len(self.0.ctx()) };
        let now = i32::try_from(now).ok()?;
        // SAFETY: the helper moves the end of the frame, or fails; nothing points into the frame.
        let moved = unsafe { helpers::generated::bpf_xdp_adjust_tail(self.0.ctx(), length - now) };
        (moved == 0).then_some(())
    }
}
