//! The rule set as nft(8) reads it.

use std::{fmt::Write as _, net::IpAddr};

use super::{Range, TABLE};
use crate::{
    diff::prefixes::prefixes,
    table::{Family, addr},
};

/// As it stands in files: loading it twice leaves it once, and never leaves a moment without.
pub(super) fn rules(
    arrivals: &[String],
    refused: &[Range],
    relays: &[Range],
    every_segment: bool,
) -> String {
    let mut text =
        format!("table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n");
    set(&mut text, ARRIVALS, "ifname", &quoted(arrivals));
    // For the administrator, whose names no end of the boot window takes away one by one.
    set(&mut text, "others", "ifname", &[]);
    for (name, ranges) in [("refused", refused), ("relays", relays)] {
        for (suffix, kind, family) in FAMILIES {
            let of_family = ranges.iter().filter(|it| it.family == family);
            let elements: Vec<String> = of_family.map(element).collect();
            set(&mut text, &format!("{name}_{suffix}"), kind, &elements);
        }
    }
    let segments = if every_segment {
        ""
    } else {
        " tcp flags & (syn | ack) == syn"
    };
    // Before connection tracking, and before the stack decides whom a packet is for: what is sent to the router itself is judged as well.
    let _ = write!(
        text,
        "\tchain prerouting {{\n\
         \t\ttype filter hook prerouting priority raw; policy accept;\n\
         \t\tiifname @{ARRIVALS} tcp dport 25{segments} goto judge\n\
         \t\tiifname @others tcp dport 25{segments} goto judge\n\
         \t}}\n\n\
         \tchain judge {{\n\
         \t\tip daddr @relays_v4 return\n\
         \t\tip6 daddr @relays_v6 return\n\
         \t\tip saddr @refused_v4 counter drop\n\
         \t\tip6 saddr @refused_v6 counter drop\n\
         \t}}\n}}\n"
    );
    text
}

/// What is left of the rules where they are for these devices only, in one step.
pub(super) fn left(arrivals: &[String]) -> String {
    if arrivals.is_empty() {
        return format!("delete table inet {TABLE}\n");
    }
    let names = quoted(arrivals).join(", ");
    format!(
        "flush set inet {TABLE} {ARRIVALS}\nadd element inet {TABLE} {ARRIVALS} {{ {names} }}\n"
    )
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("\"{name}\"")).collect()
}

/// The set with the devices of the configuration.
const ARRIVALS: &str = "arrivals";

const FAMILIES: [(&str, &str, Family); 2] = [
    ("v4", "ipv4_addr", Family::V4),
    ("v6", "ipv6_addr", Family::V6),
];

fn set(text: &mut String, name: &str, kind: &str, elements: &[String]) {
    let _ = writeln!(text, "\tset {name} {{\n\t\ttype {kind}\n\t\tflags interval");
    if !elements.is_empty() {
        let _ = writeln!(
            text,
            "\t\telements = {{\n\t\t\t{}\n\t\t}}",
            elements.join(",\n\t\t\t")
        );
    }
    text.push_str("\t}\n\n");
}

/// As a prefix where it is one.
fn element(range: &Range) -> String {
    let Range {
        family,
        first,
        last,
    } = *range;
    let mut all = prefixes(family, first, last);
    if let (Some(prefix), None) = (all.next(), all.next()) {
        return prefix.to_string();
    }
    let ends: [IpAddr; 2] = [first, last].map(|key| addr(family, key).to_ip());
    let [first, last] = ends;
    format!("{first}-{last}")
}
