//! The newer format, pcapng (draft-ietf-opsawg-pcapng): blocks, in sections that have interfaces of their own.

use std::io::Read;

use pcap_parser::{
    Block, EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, SimplePacketBlock,
    parse_block_be, parse_block_le,
};

use super::{Cause, LONGEST, LinkType, Record, source::Source};

/// Types of blocks.
mod block {
    /// Begins a section; reads the same in both byte orders.
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    /// Describes an interface.
    pub(super) const INTERFACE: u32 = 1;
    /// A packet, of before 2009.
    pub(super) const PACKET: u32 = 2;
    /// A packet without time or interface.
    pub(super) const SIMPLE: u32 = 3;
    /// A packet.
    pub(super) const ENHANCED: u32 = 6;
}

/// Type and length, and the length again at the end.
const HEAD: usize = 8;
const TAIL: usize = 4;
/// The longest block that is read: the longest packet, and more options than anybody writes. Others are passed over, at
/// any length.
const LONGEST_BLOCK: u32 = 1 << 20;
/// Where the data of a packet block begins: it has the fields of an enhanced one, but for 16 bits of interface.
const DATA: usize = 28;
/// Where that of a simple one begins.
const SIMPLE_DATA: usize = 12;
/// What tells the byte order, as written by who has the other one.
const SWAPPED: u32 = 0x4d3c_2b1a;

/// Whether a file that begins so is pcapng.
pub(super) fn begins(magic: &[u8]) -> bool {
    magic == block::SECTION.to_le_bytes()
}

/// A pcapng file.
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u32(self, field: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(field),
            Self::Big => u32::from_be_bytes(field),
        }
    }

    fn u16(self, field: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(field),
            Self::Big => u16::from_be_bytes(field),
        }
    }

    fn i64(self, field: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(field),
            Self::Big => i64::from_be_bytes(field),
        }
    }

    /// The field at `offset`; a block that was read has those of its kind.
    fn u32_at(self, block: &[u8], offset: usize) -> Result<u32, Cause> {
        at(block, offset).map(|field| self.u32(field))
    }
}

fn at<const N: usize>(block: &[u8], offset: usize) -> Result<[u8; N], Cause> {
    let field = block.get(offset..).and_then(<[u8]>::first_chunk).copied();
    field.ok_or_else(|| Cause::damaged("a block that is too short for what it is"))
}

/// An interface of a section.
struct Interface {
    link_type: LinkType,
    /// How many octets of a packet are captured at most; 0 is all.
    snap_length: u32,
    clock: Clock,
}

/// How an interface counts time.
#[derive(Clone, Copy)]
struct Clock {
    /// `if_tsresol`: a power of ten, or of two with the highest bit set.
    resolution: u8,
    /// `if_tsoffset`, in seconds.
    offset: i64,
}

impl Clock {
    /// UNIX time in nanoseconds.
    fn nanoseconds(self, units: u64) -> i128 {
        const NANO: u128 = 1_000_000_000;
        let units = u128::from(units);
        let exponent = u32::from(self.resolution & 0x7f);
        let since = if self.resolution & 0x80 == 0 {
            match exponent.checked_sub(9) {
                None | Some(0) => units * 10_u128.pow(9 - exponent.min(9)),
                // What is too fine for any number of units to make a nanosecond makes none.
                Some(finer) => 10_u128.checked_pow(finer).map_or(0, |unit| units / unit),
            }
        } else {
            (units * NANO) >> exponent
        };
        // 64 bits of seconds in nanoseconds have 94.
        since.cast_signed() + i128::from(self.offset) * NANO.cast_signed()
    }
}

impl Pcapng {
    /// Reads the first section's header; `buffer` has its type.
    pub(super) fn read<R: Read>(
        source: &mut Source<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Self, Cause> {
        let mut file = Self {
            order: Order::Little,
            interfaces: Vec::new(),
        };
        source.more(buffer, HEAD - buffer.len())?;
        file.block(source, buffer)?;
        Ok(file)
    }

    pub(super) fn next<'b, R: Read>(
        &mut self,
        source: &mut Source<R>,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<Record<'b>>, Cause> {
        let kind = loop {
            if !source.begin(buffer, HEAD)? {
                return Ok(None);
            }
            let kind = self.block(source, buffer)?;
            if matches!(kind, block::PACKET | block::SIMPLE | block::ENHANCED) {
                break kind;
            }
        };
        match kind {
            block::PACKET => self.obsolete(buffer),
            _ => self.packet(buffer),
        }
        .map(Some)
    }

