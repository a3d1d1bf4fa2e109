//! Which pool a source is in, until when, and what counts as one source.

use gate_tests::packets::Ethernet;

use super::{Row, Side, observed, passed, refused, words::*};
use crate::configurations::Configuration::{EffectiveFrom, EverythingV6, NoSources, Until};

pub(super) fn rows() -> Vec<Row> {
    [longest(), families(), deadlines(), moments(), sources()].into_iter().flatten().collect()
}

fn longest() -> Vec<Row> {
    const WHY: &str = "the longest prefix wins across pools, whichever is listed first";
    vec![
        Row::new(
            "exempt /32 in a restricted /10", WHY, ACCESS, smtp("100.64.9.8", MX),
            passed("exempt", &["interface access", "pool static", "prefix static 100.64.9.8/32", "source access 100.64.9.8/32"]),
        ),
        Row::new(
            "the address before it", WHY, ACCESS, smtp("100.64.9.7", MX),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10", "source access 100.64.9.7/32"]),
        ),
        Row::new(
            "the address after it", WHY, ACCESS, smtp("100.64.9.9", MX),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10", "source access 100.64.9.9/32"]),
        ),
        Row::new(
            "exempt /56 in a restricted /40", WHY, ACCESS, smtp("2001:db8:100:9ff::1", MX_6),
            passed("exempt", &["interface access", "pool static", "prefix static 2001:db8:100:900::/56", "source access 2001:db8:100:9ff::/64"]),
        ),
        Row::new(
            "the network after it", WHY, ACCESS, smtp("2001:db8:100:a00::1", MX_6),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 2001:db8:100::/40", "source access 2001:db8:100:a00::/56"]),
        ),
        Row::new(
            "restricted /32 in an exempt /24", WHY, ACCESS, smtp("198.18.5.7", MX),
            refused("restricted", &["interface access", "pool abuser", "prefix abuser 198.18.5.7/32", "source access 198.18.5.0/24"]),
        ),
        Row::new(
            "restricted /64 in an exempt /40", WHY, ACCESS, smtp("2001:db8:300:7::1", MX_6),
            refused("restricted", &["interface access", "pool abuser", "prefix abuser 2001:db8:300:7::/64", "source access 2001:db8:300::/48"]),
        ),
        Row::new(
            "the first address of a /10", WHY, ACCESS, smtp("100.64.0.0", MX),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10", "source access 100.64.0.0/32"]),
        ),
        Row::new(
            "the last address of a /10", WHY, ACCESS, smtp("100.127.255.255", MX),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10", "source access 100.127.255.255/32"]),
        ),
        Row::new(
            "the address after a /10", "100.128.0.0 is not in 100.64.0.0/10", ACCESS, smtp("100.128.0.0", MX),
            passed("unlisted", &["interface access", "source access 100.128.0.0/32"]),
        ),
        Row::new(
            "the address before a /10", "100.63.255.255 is not in 100.64.0.0/10", ACCESS, smtp("100.63.255.255", MX),
            passed("unlisted", &["interface access", "source access 100.63.255.255/32"]),
        ),
    ]
}

fn families() -> Vec<Row> {
    vec![
        Row::new(
            "::/0 holds IPv6", "every IPv6 address is in ::/0", (EverythingV6, Side::Access), smtp("2001:db8:7::7", MX_6),
            refused("restricted", &["interface access", "pool all", "prefix all ::/0", "source access 2001:db8:7::/64"]),
        ),
        Row::new(
            "::/0 holds no IPv4", "IPv4 addresses are in no IPv6 prefix, however they are stored", (EverythingV6, Side::Access), smtp(DYNAMIC, MX),
            passed("unlisted", &["interface access", "source access 100.64.0.2/32"]),
        ),
        Row::new(
            "::/0 beside an IPv4 prefix", "the prefix of the packet's own family applies", (EverythingV6, Side::Access), smtp("203.0.113.9", MX),
            passed("exempt", &["interface access", "pool some", "prefix some 203.0.113.0/24", "source access 203.0.113.9/32"]),
        ),
        Row::new(
            "an IPv4-mapped source on the wire",
            "::ffff:100.64.0.2 in an IPv6 header names 100.64.0.2, and belongs on no wire (RFC 4942 section 2.2): the strict reading", ACCESS,
            smtp("::ffff:100.64.0.2", MX_6), refused("restricted", &DYNAMIC_COUNTS),
        ),
        Row::new(
            "an IPv4-compatible source on the wire", "::100.64.0.2 is an IPv6 address like any other (RFC 4291 section 2.5.5.1)", ACCESS,
            smtp("::100.64.0.2", MX_6), passed("unlisted", &["interface access", "source access ::/64"]),
        ),
    ]
}

