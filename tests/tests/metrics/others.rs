//! What others make of the metrics: promtool, Python's parser of OpenMetrics, and a Prometheus that scrapes.
#![expect(
    clippy::indexing_slicing,
    reason = "a key that a JSON value lacks is null, which is no list and no text"
)]

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Config,
    interrupt,
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    agree::{config, traffic},
    bench::{Bench, Found},
    http::{self, DEFAULT},
};

const DASHBOARD: &str = include_str!("../../../packaging/grafana/gate.json");
const RULES: &str = include_str!("../../../packaging/prometheus/gate.rules.yml");
const RULES_DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/prometheus");

/// How long Prometheus may take to have what is asked for.
const PATIENCE: Duration = Duration::from_secs(40);

/// Debian's, for which the package is; another one may come first in `PATH`.
const PYTHON: &str = "/usr/bin/python3";

/// Where Prometheus listens, in the router.
const PROMETHEUS: &str = "127.0.0.1:9090";

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let python = || {
        let mut python = Command::new(PYTHON);
        python.args(["-c", "import prometheus_client.openmetrics"]);
        exec::tool(&mut python, "").is_ok()
    };
    let there = exec::found("prometheus") && exec::found("promtool") && python();
    if !there {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "the trials of `others` are ignored: prometheus, promtool or Python's prometheus_client not found; `cargo xtask setup metrics` installs them"
        );
    }
    let trials = vec![
        found.lab_trial("others::promtool_has_nothing_to_say", promtool),
        found.lab_trial("others::another_parser_reads_openmetrics", openmetrics),
        found.trial("others::alerts_are_raised_when_they_should_be", |_| {
            alerts()
        }),
        found.own_lab_trial("others::every_query_finds_series", queries),
    ];
    trials
        .into_iter()
        .map(|trial| {
            let ignored = trial.has_ignored_flag() || !there;
            trial.with_ignored_flag(ignored)
        })
        .collect()
}

fn page(bench: &Bench<'_>, accept: &str) -> Result<http::Answer> {
    let _daemon = bench.run(&config(bench, "[metrics]\nsources = 5")?)?;
    traffic(bench)?;
    let mut page = None;
    let complete = interrupt::wait_until(PATIENCE, || {
        page = http::get(bench.lab.router(), DEFAULT, "/metrics", accept).ok();
        page.as_ref()
            .is_some_and(|it| it.body.contains("gate_source_packets_total{"))
    })?;
    ensure!(complete, "{page:?}");
    page.context("no answer")
}

fn promtool(bench: &Bench<'_>) -> Result<()> {
    let page = page(bench, "text/plain")?;
    ensure!(
        page.head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        page.head
    );
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    let output = exec::output(&mut promtool, &page.body, PATIENCE)?;
    ensure!(
        output.status.success() && output.stderr.is_empty(),
        "{} {}",
        output.stdout,
        output.stderr
    );
    Ok(())
}

/// Prints name, type and unit of each family, and how many samples it has.
const READER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for it in text_string_to_metric_families(sys.stdin.read()):
    assert it.documentation, it.name
    print(it.name, it.type, it.unit or '-', len(it.samples))
";

fn openmetrics(bench: &Bench<'_>) -> Result<()> {
    let page = page(
        bench,
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )?;
    ensure!(
        page.head
            .contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        page.head
    );
    let mut python = Command::new(PYTHON);
    python.args(["-c", READER]);
    let output = exec::output(&mut python, &page.body, PATIENCE)?;
    ensure!(output.status.success(), "{}", output.stderr);
    for line in [
        "gate_build info - 1",
        "gate_generation gauge - 1",
        "gate_state gauge - 7",
        "gate_source_packets counter packets 20",
        "gate_collect_duration_seconds gauge seconds 1",
    ] {
        ensure!(
            output.stdout.lines().any(|it| it == line),
            "no `{line}`: {}",
            output.stdout
        );
    }
    Ok(())
}

fn alerts() -> Result<()> {
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules", "gate.rules.test.yml"]);
    promtool.current_dir(RULES_DIRECTORY);
    exec::tool(&mut promtool, "").map(drop)
}

/// A Prometheus with a directory of its own. Dropping it ends it.
struct Prometheus<'a, 'b> {
    bench: &'a Bench<'b>,
    child: Child,
}