    /// Reads the rest of a block whose head is in `buffer`, and takes in what it says about those that follow. Returns its
    /// type.
    fn block<R: Read>(
        &mut self,
        source: &mut Source<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<u32, Cause> {
        let kind = self.order.u32_at(buffer, 0)?;
        if kind == block::SECTION {
            // Its byte order is told by what follows the length.
            source.more(buffer, size_of::<u32>())?;
            self.order = order(at(buffer, HEAD)?)?;
            self.interfaces.clear();
        }
        let length = self.order.u32_at(buffer, 4)?;
        let shortest = buffer.len() + TAIL;
        let rest = (length as usize).checked_sub(buffer.len());
        let Some(rest) = rest.filter(|_| length as usize >= shortest && length.is_multiple_of(4))
        else {
            return Err(Cause::damaged(format!("a block of {length} octets")));
        };
        if !matches!(
            kind,
            block::SECTION | block::INTERFACE | block::PACKET | block::SIMPLE | block::ENHANCED
        ) {
            source.skip(rest as u64)?;
            return Ok(kind);
        }
        if length > LONGEST_BLOCK {
            return Err(Cause::damaged(format!(
                "a block of {length} octets, where {LONGEST_BLOCK} is the most"
            )));
        }
        source.more(buffer, rest)?;
        let again = self.order.u32_at(buffer, length as usize - TAIL)?;
        if again != length {
            return Err(Cause::damaged(format!(
                "a block of {length} octets says at its end that it has {again}"
            )));
        }
        if matches!(kind, block::SECTION | block::INTERFACE) {
            self.take_in(buffer)?;
        }
        Ok(kind)
    }

    /// What the library makes of a block.
    fn parsed<'b>(&self, buffer: &'b [u8]) -> Result<Block<'b>, Cause> {
        let parsed = match self.order {
            Order::Little => parse_block_le(buffer),
            Order::Big => parse_block_be(buffer),
        };
        let (_, block) = parsed.map_err(|_| Cause::damaged("a block that cannot be read"))?;
        Ok(block)
    }

    /// A section or an interface.
    fn take_in(&mut self, buffer: &[u8]) -> Result<(), Cause> {
        let found = self.parsed(buffer)?;
        if let Block::SectionHeader(section) = &found
            && section.major_version != 1
        {
            return Err(Cause::damaged(format!(
                "a section of version {}, where 1 is the only one",
                section.major_version
            )));
        }
        if let Block::InterfaceDescription(interface) = &found {
            let interface = self.interface(interface)?;
            self.interfaces.push(interface);
        }
        Ok(())
    }

    fn interface(&self, block: &InterfaceDescriptionBlock<'_>) -> Result<Interface, Cause> {
        let option = |code| block.options.iter().find(|it| it.code == code);
        // Not the library's own fields: it reads the offset in one byte order only.
        let resolution = option(OptionCode::IfTsresol).map(|it| at::<1>(it.value(), 0));
        let offset = option(OptionCode::IfTsoffset).map(|it| at(it.value(), 0));
        let [resolution] = resolution.unwrap_or(Ok([6]))?;
        Ok(Interface {
            link_type: LinkType(block.linktype.0.cast_unsigned()),
            snap_length: block.snaplen,
            clock: Clock {
                resolution,
                offset: offset.transpose()?.map_or(0, |it| self.order.i64(it)),
            },
        })
    }

    /// The interface that a packet names, if it is an Ethernet.
    fn ethernet(&self, number: u32) -> Result<&Interface, Cause> {
        let interface = self.interfaces.get(number as usize).ok_or_else(|| {
            Cause::damaged(format!(
                "a packet of interface {number}, in a section that has {}",
                self.interfaces.len()
            ))
        })?;
        if interface.link_type == LinkType::ETHERNET {
            Ok(interface)
        } else {
            Err(Cause::LinkType(interface.link_type))
        }
    }

    fn packet<'b>(&self, buffer: &'b [u8]) -> Result<Record<'b>, Cause> {
        let found = self.parsed(buffer)?;
        if let Block::EnhancedPacket(EnhancedPacketBlock {
            if_id,
            ts_high,
            ts_low,
            caplen,
            origlen,
            ..
        }) = &found
        {
            let time = [*ts_high, *ts_low];
            return self.timed(*if_id, time, *caplen, *origlen, buffer);
        }
        let Block::SimplePacket(SimplePacketBlock { origlen, .. }) = found else {
            return Err(Cause::damaged("a block that cannot be read"));
        };
        // Such a packet belongs to the first interface, and has no length of its own.
        let captured = match self.ethernet(0)?.snap_length {
            0 => origlen,
            most => origlen.min(most),
        };
        record(None, origlen, captured, SIMPLE_DATA, buffer)
    }

    /// A block that the library does not know.
    fn obsolete<'b>(&self, buffer: &'b [u8]) -> Result<Record<'b>, Cause> {
        let interface = self.order.u16(at(buffer, HEAD)?);
        let field = |offset| self.order.u32_at(buffer, offset);
        let time = [field(12)?, field(16)?];
        self.timed(interface.into(), time, field(20)?, field(24)?, buffer)
    }

    fn timed<'b>(
        &self,
        interface: u32,
        [high, low]: [u32; 2],
        captured: u32,
        length: u32,
        buffer: &'b [u8],
    ) -> Result<Record<'b>, Cause> {
        let units = u64::from(high) << 32 | u64::from(low);
        let time = self.ethernet(interface)?.clock.nanoseconds(units);
        record(Some(time), length, captured, DATA, buffer)
    }
}

/// A packet whose data begins at `offset` of its block.
fn record(
    time_ns: Option<i128>,
    length: u32,
    captured: u32,
    offset: usize,
    buffer: &[u8],
) -> Result<Record<'_>, Cause> {
    let data = buffer.get(offset..buffer.len() - TAIL);
    let data = data.and_then(|data| data.get(..captured as usize));
    match data {
        Some(data) if captured <= LONGEST => Ok(Record {
            time_ns,
            length,
            data,
        }),
        _ => Err(Cause::damaged(format!(
            "a packet of {captured} octets, in a block of {}",
            buffer.len()
        ))),
    }
}

fn order(magic: [u8; 4]) -> Result<Order, Cause> {
    match u32::from_le_bytes(magic) {
        pcap_parser::BOM_MAGIC => Ok(Order::Little),
        SWAPPED => Ok(Order::Big),
        _ => Err(Cause::damaged("a section without a byte order")),
    }
}
