//! A directory with a configuration, a database and captures, and the program run in it.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec::{self, Output},
    gate::{GATE_BIN, path_from},
    privilege,
};
use libtest_mimic::{Failed, Trial};
use serde::Deserialize;
use tempfile::TempDir;

use crate::database;

/// How long one replay may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Kernel,
    Host,
}

impl Engine {
    pub(crate) const ALL: [Self; 2] = [Self::Kernel, Self::Host];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Host => "host",
        }
    }
}

/// A line of the program's output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) time: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) rule: Option<Rule>,
    pub(crate) source: Option<String>,
    pub(crate) source_port: Option<u16>,
    pub(crate) destination: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) country: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) shape: String,
    pub(crate) length: u32,
    pub(crate) captured: Option<u32>,
    pub(crate) skipped: Option<String>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) line: Option<u32>,
    pub(crate) ticket: Option<String>,
}

/// What trials can be run.
pub(crate) struct Found {
    program: Result<(), String>,
    kernel: Result<(), String>,
}

impl Found {
    pub(crate) fn new() -> Self {
        let program = path_from(GATE_BIN).map(drop);
        let found = Self {
            program: program.map_err(|error| format!("{error:#}")),
            kernel: privilege::privileged().map_err(|error| error.to_string()),
        };
        for (what, reason) in [
            ("all trials", &found.program),
            ("those with the kernel", &found.kernel),
        ] {
            if let Err(reason) = reason {
                // Where standard error is closed there is nobody to tell.
                let _ = writeln!(io::stderr(), "{what} are ignored: {reason}");
            }
        }
        found
    }

    /// A trial that needs no privileges.
    pub(crate) fn trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Bench) -> Result<()> + Send + 'static,
    ) -> Trial {
        let run = move || {
            let outcome = Bench::new().and_then(|bench| body(&bench));
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name, run).with_ignored_flag(self.program.is_err())
    }

    /// A trial that needs root.
    pub(crate) fn kernel_trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Bench) -> Result<()> + Send + 'static,
    ) -> Trial {
        let ignored = self.program.is_err() || self.kernel.is_err();
        self.trial(name, body).with_ignored_flag(ignored)
    }

    /// The same trial with each engine.
    pub(crate) fn each(&self, name: &str, body: fn(&Bench, Engine) -> Result<()>) -> [Trial; 2] {
        Engine::ALL.map(|engine| {
            let name = format!("{name}::{}", engine.name());
            let body = move |bench: &Bench| body(bench, engine);
            match engine {
                Engine::Kernel => self.kernel_trial(name, body),
                Engine::Host => self.trial(name, body),
            }
        })
    }
}

/// The directory, and the program.
pub(crate) struct Bench {
    program: PathBuf,
    scratch: TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("gate-replay").tempdir()?;
        // Somebody without privileges is to read what is in it.
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
        let bench = Self {
            program: path_from(GATE_BIN)?,
            scratch,
        };
        bench.write(
            "gate.toml",
            include_bytes!("../../fixtures/replay/gate.toml"),
        )?;
        bench.write(
            "static.txt",
            include_bytes!("../../fixtures/replay/static.txt"),
        )?;
        bench.write("countries.mmdb", &database::small()?)?;
        Ok(bench)
    }

    /// Where a file of the directory is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Puts a file there, for all to read.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// `gate replay FILE --config gate.toml ARGUMENTS`, in the directory.
    pub(crate) fn command(&self, file: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.tell(&mut command, file, arguments);
        command
    }

    fn tell(&self, command: &mut Command, file: &str, arguments: &[&str]) {
        command
            .current_dir(self.scratch.path())
            .arg("--pins")
            .arg(self.path("no-pins"))
            .args(["replay", file, "--config", "gate.toml"])
            .args(arguments);
    }

    /// The same as somebody who may do nothing.
    pub(crate) fn as_nobody(&self, file: &str, arguments: &[&str]) -> Result<Output> {
        let program = self.path("gate");
        if !program.exists() {
            // Where it was built may be nobody's business.
            fs::copy(&self.program, &program)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        }
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--no-new-privs",
            ])
            .args(["--inh-caps=-all", "--bounding-set=-all"])
            .arg(program);
        self.tell(&mut command, file, arguments);
        exec::output(&mut command, "", PATIENCE)
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn output(&self, file: &str, arguments: &[&str]) -> Result<Output> {
        exec::output(&mut self.command(file, arguments), "", PATIENCE)
    }

    /// Runs a shell's command line, with the program in `$GATE`.
    pub(crate) fn shell(&self, line: &str) -> Result<Output> {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.scratch.path())
            .env("GATE", &self.program);
        exec::output(&mut command, "", PATIENCE)
    }

    /// The lines of a replay that has to succeed.
    pub(crate) fn lines(
        &self,
        file: &str,
        engine: Engine,
        arguments: &[&str],
    ) -> Result<Vec<Line>> {
        let arguments = [&["--engine", engine.name()], arguments].concat();
        let output = self.output(file, &arguments)?;
        ensure!(output.code() == Some(0), "{arguments:?}: {output:?}");
        lines(&output)
    }
}

/// The lines that the program printed.
pub(crate) fn lines(output: &Output) -> Result<Vec<Line>> {
    let line = |text: &str| serde_json::from_str(text).with_context(|| text.to_owned());
    output.stdout.lines().map(line).collect()
}

/// An error has this code, and these words in it.
pub(crate) fn complains(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    ensure!(
        output.code() == Some(code),
        "should end with {code}: {output:?}"
    );
    for words in ["gate: error: ", "hint: "].iter().chain(words) {
        ensure!(
            output.stderr.contains(words),
            "should say `{words}`: {output:?}"
        );
    }
    Ok(())
}

/// The temporary directory's own name, as the program prints it.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// A seed that repeats a run.
pub(crate) fn seed() -> u64 {
    let set = env::var("GATE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    set.unwrap_or_else(|| fastrand::u64(..))
}