impl Drop for Prometheus<'_, '_> {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the residue check looks for what this leaves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'a, 'b> Prometheus<'a, 'b> {
    fn start(bench: &'a Bench<'b>) -> Result<Self> {
        let home = bench.lab.scratch().join("prometheus");
        fs::create_dir_all(&home)?;
        fs::write(home.join("gate.rules.yml"), RULES)?;
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [gate.rules.yml]\n\
             scrape_configs:\n  - job_name: gate\n    static_configs: [{{targets: ['{DEFAULT}']}}]\n"
        );
        fs::write(home.join("prometheus.yml"), configuration)?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!(
                "--config.file={}",
                home.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                home.join("data").display()
            ))
            .arg(format!("--web.listen-address={PROMETHEUS}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        bench.lab.router().contain(&mut command);
        let child = exec::spawn(&mut command).context("cannot start prometheus")?;
        Ok(Self { bench, child })
    }

    /// The series that a query finds.
    fn query(&self, query: &str) -> Result<Vec<Value>> {
        let mut encoded = String::new();
        for octet in query.bytes() {
            let _ = write!(encoded, "%{octet:02X}");
        }
        let request =
            format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nHost: prometheus\r\n\r\n");
        let answer = http::send(self.bench.lab.router(), PROMETHEUS, request.as_bytes())?;
        let reply: Value = serde_json::from_str(&answer.body)
            .with_context(|| format!("{query}: {}", answer.body))?;
        let series = reply["data"]["result"].as_array();
        series.cloned().with_context(|| format!("{query}: {reply}"))
    }
}

/// Every query of the dashboard, with its variables filled in.
fn of_dashboard() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let targets = list(&dashboard["panels"]);
    let targets = targets.iter().flat_map(|panel| list(&panel["targets"]));
    let annotations = list(&dashboard["annotations"]["list"]);
    let queries = targets.chain(annotations).map(|it| {
        let query = it["expr"].as_str().context("a query without text")?;
        let query = query.replace("$instance", ".*");
        Ok(query.replace("$__rate_interval", "30s"))
    });
    queries.collect()
}

/// Every selector of the alerts: an alert itself finds nothing while all is well.
fn of_rules() -> Vec<String> {
    let mut selectors = Vec::new();
    let mut in_expression = false;
    for line in RULES.lines() {
        let key = line.trim_start();
        if let Some(rest) = key.strip_prefix("expr:") {
            in_expression = true;
            selectors.extend(selectors_of(rest));
        } else if ["for:", "labels:", "annotations:"]
            .iter()
            .any(|it| key.starts_with(it))
        {
            in_expression = false;
        } else if in_expression {
            selectors.extend(selectors_of(line));
        }
    }
    selectors.sort();
    selectors.dedup();
    selectors
}

fn selectors_of(expression: &str) -> Vec<String> {
    let starts = |text: &str| text.starts_with("gate_") || text.starts_with("up{");
    let mut selectors = Vec::new();
    let mut before = ' ';
    for (at, character) in expression.char_indices() {
        let rest = &expression[at..];
        if !before.is_alphanumeric() && before != '_' && before != '"' && starts(rest) {
            let name = rest.find(|it: char| !it.is_alphanumeric() && it != '_');
            let name = name.unwrap_or(rest.len());
            let labels = if rest[name..].starts_with('{') {
                rest[name..].find('}').map_or(0, |end| end + 1)
            } else {
                0
            };
            selectors.push(rest[..name + labels].to_owned());
        }
        before = character;
    }
    selectors
}

fn queries(bench: &mut Bench<'_>) -> Result<()> {
    const SOME: &str = "[metrics]\nsources = 5";
    let first = config(bench, SOME)?;
    let _daemon = bench.run(&first)?;
    let prometheus = Prometheus::start(bench)?;
    traffic(bench)?;
    let up = || {
        prometheus
            .query("up{job=\"gate\"} == 1")
            .is_ok_and(|it| !it.is_empty())
    };
    ensure!(
        interrupt::wait_until(PATIENCE, up)?,
        "the gate is not scraped"
    );
    // Something waits for a confirmation and there is a bypass: both have panels.
    let second = Config {
        title: "another one".to_owned(),
        ..first
    };
    second.write(&bench.lab, "gate.toml")?;
    ensure!(bench.gate().reload(&["--confirm", "30m"])?.0 == Some(0));
    bench
        .gate()
        .bypass(&["--for", "1h", "--reason", "panels"])?;
    let _knocking = bench
        .lab
        .hammer(Who::Neighbour, Who::OtherMail, Family::V4, 25)?;
    let dashboard = of_dashboard()?;
    let rules = of_rules();
    ensure!(
        dashboard.len() > 25 && rules.len() > 12,
        "{dashboard:?} {rules:?}"
    );
    let mut empty = Vec::new();
    let complete = interrupt::wait_until(PATIENCE, || {
        empty = dashboard
            .iter()
            .chain(&rules)
            .filter(|query| !prometheus.query(query).is_ok_and(|it| !it.is_empty()))
            .collect();
        empty.is_empty()
    })?;
    ensure!(complete, "these find nothing: {empty:#?}");
    // A value and not only a series: what was refused and observed is counted.
    let observed = "sum(rate(gate_pool_packets_total{verdict=\"observed\"}[30s])) > 0";
    let counted = interrupt::wait_until(PATIENCE, || {
        prometheus.query(observed).is_ok_and(|it| !it.is_empty())
    })?;
    ensure!(counted, "{observed} finds nothing");
    Ok(())
}
