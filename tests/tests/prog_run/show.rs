//! How classes show: what the programs write into frames and before them, and which skb marks come of it. Frames are compared octet
//! by octet with those that a library writes that the gate does not use, checksums included.

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use gate_common::{
    Shown,
    abi::{State as Word, maps},
};
use gate_tests::packets::{self, DOT1AD, DOT1Q, Ethernet, Packet, V4, V6, flag, protocol};
use gate_user::kernel::{Gate, Look, test_run_into};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::Configuration,
    kernel::{Action, LOOPBACK, map_of, object},
    rows::Side,
};

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial("show: a new connection shows its class", opening),
        bench.trial("show: every packet, and bleaching", every),
        bench.trial("show: frames in several buffers", large),
        bench.trial("show: what no class is about stays as it is", untouched),
        bench.trial("show: the skb mark from metadata and by look-up", marks),
    ]
}

pub(crate) const SERVER: &str = "192.0.2.1";
pub(crate) const SERVER_6: &str = "2001:db8:587::1";
/// Sources of the classes `domestic`, `high-spam`, `unknown` and `foreign`.
pub(crate) const HOME: [&str; 2] = ["198.51.100.65", "2001:db8:8100::1"];
pub(crate) const SPAM: [&str; 2] = ["198.51.100.193", "2001:db8:8200::1"];
pub(crate) const UNKNOWN: [&str; 2] = ["192.0.2.200", "2001:db8:9000::1"];
pub(crate) const ABROAD: [&str; 2] = ["198.51.100.7", "2001:db8:8000::7"];

/// AF43 and LE (RFC 2597 section 6, RFC 8622 section 3), written down by hand.
pub(crate) const AF43: u8 = 38;
pub(crate) const LE: u8 = 1;
/// "gate" without its end, and the version of the layout.
pub(crate) const MAGIC: u32 = 0x6761_7401;

/// A program with maps of its own, and one of the configurations in force.
pub(crate) struct Shower(pub(crate) Gate);

impl Shower {
    pub(crate) fn new(configuration: Configuration) -> Result<Self> {
        let plan = configuration.plan(None)?;
        let mut gate = Gate::private_looking(&object()?, Look::of(&plan.settings))?;
        let index = |name: &str| Some(Side::Uplink.index_of(name));
        let prepared = gate.maps.prepare(&plan, &index, None)?;
        gate.maps.activate(&prepared)?;
        gate.program()?;
        Ok(Self(gate))
    }

    /// What becomes of a frame: the metadata before it, and the frame.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<(Option<[u32; 3]>, Vec<u8>)> {
        let mut out = vec![0; frame.len() + 64];
        let (action, length) = test_run_into(self.0.program()?, frame, &mut out)?;
        ensure!(action == Action::Pass, "{action}");
        out.truncate(length);
        let Some(before) = length.checked_sub(frame.len()).filter(|it| *it > 0) else {
            return Ok((None, out));
        };
        let frame = out.split_off(before);
        let words: Vec<u32> = out
            .as_chunks()
            .0
            .iter()
            .map(|it| u32::from_ne_bytes(*it))
            .collect();
        let words = words.try_into().ok().context("other metadata")?;
        Ok((Some(words), frame))
    }

    pub(crate) fn shown(&self, shown: Shown) -> Result<u64> {
        Ok(self.0.maps.shown(shown)?)
    }
}

fn packet(source: &str, service: u8, segment: &[u8]) -> Result<Packet> {
    Ok(if source.contains(':') {
        V6::new(source.parse()?, SERVER_6.parse()?)
            .service(service)
            .tcp(segment)
    } else {
        V4::new(source.parse()?, SERVER.parse()?)
            .service(service)
            .tcp(segment)
    })
}

fn links() -> [Ethernet; 3] {
    [
        Ethernet::new(),
        Ethernet::new().tag(DOT1Q, 100),
        Ethernet::new().tag(DOT1AD, 200).tag(DOT1Q, 100),
    ]
}

