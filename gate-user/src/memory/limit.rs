//! The limit of memory that holds for this process: that of a control group, of either version, or none.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::human;

/// What the kernel writes where there is no limit is as much as it can count; nobody has that much.
const NONE: u64 = 1 << 60;

/// The limit of a control group that this process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The group, as `/proc/self/cgroup` names it.
    group: PathBuf,
    /// The file that says the limit.
    file: PathBuf,
    bytes: u64,
    used: u64,
}

impl Limit {
    /// The limit that leaves this process the least; nothing where there is none, or where the machine has no control groups of memory.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        Self::of(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
    }

    fn of(groups: &str, mounts: &str) -> Option<Self> {
        let limits = Version::ALL
            .into_iter()
            .filter_map(|version| version.hierarchy(groups, mounts))
            .flat_map(|it| it.limits());
        limits.min_by_key(Self::left)
    }

    /// How many bytes are left of it.
    fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.used)
    }

    /// What gives the process more.
    #[must_use]
    pub fn hint(&self) -> String {
        // As the service manager rounds nothing: twice as much, in whole mebibytes.
        let more = (self.bytes.saturating_mul(2) >> 20).max(1);
        let name = self.group.file_name().and_then(|it| it.to_str());
        match name.filter(|it| {
            Path::new(it)
                .extension()
                .is_some_and(|it| it == "service" || it == "slice" || it == "scope")
        }) {
            Some(unit) => format!("`systemctl set-property {unit} MemoryMax={more}M`"),
            None => format!("`echo {more}M > {}`", self.file.display()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            file,
            bytes,
            used,
        } = self;
        let (group, file) = (group.display(), file.display());
        write!(
            f,
            "the control group {group} may have {} ({file}), of which {} are used",
            human(*bytes),
            human(*used)
        )
    }
}

/// The two kinds of control groups, which a machine may have at once.
#[derive(Clone, Copy, Debug)]
enum Version {
    One,
    Two,
}

impl Version {
    const ALL: [Self; 2] = [Self::One, Self::Two];

    /// The files of a limit and of what is used of it.
    const fn files(self) -> [&'static str; 2] {
        match self {
            Self::One => ["memory.limit_in_bytes", "memory.usage_in_bytes"],
            Self::Two => ["memory.max", "memory.current"],
        }
    }

    /// Where the groups of memory are, and which of them the process is in.
    fn hierarchy(self, groups: &str, mounts: &str) -> Option<Hierarchy> {
        let group = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
            let is_own = match self {
                Self::One => controllers.split(',').any(|it| it == "memory"),
                Self::Two => number == "0" && controllers.is_empty(),
            };
            is_own.then(|| PathBuf::from(group))
        })?;
        let (root, top) = mounts.lines().find_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mut kind = kind.split(' ');
            let (kind, options) = (kind.next()?, kind.nth(1)?);
            let is_own = match self {
                Self::One => kind == "cgroup" && options.split(',').any(|it| it == "memory"),
                Self::Two => kind == "cgroup2",
            };
            let mut place = place.split(' ').skip(3);
            is_own.then_some((place.next()?, PathBuf::from(place.next()?)))
        })?;
        let below = group.strip_prefix(root).ok()?.to_owned();
        Some(Hierarchy {
            version: self,
            root: root.into(),
            below,
            top,
        })
    }
}

/// The groups of memory that hold for a process.
struct Hierarchy {
    version: Version,
    /// Which group is mounted.
    root: PathBuf,
    /// The group of the process, below that.
    below: PathBuf,
    /// Where it is mounted.
    top: PathBuf,
}

impl Hierarchy {
    /// Those of the group and of all above it.
    fn limits(&self) -> Vec<Limit> {
        let limit = |group: &Path| {
            let directory = self.top.join(group);
            let [file, used] = self.version.files().map(|it| directory.join(it));
            let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
            // `max` is no number.
            let bytes = number(&file).filter(|bytes| *bytes < NONE)?;
            Some(Limit {
                group: self.root.join(group),
                used: number(&used).unwrap_or(0),
                file,
                bytes,
            })
        };
        self.below.ancestors().filter_map(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is mounted at `top`, as the kernel has it.
    fn mounts(top: &Path, root: &str, kind: &str, options: &str) -> String {
        format!(
            "22 1 0:20 / /proc rw - proc proc rw\n30 22 0:26 {root} {} rw,nosuid shared:9 - {kind} cgroup {options}\n",
            top.display()
        )
    }

    fn group(top: &Path, path: &str, files: [&str; 2], bytes: [&str; 2]) {
        let directory = top.join(path);
        fs::create_dir_all(&directory).unwrap();
        for (file, bytes) in files.into_iter().zip(bytes) {
            fs::write(directory.join(file), format!("{bytes}\n")).unwrap();
        }
    }

    #[test]
    fn the_group_that_leaves_the_least_is_the_limit() {
        let top = tempfile::tempdir().unwrap();
        let files = Version::Two.files();
        group(top.path(), "system.slice", files, ["104857600", "94371840"]);
        group(
            top.path(),
            "system.slice/gate.service",
            files,
            ["67108864", "1048576"],
        );
        group(
            top.path(),
            "system.slice/free.service",
            files,
            ["max", "1048576"],
        );
        let mounts = mounts(top.path(), "/", "cgroup2", "rw,nsdelegate");
        let of = |groups: &str| Limit::of(groups, &mounts);
        // 10 MiB are left above, 63 MiB in its own.
        for service in ["gate", "free"] {
            let limit = of(&format!("0::/system.slice/{service}.service\n")).unwrap();
            let words = limit.to_string();
            assert!(
                words.starts_with("the control group /system.slice may have 100.0 MiB (")
                    && words.ends_with("system.slice/memory.max), of which 90.0 MiB are used"),
                "{words}"
            );
            assert_eq!(
                limit.hint(),
                "`systemctl set-property system.slice MemoryMax=200M`"
            );
        }
        group(top.path(), "system.slice", files, ["max", "94371840"]);
        let limit = of("0::/system.slice/gate.service\n").unwrap();
        assert_eq!((limit.bytes, limit.used), (64 << 20, 1 << 20));
        for none in [
            "0::/system.slice/free.service\n",
            "0::/\n",
            "0::/absent\n",
            "",
            "nonsense",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn groups_of_version_one_are_known() {
        let top = tempfile::tempdir().unwrap();
        let files = Version::One.files();
        group(top.path(), "jail", files, ["67108864", "60817408"]);
        group(top.path(), "", files, ["9223372036854771712", "94371840"]);
        // Of a container, which sees a part of the hierarchy.
        let mounts = mounts(top.path(), "/lxc/7", "cgroup", "rw,memory");
        let groups = "5:cpu,cpuacct:/\n4:memory:/lxc/7/jail\n0::/\n";
        let limit = Limit::of(groups, &mounts).unwrap();
        assert_eq!(limit.group, Path::new("/lxc/7/jail"));
        let file = top.path().join("jail/memory.limit_in_bytes");
        assert_eq!(limit.hint(), format!("`echo 128M > {}`", file.display()));
        assert_eq!(Limit::of("4:memory:/elsewhere\n", &mounts), None);
        assert_eq!(Limit::of("4:memory:/lxc/7\n", &mounts), None);
        assert_eq!(Limit::of("5:cpu:/lxc/7/jail\n", &mounts), None);
    }
}
