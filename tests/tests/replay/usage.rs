//! Who may replay, where packets arrive, and what is shown.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use gate_tests::exec;
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Engine, Found, complains, lines, text},
    rows,
};

const HOST: [&str; 2] = ["--engine", "host"];

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.kernel_trial("usage::nobody_may_replay_without_the_kernel", nobody),
        found.kernel_trial(
            "usage::the_kernel_is_the_default_and_keeps_nothing",
            default,
        ),
        found.trial("usage::the_role_is_asked_for_where_there_are_two", roles),
        found.trial("usage::one_role_needs_no_name", one_role),
        found.trial("usage::people_get_a_line_a_packet", for_people),
        found.trial("usage::who_reads_may_have_seen_enough", broken_pipe),
    ];
    trials.extend(found.each("usage::what_is_skipped_is_counted", skipped));
    trials
}

/// The decision of the process needs no privileges; the kernel's does, and nothing is put in its place.
fn nobody(bench: &Bench) -> Result<()> {
    bench.write("some.pcap", &rows::pcap(&rows::access()))?;
    let as_root = bench.output("some.pcap", &["--role", "access", "--engine", "host"])?;
    let as_nobody = bench.as_nobody("some.pcap", &["--role", "access", "--engine", "host"])?;
    ensure!(as_nobody.code() == Some(0), "{as_nobody:?}");
    ensure!(
        lines(&as_nobody)?.len() == rows::access().len(),
        "{as_nobody:?}"
    );
    ensure!(as_nobody.stdout == as_root.stdout, "{as_nobody:?}");
    let refused = bench.as_nobody("some.pcap", &["--role", "access"])?;
    complains(
        &refused,
        1,
        &["engine kernel needs", "CAP_BPF", "--engine host"],
    )?;
    ensure!(refused.stdout.is_empty(), "{refused:?}");
    Ok(())
}

fn default(bench: &Bench) -> Result<()> {
    bench.write("some.pcap", &rows::pcap(&rows::access()))?;
    let output = bench.output("some.pcap", &["--role", "access"])?;
    ensure!(output.code() == Some(0), "{output:?}");
    ensure!(output.stderr.contains("engine kernel"), "{output:?}");
    ensure!(!bench.path("no-pins").exists(), "it made pins");
    Ok(())
}

fn roles(bench: &Bench) -> Result<()> {
    bench.write("some.pcap", &rows::pcap(&rows::uplink()))?;
    let replay = |arguments: &[&str]| bench.output("some.pcap", &[&HOST, arguments].concat());
    complains(
        &replay(&[])?,
        2,
        &[
            "gate.toml has interfaces of both roles",
            "--role access",
            "--interface NAME",
        ],
    )?;
    for (arguments, arrived) in [
        (&["--role", "access"][..], "on lines (access)"),
        (&["--role", "uplink"], "on internet (uplink)"),
        (&["--interface", "exchange"], "on exchange (uplink)"),
        (
            &["--interface", "lines", "--role", "access"],
            "on lines (access)",
        ),
    ] {
        let output = replay(arguments)?;
        ensure!(output.code() == Some(0), "{arguments:?}: {output:?}");
        ensure!(output.stderr.contains(arrived), "{arguments:?}: {output:?}");
    }
    let other = replay(&["--interface", "lines", "--role", "uplink"])?;
    complains(
        &other,
        2,
        &["gate.toml has no interface lines with the role uplink"],
    )?;
    let none = replay(&["--interface", "eth7"])?;
    complains(&none, 2, &["gate.toml has no interface eth7", "gate check"])?;
    let word = replay(&["--role", "subscriber"])?;
    ensure!(
        word.code() == Some(2) && word.stderr.contains("access, uplink"),
        "{word:?}"
    );
    Ok(())
}

fn one_role(bench: &Bench) -> Result<()> {
    let config = "[[interface]]\nname = \"a\"\nrole = \"access\"\n[[interface]]\nname = \"b\"\nrole = \"access\"\n\
                  [[access]]\nname = \"all\"\npolicy = \"restrict\"\nprefixes = [\"100.64.0.0/10\"]\n";
    bench.write("gate.toml", config.as_bytes())?;
    bench.write("some.pcap", &rows::pcap(&rows::access()))?;
    let output = bench.output("some.pcap", &HOST)?;
    ensure!(output.code() == Some(0), "{output:?}");
    ensure!(output.stderr.contains("on a (access)"), "{output:?}");
    let none = bench.output("some.pcap", &[&HOST[..], &["--role", "uplink"]].concat())?;
    complains(&none, 2, &["no interface with the role uplink"])
}

fn skipped(bench: &Bench, engine: Engine) -> Result<()> {
    let rows = rows::access();
    let skipped = match engine {
        Engine::Kernel => rows.iter().filter(|row| row.kernel_skips).count(),
        Engine::Host => 0,
    };
    bench.write("some.pcap", &rows::pcap(&rows))?;
    let output = bench.output(
        "some.pcap",
        &["--role", "access", "--engine", engine.name()],
    )?;
    ensure!(output.code() == Some(0), "{output:?}");
    for words in [
        format!("{} packets", rows.len()),
        format!(", {skipped} skipped"),
        "2 were captured in part".to_owned(),
    ] {
        ensure!(
            output.stderr.contains(&words),
            "should say `{words}`: {output:?}"
        );
    }
    Ok(())
}

fn for_people(bench: &Bench) -> Result<()> {
    let rows = rows::access();
    bench.write("some.pcap", &rows::pcap(&rows))?;
    let output = bench.output(
        "some.pcap",
        &["--role", "access", "--engine", "host", "--format", "text"],
    )?;
    ensure!(
        output.code() == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    let place = format!("{}:2, ticket NOC-4711", text(&bench.path("static.txt"))?);
    for words in [
        "      1  2026-06-01T00:00:00.000000Z  refused   restricted           100.64.1.2:40000 > 198.51.100.7:25  pool dynamic by 100.64.0.0/10",
        "100.64.9.8:40000 > 198.51.100.7:25  pool static by 100.64.9.8/32",
        &place,
        "[2001:db8:100::5]:40000 > [2001:db8:ffff::25]:25",
        "(40 of 54 octets captured)",
        "\n\n22 packets as received on lines (access), engine host: ",
    ] {
        ensure!(
            output.stdout.contains(words),
            "should say `{words}`: {}",
            output.stdout
        );
    }
    let lines = output
        .stdout
        .lines()
        .take_while(|line| !line.is_empty())
        .count();
    ensure!(lines == rows.len(), "{lines} lines");
    Ok(())
}

/// Nobody reads a single line of many.
fn broken_pipe(bench: &Bench) -> Result<()> {
    let rows: Vec<_> = (0..200).flat_map(|_| rows::uplink()).collect();
    bench.write("long.pcap", &rows::pcap(&rows))?;
    let mut command = bench.command("long.pcap", &[&HOST[..], &["--role", "uplink"]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = exec::spawn(&mut command)?;
    drop(child.stdout.take());
    let status = exec::wait(&mut child, std::time::Duration::from_secs(30))?;
    let status = status.context("it did not end")?;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}