/// `frame` comes out with this code point and the ECN bits that it had, and with this mark before it.
fn shows(
    shower: &mut Shower,
    source: &str,
    segment: &[u8],
    mark: u32,
    dscp: Option<u8>,
) -> Result<()> {
    for service in [0, 0x01, 0x02, 0x03, 0x23, 0xff, AF43 << 2 | 1] {
        let expected = dscp.map_or(service, |dscp| dscp << 2 | service & 3);
        for link in links() {
            let frame = link.carry(&packet(source, service, segment)?);
            let (metadata, out) = shower.run(&frame)?;
            let wanted = link.carry(&packet(source, expected, segment)?);
            ensure!(
                out == wanted,
                "{source}, {service:#x}: {out:02x?}, not {wanted:02x?}"
            );
            let wanted = (mark != 0).then_some([MAGIC, mark, 0xff]);
            ensure!(
                metadata == wanted,
                "{source}, {service:#x}: {metadata:x?}, not {wanted:x?}"
            );
        }
    }
    Ok(())
}

fn opening(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::Tags)?;
    ensure!(shower.0.look() == Look::Opening, "it looks at every packet");
    let syn = packets::tcp(40_000, 587, flag::SYN);
    let later = packets::tcp(40_000, 587, flag::ACK);
    for (sources, mark, dscp) in [
        (HOME, 0x10, None),
        (SPAM, 0, Some(LE)),
        (UNKNOWN, 0, None),
        (ABROAD, 0x21, Some(AF43)),
    ] {
        for source in sources {
            shows(&mut shower, source, &syn, mark, dscp)?;
            shows(&mut shower, source, &later, 0, None)?;
        }
    }
    // Two families, seven services, three links: two classes have a code point, and two a mark.
    ensure!(shower.shown(Shown::Dscp)? == 2 * 42, "DSCPs written");
    ensure!(shower.shown(Shown::Metadata)? == 2 * 42, "marks handed on");
    Ok(())
}

fn every(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::TagsEvery)?;
    ensure!(
        shower.0.look() == Look::Every,
        "it looks at opening packets only"
    );
    let syn = packets::tcp(40_000, 465, flag::SYN);
    for (sources, mark, dscp) in [
        (HOME, 0x10, 0),
        (SPAM, 0, LE),
        (UNKNOWN, 0, 0),
        (ABROAD, 0x21, AF43),
    ] {
        for source in sources {
            shows(&mut shower, source, &syn, mark, Some(dscp))?;
            for flags in [flag::ACK, flag::ACK | flag::PSH, flag::FIN | flag::ACK] {
                let segment = packets::trail(packets::tcp(40_000, 465, flags), &[0x55; 700]);
                shows(&mut shower, source, &segment, 0, Some(dscp))?;
                // Of a connection that has no tag, the address says it.
                let segment = packets::tcp(40_001, 465, flags);
                shows(&mut shower, source, &segment, 0, Some(dscp))?;
            }
        }
    }
    ensure!(shower.shown(Shown::Bleached)? > 0, "nothing was bleached");
    // The tag goes before the address: it is what was decided.
    let (address, other) = (SPAM[0], packets::tcp(40_002, 465, flag::ACK));
    shows(&mut shower, address, &other, 0, Some(LE))?;
    let syn = packets::tcp(40_002, 465, flag::SYN);
    shows(&mut shower, address, &syn, 0, Some(LE))?;
    Ok(())
}

/// What fits into the first buffer of a frame in a test run is less than a page of 4096 octets; the last ones have fifteen more buffers.
fn large(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::TagsEvery)?;
    for length in [3000, 3500, 4096, 9000, 60_000] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        for flags in [flag::SYN, flag::ACK] {
            let segment = packets::trail(packets::tcp(40_000, 587, flags), &payload);
            let mark = |mark| if flags == flag::SYN { mark } else { 0 };
            for (sources, mark, dscp) in [(HOME, mark(0x10), 0), (ABROAD, mark(0x21), AF43)] {
                for source in sources {
                    shows(&mut shower, source, &segment, mark, Some(dscp))
                        .with_context(|| format!("{length} octets"))?;
                }
            }
        }
    }
    Ok(())
}

