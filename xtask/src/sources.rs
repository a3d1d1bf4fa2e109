//! Whether the BPF object fits the sources beside it.
//!
//! `cargo xtask build` compiles the object and leaves this hash next to it; `gate-user/build.rs` includes this very file, computes the
//! hash again, and refuses to embed an object that is absent or stale. A hash and not a time stamp, because a checkout, a branch switch
//! or a restored cache sets times at will. Only `std` and `sha2` are used, so that a build script can include the file.
//!
//! What goes in is what can change the object:
//! - everything below `src/` of `gate-ebpf` and `gate-common`, with their manifests and build scripts;
//! - of the root manifest: its `[profile.*]` tables and the dependency lines that name a crate of the object;
//! - of `Cargo.lock`: the packages `gate-ebpf` reaches, so that an update for userspace alone leaves the object fresh
//!   (the lock does not tell what is for tests only: that counts too);
//! - `xtask/src/object.rs`, which holds the compiler's flags.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

const CRATES: [&str; 2] = ["gate-ebpf", "gate-common"];
const ROOT_MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";
const FLAGS: &str = "xtask/src/object.rs";

/// The target directory of the workspace at `root`: the same answer for xtask and for a build script.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || root.join("target"),
        // A relative value is relative to where cargo was started; the root is where people start it.
        |directory| root.join(directory),
    )
}

/// Where the object lies.
pub(crate) fn object(target: &Path) -> PathBuf {
    target.join("bpf/gate.o")
}

/// Where the object lies that logs every judged packet.
pub(crate) fn log_object(target: &Path) -> PathBuf {
    target.join("bpf/gate-log.o")
}

/// The file beside `object` that holds the hash of the sources it was compiled from.
pub(crate) fn stamp(object: &Path) -> PathBuf {
    object.with_added_extension("sources")
}

/// The files that the hash reads, sorted, relative to `root`.
pub(crate) fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = BTreeSet::from([ROOT_MANIFEST, LOCK, FLAGS].map(PathBuf::from));
    for name in CRATES {
        for file in ["Cargo.toml", "build.rs"] {
            let relative = Path::new(name).join(file);
            if root.join(&relative).is_file() {
                found.insert(relative);
            }
        }
        walk(root, &Path::new(name).join("src"), &mut found)?;
    }
    Ok(found.into_iter().collect())
}

/// The hash, in hexadecimal, over path and relevant content of `files`.
pub(crate) fn hash(root: &Path, files: &[PathBuf]) -> io::Result<String> {
    let lock = read_text(&root.join(LOCK))?;
    let lock = Lock::parse(&lock);
    let reached = lock.reached("gate-ebpf");
    let mut digest = Sha256::new();
    for file in files {
        let path = root.join(file);
        let content = match file.to_str() {
            Some(LOCK) => lock.blocks(&reached).into_bytes(),
            Some(ROOT_MANIFEST) => relevant_manifest(&read_text(&path)?, &reached).into_bytes(),
            _ => read(&path)?,
        };
        let name = file.to_string_lossy();
        // Lengths first: no two different lists of (path, content) run together to the same bytes.
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name.as_bytes());
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(&content);
    }
    Ok(hex(&digest.finalize()))
}

/// Bytes in hexadecimal, as `sha256sum` writes them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn walk(root: &Path, relative: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let directory = root.join(relative);
    for entry in fs::read_dir(&directory).map_err(|error| name(&directory, &error))? {
        let entry = entry?;
        let file = entry.file_name();
        let text = file.to_string_lossy();
        // Editors leave hidden files and backups; they are no sources.
        if text.starts_with('.') || text.ends_with('~') {
            continue;
        }
        let relative = relative.join(&file);
        if entry.file_type()?.is_dir() {
            walk(root, &relative, found)?;
        } else {
            found.insert(relative);
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| name(path, &error))
}

fn read_text(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| name(path, &error))
}

/// The same error with the path in it: `io::Error` alone does not say which file.
fn name(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The lines of the root manifest that can change the object.
fn relevant_manifest(manifest: &str, reached: &BTreeSet<&str>) -> String {
    let mut table = "";
    let mut relevant = String::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line;
        }
        let keep = if table == "[workspace.dependencies]" {
            line.split_once('=')
                .is_some_and(|(key, _)| reached.contains(key.trim()))
        } else {
            table.starts_with("[profile")
        };
        if keep && !line.is_empty() && !line.starts_with('#') {
            relevant.push_str(line);
            relevant.push('\n');
        }
    }
    relevant
}

