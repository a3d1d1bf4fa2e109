//! More packets than any client sends, each of them counted.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;

use super::{NetNs, wiring::UPLINK};
use crate::{exec, pin, test_run};

/// How many packets are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Some thousand a second, at the most, so that there is one at any moment and nothing else is slower for it.
    Trickle,
    /// So many that each can be followed to where it comes out.
    Even,
    /// As many as a processor sends while others have their share of it: millions a second.
    Torrent,
}

impl Force {
    /// How many copies of a frame are sent in a turn. Between two turns the kernel waits for a grace period: that is when a lab
    /// of two processors does everything else.
    const fn copies(self) -> u32 {
        match self {
            Self::Trickle => 64,
            Self::Even => 8192,
            Self::Torrent => 64 * 8192,
        }
    }

    /// How long to wait between two turns beside that.
    const fn pause(self) -> Duration {
        match self {
            Self::Trickle => Duration::from_millis(5),
            Self::Even | Self::Torrent => Duration::ZERO,
        }
    }

    /// The most turns of one flood: some minutes.
    const fn turns(self) -> usize {
        match self {
            Self::Trickle => 100_000,
            Self::Even | Self::Torrent => 10_000,
        }
    }
}

/// Sends copies of TCP segments from a link until it is told to stop, and at its limit in any case. Each has by chance one
/// of two thousand source addresses in either half of its family, none of which is of special use, and a source port of its
/// own.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    progress: Progress,
    thread: Option<JoinHandle<Result<()>>>,
}

/// How many segments a flood tried to send so far.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The number.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Flood {
    pub(super) fn start(netns: &NetNs, frames: Vec<Vec<u8>>, force: Force) -> Result<Self> {
        ensure!(!frames.is_empty(), "nothing to send");
        let stop = Arc::new(AtomicBool::new(false));
        let progress = Progress::default();
        let (seen, count) = (Arc::clone(&stop), progress.clone());
        let senders = frames
            .into_iter()
            .map(|frame| Ok((sender(&frame)?, frame)))
            .collect::<Result<Vec<_>>>()?;
        let thread = netns.spawn(move || {
            let interface = if_nametoindex(UPLINK)?;
            let copies = force.copies();
            for (program, frame) in senders.iter().cycle().take(force.turns()) {
                if seen.load(Ordering::Relaxed) {
                    break;
                }
                test_run::send_live(program.as_fd(), interface, frame, copies)?;
                count.0.fetch_add(copies.into(), Ordering::Relaxed);
                thread::sleep(force.pause());
            }
            Ok(())
        });
        Ok(Self {
            stop,
            progress,
            thread: Some(thread),
        })
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the flood has ended")?;
        match thread.join() {
            Ok(outcome) => outcome.context("the flood failed"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever wanted its result has called `stop`.
            let _ = thread.join();
        }
    }
}

/// How many frames of floods from `netns` its link took, by the link's own count: what found no room at the other end is
/// not among them.
pub(super) fn sent(netns: &NetNs) -> Result<u64> {
    let mut ethtool = Command::new("ethtool");
    ethtool.args(["-S", UPLINK]);
    netns.contain(&mut ethtool);
    let text = exec::tool(&mut ethtool, "")?;
    let counts: Vec<u64> = text
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| name.starts_with("tx_queue_") && name.ends_with("_xdp_xmit"))
        .map(|(_, count)| count.parse())
        .collect::<Result<_, _>>()?;
    ensure!(
        !counts.is_empty(),
        "{UPLINK} does not say what it sent: {text}"
    );
    Ok(counts.iter().sum())
}

/// A program that makes each copy of `frame` another segment, and answers `XDP_TX`.
///
/// A copy is made once for many turns, and whoever forwards it writes into it, so that this puts back what a router
/// changes. The two halves of an IPv4 source are each other's complement: one checksum is right for all of them.
fn sender(frame: &[u8]) -> Result<OwnedFd> {
    const TX: u32 = 3;
    const RANDOM: u32 = 7;
    let at = |offset: usize| frame.get(offset).copied().unwrap_or(0);
    let half = |offset: usize| u32::from(u16::from_ne_bytes([at(offset), at(offset + 1)]));
    let code = |operation: u64, to: u64, from: u64, offset: u64, value: u32| {
        operation | to << 8 | from << 12 | offset << 16 | u64::from(value) << 32
    };
    let store8 = |offset: u16, value: u8| code(0x72, 2, 0, offset.into(), value.into());
    let store16 = |offset: u16, value: u32| code(0x6a, 2, 0, offset.into(), value);
    let store16_from = |offset: u16, from: u64| code(0x6b, 2, from, offset.into(), 0);
    let is_v4 = half(12) == u32::from(0x0800_u16.to_be());
    let (addresses, source_port) = if is_v4 {
        let addresses = vec![
            store8(22, at(22)),                                           // time to live
            store16(24, half(24)),                                        // checksum
            code(0xbf, 1, 8, 0, 0),                                       // r1 = r8
            code(0x57, 1, 0, 0, u16::from_ne_bytes([0x83, 0xff]).into()), // r1 &= 131.255
            code(0x47, 1, 0, 0, u16::from_ne_bytes([0x10, 0x00]).into()), // r1 |= 16.0
            store16_from(26, 1),
            code(0xa7, 1, 0, 0, 0xffff), // r1 ^= 255.255
            store16_from(28, 1),
        ];
        (addresses, 34)
    } else {
        let addresses = vec![
            store8(21, at(21)),                                           // hop limit
            code(0xbf, 1, 8, 0, 0),                                       // r1 = r8
            code(0x57, 1, 0, 0, u16::from_ne_bytes([0x08, 0x00]).into()), // r1 &= 0800
            code(0x47, 1, 0, 0, u16::from_ne_bytes([0x24, 0x00]).into()), // r1 |= 2400
            store16_from(22, 1),
            code(0x77, 8, 0, 0, 16),     // r8 >>= 16
            code(0x57, 8, 0, 0, 0x03ff), // r8 &= 0x3ff
            store16_from(24, 8),
        ];
        (addresses, 54)
    };
    let mac = u32::from_ne_bytes([at(0), at(1), at(2), at(3)]);
    let before = [
        code(0xbf, 6, 1, 0, 0),                          // r6 = r1
        code(0x85, 0, 0, 0, RANDOM),                     // r0 = bpf_get_prandom_u32()
        code(0xbf, 7, 0, 0, 0),                          // r7 = r0
        code(0x85, 0, 0, 0, RANDOM),                     // r0 = bpf_get_prandom_u32()
        code(0xbf, 8, 0, 0, 0),                          // r8 = r0
        code(0xb7, 0, 0, 0, TX),                         // r0 = XDP_TX
        code(0x61, 2, 6, 0, 0),                          // r2 = data
        code(0x61, 3, 6, 4, 0),                          // r3 = data_end
        code(0xbf, 4, 2, 0, 0),                          // r4 = r2
        code(0x07, 4, 0, 0, u32::from(source_port) + 2), // r4 += what is written
        code(0x2d, 4, 3, addresses.len() as u64 + 3, 0), // if r4 > r3, go to the end
        code(0x62, 2, 0, 0, mac),                        // *(u32 *)r2 = mac
        store16(4, half(4)),
    ];
    let after = [
        store16_from(source_port, 7),
        code(0x95, 0, 0, 0, 0), // exit
    ];
    pin::xdp_program(&[&before[..], &addresses, &after].concat())
}
