//! The inputs that are kept in the repository.

use std::{
    fs, panic,
    path::{Path, PathBuf},
};

/// Runs `check` on every input of `target`, and names the one that it fails for.
pub(crate) fn each(target: &str, check: impl Fn(&[u8])) {
    let mut inputs = Vec::new();
    for directory in ["corpus", "crashes"] {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        inputs.extend(files(&fuzz.join(directory).join(target)));
    }
    assert!(!inputs.is_empty(), "fuzz/corpus/{target} is empty");
    for input in inputs {
        let data = fs::read(&input).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
        let checked = panic::catch_unwind(panic::AssertUnwindSafe(|| check(&data)));
        assert!(
            checked.is_ok(),
            "{} fails; `cargo xtask fuzz {target} --input FILE` runs it alone",
            input.display()
        );
    }
}

/// The files in a directory that may not be there.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}
