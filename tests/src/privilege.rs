//! Whether this process may make a lab: the question before every privileged test, whose "no" is reported and never
//! counted as passed.

use std::{fmt, fs};

use nix::unistd::geteuid;

/// The capabilities a lab takes: bit number (linux/capability.h) and name.
const NEEDED: [(u32, &str); 4] = [
    (12, "CAP_NET_ADMIN"),
    (21, "CAP_SYS_ADMIN"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
];

/// Why this process may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprivileged(String);

impl fmt::Display for Unprivileged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unprivileged {}

/// `Ok` when this process may make namespaces and load BPF programs.
pub fn privileged() -> Result<(), Unprivileged> {
    if !geteuid().is_root() {
        return Err(Unprivileged(
            "not root: network namespaces and BPF programs need it".to_owned(),
        ));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = effective(&status).unwrap_or_default();
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(bit, _)| held & (1 << bit) == 0)
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Unprivileged(format!(
            "root, but without {}: is this a container?",
            missing.join(", ")
        )))
    }
}

/// The effective capabilities in the text of `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let field = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(field.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\tcat\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(effective(status), Some(0x1ff_ffff_ffff));
        assert_eq!(effective("Name:\tcat\n"), None);
    }
}