fn deadlines() -> Vec<Row> {
    const BEFORE: &str = "until the deadline the prefix applies";
    const AFTER: &str = "from the deadline on the next covering prefix applies";
    const NOTHING: &str = "after the deadline, with nothing around it, the source is unlisted";
    let at = (Until, Side::Access);
    let dynamic = |source| ["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10", source];
    let trial = |source| ["interface access", "pool trial", "prefix trial 100.64.8.0/22", source];
    let late = "source access 100.64.10.10/32";
    let fixed = "source access 100.64.9.8/32";
    let exempt = passed("exempt", &["interface access", "pool static", "prefix static 100.64.9.8/32", fixed]);
    vec![
        Row::new("long before", BEFORE, at, smtp("100.64.9.8", MX), exempt.clone()),
        Row::new(
            "a minute before, in the offset that the deadline is written in",
            "2026-07-01T00:00:00+09:00 is 2026-06-30T15:00:00Z (RFC 3339 section 4.2)", at, smtp("100.64.9.8", MX), exempt,
        )
        .at("2026-06-30T14:59:00Z"),
        Row::new("the second of it", AFTER, at, smtp("100.64.9.8", MX), observed("restricted", &trial(fixed)))
            .at("2026-06-30T15:00:00Z"),
        Row::new("the next deadline", AFTER, at, smtp("100.64.9.8", MX), refused("restricted", &dynamic(fixed)))
            .at("2026-09-01T00:00:00Z"),
        Row::new("a pool's deadline, before", BEFORE, at, smtp("100.64.8.1", MX), observed("restricted", &trial("source access 100.64.8.1/32")))
            .at("2026-08-31T23:59:00Z"),
        Row::new("a pool's deadline, after", AFTER, at, smtp("100.64.8.1", MX), refused("restricted", &dynamic("source access 100.64.8.1/32")))
            .at("2026-09-01T00:00:00Z"),
        Row::new(
            "outliving what is around it, before", BEFORE, at, smtp("100.64.10.10", MX),
            passed("exempt", &["interface access", "pool late", "prefix late 100.64.10.10/32", late]),
        )
        .at("2026-09-15T00:00:00Z"),
        Row::new(
            "outliving what is around it, after", "what ended earlier does not come back", at, smtp("100.64.10.10", MX),
            refused("restricted", &dynamic(late)),
        )
        .at("2026-10-01T00:00:00Z"),
        Row::new(
            "nothing around it, before", BEFORE, at, smtp("203.0.113.9", MX),
            refused("restricted", &["interface access", "pool guest", "prefix guest 203.0.113.0/24", "source access 203.0.113.9/32"]),
        ),
        Row::new(
            "nothing around it, after", NOTHING, at, smtp("203.0.113.9", MX),
            passed("unlisted", &["interface access", "source access 203.0.113.9/32"]),
        )
        .at("2026-07-01T00:00:00Z"),
        Row::new(
            "before, v6", BEFORE, at, smtp("2001:db8:100:808::1", MX_6),
            passed("exempt", &["interface access", "pool static", "prefix static 2001:db8:100:808::/64", "source access 2001:db8:100:808::/64"]),
        ),
        Row::new(
            "the first deadline, v6", AFTER, at, smtp("2001:db8:100:808::1", MX_6),
            observed("restricted", &["interface access", "pool trial", "prefix trial 2001:db8:100:800::/56", "source access 2001:db8:100:808::/64"]),
        )
        .at("2026-08-01T00:00:00Z"),
        Row::new(
            "the second deadline, v6", AFTER, at, smtp("2001:db8:100:808::1", MX_6),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 2001:db8:100::/40", "source access 2001:db8:100:808::/64"]),
        )
        .at("2026-09-02T00:00:00Z"),
        Row::new(
            "nothing around it, v6", NOTHING, at, smtp("2001:db8:200::9", MX_6),
            passed("unlisted", &["interface access", "source access 2001:db8:200::/64"]),
        )
        .at("2026-07-02T00:00:00Z"),
    ]
}

