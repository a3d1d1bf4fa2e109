//! What the figures mean on a link: cycles a packet, and how many processors a line rate takes. Arithmetic alone, with its assumptions.

use std::fmt::Write as _;

use crate::{figure::Figure, machine};

/// What Ethernet adds to a frame on the wire: preamble and start of frame, 8 octets, and the gap between packets, 12 (IEEE 802.3 clauses 3.1.1 and
/// 4.4.2).
const WIRE: f64 = 20.0;
/// The shortest frame, its check sequence included (IEEE 802.3 clause 4.4.2).
const MINIMUM: f64 = 64.0;
/// Frames of the simple mix that testers call IMIX, and how many of each: in IP packets 40, 576 and 1500 octets, which the shortest frame and
/// 18 octets of Ethernet make these.
const IMIX: [(f64, f64); 3] = [(64.0, 7.0), (594.0, 4.0), (1518.0, 1.0)];
/// Links, in bits a second.
const LINKS: [(&str, f64); 3] = [
    ("10 Gbit/s", 10e9),
    ("25 Gbit/s", 25e9),
    ("100 Gbit/s", 100e9),
];

/// Which figures are used, and what they are called here.
const COSTS: [(&str, &str, &str, &str); 5] = [
    (
        "shapes",
        "tcp 443, IPv4",
        "gate",
        "an unrelated packet, IPv4",
    ),
    (
        "shapes",
        "tcp 443, IPv6",
        "gate",
        "an unrelated packet, IPv6",
    ),
    (
        "shapes",
        "port 25, dropped",
        "gate",
        "a packet refused in silence",
    ),
    (
        "shapes",
        "port 25, reset",
        "gate",
        "a packet refused with a reset",
    ),
    (
        "shapes",
        "port 587, tagged",
        "gate",
        "a submission tagged with its class",
    ),
];
/// The metric that says what the gate adds.
const OVER_THE_FLOOR: &str = "time over the floor";

/// The page; nothing where the suite it is about was not measured.
pub(crate) fn page(figures: &[Figure]) -> Option<String> {
    let costs: Vec<(&str, f64)> = COSTS
        .into_iter()
        .filter_map(|(suite, case, subject, name)| {
            let figure = figures.iter().find(|it| {
                (it.suite, it.case.as_str(), it.subject.as_str(), it.metric)
                    == (suite, case, subject, OVER_THE_FLOOR)
            })?;
            Some((name, figure.spread.median))
        })
        .collect();
    let hertz = machine::hertz();
    (!costs.is_empty()).then(|| text(&costs, hertz))
}

fn text(costs: &[(&str, f64)], hertz: Option<f64>) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut add = |text: std::fmt::Arguments<'_>| {
        // A string takes everything.
        let _ = writeln!(page, "{text}");
    };
    match hertz {
        Some(hertz) => add(format_args!(
            "- A processor runs at {:.2} GHz, as the kernel says it does; a cycle is {:.3} ns.",
            hertz / 1e9,
            1e9 / hertz
        )),
        None => add(format_args!(
            "- The kernel does not say how fast the processor runs: there are no cycles here."
        )),
    }
    add(format_args!("\n## Packets a second\n"));
    add(format_args!(
        "| link | frames of 64 octets | IMIX |\n|---|--:|--:|"
    ));
    for (link, bits) in LINKS {
        add(format_args!(
            "| {link} | {:.2} million | {:.2} million |",
            rate(bits, MINIMUM) / 1e6,
            rate(bits, imix()) / 1e6
        ));
    }
    add(format_args!("\n## What the gate adds to a packet\n"));
    add(format_args!("| packet | ns | cycles |\n|---|--:|--:|"));
    for (name, ns) in costs {
        let cycles = hertz.map_or_else(
            || "-".to_owned(),
            |hertz| format!("{:.0}", ns * hertz / 1e9),
        );
        add(format_args!("| {name} | {ns:.1} | {cycles} |"));
    }
    add(format_args!(
        "\n## Processors that the gate alone would keep busy\n\nIf every packet of the link were such a packet, in one direction.\n"
    ));
    let heads: Vec<String> = LINKS
        .iter()
        .flat_map(|(link, _)| ["64 octets", "IMIX"].map(|size| format!("{link}, {size}")))
        .collect();
    add(format_args!(
        "| packet | {} |\n|---|{}",
        heads.join(" | "),
        "--:|".repeat(heads.len())
    ));
    for (name, ns) in costs {
        let cells: Vec<String> = LINKS
            .iter()
            .flat_map(|(_, bits)| [MINIMUM, imix()].map(|octets| rate(*bits, octets) * ns / 1e9))
            .map(|processors| format!("{processors:.2}"))
            .collect();
        add(format_args!("| {name} | {} |", cells.join(" | ")));
    }
    page
}

const INTRODUCTION: &str = "\
# Cycles a packet, and what that means on a link

Written by `cargo xtask bench --report`, from the figures of [the report](README.md) beside it: arithmetic, no measurement.

## Assumptions

- The cost of a packet is that of the suite *Cost of a packet by its shape*, over the floor: caches are warm, and the branch predictor knows the packet. What the
  driver and the kernel do with a packet comes on top, with the gate and without it.
- Every frame has 20 octets of preamble and gap beside itself. IMIX is seven frames of 64 octets, four of 594 and one of 1518.
- Receive queues spread packets over processors evenly, and processors do not slow each other down: the suite *As tables fill, and on two processors* says how near
  two come to that.
";

/// The mean length of the frames of the mix.
fn imix() -> f64 {
    let (octets, frames) = IMIX
        .iter()
        .fold((0.0, 0.0), |(octets, frames), (length, count)| {
            (octets + length * count, frames + count)
        });
    octets / frames
}

/// Frames of this length that a link carries in a second.
fn rate(bits: f64, octets: f64) -> f64 {
    bits / ((octets + WIRE) * 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_rates_are_those_of_the_books() {
        // RFC 2544 appendix B has 14,880 frames of 64 octets for 10 Mbit/s.
        assert_eq!(format!("{:.0}", rate(10e6, MINIMUM).floor()), "14880");
        assert!((imix() - 361.833).abs() < 0.001, "{}", imix());
    }

    #[test]
    fn costs_become_cycles_and_processors() {
        let figure = Figure::of(
            "shapes",
            ("tcp 443, IPv4", "gate"),
            (OVER_THE_FLOOR, "ns"),
            &[10.0],
        );
        let costs = page(&[figure.unwrap()]).unwrap();
        assert!(
            costs.contains("| an unrelated packet, IPv4 | 10.0 |"),
            "{costs}"
        );
        let text = text(&[("such a packet", 10.0)], Some(2e9));
        assert!(text.contains("| such a packet | 10.0 | 20 |"), "{text}");
        // 14.88 million packets of 10 ns.
        assert!(text.contains("| such a packet | 0.15 |"), "{text}");
        assert!(text.contains("| 100 Gbit/s | 148.81 million |"), "{text}");
        assert_eq!(page(&[]), None);
    }
}
