//! `docs/metrics.md` has a table of all metrics, which is made of this crate's own.

use std::{env, fmt::Write as _, fs, path::Path};

use super::{
    METRICS,
    model::{Families, Family, Kind, Metric, Sample, Value},
    text::{Format, write},
};

const BEGIN: &str = "<!-- metrics: begin -->\n";
const END: &str = "<!-- metrics: end -->\n";

fn table() -> String {
    let mut table = String::from(
        "| metric | type | unit | labels | series at most | meaning | example |\n|---|---|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let Metric {
            name,
            kind,
            unit,
            labels,
            bound,
            help,
        } = metric;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (labels, example) = (labels.join(", "), example(metric));
        let _ = writeln!(
            table,
            "| `{name}` | {kind} | {unit} | {labels} | {bound} | {help} | `{example}` |"
        );
    }
    table
}

/// A sample as it is written, with a value for every label.
fn example(metric: &'static Metric) -> String {
    let labels = metric.labels.iter().map(|label| {
        let value = match *label {
            "abi" => "6",
            "answered" => "sent",
            "by" => "command",
            "cause" => "over_rate",
            "chore" => "bypass",
            "class" => "domestic",
            "country" => "JP",
            "database" => "/var/lib/gate/country.mmdb",
            "family" => "ipv6",
            "in_force" => "true",
            "interface" => "eth1",
            "limit" => "answer",
            "list" | "part" => "counters",
            "map" => "sources",
            "mode" => "native",
            "outcome" => "loaded",
            "path" => "/etc/gate.toml",
            "pool" => "dynamic",
            "reason" => "restricted",
            "relay" => "192.0.2.25/32",
            "role" => "access",
            "sha256" => "4e1f...",
            "shown" => "mark",
            "source" => "100.64.0.2/32",
            "state" => "ok",
            "type" => "DBIP-Country-Lite",
            "verdict" => "refused",
            "version" => "0.1.0",
            "vlans" => "100-199",
            other => panic!("{other} needs an example"),
        };
        value.to_owned()
    });
    let families = Families(vec![Family {
        metric,
        samples: vec![Sample {
            labels: labels.collect(),
            value: Value::Whole(1),
        }],
    }]);
    let text = write(&families, Format::Prometheus);
    text.lines().last().unwrap().to_owned()
}

#[test]
fn the_documentation_has_every_metric_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let right = [before, BEGIN, &table(), END, after].concat();
    if env::var_os("GATE_BLESS").is_some() {
        fs::write(&path, right).unwrap();
        return;
    }
    assert!(
        page == right,
        "docs/metrics.md is not what the code says: write it anew with `GATE_BLESS=1 cargo test -p gate-user --lib metrics::page`"
    );
}

#[test]
fn metrics_are_named_as_is_the_custom() {
    for metric in METRICS {
        let name = metric.name;
        let base = match metric.kind {
            Kind::Counter => name.strip_suffix("_total").expect(name),
            Kind::Info => name.strip_suffix("_info").expect(name),
            Kind::Gauge => name,
        };
        assert!(name.starts_with("gate_"), "{name}");
        assert!(base.ends_with(metric.unit), "{name} is in {}", metric.unit);
        assert!(
            metric.help.ends_with('.') && !metric.bound.is_empty(),
            "{name}"
        );
        let same = METRICS.iter().filter(|other| other.name == name);
        assert_eq!(same.count(), 1, "{name}");
    }
}
