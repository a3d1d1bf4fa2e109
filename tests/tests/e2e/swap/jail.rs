//! A control group of memory, of either version, for a daemon that is to have too little.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use gate_tests::{gate::Daemon, lab::Lab};
use libtest_mimic::Trial;

/// Where control groups can be, and the files of limit and use; the first is version 1.
const PLACES: [(&str, [&str; 2]); 3] = [
    (
        "/sys/fs/cgroup/memory",
        ["memory.limit_in_bytes", "memory.usage_in_bytes"],
    ),
    ("/sys/fs/cgroup", ["memory.max", "memory.current"]),
    ("/sys/fs/cgroup/unified", ["memory.max", "memory.current"]),
];

/// The place of those where a group of memory can be made.
fn place() -> Option<(&'static Path, [&'static str; 2])> {
    PLACES.into_iter().find_map(|(place, files)| {
        let place = Path::new(place);
        let controls = fs::read_to_string(place.join("cgroup.subtree_control"));
        let has_memory = match controls {
            Ok(controls) => controls.split_whitespace().any(|it| it == "memory"),
            Err(_) => place.join(files[0]).exists(),
        };
        has_memory.then_some((place, files))
    })
}

/// The trial, ignored on a machine without control groups of memory, which is said.
pub(super) fn ignored_without(trial: Trial) -> Trial {
    if place().is_none() {
        let places = PLACES.map(|(place, _)| place).join(", ");
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "{} is ignored: there is no control group with the controller `memory`, of version 1 or 2 ({places})",
            trial.name()
        );
        trial.with_ignored_flag(true)
    } else {
        trial
    }
}

/// A control group, for as long as this is there.
pub(super) struct Jail {
    directory: PathBuf,
    files: [&'static str; 2],
}

impl Jail {
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        let (place, files) = place().context("no control groups of memory")?;
        let name = lab.scratch().file_name().context("no name")?;
        let directory = place.join(name);
        fs::create_dir(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self { directory, files })
    }

    /// Its last name, as `/proc/self/cgroup` has it.
    pub(super) fn name(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Has the process begin in it.
    pub(super) fn contain(&self, command: &mut Command) -> Result<()> {
        let members = fs::OpenOptions::new()
            .write(true)
            .open(self.directory.join("cgroup.procs"))?;
        // `0` is who writes.
        let enter = move || {
            nix::unistd::write(&members, b"0")
                .map(drop)
                .map_err(Into::into)
        };
        // SAFETY: between fork and exec, `enter` makes one system call on what is there already, and allocates nothing.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    /// Leaves it so many bytes beyond what cannot be taken back from it.
    pub(super) fn leave(&self, bytes: u64) -> Result<()> {
        let [limit, used] = self.files.map(|it| self.directory.join(it));
        let used: u64 = fs::read_to_string(used)?.trim().parse()?;
        let stat = fs::read_to_string(self.directory.join("memory.stat"))?;
        let of = |names: &[&str]| {
            stat.lines().find_map(|line| {
                let (name, bytes) = line.split_once(' ')?;
                names.contains(&name).then(|| bytes.parse::<u64>().ok())?
            })
        };
        // What was read of files makes room for anything else, but what is in memory only has nowhere else to be, and either version counts it among the former.
        let cached = of(&["cache", "file"]).context("no page cache in memory.stat")?;
        let shared = of(&["shmem"]).context("no shared memory in memory.stat")?;
        let kept = used.saturating_sub(cached.saturating_sub(shared));
        fs::write(&limit, (kept + bytes).to_string())
            .with_context(|| format!("cannot write {}", limit.display()))
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        // Whoever is in it has ended; the kernel may still be at it.
        let _ = gate_tests::interrupt::wait_until(super::LIMIT, || {
            fs::remove_dir(&self.directory).is_ok() || !self.directory.exists()
        });
    }
}

/// The maps that a daemon has open, by the kernel's numbers.
pub(super) fn maps(daemon: &Daemon) -> Result<BTreeSet<String>> {
    let process = Path::new("/proc").join(daemon.id().to_string());
    let mut maps = BTreeSet::new();
    for entry in fs::read_dir(process.join("fdinfo"))? {
        // Descriptors come and go.
        let Ok(page) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let id = page.lines().find_map(|it| it.strip_prefix("map_id:"));
        maps.extend(id.map(|it| it.trim().to_owned()));
    }
    Ok(maps)
}
