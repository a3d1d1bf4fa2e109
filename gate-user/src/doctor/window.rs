//! The boot window: from when subscribers can send to when the gate is attached.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::finding::{At, Finding};
use crate::boot::{self, TABLE, are_same};

/// What nftables.service loads.
const RULE_SET: &str = "etc/nftables.conf";
const NFTABLES: &str = "nftables.service";
/// Where systemd has units, those of the administrator first.
const UNITS: [&str; 3] = [
    "etc/systemd/system",
    "lib/systemd/system",
    "usr/lib/systemd/system",
];

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Where the rules are to be.
    pub(super) file: PathBuf,
    /// The configuration that they are made of.
    pub(super) config: PathBuf,
    /// What the configuration makes; nothing where it could not be read.
    pub(super) wanted: Option<Wanted>,
    /// What the file has; nothing if there is none.
    pub(super) text: Result<Option<String>, String>,
    /// The unit that loads the file at boot.
    pub(super) loader: Option<String>,
    /// Whether the rules are loaded.
    pub(super) loaded: Result<bool, String>,
    /// Whether every access interface is judged by the gate.
    pub(super) judged: bool,
}

/// The rules of a configuration.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) rules: String,
    /// Whether they refuse anybody.
    pub(super) refuses: bool,
}

impl Window {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let file = self.file.display().to_string();
        let rules = At::new("boot_rules", &file);
        let why =
            "until the gate is attached, subscribers reach port 25 of everybody after each boot";
        let make = format!(
            "gate boot-rules --config {} > {file}",
            self.config.display()
        );
        let Some(wanted) = &self.wanted else {
            return vec![rules.not_asked("the configuration cannot be read")];
        };
        let mut findings = Vec::new();
        let (finding, there) = match &self.text {
            Err(error) => (rules.not_asked(error), true),
            Ok(None) if !wanted.refuses => {
                (rules.ok("none, and nobody would be refused"), false)
            }
            Ok(None) => (
                rules.warning("there are no rules for the boot window", why, make),
                false,
            ),
            Ok(Some(text)) if are_same(text, &wanted.rules) => {
                (rules.ok("what the configuration makes"), true)
            }
            Ok(Some(_)) => (
                rules.warning(
                    "not what the configuration makes now",
                    "from boot to the gate's start, other people are refused than the configuration says",
                    make,
                ),
                true,
            ),
        };
        findings.push(finding);
        if there {
            findings.push(self.loading(&file, why));
        }
        findings.push(self.table());
        findings
    }

    fn loading(&self, file: &str, why: &str) -> Finding {
        let at = At::new("boot_loader", file);
        match &self.loader {
            Some(unit) => at.ok(format!("{unit} loads it at boot")),
            None => at.warning(
                "no enabled unit loads it at boot",
                why,
                format!(
                    "`systemctl enable gate-boot.service`; without the package, add `include \"{file}\"` to /{RULE_SET}, then `systemctl enable {NFTABLES}`"
                ),
            ),
        }
    }

    fn table(&self) -> Finding {
        let object = format!("table inet {TABLE}");
        let at = At::new("boot_table", &object);
        match (&self.loaded, self.judged) {
            (Err(error), _) => at.not_asked(error),
            (Ok(false), _) => at.ok("not loaded"),
            (Ok(true), false) => at.note(
                "loaded, and the gate is not on every access interface",
                "port 25 is closed by the rules until it is",
            ),
            (Ok(true), true) => at.warning(
                "still loaded, although the gate is on every access interface",
                "what a later configuration opens stays refused",
                format!("nft delete table inet {TABLE}"),
            ),
        }
    }
}

/// The text of the file; nothing if there is none.
pub(super) fn read(file: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The enabled unit that loads `file`: one that names it, or nftables.service, whose rule set names it. `root` is `/`.
pub(super) fn loader(root: &Path, file: &Path) -> Option<String> {
    let file = file.to_str()?;
    let rule_set = fs::read_to_string(root.join(RULE_SET)).unwrap_or_default();
    let included = uncommented(&rule_set, file);
    enabled(root).into_iter().find(|unit| {
        (unit == NFTABLES && included)
            || unit_text(root, unit).is_some_and(|text| uncommented(&text, file))
    })
}

fn uncommented(text: &str, word: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| !line.starts_with(['#', ';']) && line.contains(word))
}