/// `Cargo.lock`, as far as needed: the text of each package and the packages it names.
struct Lock<'a> {
    packages: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Lock<'a> {
    fn parse(text: &'a str) -> Self {
        let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for block in text.split("[[package]]").skip(1) {
            if let Some(name) = block
                .lines()
                .find_map(|line| line.strip_prefix("name = "))
                .map(|quoted| quoted.trim_matches('"'))
            {
                // Two versions of a package share its name: both count.
                packages.entry(name).or_default().push(block);
            }
        }
        Self { packages }
    }

    /// The names of all packages that `start` depends on, itself included.
    fn reached(&self, start: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(name) = open.pop() {
            if !reached.insert(name) {
                continue;
            }
            for block in self.packages.get(name).into_iter().flatten() {
                open.extend(dependencies(block));
            }
        }
        reached
    }

    fn blocks(&self, names: &BTreeSet<&str>) -> String {
        self.packages
            .iter()
            .filter(|(name, _)| names.contains(*name))
            .flat_map(|(_, blocks)| blocks)
            .map(|block| block.trim())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The names in the `dependencies` list of a package block: ` "name",` or ` "name version",`.
fn dependencies(block: &str) -> impl Iterator<Item = &str> {
    block
        .lines()
        .filter_map(|line| line.strip_prefix(" \"")?.split(['"', ' ']).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_TEXT: &str = r#"version = 4

[[package]]
name = "aya-ebpf"
version = "0.2.1"
dependencies = [
 "cty 1.0.0",
]

[[package]]
name = "clap"
version = "4.6.7"

[[package]]
name = "cty"
version = "1.0.0"

[[package]]
name = "gate-ebpf"
version = "0.1.0"
dependencies = [
 "aya-ebpf",
]
"#;

    #[test]
    fn the_lock_counts_as_far_as_the_object_reaches() {
        let lock = Lock::parse(LOCK_TEXT);
        let reached = lock.reached("gate-ebpf");
        assert_eq!(reached, BTreeSet::from(["aya-ebpf", "cty", "gate-ebpf"]));

        let bumped = LOCK_TEXT.replace("4.6.7", "4.6.8");
        assert_eq!(
            lock.blocks(&reached),
            Lock::parse(&bumped).blocks(&reached),
            "a new clap changes nothing"
        );
        let bumped = LOCK_TEXT.replace("0.2.1", "0.2.2");
        assert_ne!(lock.blocks(&reached), Lock::parse(&bumped).blocks(&reached));
    }

    #[test]
    fn the_manifest_counts_for_profiles_and_reached_crates() {
        let manifest = r#"
[workspace.dependencies]
aya-ebpf = "0.2"
clap = "4"

[workspace.lints.rust]
missing_docs = "warn"

[profile.release]
# why
lto = "thin"
"#;
        assert_eq!(
            relevant_manifest(manifest, &BTreeSet::from(["aya-ebpf"])),
            "aya-ebpf = \"0.2\"\n[profile.release]\nlto = \"thin\"\n"
        );
    }

    #[test]
    fn the_hash_is_stable_and_sees_every_source() -> io::Result<()> {
        let root = std::env::temp_dir().join(format!("gate-sources-{}", std::process::id()));
        for directory in ["gate-ebpf/src", "gate-common/src/parse", "xtask/src"] {
            fs::create_dir_all(root.join(directory))?;
        }
        for (file, content) in [
            (ROOT_MANIFEST, "[profile.release]\n"),
            (LOCK, LOCK_TEXT),
            (FLAGS, "flags"),
            ("gate-ebpf/Cargo.toml", "[package]\n"),
            ("gate-ebpf/src/main.rs", "a"),
            ("gate-common/src/parse/tcp.rs", "b"),
            ("gate-common/src/.tcp.rs.swp", "an editor's"),
        ] {
            fs::write(root.join(file), content)?;
        }
        let listed = files(&root)?;
        assert_eq!(
            listed,
            [
                LOCK,
                ROOT_MANIFEST,
                "gate-common/src/parse/tcp.rs",
                "gate-ebpf/Cargo.toml",
                "gate-ebpf/src/main.rs",
                FLAGS
            ]
            .map(PathBuf::from)
        );
        let first = hash(&root, &listed)?;
        assert_eq!(first.len(), 64);
        assert_eq!(first, hash(&root, &files(&root)?)?);
        fs::write(root.join("gate-common/src/parse/tcp.rs"), "c")?;
        assert_ne!(first, hash(&root, &listed)?);
        fs::remove_dir_all(&root)
    }
}
