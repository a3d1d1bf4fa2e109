//! `BPF_PROG_TEST_RUN` of XDP programs and of those of traffic control (`Documentation/bpf/bpf_prog_run.rst`).

use std::{
    os::fd::{AsRawFd as _, BorrowedFd},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::time::TimeValLike as _,
    time::{ClockId, clock_gettime},
};

use crate::pin::{PROG_TEST_RUN, command};

/// What came of many runs on one frame.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// The answer to the last one.
    pub action: u32,
    /// The processor's time that this thread took for all of them.
    pub time: Duration,
}

/// Runs `program` so many times on one copy of `frame`, which is what the run before left of it, as if it arrived at the interface
/// with this index of this thread's network namespace.
pub fn repeat(program: BorrowedFd<'_>, interface: u32, frame: &[u8], times: u32) -> Result<Runs> {
    many(program, &context(frame, interface)?, frame, times)
}

/// The same for a program of traffic control. The frame has no metadata before it, and the skb mark is 0 before the first run.
pub fn repeat_tc(
    program: BorrowedFd<'_>,
    interface: u32,
    frame: &[u8],
    times: u32,
) -> Result<Runs> {
    /// Where `ifindex` is in `struct __sk_buff`, in words.
    const IFINDEX: usize = 10;
    let mut context = [0; IFINDEX + 1];
    context[IFINDEX] = interface;
    many(program, &context, frame, times)
}

fn many(program: BorrowedFd<'_>, context: &[u32], frame: &[u8], times: u32) -> Result<Runs> {
    // Room for an answer that is longer than its cause.
    let mut out = vec![0_u8; frame.len() + 256];
    let mut attributes = TestRun::new(program, frame, times)?;
    attributes.out_length = u32::try_from(out.len())?;
    attributes.out = out.as_mut_ptr() as u64;
    attributes.context_length = u32::try_from(size_of_val(context))?;
    attributes.context = context.as_ptr() as u64;
    let start = processor_time()?;
    command(PROG_TEST_RUN, &mut attributes).context("BPF_PROG_TEST_RUN")?;
    Ok(Runs {
        action: attributes.answer,
        time: processor_time()?.saturating_sub(start),
    })
}

/// Sends `frame` so many times out of the device with index `interface`, each copy once through `program`, which has to
/// answer `XDP_TX`.
pub fn send_live(program: BorrowedFd<'_>, interface: u32, frame: &[u8], copies: u32) -> Result<()> {
    /// `BPF_F_TEST_XDP_LIVE_FRAMES`
    const LIVE_FRAMES: u32 = 1 << 1;
    let mut attributes = TestRun::new(program, frame, copies)?;
    let context = context(frame, interface)?;
    attributes.context_length = u32::try_from(size_of_val(&context))?;
    attributes.context = context.as_ptr() as u64;
    attributes.flags = LIVE_FRAMES;
    // What a driver takes from the other end in one turn (`NAPI_POLL_WEIGHT`).
    attributes.batch = 64;
    command(PROG_TEST_RUN, &mut attributes)
        .map(drop)
        .context("BPF_PROG_TEST_RUN with live frames")
}

/// The processor's time that this thread has taken.
pub fn processor_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .context("cannot read this thread's clock")?;
    Ok(Duration::from_nanos(
        time.num_nanoseconds().try_into().unwrap_or_default(),
    ))
}

/// `struct xdp_md`: `data`, `data_end`, `data_meta`, `ingress_ifindex`, `rx_queue_index`, `egress_ifindex`.
fn context(frame: &[u8], interface: u32) -> Result<[u32; 6]> {
    Ok([0, u32::try_from(frame.len())?, 0, interface, 0, 0])
}

#[repr(C)]
struct TestRun {
    program: i32,
    answer: u32,
    frame_length: u32,
    out_length: u32,
    frame: u64,
    out: u64,
    repeat: u32,
    duration: u32,
    context_length: u32,
    context_out_length: u32,
    context: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

impl TestRun {
    fn new(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<Self> {
        Ok(Self {
            program: program.as_raw_fd(),
            answer: 0,
            frame_length: u32::try_from(frame.len())?,
            out_length: 0,
            frame: frame.as_ptr() as u64,
            out: 0,
            repeat,
            duration: 0,
            context_length: 0,
            context_out_length: 0,
            context: 0,
            context_out: 0,
            flags: 0,
            cpu: 0,
            batch: 0,
            padding: 0,
        })
    }
}
