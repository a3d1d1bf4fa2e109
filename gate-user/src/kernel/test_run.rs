//! A frame through the program without a network: `BPF_PROG_TEST_RUN` (`Documentation/bpf/bpf_prog_run.rst`).

use std::{fmt, io};

use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};

use super::KernelError;

/// The shortest frame that the kernel takes: an Ethernet header (`ETH_HLEN`).
pub const SHORTEST: usize = 14;
/// The index of the loopback device, the first of every network namespace. Frames are run as if they had come in there: the
/// kernel wants a device that has a receive queue.
pub const LOOPBACK: u32 = 1;

/// What the program wants done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`.
    Pass,
    /// `XDP_TX`: the frame is an answer now, and goes back.
    Answer,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "XDP_DROP",
            Self::Pass => "XDP_PASS",
            Self::Answer => "XDP_TX",
        })
    }
}

/// Runs one frame, as if it had come in by [`LOOPBACK`].
pub fn test_run(program: &Xdp, frame: &[u8]) -> Result<Action, KernelError> {
    test_run_at(program, frame, LOOPBACK)
}

/// Runs one frame, as if it had come in by the device with this index, of this network namespace.
pub fn test_run_at(program: &Xdp, frame: &[u8], interface: u32) -> Result<Action, KernelError> {
    Ok(run(program, frame, interface, None)?.0)
}

/// Runs one frame and writes what has become of it into `out`, as far as there is room; also says how long it is then.
pub fn test_run_into(
    program: &Xdp,
    frame: &[u8],
    out: &mut [u8],
) -> Result<(Action, usize), KernelError> {
    run(program, frame, LOOPBACK, Some(out))
}

fn run(
    program: &Xdp,
    frame: &[u8],
    interface: u32,
    out: Option<&mut [u8]>,
) -> Result<(Action, usize), KernelError> {
    let failed = |error| KernelError::TestRun {
        octets: frame.len(),
        error,
    };
    let length = u32::try_from(frame.len()).map_err(|it| failed(io::Error::other(it)))?;
    let context = context(length, interface);
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.data_out = out;
    options.ctx_in = Some(&context);
    let result = program.test_run(options).map_err(|error| {
        failed(if let ProgramError::SyscallError(error) = error {
            error.io_error
        } else {
            io::Error::other(error)
        })
    })?;
    let action = match result.return_value {
        1 => Action::Drop,
        2 => Action::Pass,
        3 => Action::Answer,
        other => {
            return Err(failed(io::Error::other(format!(
                "the program answered {other}, which is none of XDP_DROP, XDP_PASS and XDP_TX"
            ))));
        }
    };
    Ok((action, result.data_size_out as usize))
}

/// `struct xdp_md`: `data`, `data_end`, `data_meta`, `ingress_ifindex`, `rx_queue_index`, `egress_ifindex`.
fn context(length: u32, interface: u32) -> Vec<u8> {
    [0, length, 0, interface, 0, 0]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect()
}