/// The units that something wants or requires, as `systemctl enable` leaves it.
fn enabled(root: &Path) -> Vec<String> {
    let mut units = Vec::new();
    for directory in UNITS {
        let directories = fs::read_dir(root.join(directory)).into_iter().flatten();
        for wants in directories.flatten().map(|it| it.path()) {
            let kind = wants.extension().and_then(|it| it.to_str());
            if !matches!(kind, Some("wants" | "requires")) {
                continue;
            }
            let names = fs::read_dir(&wants).into_iter().flatten().flatten();
            units.extend(names.map(|it| it.file_name().to_string_lossy().into_owned()));
        }
    }
    units
}

fn unit_text(root: &Path, unit: &str) -> Option<String> {
    UNITS
        .iter()
        .find_map(|directory| fs::read_to_string(root.join(directory).join(unit)).ok())
}

/// What `boot` makes of it.
pub(super) fn wanted(rules: boot::BootRules) -> Wanted {
    Wanted {
        refuses: rules.refused != 0,
        rules: rules.rules,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    fn well() -> Window {
        Window {
            file: "/etc/gate/boot.nft".into(),
            config: "/etc/gate/gate.toml".into(),
            wanted: Some(Wanted {
                rules: "a\nb\n".to_owned(),
                refuses: true,
            }),
            text: Ok(Some("# made by\na\n  b\n".to_owned())),
            loader: Some(NFTABLES.to_owned()),
            loaded: Ok(false),
            judged: true,
        }
    }

    fn bad(window: &Window) -> Vec<(&'static str, Outcome)> {
        let findings = window.findings();
        let bad = findings.iter().filter(|it| it.outcome != Outcome::Ok);
        bad.map(|it| (it.check, it.outcome)).collect()
    }

    type Break = fn(&mut Window);

    #[test]
    fn what_leaves_the_window_open_is_told() {
        use Outcome::{NotAsked, Note, Warning};
        assert_eq!(bad(&well()), []);
        let breaks: [(Break, &str, Outcome); 6] = [
            (|it| it.text = Ok(None), "boot_rules", Warning),
            (
                |it| it.text = Ok(Some("a".to_owned())),
                "boot_rules",
                Warning,
            ),
            (|it| it.loader = None, "boot_loader", Warning),
            (|it| it.loaded = Ok(true), "boot_table", Warning),
            (
                |it| {
                    it.loaded = Ok(true);
                    it.judged = false;
                },
                "boot_table",
                Note,
            ),
            (|it| it.wanted = None, "boot_rules", NotAsked),
        ];
        for (broken, check, outcome) in breaks {
            let mut window = well();
            broken(&mut window);
            assert_eq!(bad(&window), [(check, outcome)]);
        }
        let mut nobody = well();
        nobody.text = Ok(None);
        nobody.wanted.as_mut().unwrap().refuses = false;
        assert_eq!(bad(&nobody), []);
    }

    #[test]
    fn an_enabled_unit_that_loads_the_file_is_found() {
        let root = tempfile::tempdir().unwrap();
        let file = Path::new("/etc/gate/boot.nft");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let found = || loader(root.path(), file);
        write(
            RULE_SET,
            "flush ruleset\n# include \"/etc/gate/boot.nft\"\n",
        );
        write("lib/systemd/system/nftables.service", "[Service]\n");
        write(
            "etc/systemd/system/sysinit.target.wants/nftables.service",
            "",
        );
        assert_eq!(found(), None, "only in a comment");
        write(RULE_SET, "include \"/etc/gate/boot.nft\"\n");
        assert_eq!(found().as_deref(), Some(NFTABLES));
        fs::remove_file(
            root.path()
                .join("etc/systemd/system/sysinit.target.wants/nftables.service"),
        )
        .unwrap();
        assert_eq!(found(), None, "not enabled");
        write(
            "etc/systemd/system/gate-boot.service",
            "[Service]\nExecStart=nft -f /etc/gate/boot.nft\n",
        );
        assert_eq!(found(), None, "not enabled either");
        write(
            "etc/systemd/system/network-pre.target.wants/gate-boot.service",
            "",
        );
        assert_eq!(found().as_deref(), Some("gate-boot.service"));
    }
}
