//! The gate that is in force: its pins, its daemon, and what `gate status` says of it.

use std::path::Path;

use super::{
    data::Owned,
    finding::{At, Finding},
};
use crate::{
    error::Error,
    kernel::KernelError,
    pins::{Pins, PinsError},
    privilege,
    report::Status,
};

/// The check that says why it is not known which generation is in force.
pub(super) const GENERATION: &str = "generation";
/// Permissions that the directory of the pins, and the socket, must not have.
const OTHERS: u32 = 0o007;
const WRITE: u32 = 0o022;

/// Why it cannot be told which generation is in force; nothing where that none is can be told.
pub(super) fn unread(error: &Error) -> Option<String> {
    let none = matches!(error, Error::NotLoaded { .. })
        || matches!(
            error,
            Error::Kernel(KernelError::Open { error, .. })
                if error.kind() == std::io::ErrorKind::NotFound
        );
    (!none).then(|| error.to_string())
}

/// That it cannot be told.
pub(super) fn generation(pins: &Pins, reason: &str) -> Finding {
    At::new(GENERATION, &pins.root().display().to_string()).not_asked(reason)
}

/// The BPF file system and what is pinned on it.
pub(super) fn pins(pins: &Pins) -> Vec<Finding> {
    let root = pins.root().display().to_string();
    let mut findings = vec![file_system(pins, &root)];
    if !pins.root().exists() {
        return findings;
    }
    let at = At::new("pins", &root);
    findings.push(match pins.check_ownership() {
        Ok(()) => match Owned::of(pins.root()) {
            Ok(owned) => directory(at, owned),
            Err(error) => at.not_asked(error.to_string()),
        },
        Err(error) if is_denied(&error) => at.not_asked(error.to_string()),
        Err(error) => at.degraded(
            error.to_string(),
            "the gate adopts nothing that may not be its own, and does not start",
            error.hint(),
        ),
    });
    findings
}

fn is_denied(error: &PinsError) -> bool {
    matches!(error, PinsError::Io { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied)
}

fn file_system(pins: &Pins, root: &str) -> Finding {
    let at = At::new("bpffs", root);
    match pins.check_file_system() {
        Ok(()) => at.ok("on a BPF file system"),
        Err(error) => at.degraded(
            error.to_string(),
            "the gate outlives its daemon by what is pinned there, and does not start without",
            error.hint(),
        ),
    }
}

fn directory(at: At<'_>, owned: Owned) -> Finding {
    let Owned { user, mode, .. } = owned;
    if mode & (WRITE | OTHERS) == 0 {
        return at.ok(format!("nothing but the gate's own, mode {mode:04o}"));
    }
    at.warning(
        format!("others can reach the pins (mode {mode:04o}, user {user})"),
        "who can open the directory can hold the lock of the gate",
        "gate reload",
    )
}

/// What this process may.
pub(super) fn own_capabilities() -> Finding {
    let at = At::new("capabilities", "this process");
    match privilege::check() {
        Ok(()) => at.ok(privilege::NEEDED.join(", ")),
        Err(error) => at.warning(
            error.to_string(),
            "what is in force can only be asked with them",
            "run it as root, for example with sudo",
        ),
    }
}

/// The daemon.
pub(super) fn daemon(status: &Status, config: &Path) -> Vec<Finding> {
    let at = At::new("daemon", "gate run");
    if !status.daemon.is_alive() {
        return vec![at.degraded(
            "not running",
            "verdicts go on, but nothing follows changes of interfaces and of data",
            format!("gate run --config {}", config.display()),
        )];
    }
    let Some(pid) = status.daemon.pid() else {
        return vec![at.degraded(
            "somebody holds the lock, and does not answer",
            "no reload can be asked for, and it may hang",
            "gate status",
        )];
    };
    let mut findings = vec![at.ok(format!("process {pid}"))];
    let object = format!("process {pid}");
    let at = At::new("capabilities", &object);
    findings.push(match privilege::missing_of(pid) {
        Ok(missing) if missing.is_empty() => at.ok(privilege::NEEDED.join(", ")),
        Ok(missing) => at.degraded(
            format!("the daemon lacks {}", missing.join(", ")),
            "it can load nothing new, and get on no interface that comes",
            format!(
                "give its unit `AmbientCapabilities={}`, then restart it",
                privilege::NEEDED.join(" ")
            ),
        ),
        Err(error) => at.not_asked(error.to_string()),
    });
    findings
}

/// The control socket.
pub(super) fn socket(pins: &Pins) -> Option<Finding> {
    let link = pins.control();
    if !link.is_symlink() {
        return None;
    }
    let object = link.display().to_string();
    let at = At::new("socket", &object);
    Some(match Owned::of(&link) {
        Ok(Owned { mode, .. }) if mode & (WRITE | OTHERS) == 0 => at.ok(format!("mode {mode:04o}")),
        Ok(Owned { mode, .. }) => at.degraded(
            format!("others can connect to it (mode {mode:04o})"),
            "who can connect can reload and roll back",
            format!("chmod 600 {object}"),
        ),
        Err(error) => at.not_asked(error.to_string()),
    })
}

/// Everything else that `gate status` has against the gate; `told` says what other findings have already.
pub(super) fn status(status: &Result<Status, Error>, told: impl Fn(&str) -> bool) -> Vec<Finding> {
    let at = At::new("status", "gate status");
    match status {
        Err(error) => vec![at.not_asked(error.to_string())],
        Ok(status) => {
            let problems = status.problems.iter().filter(|it| !told(it));
            let finding = |problem: &String| {
                let (found, fix) = problem
                    .rsplit_once("; ")
                    .unwrap_or((problem, "gate status"));
                at.degraded(found, "`gate status` ends with 3 over it", fix)
            };
            let findings: Vec<Finding> = problems.map(finding).collect();
            if findings.is_empty() {
                vec![at.ok("nothing else")]
            } else {
                findings
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn that_none_is_in_force_is_told_only_by_who_may_look() {
        let open = |kind: std::io::ErrorKind| {
            unread(&Error::Kernel(KernelError::Open {
                path: "/sys/fs/bpf/gate/v6/maps/state".into(),
                error: kind.into(),
            }))
        };
        assert_eq!(open(std::io::ErrorKind::NotFound), None);
        let denied = open(std::io::ErrorKind::PermissionDenied).unwrap();
        assert!(
            denied.contains("/sys/fs/bpf/gate/v6/maps/state"),
            "{denied}"
        );
        let root = "/sys/fs/bpf/gate".into();
        assert_eq!(unread(&Error::NotLoaded { pins: root }), None);
    }

    #[test]
    fn pins_that_others_can_reach_are_told() {
        let outcome = |mode| {
            let owned = Owned {
                user: 0,
                group: 0,
                mode,
            };
            directory(At::new("pins", "/sys/fs/bpf/gate"), owned).outcome
        };
        assert_eq!(outcome(0o700), Outcome::Ok);
        assert_eq!(outcome(0o710), Outcome::Ok, "readers go through");
        assert_eq!(outcome(0o755), Outcome::Warning);
        assert_eq!(outcome(0o720), Outcome::Warning);
    }

    #[test]
    fn a_directory_that_is_on_no_bpf_file_system_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(&directory.path().join("gate")).unwrap();
        let findings = super::pins(&pins);
        let [finding] = findings.as_slice() else {
            panic!("{findings:?}")
        };
        assert_eq!(
            (finding.check, finding.outcome),
            ("bpffs", Outcome::Degraded)
        );
        assert!(finding.fix.as_ref().unwrap().contains("mount -t bpf"));
    }
}
