//! The gate's parser beside tshark, on every packet of the captures in `tests/fixtures/captures`.
//!
//! | module | what it is |
//! |---|---|
//! | `committed` | the captures as they are committed: no difference without a row, every shape and every row present, the page up to date |
//! | `library` | a packet library on the same frames, wherever it has an opinion |
//! | `wrong` | parsers that are wrong on purpose, each of which the comparison has to notice |
//!
//! The captures are unpacked by `cargo xtask test`, which says where in `GATE_CAPTURES`. Without them, or without tshark, trials are reported
//! as ignored.

#[path = "conformance/committed.rs"]
mod committed;
#[path = "../src/bin/conformance/gate.rs"]
mod gate;
#[path = "conformance/library.rs"]
mod library;
#[path = "conformance/wrong.rs"]
mod wrong;

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use gate_tests::conformance::Tshark;
use libtest_mimic::{Arguments, Failed, Trial};

/// The variable with the folder of the unpacked captures.
const CAPTURES: &str = "GATE_CAPTURES";

/// What the trials work with.
struct Setup {
    tshark: Tshark,
    captures: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let setup = setup().map(Arc::new);
    if let Err(error) = &setup {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "these trials are ignored: {error:#}");
    }
    let setup = setup.as_ref().ok();
    let trials = [
        committed::trials(setup),
        library::trials(setup),
        wrong::trials(setup),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

fn setup() -> Result<Setup> {
    let captures = env::var_os(CAPTURES).with_context(|| {
        format!("{CAPTURES} does not say where the captures are: `cargo xtask test` unpacks them")
    })?;
    Ok(Setup {
        tshark: Tshark::find()?,
        captures: captures.into(),
    })
}

/// A trial, ignored where there is no setup.
fn trial(
    name: String,
    setup: Option<&Arc<Setup>>,
    body: impl FnOnce(&Setup) -> Result<()> + Send + 'static,
) -> Trial {
    let setup = setup.cloned();
    let ignored = setup.is_none();
    let run = move || {
        let setup = setup.context("no tshark or no captures");
        setup
            .and_then(|setup| body(&setup))
            .map_err(|error| Failed::from(format!("{error:#}")))
    };
    Trial::test(name, run).with_ignored_flag(ignored)
}
