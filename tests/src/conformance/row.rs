//! The rows of the threat model that explain a difference.

macro_rules! rows {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, [$($shape:literal),*];)+) => {
        /// Why the gate and tshark do not see the same in a packet, by the threat model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Row {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Row {
            /// Every row.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name in the threat model.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it says.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }

            /// The shapes that the gate has to give to a packet that this row explains. Whatever else it sees in one is no
            /// matter of this row.
            #[must_use]
            pub const fn shapes(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($shape),*],)+ }
            }
        }
    };
}

rows! {
    /// More than four VLAN tags.
    TooManyTags = "too_many_tags", ["too_many_tags"];
    /// More than eight MPLS labels.
    TooManyLabels = "too_many_labels", ["too_many_labels"];
    /// More than eight IPv6 extension headers.
    TooManyExtensions = "too_many_extensions", ["too_many_extensions"];
    /// A tunnel in a tunnel.
    NestedTunnel = "nested_tunnel", ["nested_tunnel"];
    /// GRE with something else than IP in it, such as Ethernet, or of the version that PPTP has.
    UnreadTunnel = "unread_tunnel", ["unread_tunnel"];
    /// MPLS with something else than IP under it, such as a pseudowire.
    UnreadMpls = "unread_mpls", ["unread_mpls"];
    /// A PPPoE session frame with something else than IP in it.
    UnreadPpp = "unread_ppp", ["unread_ppp"];
    /// A header that says another version of IP than the protocol number or the EtherType before it. Hosts drop it; tshark
    /// believes the version.
    OtherVersion = "bad_ip_header", ["bad_ip_header"];
    /// An IP packet that is longer than the packet or the PPPoE session frame that carries it. Hosts drop it; tshark reads on as
    /// far as it is there.
    BadLength = "bad_length", ["bad_length"];
    /// A packet inside UDP: VXLAN, Geneve, GTP-U, Teredo, L2TP and the like. It takes somebody at the other end who unpacks it, and
    /// whose address then stands for what comes out.
    InUdp = "in_udp", ["unrelated"];
    /// The packet that an ICMP error is about, which is quoted and goes nowhere.
    Quoted = "quoted", ["unrelated"];
    /// A packet inside another protocol over IP than TCP, UDP, ICMP, IP and GRE: PIM, ESP without encryption, `EtherIP` and the like.
    InOtherProtocol = "in_other_protocol", ["unrelated"];
    /// A packet behind another EtherType than those of VLAN tags, PPPoE, MPLS and IP: `MACsec`, NSH, 802.1CB and the like.
    InOtherEtherType = "in_other_ether_type", ["unrelated"];
    /// LLC without SNAP, which hosts do not take for IP, or with something else than IP in SNAP.
    InLlc = "in_llc", ["unrelated"];
    /// A TCP header that says that it is shorter than it is. Hosts drop it; the gate judges its port, tshark reads no further.
    BadDataOffset = "bad_data_offset", ["tcp"];
    /// An IPv6 packet whose length field is 0. Hosts find nothing in it; the gate reads on, because that is how the kernel shows
    /// segments of more than 64 KiB that it merged itself.
    NoLength = "no_length", ["tcp"];
    /// TCP behind a mobility or HIP header. The gate looks behind them (RFC 6564 section 4), tshark takes them for the last header.
    BehindMobility = "behind_mobility", ["tcp"];
}
