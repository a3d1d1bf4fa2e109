//! How the class of a submission connection shows to those behind the gate: by skb mark on this host, by DSCP beyond it.
//!
//! What shows, if anything, is a function of class and flags of the tag ([`carried`]). The mark is set on the packet that opens a
//! connection, since connection tracking and sockets remember it; the DSCP also on the others, where the operator wants that. A packet that hides
//! its port, and so may open one, shows what it would.

use crate::{
    Flow, Role, Shape,
    abi::{ClassSettings, FlowKey, FlowTag, Settings},
    answer::Edit,
    decide::{self, Tables, classed, concerns, is_submission, role},
    parse::{Frame, glance},
};

/// What a packet is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The bits of the skb mark under [`Settings::mark_mask`]; 0 leaves the mark alone.
    pub mark: u32,
    /// The DSCP.
    pub dscp: Dscp,
}

/// What becomes of a packet's DSCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dscp {
    /// It stays what it is.
    Kept,
    /// It becomes that of the class.
    Written(u8),
    /// It becomes 0: a class must not be claimed from outside.
    Bleached,
}

impl Carried {
    /// The packet shows nothing.
    pub const NOTHING: Self = Self {
        mark: 0,
        dscp: Dscp::Kept,
    };

    /// Whether the packet shows nothing.
    #[inline(always)]
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.mark == 0 && matches!(self.dscp, Dscp::Kept)
    }
}

/// What a packet shows of a connection whose tag has this class and these [flags](FlowTag::flags); `opens` is whether it is the packet
/// that opens it.
///
/// A class that is observed shows nothing, and is bleached like one that has no code point.
#[inline(always)]
#[must_use]
pub fn carried(settings: &Settings, class: u8, flags: u8, opens: bool) -> Carried {
    let unwritten = if settings.bleach == 0 {
        Dscp::Kept
    } else {
        Dscp::Bleached
    };
    let nothing = Carried {
        mark: 0,
        dscp: unwritten,
    };
    let class = settings.class(class);
    if flags & FlowTag::OBSERVED != 0 {
        return nothing;
    }
    let (mark, dscp) = if flags & FlowTag::OVER_LIMIT == 0 {
        (class.mark, class.dscp)
    } else {
        (class.over_mark, class.over_dscp)
    };
    Carried {
        mark: if opens { mark & settings.mark_mask } else { 0 },
        dscp: if dscp != ClassSettings::NO_DSCP && (opens || settings.dscp_all != 0) {
            Dscp::Written(dscp & CODE_POINT)
        } else {
            unwritten
        },
    }
}

/// The bits of a code point (RFC 2474 section 3).
const CODE_POINT: u8 = 0x3f;

/// Whether this is a later packet of a connection to a submission port.
#[inline(always)]
#[must_use]
pub const fn follows(shape: Shape, flow: &Flow) -> bool {
    matches!(shape, Shape::Tcp) && is_submission(flow.dport) && !flow.opens()
}

/// As [`decide::leaves`], where later packets of submission connections are of concern too.
#[inline(always)]
#[must_use]
pub fn leaves<F: Frame + ?Sized>(frame: &F) -> bool {
    let mut flow = Flow::default();
    match glance(frame, &mut flow) {
        Some(shape) => !concerns(shape, &flow) && !follows(shape, &flow),
        None => false,
    }
}

/// The tags of connections.
pub trait Tags {
    /// The tag of a connection, if the generation in force gave it.
    fn tag(&self, key: &FlowKey) -> Option<FlowTag>;
}

/// Class and flags of a connection that was decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The number of the class.
    pub class: u8,
    /// The [flags](FlowTag::flags).
    pub flags: u8,
}

/// The class of the connection that a packet belongs to, which came in by the interface with index `interface`. Nothing is counted
/// and nothing taken from a bucket: that was done when it opened.
///
/// It is what the connection's tag says. Where the tag made room for others, or is of another generation, whose numbers mean something
/// else, and where the packet hides its port and has none, the source's address says it, and whether the connection was over a limit is
/// forgotten; whether its class is observed is as of `unix_ns`. `None` is for what gets no class.
#[inline(always)]
pub fn recall<T: Tables + Tags>(
    shape: Shape,
    flow: &Flow,
    interface: u32,
    settings: &Settings,
    tables: &T,
    unix_ns: u64,
) -> Option<Recalled> {
    let (_, Role::Uplink) = role(interface, shape, flow, tables)? else {
        return None;
    };
    if !classed(shape, flow, settings, tables) {
        return None;
    }
    if flow.is_segment()
        && let Some(FlowTag { class, flags, .. }) = tables.tag(&FlowKey::of(flow))
    {
        return Some(Recalled { class, flags });
    }
    let class = decide::classify(flow.src, settings, tables).class;
    Some(Recalled {
        class,
        flags: decide::observed(settings.class(class), tables, unix_ns),
    })
}

/// Writes a DSCP into the IP header that `flow` was read from, and says whether that changed the frame; `None` if the frame cannot be
/// written.
///
/// The two bits beside it are those of ECN (RFC 3168 section 5), which stay.
#[inline(always)]
pub fn set_dscp<E: Edit + ?Sized>(frame: &mut E, flow: &Flow, dscp: u8) -> Option<bool> {
    let network = usize::from(flow.network);
    let header = frame.read::<12>(network)?;
    let [first, second, .., c0, c1] = header;
    if first >> 4 == 4 {
        let service = dscp << 2 | second & ECN;
        if service == second {
            return Some(false);
        }
        let check = updated(
            u16::from_be_bytes([c0, c1]),
            u16::from_be_bytes([first, second]),
            u16::from_be_bytes([first, service]),
        );
        let [_, _, l0, l1, i0, i1, f0, f1, ttl, protocol, ..] = header;
        let [c0, c1] = check.to_be_bytes();
        frame.put(
            network,
            [
                first, service, l0, l1, i0, i1, f0, f1, ttl, protocol, c0, c1,
            ],
        )?;
    } else {
        // The traffic class lies across two octets (RFC 8200 section 3).
        let class = dscp << 2 | second >> 4 & ECN;
        let wanted = [first & 0xf0 | class >> 4, class << 4 | second & 0x0f];
        if wanted == [first, second] {
            return Some(false);
        }
        frame.put(network, wanted)?;
    }
    Some(true)
}

const ECN: u8 = 0b11;

/// The checksum of a header after one of its 16-bit words changed from `old` to `new` (RFC 1624, equation 3).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
const fn updated(check: u16, old: u16, new: u16) -> u16 {
    let sum = !check as u32 + !old as u32 + new as u32;
    // Three summands: the second fold takes the carry of the first.
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
