//! Frames over a link between two namespaces: what judges packets outside of BPF can be measured by nothing else.
//!
//! `BPF_PROG_TEST_RUN` with live frames sends them from one end, each with the next source address of a set. The kernel takes them in at
//! the other end on the same processor, before the next ones are made: a frame takes as long as its making, its way, and its judgement.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{
    TestRun as _, TestRunOptions,
    xdp::{XdpLinkId, XdpMode},
};
use gate_tests::{
    cpu, exec, interrupt,
    lab::{LabName, NetNs},
};
use gate_user::{sys::Map, table::Family};
use nix::net::if_::if_nametoindex;
use serde::Deserialize;

use super::{
    addresses::Set,
    kernel::{Kernel, Loaded, PLACE},
    layout::{Judged, PORT, Sender},
};

/// The interface of either end, in its own namespace.
pub(crate) const IN: &str = "in";
pub(crate) const OUT: &str = "out";
/// Where the sender runs, and so everything that comes of its frames.
const PROCESSOR: usize = 0;
/// How many frames are under way at a time: what a driver takes in one turn (`NAPI_POLL_WEIGHT`).
const BATCH: u32 = 64;
const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TARGET_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Two namespaces and the link.
pub(crate) struct Link {
    pub(crate) sender: NetNs,
    pub(crate) receiver: NetNs,
}

impl Link {
    pub(crate) fn new() -> Result<Self> {
        let name = LabName::fresh();
        let sender = NetNs::new(format!("{name}-sender"))?;
        let receiver = NetNs::new(format!("{name}-judge"))?;
        // With GRO the receiving end polls its queue, with or without a program of its own.
        sender.ip(&format!(
            "link add {OUT} address 02:00:00:00:00:01 type veth peer name {IN} address 02:00:00:00:00:02 netns {}\n\
             link set {OUT} addrgenmode none\n\
             link set {OUT} up\n",
            receiver.name()
        ))?;
        receiver.ip(&format!(
            "link set {IN} addrgenmode none\nlink set {IN} up\n"
        ))?;
        let mut ethtool = Command::new("ethtool");
        ethtool.args(["-K", IN, "gro", "on"]);
        receiver.contain(&mut ethtool);
        exec::tool(&mut ethtool, "")?;
        Ok(Self { sender, receiver })
    }

    /// How many frames the receiving end took in so far.
    fn arrived(&self) -> Result<u64> {
        #[derive(Deserialize)]
        struct Interface {
            stats64: Stats,
        }
        #[derive(Deserialize)]
        struct Stats {
            rx: Received,
        }
        #[derive(Deserialize)]
        struct Received {
            packets: u64,
        }
        let mut ip = Command::new("ip");
        ip.args([
            "-n",
            self.receiver.name(),
            "-json",
            "-stats",
            "link",
            "show",
            "dev",
            IN,
        ]);
        let interfaces: Vec<Interface> = serde_json::from_str(&exec::tool(&mut ip, "")?)?;
        let interface = interfaces.into_iter().next().context("no receiving end")?;
        Ok(interface.stats64.rx.packets)
    }
}

/// The end that sends.
pub(crate) struct Source {
    kernel: Kernel,
    state: Map,
}

impl Source {
    /// With room for so many addresses.
    pub(crate) fn new(object: &[u8], addresses: u32) -> Result<Self> {
        let mut kernel = Kernel::load(object, addresses, [])?;
        kernel.program(SEND)?;
        Ok(Self {
            state: kernel.map("SENDER")?,
            kernel,
        })
    }

    pub(crate) fn add(&mut self, set: &Set) -> Result<Loaded> {
        self.kernel.add(set)
    }

    /// Sends `count` frames from the interface of this name in `netns`, with the first `size` addresses of a set in turn, from the `first`
    /// one on. Returns how long each took, in nanoseconds.
    pub(crate) fn send(
        &mut self,
        netns: &NetNs,
        interface: &str,
        frame: &[u8],
        round: Round,
    ) -> Result<f64> {
        let Round {
            set,
            size,
            first,
            count,
        } = round;
        let start = Sender {
            base: set.base,
            mask: size - 1,
            cursor: first,
            header: header_sum(frame),
        };
        self.state
            .update(&0u32, &start)
            .context("cannot write where the sender begins")?;
        let kernel = &mut self.kernel;
        let took = netns.run(|| -> Result<Duration> {
            cpu::keep_to(PROCESSOR)?;
            // `struct xdp_md`: `data`, `data_end`, `data_meta`, `ingress_ifindex`, `rx_queue_index`, `egress_ifindex`.
            let context = [
                0,
                u32::try_from(frame.len())?,
                0,
                if_nametoindex(interface)?,
                0,
                0,
            ];
            let mut options = TestRunOptions::new();
            options.data_in = Some(frame);
            options.ctx_in = Some(bytemuck::bytes_of(&context));
            options.repeat = count;
            options.attrs = options.attrs.xdp_live_frames(BATCH);
            Ok(kernel.program(SEND)?.test_run(options)?.duration)
        })?;
        // A signal ends the run in the kernel: that is no failure of the program.
        interrupt::check()?;
        let took = took.context("cannot send live frames")?;
        let end: Sender = self
            .state
            .lookup(&0u32)?
            .context("the sender's map is empty")?;
        ensure!(
            end.cursor == first.wrapping_add(count),
            "{} frames were made and not {count}",
            end.cursor.wrapping_sub(first)
        );
        Ok(took.as_nanos() as f64)
    }
}