fn untouched(_: &mut State) -> Result<()> {
    for configuration in [Configuration::Tags, Configuration::TagsEvery] {
        let mut shower = Shower::new(configuration)?;
        let [source, source_6] = ABROAD;
        let syn = |port| packets::tcp(40_000, port, flag::SYN);
        let elsewhere = V4::new(source.parse()?, "192.0.2.2".parse()?).service(0xb8);
        let elsewhere_6 = V6::new(source_6.parse()?, SERVER_6.parse()?).service(0xb8);
        let inner = packet(source, 0xb8, &syn(587))?;
        let frames = [
            // No server of ours, another port, the other direction, another protocol.
            Ethernet::new().carry(&elsewhere.clone().tcp(&syn(587))),
            Ethernet::new().carry(&packet(source, 0xb8, &syn(80))?),
            Ethernet::new().carry(&packet(
                source,
                0xb8,
                &packets::tcp(587, 40_000, flag::ACK),
            )?),
            Ethernet::new().carry(&elsewhere_6.carry(protocol::UDP, &packets::udp(40_000, 587, 8))),
            // What is in a tunnel: the header outside is not the connection's.
            Ethernet::new().carry(&elsewhere.carry(protocol::IPV4, &inner.bytes)),
        ];
        for frame in frames {
            let (_, out) = shower.run(&frame)?;
            ensure!(out == frame, "{out:02x?}, not {frame:02x?}");
        }
        ensure!(shower.shown(Shown::Tunnelled)? == 1, "the tunnel");
        let written = [Shown::Dscp, Shown::Bleached, Shown::Unwritten];
        for shown in written {
            ensure!(shower.shown(shown)? == 0, "{shown}");
        }
    }
    Ok(())
}

/// `struct __sk_buff` of `include/uapi/linux/bpf.h`, in words of 32 bits: where the mark is and the index of the interface, and how many there are.
const MARK: usize = 2;
const INDEX: usize = 10;
const WORDS: usize = 48;

/// The mark that a packet has behind the program, which came with `mark`; what the program returned must hand it on.
pub(crate) fn marked(marker: &SchedClassifier, frame: &[u8], mark: u32) -> Result<u32> {
    let mut words = [0u32; WORDS];
    words[MARK] = mark;
    words[INDEX] = LOOPBACK;
    let context: Vec<u8> = words.iter().flat_map(|it| it.to_ne_bytes()).collect();
    let mut after = vec![0; context.len()];
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.ctx_in = Some(&context);
    options.ctx_out = Some(&mut after);
    let result = marker.test_run(options)?;
    ensure!(
        result.return_value == u32::MAX,
        "the program returned {}: others would not see the packet",
        result.return_value
    );
    let word = after.as_chunks().0.get(MARK).context("a short context")?;
    Ok(u32::from_ne_bytes(*word))
}

fn marks(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::Tags)?;
    let syn = packets::tcp(40_000, 587, flag::SYN);
    let syn_25 = packets::tcp(40_000, 25, flag::SYN);
    let later = packets::tcp(40_000, 587, flag::ACK);
    let cases = [
        (HOME, &syn, Some(0x10)),
        (SPAM, &syn, None),
        (UNKNOWN, &syn, None),
        (ABROAD, &syn, Some(0x21)),
        (ABROAD, &later, None),
        (ABROAD, &syn_25, None),
    ];
    // In a test run there is no metadata: as long as no frame lacked room for it, that means that there is no mark.
    let word = Word::NoMetadata as u32;
    let state = map_of(shower.0.program()?, maps::STATE)?;
    for no_metadata in [false, true] {
        state.update(&word, &u64::from(no_metadata))?;
        for (sources, segment, mark) in cases {
            for source in sources {
                for link in links() {
                    let frame = link.carry(&packet(source, 0, segment)?);
                    for before in [0, 0xdead_beef, 0xffff_ffff] {
                        let found = marked(shower.0.marker()?, &frame, before)?;
                        let expected = match mark {
                            Some(mark) if no_metadata => before & 0xffff_ff00 | mark,
                            _ => before,
                        };
                        ensure!(
                            found == expected,
                            "{source}, {before:#x}: {found:#x}, not {expected:#x}"
                        );
                    }
                }
            }
        }
    }
    ensure!(
        shower.shown(Shown::MarkedByLookup)? == 36 && shower.shown(Shown::Marked)? == 0,
        "look-ups: {}",
        shower.shown(Shown::MarkedByLookup)?
    );
    Ok(())
}
