//! `cargo xtask vm`: the BPF tables under other kernels than this machine's.
//!
//! Debian's cloud kernels boot in qemu on a small initramfs (busybox, the test programs, the libraries they need) and switch
//! themselves off. Emulated, not KVM: it works everywhere, in a container too, and a boot takes about eight seconds all the same.

mod initramfs;
mod kernel;
mod machine;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    command,
    needs::{self, Group},
    object::{self, Object},
    say,
    tally::Tally,
    workspace::Workspace,
};

/// The kernels `gate` promises to work on, beside the one that runs: the floor and Debian's newer one.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// The test programs that need nothing but a kernel, in package `gate-tests`.
const SUITES: [&str; 1] = ["prog_run"];

/// Runs the BPF tables under other kernels in qemu
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
    let object = object::ensure(workspace, Object::Shipped)?;
    let mut code = ExitCode::SUCCESS;
    for (series, outcome) in run_all(workspace, &object, kernels, filter) {
        match outcome {
            Ok(Tally {
                passed,
                failed,
                ignored,
            }) => {
                say::line(format_args!(
                    "kernel {series}: {passed} passed, {failed} failed, {ignored} skipped"
                ));
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

/// Boots each of `series` and runs the suites; one that fails does not keep the next from its turn.
pub(crate) fn run_all(
    workspace: &Workspace,
    object: &Path,
    series: &[String],
    filter: &[String],
) -> Vec<(String, Result<Tally>)> {
    let image = ready().and_then(|()| {
        let programs = programs(workspace)?;
        initramfs::pack(workspace, &programs, object, filter)
    });
    series
        .iter()
        .map(|series| {
            let outcome = match &image {
                Ok(image) => kernel::ensure(workspace, series)
                    .and_then(|kernel| machine::boot(series, &kernel, image)),
                // One cause, told for every kernel it keeps from booting; the error itself cannot be cloned.
                Err(error) => Err(anyhow::anyhow!("{}", say::chain(error))),
            };
            (series.clone(), outcome)
        })
        .collect()
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
fn programs(workspace: &Workspace) -> Result<Vec<std::path::PathBuf>> {
    let mut build = workspace.cargo();
    build.args([
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
        "--package",
        "gate-tests",
    ]);
    for suite in SUITES {
        build.args(["--test", suite]);
    }
    build.stderr(std::process::Stdio::inherit());
    let messages = command::capture(&mut build)?;
    let found = executables(&messages)?;
    ensure!(
        found.len() == SUITES.len(),
        "`{}` named {} programs instead of {}",
        command::describe(&build),
        found.len(),
        SUITES.len()
    );
    Ok(found)
}

/// The programs among cargo's messages, one JSON object a line.
fn executables(messages: &str) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).context("cargo wrote a message that is no JSON")?;
        if message.get("reason").and_then(|reason| reason.as_str()) == Some("compiler-artifact")
            && message.pointer("/profile/test") == Some(&serde_json::Value::Bool(true))
            && let Some(path) = message.get("executable").and_then(|path| path.as_str())
        {
            found.push(path.into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_programs_are_told_from_libraries_and_binaries() {
        let messages = r#"{"reason":"compiler-artifact","profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","profile":{"test":false},"executable":"/t/demo"}
{"reason":"compiler-artifact","profile":{"test":true},"executable":"/t/prog_run-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executables(messages).unwrap(),
            [std::path::PathBuf::from("/t/prog_run-1")]
        );
    }
}
