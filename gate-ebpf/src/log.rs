//! A line for every judged packet, for debugging.

use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use gate_common::{Flow, decide::Decision};

/// Logs the verdict about a packet: the numbers of verdict, reason and class, the two words of the source address, and
/// the destination port. No destination: what a subscriber talks to is nobody's business, not even here.
#[inline(always)]
pub(crate) fn judged(ctx: &XdpContext, flow: &Flow, decision: &Decision) {
    info!(
        ctx,
        "verdict {} reason {} class {} source {:x} {:x} port {}",
        decision.verdict as u8,
        decision.reason.number(),
        decision.class,
        flow.src.hi,
        flow.src.lo,
        flow.dport,
    );
}
