//! What came of a comparison: for a person, and as JSON.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use serde::Serialize;

use super::{Capture, Census, Frame, Kind, Reading, Row, Seen, Segment};

/// How many differences without an explanation are printed: the JSON has all.
pub(super) const PRINTED: usize = 20;

/// The whole outcome.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files, by name.
    pub files: BTreeMap<String, File>,
    /// How many packets were compared.
    pub compared: u64,
    /// How many of them both see alike.
    pub agreed: u64,
    /// The others.
    pub differences: Vec<Difference>,
    /// How many there were of each shape.
    pub census: Census,
}

/// What a file has.
#[derive(Clone, Debug)]
pub struct File {
    /// Ethernet frames, all of which are compared.
    pub frames: u64,
    /// Packets of any link type.
    pub packets: u64,
    /// How long they all were on the wire.
    pub octets: u64,
    /// Packets of other link types, which are not compared.
    pub skipped: BTreeMap<String, u64>,
    /// Why it could not be read to its end.
    pub damage: Option<String>,
}

/// A packet that the gate and tshark do not see alike.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// The number of the packet in it, from 1.
    pub packet: u64,
    /// The gate's view.
    pub gate: View,
    /// tshark's.
    pub tshark: View,
    /// The row of the threat model that explains it.
    pub row: Option<&'static str>,
    /// What was captured, in hexadecimal, unless a row explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub octets: Option<String>,
}

/// One view of a packet.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct View {
    /// Whether it is a TCP segment whose header is all there.
    pub tcp: bool,
    /// The gate's word for the packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<&'static str>,
    /// Source address of the innermost IP header that was read.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: Option<IpAddr>,
    /// Destination port.
    pub destination_port: Option<u16>,
    /// Whether SYN is set.
    pub syn: Option<bool>,
}

impl View {
    fn new(
        shape: Option<&'static str>,
        between: Option<(IpAddr, IpAddr)>,
        segment: Option<Segment>,
    ) -> Self {
        let between = segment
            .map(|segment| (segment.source, segment.destination))
            .or(between);
        Self {
            tcp: segment.is_some(),
            shape,
            source: between.map(|(source, _)| source),
            destination: between.map(|(_, destination)| destination),
            destination_port: segment.map(|segment| segment.destination_port),
            syn: segment.map(|segment| segment.syn),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = match (self.tcp, self.shape) {
            (true, _) => "tcp".to_owned(),
            (false, Some(shape)) => shape.to_owned(),
            (false, None) => "no TCP".to_owned(),
        };
        if let Some((source, destination)) = self.source.zip(self.destination) {
            let _ = write!(text, " {source} > {destination}");
        }
        if let Some(port) = self.destination_port {
            let _ = write!(text, " port {port}");
        }
        if self.syn == Some(true) {
            text += " SYN";
        }
        text
    }
}

impl Difference {
    pub(super) fn new(
        file: &str,
        frame: &Frame,
        seen: &Seen,
        reading: &Reading,
        row: Option<Row>,
    ) -> Self {
        let octets = || {
            frame.octets.iter().fold(String::new(), |mut text, octet| {
                let _ = write!(text, "{octet:02x}");
                text
            })
        };
        // With a row, tshark's view is what it saw beyond the gate's promise.
        let segment = reading.segment.or(reading.beyond);
        Self {
            file: file.to_owned(),
            packet: frame.number,
            gate: View::new(Some(seen.shape), seen.between, seen.segment),
            tshark: View::new(None, reading.between, segment),
            row: row.map(Row::name),
            octets: row.is_none().then(octets),
        }
    }
}

impl Report {
    pub(super) fn add_file(&mut self, name: &str, capture: &Capture) {
        let Capture {
            frames,
            packets,
            octets,
            skipped,
            damage,
        } = capture;
        self.files.insert(
            name.to_owned(),
            File {
                frames: frames.len() as u64,
                packets: *packets,
                octets: *octets,
                skipped: skipped.clone(),
                damage: damage.clone(),
            },
        );
    }

    /// Adds the outcome of other files.
    pub fn merge(&mut self, other: Self) {
        let Self {
            files,
            compared,
            agreed,
            differences,
            census,
        } = other;
        self.files.extend(files);
        self.compared += compared;
        self.agreed += agreed;
        self.differences.extend(differences);
        self.census.merge(&census);
    }

    /// The differences that no row explains.
    pub fn unexplained(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|it| it.row.is_none())
    }

    /// How many differences each row explains.
    #[must_use]
    pub fn explained(&self) -> BTreeMap<&'static str, usize> {
        let mut rows = BTreeMap::new();
        for row in self.differences.iter().filter_map(|it| it.row) {
            *rows.entry(row).or_default() += 1;
        }
        rows
    }

    /// Packets that are not Ethernet, by link type.
    #[must_use]
    pub fn skipped(&self) -> BTreeMap<&str, u64> {
        let mut sum = BTreeMap::new();
        for (link, count) in self.files.values().flat_map(|file| &file.skipped) {
            *sum.entry(link.as_str()).or_default() += count;
        }
        sum
    }

    /// For a person.
    #[must_use]
    pub fn text(&self, tshark: &str) -> String {
        let mut text = String::new();
        let unexplained = self.unexplained().count();
        let mut line = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{line}");
        };
        line(format_args!(
            "{} files, {} packets compared with tshark {tshark}: {} agree, {} differ as the threat model says, {unexplained} differ \
             for no known reason",
            self.files.len(),
            grouped(self.compared),
            grouped(self.agreed),
            grouped((self.differences.len() - unexplained) as u64),
        ));
        for (link, count) in self.skipped() {
            line(format_args!(
                "not compared: {} packets with link type {link}",
                grouped(count)
            ));
        }
        for (name, file) in &self.files {
            if let Some(damage) = &file.damage {
                line(format_args!(
                    "{name}: read up to packet {}: {damage}",
                    file.frames
                ));
            }
        }
        line(format_args!(""));
        for kind in Kind::ALL {
            line(format_args!(
                "{:>9}  {}",
                grouped(self.census.count(*kind)),
                kind.text()
            ));
        }
        line(format_args!(""));
        for (row, count) in self.explained() {
            line(format_args!("{:>9}  differ: {row}", grouped(count as u64)));
        }
        for difference in self.unexplained().take(PRINTED) {
            line(format_args!(
                "{} packet {}\n    gate:   {}\n    tshark: {}\n    {}",
                difference.file,
                difference.packet,
                difference.gate.text(),
                difference.tshark.text(),
                difference.octets.as_deref().unwrap_or_default(),
            ));
        }
        if unexplained > PRINTED {
            line(format_args!(
                "and {} more: --json FILE has all",
                unexplained - PRINTED
            ));
        }
        text
    }

    /// For a program.
    #[must_use]
    pub fn json(&self, tshark: &str) -> serde_json::Value {
        let skipped: u64 = self.skipped().values().sum();
        let shapes: serde_json::Map<String, serde_json::Value> = Kind::ALL
            .iter()
            .map(|kind| (kind.text().to_owned(), self.census.count(*kind).into()))
            .collect();
        serde_json::json!({
            "tshark": tshark,
            "files": self.files.len(),
            "packets": self.compared + skipped,
            "compared": self.compared,
            "agreed": self.agreed,
            "explained": self.explained(),
            "unexplained": self.unexplained().count(),
            "skipped": self.skipped(),
            "shapes": shapes,
            "differences": self.differences,
        })
    }
}

/// `213769` as `213,769`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
