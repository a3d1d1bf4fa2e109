//! `cargo xtask vm`: the BPF tables under other kernels than this machine's, and the gate on NICs.
//!
//! Debian's cloud kernels boot in qemu on a small initramfs (busybox, drivers, the gate, the test programs, the libraries they need) and
//! switch themselves off. Emulated, not KVM: it works everywhere, and a boot takes about eight seconds all the same.

mod driver;
mod initramfs;
pub(crate) mod kernel;
mod machine;
mod nic;

use std::{path::PathBuf, process::ExitCode, thread};

use anyhow::{Context as _, Result, bail, ensure};

use self::nic::Nics;
pub(crate) use self::{initramfs::SENTINEL, kernel::Kernel};
use crate::{
    build::{self, Built},
    command,
    needs::{self, Group},
    say,
    tally::Tally,
    workspace::Workspace,
};

/// The kernels `gate` promises to work on, beside the one that runs: the floor and Debian's newer one.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// The test program of package `gate-tests` that needs nothing but a kernel.
const TABLES: &str = "prog_run";
/// The one that needs a NIC, and another one to send to it from; `cargo test` leaves it out.
pub(crate) const NIC: &str = "nic";
/// The one that needs bonds and VLAN devices, likewise.
const STACK: &str = "stack";

/// Runs the BPF tables under other kernels in qemu, and the gate on their NICs
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Kernel series of Debian's cloud images
    #[arg(default_values_t = default_series())]
    kernels: Vec<String>,
    /// Passed to the test programs
    #[arg(last = true)]
    filter: Vec<String>,
}

/// The kernels that are tested unless others are named.
pub(crate) fn default_series() -> Vec<String> {
    SERIES.map(str::to_owned).to_vec()
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { kernels, filter } = arguments;
    let built = build::ensure_built(workspace)?;
    let mut code = ExitCode::SUCCESS;
    for (series, outcome) in run_all(workspace, &built, kernels, filter) {
        match outcome {
            Ok(tally) => {
                let Tally {
                    passed,
                    failed,
                    ignored,
                    ..
                } = tally;
                say::line(format_args!(
                    "kernel {series}: {passed} passed, {failed} failed, {ignored} skipped"
                ));
                tally.tell_failures();
                if failed > 0 {
                    code = ExitCode::FAILURE;
                }
            }
            Err(error) => {
                say::line(format_args!("kernel {series}: {}", say::chain(&error)));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Boots each of `series` and runs the suites, all at once: emulation keeps one processor busy each. One that fails keeps no other from its turn.
pub(crate) fn run_all(
    workspace: &Workspace,
    built: &Built,
    series: &[String],
    filter: &[String],
) -> Vec<(String, Result<Tally>)> {
    let root = ready().and_then(|()| {
        let programs = programs(workspace)?;
        initramfs::Root::new(workspace, &programs, built, filter)
    });
    // One after the other: packages are fetched, and the tree that is packed is one.
    let guests: Vec<_> = series
        .iter()
        .map(|series| match &root {
            Ok(root) => Guest::new(workspace, root, series),
            // One cause, told for every kernel it keeps from booting; the error itself cannot be cloned.
            Err(error) => Err(anyhow::anyhow!("{}", say::chain(error))),
        })
        .collect();
    thread::scope(|scope| {
        let running: Vec<_> = guests
            .into_iter()
            .zip(series)
            .map(|(guest, series)| scope.spawn(move || guest?.boot(series)))
            .collect();
        running
            .into_iter()
            .zip(series)
            .map(|(running, series)| {
                let outcome = running.join();
                let outcome = outcome
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread of this guest panicked")));
                (series.clone(), outcome)
            })
            .collect()
    })
}

/// What boots.
struct Guest {
    kernel: PathBuf,
    image: PathBuf,
    nics: Nics,
}

impl Guest {
    fn new(workspace: &Workspace, root: &initramfs::Root, series: &str) -> Result<Self> {
        let kernel = kernel::ensure(workspace, series)?;
        let nics = Nics::of(series, &kernel.modules)?;
        let image = root.pack(workspace, series, &kernel.modules, &nics)?;
        Ok(Self {
            kernel: kernel.image,
            image,
            nics,
        })
    }

    fn boot(&self, series: &str) -> Result<Tally> {
        machine::boot(series, &self.kernel, &self.image, &self.nics)
    }
}

fn ready() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the kernels in qemu are x86_64 and this machine is {}: leave them out with --no-vm",
            std::env::consts::ARCH
        );
    }
    needs::ensure(Group::Vm)?;
    ensure!(
        command::find("apt-cache").is_some(),
        "the other kernels come from Debian's packages and this machine has no apt: leave them out with --no-vm"
    );
    Ok(())
}

/// Compiles the suites and asks cargo where it put them.
fn programs(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    let suites = [TABLES, NIC, STACK];
    let mut build = workspace.cargo();
    // Of no package by name: of one alone, cargo has dependencies with fewer features, and compiles all of them once more.
    build.args([
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    for suite in suites {
        build.args(["--test", suite]);
    }
    build.stderr(std::process::Stdio::inherit());
    let messages = command::capture(&mut build)?;
    suites
        .into_iter()
        .map(|suite| {
            let program = executable(&messages, suite)?
                .with_context(|| format!("`{}` named no {suite}", command::describe(&build)))?;
            Ok((suite, program))
        })
        .collect()
}

/// The test program `name` among cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str) -> Result<Option<PathBuf>> {
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).context("cargo wrote a message that is no JSON")?;
        let text = |path| message.pointer(path).and_then(serde_json::Value::as_str);
        if text("/reason") == Some("compiler-artifact")
            && message.pointer("/profile/test") == Some(&serde_json::Value::Bool(true))
            && text("/target/name") == Some(name)
            && let Some(path) = text("/executable")
        {
            return Ok(Some(path.into()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_told_from_others_and_from_binaries() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"t"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"name":"nic"},"profile":{"test":false},"executable":"/t/nic"}
{"reason":"compiler-artifact","target":{"name":"prog_run"},"profile":{"test":true},"executable":"/t/prog_run-1"}
{"reason":"compiler-artifact","target":{"name":"nic"},"profile":{"test":true},"executable":"/t/nic-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "nic").unwrap(),
            Some(PathBuf::from("/t/nic-1"))
        );
        assert_eq!(executable(messages, "oracle").unwrap(), None);
    }
}
