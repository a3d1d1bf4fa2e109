//! Answers that failed to leave.
//!
//! The XDP program asks for a frame to be sent back, and never hears whether it was. The kernel says so at two tracepoints, where these
//! programs count for the interfaces that the loader made entries for. Frames that other people's programs send from other interfaces
//! come by here too, and are looked up in vain.

use aya_ebpf::{
    bindings::xdp_action, helpers::bpf_probe_read_kernel, macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use gate_common::abi::{DeviceKey, KernelLayout};

use crate::{maps, words};

/// A `struct net_device` of the kernel.
type NetDevice = *const u8;

/// Written by the loader before the programs are loaded. Not mutable, so that it is in a map that the loader freezes.
#[unsafe(no_mangle)]
static KERNEL_LAYOUT: KernelLayout = KernelLayout {
    device_index: 0,
    device_netns: 0,
    netns_number: 0,
};

/// `xdp_bulk_tx(const struct net_device *dev, int sent, int drops, int err)`: a driver has tried to send what XDP programs sent back
/// in one poll.
#[raw_tracepoint(tracepoint = "xdp_bulk_tx")]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn xdp_bulk_tx(ctx: RawTracePointContext) -> i32 {
    let drops: u32 = ctx.arg(2);
    if drops > 0 {
        count(ctx.arg(0), drops.into());
    }
    0
}

/// `xdp_exception(const struct net_device *dev, const struct bpf_prog *xdp, u32 act)`: a driver or the stack could not do with one frame
/// what an XDP program wanted.
#[raw_tracepoint(tracepoint = "xdp_exception")]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn xdp_exception(ctx: RawTracePointContext) -> i32 {
    let action: u32 = ctx.arg(2);
    if action == xdp_action::XDP_TX {
        count(ctx.arg(0), 1);
    }
    0
}

/// Counts frames that failed to leave by `device`.
#[inline(always)]
fn count(device: NetDevice, frames: u64) {
    let Some(key) = key(device) else {
        return;
    };
    if let Some(count) = maps::UNSENT.get_ptr_mut(key) {
        // SAFETY: the map's word, which every CPU only adds to atomically.
        words::add(unsafe { &mut *count }, frames);
    }
}

#[inline(always)]
fn key(device: NetDevice) -> Option<DeviceKey> {
    // SAFETY: a static of this program. Volatile, since the loader has written it after the compiler saw it.
    let layout = unsafe { (&raw const KERNEL_LAYOUT).read_volatile() };
    let netns: *const u8 = read(device, layout.device_netns)?;
    Some(DeviceKey {
        netns: read(netns, layout.netns_number)?,
        index: read(device, layout.device_index)?,
    })
}

/// What the kernel has at `offset` of one of its structures.
#[inline(always)]
fn read<T>(structure: *const u8, offset: u32) -> Option<T> {
    let field = structure.wrapping_add(offset as usize).cast();
    // SAFETY: the helper checks the address, and fails where nothing can be read.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}
