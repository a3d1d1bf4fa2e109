//! Proof that nothing is left: what namespaces, links and pins there are before and after, told by the system and not
//! by those who made and removed them.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fmt, fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};

use crate::{
    interrupt,
    lab::{self, BPFFS, NETNS_DIRECTORY, Who},
};

/// How long the kernel may take to remove what is no longer held: it does so in the background.
const PATIENCE: Duration = Duration::from_secs(5);

/// What there was when it was made.
#[derive(Debug)]
pub struct Watch {
    before: BTreeSet<Trace>,
}

/// One thing that could be left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trace {
    /// A named network namespace.
    Namespace(String),
    /// An interface in this process's network namespace.
    Link(String),
    /// A pin, or a directory of pins.
    Pin(PathBuf),
    /// A temporary file or directory.
    File(PathBuf),
    /// A process, by its id.
    Process(String),
}

impl Watch {
    /// Notes what there is now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            before: traces().collect(),
        }
    }

    /// What of this process's making is there now and was not then.
    #[must_use]
    pub fn made(&self) -> Vec<String> {
        traces()
            .filter(|trace| !self.before.contains(trace))
            .map(|trace| trace.to_string())
            .collect()
    }

    /// What is still there once the kernel has had time to clean up.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        // No look at the interrupt flag: what was interrupted is to be checked as well.
        let mut waited = Duration::ZERO;
        loop {
            let made = self.made();
            if made.is_empty() || waited >= PATIENCE {
                return made;
            }
            thread::sleep(interrupt::TICK);
            waited += interrupt::TICK;
        }
    }

    /// An error that lists what is left.
    pub fn nothing_left(&self) -> Result<()> {
        let left = self.left();
        ensure!(left.is_empty(), "left behind: {}", left.join(", "));
        Ok(())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => write!(f, "network namespace {name}"),
            Self::Link(name) => write!(f, "interface {name}"),
            Self::Pin(path) => write!(f, "pin {}", path.display()),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Process(id) => write!(f, "process {id}"),
        }
    }
}

/// Everything that carries the name of this process, the lab's interfaces, and who was started on its pins and files.
fn traces() -> impl Iterator<Item = Trace> {
    let named = |directory: &Path| entries(directory).filter(|path| is_ours(&name(path)));
    let namespaces = named(Path::new(NETNS_DIRECTORY)).map(|path| Trace::Namespace(name(&path)));
    let pins = named(Path::new(BPFFS)).map(Trace::Pin);
    let files = named(&env::temp_dir()).map(Trace::File);
    let links = entries(Path::new("/sys/class/net"))
        .map(|path| name(&path))
        .filter(|name| is_ours(name) || Who::ALL.iter().any(|who| who.interface() == name))
        .map(Trace::Link);
    let processes = entries(Path::new("/proc"))
        .filter(|path| works_on_ours(path))
        .map(|path| Trace::Process(name(&path)));
    namespaces
        .chain(pins)
        .chain(files)
        .chain(links)
        .chain(processes)
}

/// Whether `name` begins with this process's prefix, and not with that of one whose number is longer.
fn is_ours(name: &str) -> bool {
    name.strip_prefix(&lab::prefix())
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// Whether the process at `path`, below `/proc`, was told to work on pins or files of ours.
fn works_on_ours(path: &Path) -> bool {
    let Ok(arguments) = fs::read(path.join("cmdline")) else {
        return false;
    };
    arguments.split(|byte| *byte == 0).any(|argument| {
        let path = Path::new(OsStr::from_bytes(argument));
        let below = |directory: &Path| {
            path.strip_prefix(directory)
                .is_ok_and(|rest| is_ours(&rest.to_string_lossy()))
        };
        below(Path::new(BPFFS)) || below(&env::temp_dir())
    })
}

/// What is in a directory; nothing where there is none.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_processes_are_not_ours() {
        let prefix = lab::prefix();
        for (name, ours) in [
            (prefix.clone(), true),
            (format!("{prefix}-router"), true),
            (format!("{prefix}_3-router"), true),
            (format!("{prefix}0-router"), false),
            ("gate".to_owned(), false),
        ] {
            assert_eq!(is_ours(&name), ours, "{name}");
        }
    }
}