const SEND: &str = "live_send";

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) set: Loaded,
    pub(crate) size: u32,
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// Sends over the link, and makes sure that every frame arrived.
pub(crate) fn send(link: &Link, source: &mut Source, family: Family, round: Round) -> Result<f64> {
    let before = link.arrived()?;
    let took = source.send(&link.sender, OUT, &frame(family), round)?;
    let arrived = link.arrived()?.saturating_sub(before);
    ensure!(
        arrived >= round.count.into(),
        "{arrived} of {} frames arrived: no figure of this run counts",
        round.count
    );
    Ok(took)
}

/// A datagram to [`PORT`], without a source address.
pub(crate) fn frame(family: Family) -> Vec<u8> {
    let port = PORT.to_be_bytes();
    let datagram = [port, port, 8u16.to_be_bytes(), [0; 2]].concat();
    let mut frame = [TARGET_MAC, SOURCE_MAC].concat();
    match family {
        Family::V4 => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
            frame.extend([0; 4]);
            frame.extend([192, 0, 2, 1]);
        }
        Family::V6 => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
            frame.extend([0; 16]);
            frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
    }
    frame.extend(datagram);
    frame
}

/// The sum of the words of an IPv4 header without source and checksum, which the sender writes.
fn header_sum(frame: &[u8]) -> u32 {
    let header = frame.get(14..34).unwrap_or_default();
    let words = header.chunks_exact(2).enumerate();
    words
        .filter(|(index, _)| ![5, 6, 7].contains(index))
        .map(|(_, word)| {
            word.iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
        .sum()
}

/// A program of ours at the receiving end.
pub(crate) struct Attached<'a> {
    kernel: &'a mut Kernel,
    name: String,
    link: Option<XdpLinkId>,
}

impl<'a> Attached<'a> {
    pub(crate) fn new(kernel: &'a mut Kernel, link: &Link, name: &str) -> Result<Self> {
        let program = kernel.program(name)?;
        let attached = link
            .receiver
            .run(|| program.attach(IN, XdpMode::Driver))?
            .with_context(|| format!("cannot attach {name}"))?;
        Ok(Self {
            kernel,
            name: name.to_owned(),
            link: Some(attached),
        })
    }

    /// The programs and maps.
    pub(crate) fn kernel(&self) -> &Kernel {
        self.kernel
    }

    /// Counts from here on; `expected` is the right answer to all.
    pub(crate) fn reset(&self, expected: u32) -> Result<()> {
        let judged = Judged {
            place: PLACE,
            expected,
            ..Judged::default()
        };
        Ok(self.kernel.map("JUDGED")?.update(&0u32, &judged)?)
    }

    pub(crate) fn judged(&self) -> Result<Judged> {
        let judged: Option<Judged> = self.kernel.map("JUDGED")?.lookup(&0u32)?;
        judged.context("the map of what was judged is empty")
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if let (Ok(program), Some(link)) = (self.kernel.program(&self.name), self.link.take()) {
            // It goes with the namespace in any case.
            let _ = program.detach(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_header_makes_its_checksum() {
        // The example of RFC 1071 on a header: all words and the checksum add up to ffff.
        let mut frame = frame(Family::V4);
        let source = 0xc633_6407_u32;
        let mut sum = header_sum(&frame) + (source >> 16) + (source & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        frame[26..30].copy_from_slice(&source.to_be_bytes());
        frame[24..26].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
        let (header, _) = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
    }

    #[test]
    fn frames_have_their_port_where_it_is_looked_for() {
        for (family, at) in [(Family::V4, 36), (Family::V6, 56)] {
            let frame = frame(family);
            assert_eq!(frame[at..at + 2], PORT.to_be_bytes());
            assert_eq!(frame.len(), at + 6);
        }
    }
}
