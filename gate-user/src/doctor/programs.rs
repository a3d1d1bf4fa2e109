//! Whose a program is: its name, the processes that hold it, and where it is pinned.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::loaded_programs;

use crate::sys::pinned_program;

/// The program that libxdp puts on an interface for several others.
const DISPATCHER: &str = "xdp_dispatcher";
/// As many pins as are looked at: more are a fault of somebody else's.
const MOST_PINS: usize = 4096;

/// A program and who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    /// The kernel's number for it.
    pub(super) id: u32,
    /// Its name; nothing if it has none.
    pub(super) name: Option<String>,
    /// The processes that hold it, or a link that runs it: id and name.
    pub(super) processes: BTreeSet<(u32, String)>,
    /// Where it is pinned, or a link that runs it.
    pub(super) pins: BTreeSet<PathBuf>,
}

impl Owner {
    /// Looks for those who have the program with this number.
    pub(super) fn of(id: u32) -> Self {
        let program = loaded_programs().flatten().find(|it| it.id() == id);
        let name = program.and_then(|it| it.name_as_str().map(str::to_owned));
        Self {
            id,
            name: name.filter(|it| !it.is_empty()),
            processes: processes(Path::new("/proc"), id),
            pins: pins(id),
        }
    }

    /// What it is, in words.
    pub(super) fn words(&self) -> String {
        let Self {
            id,
            name,
            processes,
            pins,
        } = self;
        let mut words = match name.as_deref() {
            Some(DISPATCHER) => format!("id {id}, {DISPATCHER} of libxdp"),
            Some(name) => format!("id {id}, {name}"),
            None => format!("id {id}"),
        };
        for (process, name) in processes {
            let _ = write!(words, ", held by process {process} ({name})");
        }
        for pin in pins {
            let _ = write!(words, ", pinned at {}", pin.display());
        }
        if processes.is_empty() && pins.is_empty() {
            words.push_str(", attached by a process that has ended");
        }
        words
    }

    /// What takes it off an interface.
    pub(super) fn removal(&self, interface: &str) -> String {
        if self.name.as_deref() == Some(DISPATCHER) {
            return format!("xdp-loader unload {interface} --all");
        }
        if let Some((process, name)) = self.processes.first() {
            return format!("end process {process} ({name}), for example by its unit");
        }
        match self.pins.first() {
            Some(pin) => format!("rm {}", pin.display()),
            None => format!("ip link set dev {interface} xdp off"),
        }
    }
}

/// The processes below `proc` that hold the program, or a link that runs it.
fn processes(proc: &Path, id: u32) -> BTreeSet<(u32, String)> {
    let mut found = BTreeSet::new();
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|it| it.parse::<u32>().ok()) else {
            continue;
        };
        // Whoever asks holds what it asks about for an instant.
        if number == std::process::id() {
            continue;
        }
        // Processes end, and other people's descriptors may not be looked at: whoever is left is told.
        let descriptors = fs::read_dir(process.path().join("fdinfo"));
        let holds = descriptors
            .into_iter()
            .flatten()
            .flatten()
            .any(|it| fs::read_to_string(it.path()).is_ok_and(|text| names(&text, id)));
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.insert((number, name.trim().to_owned()));
        }
    }
    found
}

/// Whether /proc says of a descriptor that it is of this program, or of a link that runs it.
fn names(text: &str, id: u32) -> bool {
    let said = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
    said.and_then(|it| it.trim().parse().ok()) == Some(id)
}

/// Where the program is pinned, or a link that runs it.
fn pins(id: u32) -> BTreeSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut left = MOST_PINS;
    let mut found = BTreeSet::new();
    for root in bpf_mounts(&mounts) {
        // What cannot be listed names nobody.
        let _ = walk(&root, id, &mut left, &mut found);
    }
    found
}

/// Where BPF file systems are mounted.
fn bpf_mounts(mounts: &str) -> Vec<PathBuf> {
    let of_line = |line: &str| {
        let mut words = line.split(' ');
        let path = words.nth(1)?;
        (words.next()? == "bpf").then(|| PathBuf::from(path))
    };
    mounts.lines().filter_map(of_line).collect()
}

fn walk(
    directory: &Path,
    id: u32,
    left: &mut usize,
    found: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            walk(&path, id, left, found)?;
        } else if kind.is_file() && pinned_program(&path).is_ok_and(|it| it == Some(id)) {
            found.insert(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_their_descriptors() {
        let proc = tempfile::tempdir().unwrap();
        for (process, name, info) in [
            ("7", "loader", "pos:\t0\nprog_id:\t41\n"),
            ("8", "other", "prog_id:\t410\n"),
            ("self", "loader", "prog_id:\t41\n"),
        ] {
            let directory = proc.path().join(process);
            fs::create_dir_all(directory.join("fdinfo")).unwrap();
            fs::write(directory.join("comm"), format!("{name}\n")).unwrap();
            fs::write(directory.join("fdinfo/3"), info).unwrap();
        }
        let found = processes(proc.path(), 41);
        assert_eq!(found, [(7, "loader".to_owned())].into());
    }

    #[test]
    fn bpf_file_systems_are_found_among_mounts() {
        let mounts =
            "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\nbpf /run/cilium bpf rw 0 0\n";
        assert_eq!(
            bpf_mounts(mounts),
            [Path::new("/sys/fs/bpf"), Path::new("/run/cilium")]
        );
    }

    #[test]
    fn what_takes_it_off_depends_on_who_has_it() {
        let mut owner = Owner {
            id: 41,
            ..Owner::default()
        };
        assert_eq!(owner.removal("eth1"), "ip link set dev eth1 xdp off");
        owner.pins.insert("/sys/fs/bpf/theirs".into());
        assert_eq!(owner.removal("eth1"), "rm /sys/fs/bpf/theirs");
        owner.processes.insert((7, "loader".to_owned()));
        assert!(owner.removal("eth1").contains("process 7 (loader)"));
        owner.name = Some(DISPATCHER.to_owned());
        assert!(owner.removal("eth1").starts_with("xdp-loader unload eth1"));
        assert!(owner.words().contains("of libxdp"));
    }
}
