//! What a frame turned out to be.

/// What becomes of a frame of a shape that hides its ports, on an access interface, when its source is restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapePolicy {
    /// It passes and is counted as `unparsed`.
    Pass,
    /// It is treated like a connection to port 25: refused or observed, as the source's pool says.
    Drop,
}

macro_rules! shapes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $word:literal, $policy:ident;)+) => {
        /// What the parser made of a frame. The numbers are stable: they are in counters and, later, in tags.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Shape {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Shape {
            /// Every shape, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The shape with this number.
            #[inline(always)]
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The word for it in output, counters and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What becomes of it on an access interface.
            #[inline(always)]
            #[must_use]
            pub const fn policy(self) -> ShapePolicy {
                match self { $(Self::$name => ShapePolicy::$policy,)+ }
            }
        }
    };
}

shapes! {
    /// A TCP segment whose header is all there; [`Flow`](crate::Flow) has its ports.
    Tcp = 0, "tcp", Pass;
    /// Anything that cannot be a TCP segment to a mail port: another protocol over IP, or not IP at all.
    Unrelated = 1, "unrelated", Pass;
    /// The frame ends inside its link-layer headers.
    TruncatedLink = 2, "truncated_link", Pass;
    /// More VLAN tags than [`MAX_TAGS`](crate::parse::MAX_TAGS).
    TooManyTags = 3, "too_many_tags", Pass;
    /// The frame ends inside an IP header. No host accepts it.
    TruncatedIp = 4, "truncated_ip", Pass;
    /// A version or a header length that no IP header has. No host accepts it (RFC 1122 section 3.2.1.1).
    BadIpHeader = 5, "bad_ip_header", Pass;
    /// An unfragmented TCP segment that ends inside its header. No host accepts it.
    TruncatedTcp = 6, "truncated_tcp", Pass;
    /// A fragment that is not the first: its ports went by with the first one, which was judged (RFC 791, RFC 8200).
    LaterFragment = 7, "later_fragment", Pass;
    /// A first fragment that ends before the TCP header does, which no honest sender makes (RFC 1858 section 3, RFC
    /// 3128, RFC 7112). One whose port can be read and is not 25 passes.
    TinyFragment = 8, "tiny_fragment", Drop;
    /// A TCP fragment at offset 1, that is 8 octets in: it would overwrite the flags of the first fragment (RFC 1858
    /// section 4.2).
    OverlappingFragment = 9, "overlapping_fragment", Drop;
    /// More IPv6 extension headers than [`MAX_EXTENSIONS`](crate::parse::MAX_EXTENSIONS).
    TooManyExtensions = 10, "too_many_extensions", Drop;
    /// The frame ends inside an IPv6 extension header. No host accepts it.
    TruncatedExtension = 11, "truncated_extension", Pass;
    /// A PPPoE session frame (RFC 2516), whose payload the gate does not read yet.
    PppoeSession = 12, "pppoe_session", Pass;
    /// An MPLS label stack (RFC 3032), whose payload the gate does not read yet.
    Mpls = 13, "mpls", Pass;
    /// IP inside IP, or GRE (RFC 2003, RFC 2473, RFC 4213, RFC 2784), whose inner packet the gate does not read yet.
    Tunnel = 14, "tunnel", Pass;
    /// A header that starts more than [`REACH`](crate::parse::REACH) octets into the frame, which takes extension headers of
    /// kilobytes that no honest sender makes.
    BeyondReach = 15, "beyond_reach", Drop;
}

impl Shape {
    /// Whether the frame could not be read far enough to know its ports.
    #[inline(always)]
    #[must_use]
    pub const fn is_unparsed(self) -> bool {
        !matches!(self, Self::Tcp | Self::Unrelated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_come_back() {
        for (number, shape) in Shape::ALL.iter().enumerate() {
            assert_eq!(usize::from(*shape as u8), number);
            assert_eq!(Shape::from_number(*shape as u8), Some(*shape));
        }
        assert_eq!(
            Shape::from_number(u8::try_from(Shape::ALL.len()).unwrap()),
            None
        );
    }

    #[test]
    fn nothing_that_was_read_is_dropped_for_its_shape() {
        assert_eq!(Shape::Tcp.policy(), ShapePolicy::Pass);
        assert_eq!(Shape::Unrelated.policy(), ShapePolicy::Pass);
    }
}
