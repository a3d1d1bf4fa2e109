//! `cargo xtask fuzz`: libFuzzer looks for an input for which something does not hold.
//!
//! cargo-fuzz builds the targets; `RUSTC_BOOTSTRAP` opens to a stable rustc the flags that it passes. No sanitizer: the code has no
//! `unsafe` that an input reaches, and `AddressSanitizer` halves the number of inputs tried. What is new goes into the target directory;
//! the corpora of the repository are only read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    command,
    needs::{self, Group},
    object::{self, Object},
    say,
    tool::Tool,
    workspace::Workspace,
};

const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    release: "0.13.1",
};

/// Every target, as `fuzz/targets` has them.
const TARGETS: [&str; 8] = [
    "parse",
    "decide",
    "answers",
    "configuration",
    "prefix_list",
    "mmdb",
    "pcap",
    "table",
];

/// How many run at a time.
const TOGETHER: usize = 2;
/// What one input may take, in seconds, and the whole process, in MiB.
const TIMEOUT: u32 = 10;
const MEMORY: u32 = 2048;

/// Runs the fuzzing targets, two at a time
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of them; without it, all
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
    /// For how long each
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only run one target on this input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// The subcommand. Its exit code says whether nothing was found.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments {
        targets,
        seconds,
        input,
    } = arguments;
    if let Some(input) = input {
        let [target] = targets.as_slice() else {
            bail!("--input is for one target: name it");
        };
        let built = build(workspace)?;
        command::run(Command::new(built.join(target)).arg(input))?;
        return Ok(ExitCode::SUCCESS);
    }
    let targets = if targets.is_empty() {
        TARGETS.map(str::to_owned).to_vec()
    } else {
        targets.clone()
    };
    all(workspace, &targets, *seconds)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs every target for `seconds`.
pub(crate) fn smoke(workspace: &Workspace, seconds: u32) -> Result<()> {
    all(workspace, &TARGETS.map(str::to_owned), seconds)
}

fn all(workspace: &Workspace, targets: &[String], seconds: u32) -> Result<()> {
    let built = build(workspace)?;
    let mut failed = Vec::new();
    for some in targets.chunks(TOGETHER) {
        let mut running = Vec::new();
        for target in some {
            say::step(format_args!("fuzzing {target} for {seconds} s"));
            running.push(Running::start(workspace, &built, target, seconds)?);
        }
        for mut run in running {
            if !run.finish(workspace)? {
                failed.push(run.target);
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "what must hold does not, or the fuzzer ended early: {}",
        failed.join(", ")
    );
    Ok(())
}

/// Builds all targets; the directory that they are in.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    needs::ensure(Group::Fuzz)?;
    let program = CARGO_FUZZ.obtain(workspace)?;
    // gate-user, which the targets link, embeds the object.
    object::ensure(workspace, Object::Shipped)?;
    let target = workspace.target.join("fuzz");
    let triple = host()?;
    let mut fuzz = Command::new(program);
    fuzz.args(["fuzz", "build", "--sanitizer", "none"])
        .args(["--features", "libfuzzer", "--target", &triple])
        // One unit to a crate, which it says unless told otherwise, leaves all processors but one to wait for the largest crate.
        .args(["--codegen-units", "16"])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTC_BOOTSTRAP", "1")
        // Both take longer than the fuzzing gains by them.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .current_dir(&workspace.root);
    command::run(&mut fuzz)?;
    Ok(target.join(triple).join("release"))
}

/// The triple that rustc compiles for unless told otherwise.
fn host() -> Result<String> {
    let text = command::capture(Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

/// A target at work.
struct Running {
    target: String,
    log: PathBuf,
    artifacts: PathBuf,
    process: Child,
}

impl Running {
    fn start(workspace: &Workspace, built: &Path, target: &str, seconds: u32) -> Result<Self> {
        let directory = workspace.target.join("fuzz/runs").join(target);
        let (grown, artifacts) = (directory.join("corpus"), directory.join("artifacts"));
        // What an earlier run found was told then.
        let _ = fs::remove_dir_all(&artifacts);
        for new in [&grown, &artifacts] {
            fs::create_dir_all(new).with_context(|| format!("cannot create {}", new.display()))?;
        }
        let log = directory.join("log");
        let output =
            fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let kept = workspace.root.join("fuzz");
        let mut fuzzer = Command::new(built.join(target));
        fuzzer
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={TIMEOUT}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1");
        let words = kept.join("dictionaries").join(target);
        if words.is_file() {
            fuzzer.arg(format!("-dict={}", words.display()));
        }
        fuzzer.arg(grown).arg(kept.join("corpus").join(target));
        let crashes = kept.join("crashes").join(target);
        if crashes.is_dir() {
            fuzzer.arg(crashes);
        }
        let process = fuzzer
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start `{}`", command::describe(&fuzzer)))?;
        Ok(Self {
            target: target.to_owned(),
            log,
            artifacts,
            process,
        })
    }

    /// Waits, and prints what came of it; whether all is well.
    fn finish(&mut self, workspace: &Workspace) -> Result<bool> {
        let status = self
            .process
            .wait()
            .with_context(|| format!("cannot wait for {}", self.target))?;
        let log =
            fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        let found: Vec<PathBuf> = fs::read_dir(&self.artifacts)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        let target = &self.target;
        if status.success() && found.is_empty() {
            say::line(format_args!("{target:<14} {}", summary(&log)));
            return Ok(true);
        }
        say::line(format_args!("{target:<14} failed: {status}"));
        let (_, end) = log.split_at(log.floor_char_boundary(log.len().saturating_sub(4000)));
        say::line(end);
        for input in found {
            let input = workspace.show(&input);
            say::line(format_args!(
                "input: {input}\n\
                 run it again: cargo xtask fuzz {target} --input {input}\n\
                 keep it: cp {input} fuzz/crashes/{target}/"
            ));
        }
        Ok(false)
    }
}

/// What libFuzzer says last: how many inputs it ran, and what they reached.
fn summary(log: &str) -> String {
    let number = |name: &str| {
        log.lines()
            .find_map(|line| line.strip_prefix(name))
            .map_or("?", str::trim)
    };
    let reached = log
        .lines()
        .rev()
        .find_map(|line| {
            let (_, rest) = line.split_once(" cov: ")?;
            let mut words = rest.split_whitespace();
            let (edges, features) = (words.next()?, words.nth(1)?);
            Some(format!("{edges} edges, {features} features"))
        })
        .unwrap_or_default();
    format!(
        "{} inputs, {} a second; {reached}; nothing found",
        number("stat::number_of_executed_units:"),
        number("stat::average_exec_per_sec:"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_last_is_told() {
        let log = "#2\tINITED cov: 3 ft: 4 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #9\tDONE   cov: 12 ft: 34 corp: 5/5b lim: 4 exec/s: 4 rss: 30Mb\n\
                   stat::number_of_executed_units: 9\n\
                   stat::average_exec_per_sec:     4\n";
        assert_eq!(
            summary(log),
            "9 inputs, 4 a second; 12 edges, 34 features; nothing found"
        );
    }
}
