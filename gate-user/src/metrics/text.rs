//! The two text formats, which differ in a handful of places: Prometheus' own (version 0.0.4) and OpenMetrics 1.0.
//!
//! The crates that write them write one each, each from a model of its own, so that the two could come to differ. Both are written here
//! from one model, and read back by parsers of other people in the tests.

use std::fmt::Write as _;

use super::model::{Families, Family, Kind, Metric, Sample, Value};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The one that this value of `Accept` asks for: OpenMetrics where it is named and nothing else is liked better.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let [mut open, mut plain] = [0, 0];
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1000, thousandths);
            if kind.eq_ignore_ascii_case("application/openmetrics-text") {
                open = open.max(weight);
            } else if kind.eq_ignore_ascii_case("text/plain") {
                plain = plain.max(weight);
            }
        }
        if open > 0 && open >= plain {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// A weight of RFC 9110, section 12.4.2; one that cannot be read is none.
fn thousandths(weight: &str) -> u32 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{whole}{part:0<3}");
    digits.parse().map_or(0, |it: u32| it.min(1000))
}

/// Writes a collection.
#[must_use]
pub fn write(families: &Families, format: Format) -> String {
    let mut out = String::new();
    for family in &families.0 {
        write_family(family, format, &mut out);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_family(family: &Family, format: Format, out: &mut String) {
    let Family { metric, samples } = family;
    let (name, kind) = head(metric, format);
    let help = escaped(metric.help, format == Format::OpenMetrics);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    if format == Format::OpenMetrics && !metric.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {name} {}", metric.unit);
    }
    for sample in samples {
        write_sample(metric, sample, out);
    }
}

/// The name and the type of a family: OpenMetrics names it without the end that its samples have.
fn head(metric: &Metric, format: Format) -> (&'static str, &'static str) {
    let (end, kind) = match metric.kind {
        Kind::Counter => ("_total", "counter"),
        Kind::Gauge => ("", "gauge"),
        Kind::Info => ("_info", "info"),
    };
    match (format, metric.kind) {
        (Format::OpenMetrics, _) => (metric.name.strip_suffix(end).unwrap_or(metric.name), kind),
        (Format::Prometheus, Kind::Info) => (metric.name, "gauge"),
        (Format::Prometheus, Kind::Counter | Kind::Gauge) => (metric.name, kind),
    }
}

fn write_sample(metric: &Metric, sample: &Sample, out: &mut String) {
    out.push_str(metric.name);
    let mut before = '{';
    for (name, value) in metric.labels.iter().zip(&sample.labels) {
        let _ = write!(out, "{before}{name}=\"{}\"", escaped(value, true));
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    let _ = match sample.value {
        Value::Whole(value) => writeln!(out, " {value}"),
        Value::Real(value) => writeln!(out, " {value}"),
    };
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes {
        text.replace('"', "\\\"")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COUNTER: Metric = Metric {
        name: "gate_packets_total",
        kind: Kind::Counter,
        unit: "packets",
        labels: &["verdict", "reason"],
        bound: "",
        help: "Packets, \"all\" of \\ them.",
    };
    static INFO: Metric = Metric {
        name: "gate_build_info",
        kind: Kind::Info,
        unit: "",
        labels: &["version"],
        bound: "",
        help: "The build.",
    };
    static GAUGE: Metric = Metric {
        name: "gate_collect_duration_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        bound: "",
        help: "How long.",
    };

    fn families() -> Families {
        let mut families = Families::default();
        families.add(&COUNTER, ["refused", "a\"b\\c\nd"], u64::MAX);
        families.add(&INFO, ["1"], true);
        families.add(&COUNTER, ["passed", ""], 0u64);
        families.add(&GAUGE, [], 0.25);
        families
    }

    #[test]
    fn prometheus_text_names_families_as_their_samples() {
        assert_eq!(
            write(&families(), Format::Prometheus),
            r#"# HELP gate_packets_total Packets, "all" of \\ them.
# TYPE gate_packets_total counter
gate_packets_total{verdict="refused",reason="a\"b\\c\nd"} 18446744073709551615
gate_packets_total{verdict="passed",reason=""} 0
# HELP gate_build_info The build.
# TYPE gate_build_info gauge
gate_build_info{version="1"} 1
# HELP gate_collect_duration_seconds How long.
# TYPE gate_collect_duration_seconds gauge
gate_collect_duration_seconds 0.25
"#
        );
    }

    #[test]
    fn openmetrics_has_units_and_an_end() {
        assert_eq!(
            write(&families(), Format::OpenMetrics),
            r#"# HELP gate_packets Packets, \"all\" of \\ them.
# TYPE gate_packets counter
# UNIT gate_packets packets
gate_packets_total{verdict="refused",reason="a\"b\\c\nd"} 18446744073709551615
gate_packets_total{verdict="passed",reason=""} 0
# HELP gate_build The build.
# TYPE gate_build info
gate_build_info{version="1"} 1
# HELP gate_collect_duration_seconds How long.
# TYPE gate_collect_duration_seconds gauge
# UNIT gate_collect_duration_seconds seconds
gate_collect_duration_seconds 0.25
# EOF
"#
        );
    }

    #[test]
    fn a_client_gets_openmetrics_when_it_asks_for_it() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, expected) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/plain", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "Application/OpenMetrics-Text; q=0.5, text/plain;q=0.4",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.5,text/plain", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=x", Prometheus),
            ("application/openmetrics-textual", Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept}");
        }
    }
}
