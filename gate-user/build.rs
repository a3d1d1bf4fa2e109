//! Finds the BPF object that is embedded in the binary, and refuses one that does not fit the sources.

#[path = "../xtask/src/sources.rs"]
mod sources;

use std::{env, fs, io, path::Path};

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&manifest).parent().unwrap_or(Path::new("."));
    let target = sources::target_dir(root);
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    embed(
        root,
        "GATE_BPF_OBJECT",
        &sources::object(&target),
        "cargo xtask build",
    );
    if env::var_os("CARGO_FEATURE_LOG").is_some() {
        embed(
            root,
            "GATE_BPF_LOG_OBJECT",
            &sources::log_object(&target),
            "cargo xtask build --log",
        );
    }
}

/// Names `object` to the compiler, or fails and names the command that makes it.
fn embed(root: &Path, variable: &str, object: &Path, command: &str) {
    match check_fresh(root, object) {
        Ok(()) => println!("cargo::rustc-env={variable}={}", object.display()),
        Err(error) => println!("cargo::error={error}; compile it with `{command}`"),
    }
}

fn check_fresh(root: &Path, object: &Path) -> io::Result<()> {
    let stamp = sources::stamp(object);
    println!("cargo::rerun-if-changed={}", object.display());
    println!("cargo::rerun-if-changed={}", stamp.display());
    let files = sources::files(root)?;
    for file in &files {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
    }
    let built_from = fs::read_to_string(&stamp).map_err(|error| {
        io::Error::other(format!(
            "{}: the BPF object is not there: {error}",
            object.display()
        ))
    })?;
    if built_from.trim() != sources::hash(root, &files)? {
        let stale = format!(
            "{}: the BPF object is older than its sources",
            object.display()
        );
        return Err(io::Error::other(stale));
    }
    Ok(())
}
