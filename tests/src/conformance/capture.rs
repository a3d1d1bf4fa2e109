//! Capture files, pcap and pcapng.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use anyhow::{Context as _, Result, anyhow};
use pcap_parser::{
    Block, Linktype, PcapBlockOwned, PcapError, create_reader, traits::PcapNGPacketBlock as _,
};

/// The most a packet of a capture may have: libpcap's own limit is a quarter of it.
const LONGEST: usize = 1 << 20;

/// The first four octets of pcap (with microseconds and nanoseconds, in both byte orders) and of pcapng.
const MAGIC: [[u8; 4]; 5] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

const CUT: &str = "it ends inside a packet";

/// One Ethernet frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its number in the file, from 1, as tshark and Wireshark count.
    pub number: u64,
    /// What was captured of it.
    pub octets: Vec<u8>,
    /// How long it was on the wire.
    pub length: u32,
}

/// What a file has.
#[derive(Debug, Default)]
pub struct Capture {
    /// The Ethernet frames.
    pub frames: Vec<Frame>,
    /// How many packets of any kind.
    pub packets: u64,
    /// How long they all were on the wire.
    pub octets: u64,
    /// How many packets have another link type, by its name.
    pub skipped: BTreeMap<String, u64>,
    /// Why the file could not be read to its end.
    pub damage: Option<String>,
}

/// Whether the file begins like a capture.
pub(super) fn is_capture(path: &Path) -> Result<bool> {
    let cannot = || format!("cannot read {}", path.display());
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut start))
        .with_context(cannot)?;
    Ok(MAGIC.iter().any(|magic| start == magic))
}

impl Capture {
    /// Reads a whole file. What is damaged ends the reading, as it does in tshark; what came before counts.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&fs::read(path)?)
    }

    fn parse(content: &[u8]) -> Result<Self> {
        let mut capture = Self::default();
        let mut links = Vec::new();
        let mut reader =
            create_reader(LONGEST, content).map_err(|error| anyhow!("not a capture: {error:?}"))?;
        loop {
            let (consumed, packet) = match reader.next() {
                Ok((consumed, block)) => (consumed, packet(block, &mut links)),
                Err(PcapError::Eof) => break,
                // More than what the reader has in its buffer, though not more than there is.
                Err(PcapError::Incomplete(_)) => {
                    if reader.reader_exhausted() || reader.refill().is_err() {
                        capture.damage = Some(CUT.to_owned());
                        break;
                    }
                    continue;
                }
                Err(PcapError::UnexpectedEof) => {
                    capture.damage = Some(CUT.to_owned());
                    break;
                }
                Err(_) => {
                    capture.damage = Some("a block in it is malformed".to_owned());
                    break;
                }
            };
            if let Some((link, octets, length)) = packet {
                capture.packets += 1;
                capture.octets += u64::from(length);
                capture.add(link, octets, length);
            }
            reader.consume(consumed);
        }
        Ok(capture)
    }

    fn add(&mut self, link: Option<Linktype>, octets: Vec<u8>, length: u32) {
        match link {
            Some(Linktype::ETHERNET) => self.frames.push(Frame {
                number: self.packets,
                octets,
                length,
            }),
            other => {
                let name = other.map_or_else(
                    || "no interface".to_owned(),
                    |link| link.to_string().trim_start_matches("Linktype::").to_owned(),
                );
                *self.skipped.entry(name).or_default() += 1;
            }
        }
    }
}

/// The packet in a block, if it has one: its link type, what was captured, how long it was. `links` has the interfaces so far.
fn packet(
    block: PcapBlockOwned<'_>,
    links: &mut Vec<Linktype>,
) -> Option<(Option<Linktype>, Vec<u8>, u32)> {
    let link = |links: &[Linktype], interface: u32| links.get(interface as usize).copied();
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            // The upper half says how long the frames' check sequences are, if they have them.
            links.push(Linktype(header.network.0 & 0xffff));
            None
        }
        PcapBlockOwned::Legacy(packet) => {
            Some((link(links, 0), packet.data.to_owned(), packet.origlen))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            links.push(interface.linktype);
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => Some((
            link(links, packet.if_id),
            packet.packet_data().to_owned(),
            packet.origlen,
        )),
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => Some((
            link(links, 0),
            packet.packet_data().to_owned(),
            packet.origlen,
        )),
        PcapBlockOwned::NG(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pcap file of one octet order, with these packets.
    fn pcap(word: fn(u32) -> [u8; 4], link: u32, packets: &[&[u8]]) -> Vec<u8> {
        let half = |number| {
            let [a, b, c, d] = word(number);
            if a == 0 { [c, d] } else { [a, b] }
        };
        let mut file = word(0xa1b2_c3d4).to_vec();
        file.extend([half(2), half(4)].concat());
        file.extend([word(0), word(0), word(262_144), word(link)].concat());
        for packet in packets {
            let length = u32::try_from(packet.len()).unwrap();
            file.extend([word(1), word(2), word(length), word(length + 7)].concat());
            file.extend(*packet);
        }
        file
    }

    /// A block of pcapng.
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes(), &length, body, &length].concat()
    }

    /// An enhanced packet block: four octets of which one is padding.
    fn enhanced(interface: u8) -> Vec<u8> {
        let mut body = vec![interface, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        body.extend([3, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c', 0]);
        block(6, &body)
    }

    #[test]
    fn packets_of_both_octet_orders_are_read() {
        for word in [u32::to_le_bytes, u32::to_be_bytes] {
            // Four octets of check sequence, said in the upper half of the link type.
            let capture = Capture::parse(&pcap(word, 0x4400_0001, &[b"one", b"three"])).unwrap();
            let frames: Vec<_> = capture
                .frames
                .iter()
                .map(|it| (it.number, it.octets.as_slice(), it.length))
                .collect();
            assert_eq!(frames, [(1, &b"one"[..], 10), (2, b"three", 12)]);
            assert_eq!((capture.packets, capture.octets), (2, 22));
            assert_eq!(capture.damage, None);
        }
    }

    #[test]
    fn what_comes_before_the_damage_counts() {
        let mut file = pcap(u32::to_le_bytes, 1, &[b"one", b"three"]);
        file.pop();
        let capture = Capture::parse(&file).unwrap();
        assert_eq!(capture.frames.len(), 1);
        assert_eq!(capture.damage.as_deref(), Some(CUT));
    }

    #[test]
    fn another_link_type_is_named_and_its_packets_are_counted() {
        let capture = Capture::parse(&pcap(u32::to_le_bytes, 113, &[b"one"])).unwrap();
        assert!(capture.frames.is_empty());
        assert_eq!(
            capture.skipped,
            BTreeMap::from([("LINUX_SLL".to_owned(), 1)])
        );
    }

    #[test]
    fn each_interface_has_its_link_type() {
        let section = block(
            0x0a0d_0d0a,
            &[
                0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
        );
        let interface = |link| block(1, &[link, 0, 0, 0, 0, 0, 4, 0]);
        let file = [
            section,
            interface(113),
            interface(1),
            enhanced(0),
            enhanced(1),
            enhanced(2),
        ];
        let capture = Capture::parse(&file.concat()).unwrap();
        let frames: Vec<_> = capture
            .frames
            .iter()
            .map(|it| (it.number, it.octets.as_slice()))
            .collect();
        assert_eq!(frames, [(2, &b"abc"[..])]);
        let skipped = [("LINUX_SLL".to_owned(), 1), ("no interface".to_owned(), 1)];
        assert_eq!(capture.skipped, BTreeMap::from(skipped));
    }
}
