//! What a frame turned out to be.

use crate::words::words;

words! {
    /// What becomes of a frame of a shape that hides its ports: on an access interface when its source is restricted, on an uplink when it goes
    /// to a listed submission server.
    ShapePolicy {
        /// It passes and is counted as `unparsed`.
        Pass = 0, "pass";
        /// From an access interface it is treated like a connection to port 25: refused, throttled or observed, as the source's pool says.
        /// Where not even the source can be read, it is refused as soon as anybody is refused anything: where all that there is observes,
        /// it is observed. From an uplink it is treated like a new connection to the server, as the class of its source says.
        Drop = 1, "drop";
    }
}

macro_rules! shapes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $word:literal, $policy:ident, $standard:literal;)+) => {
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

            /// The word for it in configuration, output, counters and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What becomes of it unless the configuration says otherwise.
            #[must_use]
            pub const fn policy(self) -> ShapePolicy {
                match self { $(Self::$name => ShapePolicy::$policy,)+ }
            }

            /// The standards that it comes from.
            #[must_use]
            pub const fn standard(self) -> &'static str {
                match self { $(Self::$name => $standard,)+ }
            }

            /// What it is, in sentences.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

shapes! {
    /// A TCP segment whose header is all there.
    Tcp = 0, "tcp", Pass, "RFC 9293";
    /// Anything that cannot be a TCP segment to a mail port: another protocol over IP, or not IP at all.
    Unrelated = 1, "unrelated", Pass, "IEEE 802.3, RFC 791, RFC 8200";
    /// The frame ends inside its link-layer headers. No host accepts it.
    TruncatedLink = 2, "truncated_link", Pass, "IEEE 802.3";
    /// More than four VLAN tags. No network stacks that many, but Linux takes any number of tags off whose VLAN ID is 0.
    TooManyTags = 3, "too_many_tags", Drop, "IEEE 802.1Q, IEEE 802.1ad";
    /// The frame ends inside an IP header. No host accepts it.
    TruncatedIp = 4, "truncated_ip", Pass, "RFC 791, RFC 8200";
    /// A version or a header length that no IP header has. No host accepts it.
    BadIpHeader = 5, "bad_ip_header", Pass, "RFC 1122 section 3.2.1.1";
    /// An unfragmented TCP segment that ends inside its header. No host accepts it.
    TruncatedTcp = 6, "truncated_tcp", Pass, "RFC 9293 section 3.1";
    /// A fragment that is not the first: its ports went by with the first one, which was judged.
    LaterFragment = 7, "later_fragment", Pass, "RFC 791, RFC 8200 section 4.5";
    /// A first fragment that ends before the TCP header does, which no honest sender makes. One whose port can be read, and is
    /// none that is judged, passes.
    TinyFragment = 8, "tiny_fragment", Drop, "RFC 1858 section 3, RFC 3128, RFC 7112";
    /// A fragment that would overwrite the headers of the first one: over IPv4, of TCP at offset 8, and of a tunnel in the first 128
    /// octets; over IPv6, of anything in the first 128 octets.
    OverlappingFragment = 9, "overlapping_fragment", Drop, "RFC 1858 section 4.2, RFC 5722";
    /// More than eight IPv6 extension headers.
    TooManyExtensions = 10, "too_many_extensions", Drop, "RFC 8200 section 4, RFC 8504 section 5.3";
    /// The frame ends inside an IPv6 extension header. No host accepts it.
    TruncatedExtension = 11, "truncated_extension", Pass, "RFC 8200 section 4";
    /// A PPPoE session frame with a network protocol that is neither IPv4 nor IPv6, or that is compressed, encrypted or split up.
    /// It takes a peer that agreed to it.
    UnreadPpp = 12, "unread_ppp", Pass, "RFC 2516, RFC 1661 section 2, RFC 1332, RFC 1990";
    /// More than eight MPLS labels.
    TooManyLabels = 13, "too_many_labels", Drop, "RFC 3032";
    /// A tunnel that is not read: GRE with routing, of another version than 0, or with something else than IP in it.
    UnreadTunnel = 14, "unread_tunnel", Pass, "RFC 1701, RFC 2784, RFC 2890, RFC 2637";
    /// An MPLS label stack with something else than IP under it, such as a pseudowire.
    UnreadMpls = 15, "unread_mpls", Pass, "RFC 3032, RFC 4385";
    /// A tunnel in a tunnel.
    NestedTunnel = 16, "nested_tunnel", Pass, "RFC 2473 section 4.1.1";
    /// An IP packet that is longer than the PPPoE session frame or the IP packet that carries it. No host accepts it, and no honest
    /// sender makes it.
    BadLength = 17, "bad_length", Drop, "RFC 2516, RFC 2003, RFC 2473";
}

impl Shape {
    /// Whether the frame could not be read far enough to know its ports.
    #[inline(always)]
    #[must_use]
    pub const fn is_unparsed(self) -> bool {
        !matches!(self, Self::Tcp | Self::Unrelated)
    }

    /// Whether the frame ended, or what could be seen of it, before the parser had what it was after.
    #[inline(always)]
    #[must_use]
    pub const fn is_cut_short(self) -> bool {
        matches!(
            self,
            Self::TruncatedLink
                | Self::TruncatedIp
                | Self::TruncatedTcp
                | Self::TinyFragment
                | Self::TruncatedExtension
        )
    }

    /// The bit that stands for it in a set of shapes.
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u8
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
