//! `cargo xtask test`: every layer of tests, the privileged ones as root, and the tables again under other kernels.
//!
//! The output of cargo test goes through as it comes; its closing lines are counted on the way. A suite that lacks a privilege reports
//! its tests as ignored: where nothing may be left out (`CI=true`, `--no-skips`), that is a failure.

use std::{env, process::ExitCode, thread};

use anyhow::Result;

use crate::{
    another, captures, command, coverage, dist, fuzz,
    needs::{self, Group},
    prepare, say, stream,
    tally::{self, Tally},
    vm,
    workspace::Workspace,
};

/// The environment variable with the directory of the unpacked captures.
const CAPTURES: &str = "GATE_CAPTURES";

/// The environment variable with the path of a gate with another map ABI.
const ANOTHER: &str = "GATE_ANOTHER";

/// For how many seconds each fuzzing target runs.
const SMOKE: u32 = 10;

/// Sets up, builds, and runs all tests, the privileged ones as root
#[derive(clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Arguments {
    /// Leave out the other kernels in qemu
    #[arg(long)]
    no_vm: bool,
    /// Leave out the Debian package and the units in a guest with systemd
    #[arg(long)]
    no_dist: bool,
    /// Leave out the fuzzing and the coverage
    #[arg(long)]
    no_fuzz: bool,
    /// Fail when a test was ignored (the default with CI=true)
    #[arg(long)]
    no_skips: bool,
    /// Passed to the test programs: a filter on names, options of libtest
    #[arg(last = true)]
    filter: Vec<String>,
}

/// One part of the run and what came of it.
struct Stage {
    name: String,
    tally: Tally,
    /// What went wrong, in one or more lines.
    fault: Option<String>,
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments {
        no_vm,
        no_dist,
        no_fuzz,
        no_skips,
        filter,
    } = arguments;
    let prepared = prepare::prepare(workspace, Group::Lab)?;
    let mut stages = vec![host(workspace, &prepared, filter)?];
    // Made first: what is tried beside the guests of other kernels asks cargo for nothing.
    let package = if *no_dist || !filter.is_empty() {
        say::step("the package is left out: --no-dist, or a filter");
        None
    } else {
        Some(dist::Made::new(workspace, &prepared.built))
    };
    if *no_vm {
        say::step("--no-vm: the other kernels are left out");
    }
    // At once: a guest that waits, as for a watchdog, leaves its processor to the others.
    thread::scope(|scope| {
        let trial = package.map(|made| scope.spawn(move || made?.check()));
        if !no_vm {
            stages.extend(
                vm::run_all(workspace, &prepared.built, &vm::default_series(), filter)
                    .into_iter()
                    .map(|(series, outcome)| Stage::new(format!("kernel {series}"), outcome)),
            );
        }
        if let Some(trial) = trial {
            let outcome = trial
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread of the package panicked")));
            stages.push(Stage::new("package".to_owned(), outcome));
        }
    });
    if *no_fuzz || !filter.is_empty() {
        say::step("the fuzzing and the coverage are left out: --no-fuzz, or a filter");
    } else {
        stages.push(Stage::of("coverage", coverage::run(workspace)));
        stages.push(Stage::of("fuzzing", fuzz::smoke(workspace, SMOKE)));
    }
    let no_skips = *no_skips || env::var_os("CI").is_some_and(|value| value == "true");
    Ok(summarise(&stages, no_skips))
}

/// `cargo test` on this machine's kernel.
fn host(workspace: &Workspace, prepared: &prepare::Prepared, filter: &[String]) -> Result<Stage> {
    let mut test = workspace.cargo();
    test.args(["test", "--no-fail-fast"]);
    if !command::is_root() && command::can_be_root() {
        say::step("not root: test programs are started through sudo");
        // cfg(unix) holds for whatever the host's triple is.
        test.args(["--config", "target.'cfg(unix)'.runner = 'sudo -E'"]);
    }
    test.arg("--").args(filter);
    prepared.tell(&mut test);
    for (group, what) in [
        (Group::Conformance, "the comparison with tshark"),
        (Group::Mail, "what is tried with a real mail server"),
        (Group::Metrics, "what is tried with a real Prometheus"),
        (Group::Browser, "what is tried with a real browser"),
    ] {
        if let Err(error) = needs::ensure(group) {
            say::step(format_args!(
                "{what} will be skipped: {}",
                say::chain(&error)
            ));
        }
    }
    test.env(ANOTHER, another::ensure_built(workspace)?);
    test.env(CAPTURES, captures::unpack(workspace)?);
    let mut counted = tally::Reader::default();
    let status = stream::run(&mut test, "", |line| counted.see(line))?;
    let fault = (!status.success()).then(|| format!("cargo test: {status}"));
    Ok(Stage {
        name: "cargo test".to_owned(),
        tally: counted.finish().unwrap_or_default(),
        fault,
    })
}

impl Stage {
    fn new(name: String, outcome: Result<Tally>) -> Self {
        let (tally, fault) = match outcome {
            Ok(tally) => (tally, None),
            Err(error) => (Tally::default(), Some(say::chain(&error))),
        };
        Self { name, tally, fault }
    }

    /// A stage that is one test.
    fn of(name: &str, outcome: Result<()>) -> Self {
        let tally = Tally::of(name, outcome.is_ok());
        let fault = outcome.err().map(|error| say::chain(&error));
        Self {
            name: name.to_owned(),
            tally,
            fault,
        }
    }

    fn failed(&self, no_skips: bool) -> bool {
        self.fault.is_some() || self.tally.failed > 0 || (no_skips && self.tally.ignored > 0)
    }
}

/// Prints one line per stage and the sum; success only when no stage failed and there were tests at all.
fn summarise(stages: &[Stage], no_skips: bool) -> ExitCode {
    let mut sum = Tally::default();
    say::line("");
    for stage in stages {
        let Stage { name, tally, fault } = stage;
        let Tally {
            passed,
            failed,
            ignored,
            ..
        } = *tally;
        sum += tally.clone();
        let word = if stage.failed(no_skips) {
            "failed"
        } else {
            "ok"
        };
        say::line(format_args!(
            "{name:<12} {word:<6}  {passed:>4} passed  {failed:>3} failed  {ignored:>3} skipped"
        ));
        tally.tell_failures();
        for line in fault.iter().flat_map(|fault| fault.lines()) {
            say::line(format_args!("             {line}"));
        }
    }
    let Tally {
        passed,
        failed,
        ignored,
        ..
    } = sum;
    if ignored > 0 {
        say::line(format_args!(
            "skipped tests tell their reason above{}",
            if no_skips {
                "; none may be skipped here"
            } else {
                ""
            }
        ));
    }
    say::line(format_args!(
        "{passed} passed, {failed} failed, {ignored} skipped"
    ));
    if passed + failed == 0 {
        say::line("no test ran: does the filter match a name?");
    }
    if passed == 0 || stages.iter().any(|stage| stage.failed(no_skips)) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(ignored: u64, fault: Option<&str>) -> Stage {
        Stage {
            name: String::new(),
            tally: Tally {
                passed: 1,
                ignored,
                ..Tally::default()
            },
            fault: fault.map(str::to_owned),
        }
    }

    #[test]
    fn a_skipped_test_fails_only_where_none_may_be_skipped() {
        assert!(!stage(0, None).failed(true));
        assert!(!stage(1, None).failed(false));
        assert!(stage(1, None).failed(true));
        assert!(stage(0, Some("no sentinel")).failed(false));
    }
}