fn moments() -> Vec<Row> {
    const BEFORE: &str = "before effective_from a rule only observes";
    const AT: &str = "from effective_from on a rule is what its action says";
    const EARLY: &str = "2026-06-01T23:59:59.999999999Z";
    const MOMENT: &str = "2026-06-02T00:00:00Z";
    let at = (EffectiveFrom, Side::Access);
    let inherits = ["interface access", "pool inherits", "prefix inherits 100.64.0.0/10", "source access 100.64.0.2/32"];
    let later = ["interface access", "pool later", "prefix later 203.0.113.0/24", "source access 203.0.113.9/32"];
    let throttled = ["interface access", "pool throttled", "prefix throttled 198.18.0.0/24", "source access 198.18.0.2/32"];
    let nobody = ["interface access", "source access 192.0.2.200/32"];
    vec![
        Row::new("inherited, early", BEFORE, at, smtp(DYNAMIC, MX), observed("restricted", &inherits)).at(EARLY),
        Row::new("inherited, in time", AT, at, smtp(DYNAMIC, MX), refused("restricted", &inherits)).at(MOMENT),
        Row::new("a pool's own, early", "a pool's own moment goes before that of [port25]", at, smtp("203.0.113.9", MX), observed("restricted", &later)).at(MOMENT),
        Row::new("a pool's own, in time", AT, at, smtp("203.0.113.9", MX), refused("restricted", &later)).at("2026-06-03T00:00:00Z"),
        Row::new("unlisted, early", BEFORE, at, smtp("192.0.2.200", MX), observed("unlisted", &nobody)).at(EARLY),
        Row::new("unlisted, in time", AT, at, smtp("192.0.2.200", MX), refused("unlisted", &nobody)).at(MOMENT),
        Row::new("throttle, early", "what is observed takes nothing from a bucket", at, smtp("198.18.0.2", MX), observed("restricted", &throttled)).at(EARLY),
        Row::new("without a source, early", BEFORE, at, Ethernet::tags(5).carry(&v4(DYNAMIC, MX).tcp(&syn(25))), observed("too_many_tags", &INTERFACE)).at(EARLY),
        Row::new("without a source, in time", "refused as soon as anybody is", at, Ethernet::tags(5).carry(&v4(DYNAMIC, MX).tcp(&syn(25))),
            refused("too_many_tags", &INTERFACE)).at(MOMENT),
    ]
}

fn sources() -> Vec<Row> {
    const CUT: &str = "source_prefix is what one line holds: addresses of one line are one source";
    vec![
        Row::new(
            "two addresses of one /56", CUT, ACCESS, smtp("2001:db8:100:aaff:ffff::1", MX_6), refused("restricted", &DYNAMIC_6_COUNTS),
        ),
        Row::new(
            "addresses of two /56", CUT, ACCESS, smtp("2001:db8:100:ab00::1", MX_6),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 2001:db8:100::/40", "source access 2001:db8:100:ab00::/56"]),
        ),
        Row::new(
            "not counted", "counters.sources = false: everything else is counted", (NoSources, Side::Access), smtp(DYNAMIC, MX),
            refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 100.64.0.0/10"]),
        ),
        Row::new(
            "not counted, unlisted", "counters.sources = false: everything else is counted", (NoSources, Side::Access), smtp("203.0.113.9", MX),
            passed("unlisted", &["interface access"]),
        ),
    ]
}
