//! What came of a comparison, as a page of the documentation.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Kind, Report, Row,
    report::{PRINTED, grouped},
};

/// How the line of the page begins that names the version of tshark.
pub const VERSION: &str = "Compared with tshark ";

const PAGE: &str = "\
# Conformance

For every packet of captures that the project did not make, the gate's view is compared with tshark's: is it a TCP segment whose header is
all there, source and destination address, source and destination port, SYN. Packets that are no TCP are compared as well: that they are none,
and the addresses of the innermost IP header that the gate reads. Shapes that are rare in captures are in those under `generated`, which scapy
built, a packet library that shares nothing with the gate.

This page is written by `cargo xtask conformance --report docs/conformance.md`; a test fails when it is out of date.
[tests/fixtures/captures](../tests/fixtures/captures/README.md) says where the captures are from. Any other folder of captures is compared by
`cargo xtask conformance DIR`.

tshark reads each packet by itself, without reassembly. It reads on where the gate stops on purpose, into VXLAN or the packet that an ICMP
error quotes. `tests/src/conformance/reading.rs` says, in terms of tshark's layers, how far the gate promises to look; where tshark finds TCP
beyond that, or the two do not agree about what a packet is, the row of the threat model below has to explain it, and the gate has to have
named the packet's shape as that row does. Anything else is a difference for no known reason, and fails the test.

The same test holds up parsers that are wrong on purpose (IPv4 options misread by four octets, a tag too few, SYN lost, and others), each of
which has to come out as a difference for no known reason; compares what is read of each file with capinfos; and has etherparse, a second
decoder, read the same frames, wherever that reads far enough.
";

impl Report {
    /// For the documentation.
    #[must_use]
    pub fn page(&self, tshark: &str) -> String {
        let mut page = String::from(PAGE);
        let unexplained = self.unexplained().count() as u64;
        let mut line = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(page, "{line}");
        };
        line(format_args!("\n## Outcome\n\n| | |\n|---|--:|"));
        line(format_args!("| captures | {} |", self.files.len()));
        for (what, count) in [
            ("packets compared", self.compared),
            ("agreed", self.agreed),
            (
                "differ, as the threat model says",
                self.differences.len() as u64 - unexplained,
            ),
            ("differ for no known reason", unexplained),
        ] {
            line(format_args!("| {what} | {} |", grouped(count)));
        }
        line(format_args!("\n{VERSION}{tshark}."));
        line(format_args!(
            "\n## Captures\n\n| captures | files | packets | not Ethernet, left out |\n|---|--:|--:|--:|"
        ));
        for (folder, (files, frames, skipped)) in self.folders() {
            line(format_args!(
                "| {folder} | {files} | {} | {} |",
                grouped(frames),
                grouped(skipped)
            ));
        }
        line(format_args!(
            "\n## Shapes\n\nA packet counts for every shape that it has.\n\n| shape | packets | generated among them |\n|---|--:|--:|"
        ));
        for kind in Kind::ALL {
            line(format_args!(
                "| {} | {} | {} |",
                kind.text(),
                grouped(self.census.count(*kind)),
                grouped(self.census.generated(*kind))
            ));
        }
        line(format_args!(
            "\n## Differences\n\n| row of the threat model | packets | what it is |\n|---|--:|---|"
        ));
        let explained = self.explained();
        for row in Row::ALL {
            let count = explained.get(row.name()).copied().unwrap_or_default();
            line(format_args!(
                "| `{}` | {} |{} |",
                row.name(),
                grouped(count as u64),
                row.text()
            ));
        }
        if unexplained > 0 {
            line(format_args!(
                "\nFor no known reason:\n\n| file | packet | gate | tshark |\n|---|--:|---|---|"
            ));
        }
        for difference in self.unexplained().take(PRINTED) {
            line(format_args!(
                "| {} | {} | {} | {} |",
                difference.file,
                difference.packet,
                difference.gate.text(),
                difference.tshark.text()
            ));
        }
        page
    }

    /// Files, Ethernet frames and packets left out, by folder.
    fn folders(&self) -> BTreeMap<&str, (u64, u64, u64)> {
        let mut folders = BTreeMap::new();
        for (name, file) in &self.files {
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let (files, frames, skipped) = folders.entry(folder).or_insert((0, 0, 0));
            *files += 1;
            *frames += file.frames;
            *skipped += file.skipped.values().sum::<u64>();
        }
        folders
    }
}
