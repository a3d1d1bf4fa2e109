//! The machine: kernel, clock, forwarding.

use std::{fs, path::Path};

use jiff::Timestamp;
use nix::sys::utsname::uname;

use super::finding::{At, Finding};
use crate::{floor, sys::is_synchronised};

/// What the machine is like.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// The kernel's release, and what is wrong with it.
    pub(super) kernel: (String, Option<String>),
    /// Whether it describes its own types.
    pub(super) btf: bool,
    /// `net.core.bpf_jit_enable`.
    pub(super) jit: Option<String>,
    /// `net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding`.
    pub(super) forwarding: [Option<String>; 2],
    /// `net.ipv4.tcp_fwmark_accept`.
    pub(super) fwmark_accept: Option<String>,
    /// What the time is.
    pub(super) now: Timestamp,
    /// Whether something keeps the clock right, or why that is not known.
    pub(super) synchronised: Result<bool, String>,
}

/// What the configuration asks of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    /// Whether the skb mark is set.
    pub(super) marks: bool,
    /// When the newest country database was built.
    pub(super) newest: Option<Timestamp>,
}

impl Host {
    /// Looks; `root` is `/`.
    pub(super) fn look(root: &Path) -> Self {
        let setting = |name: &str| {
            let path = root.join("proc/sys").join(name);
            fs::read_to_string(path).ok().map(|it| it.trim().to_owned())
        };
        let release = uname().map_or_else(
            |errno| errno.to_string(),
            |it| it.release().to_string_lossy().into_owned(),
        );
        Self {
            kernel: (release, floor::check().err().map(|it| it.to_string())),
            btf: root.join("sys/kernel/btf/vmlinux").exists(),
            jit: setting("net/core/bpf_jit_enable"),
            forwarding: ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"].map(setting),
            fwmark_accept: setting("net/ipv4/tcp_fwmark_accept"),
            now: Timestamp::now(),
            synchronised: is_synchronised().map_err(|error| error.to_string()),
        }
    }

    pub(super) fn findings(&self, wants: Wants) -> Vec<Finding> {
        let mut findings = vec![self.kernel(), self.btf(), self.jit()];
        findings.extend(self.forwarding());
        findings.extend(self.fwmark_accept(wants.marks));
        findings.push(self.clock(wants.newest));
        findings.push(self.synchronised());
        findings
    }

    fn kernel(&self) -> Finding {
        let at = At::new("kernel", "this machine");
        match &self.kernel {
            (release, None) => at.ok(format!("Linux {release}")),
            (_, Some(wrong)) => at.degraded(
                wrong,
                "program and maps need what came with Linux 6.1",
                "install the kernel of Debian 12 or later, then boot it",
            ),
        }
    }

    fn btf(&self) -> Finding {
        let at = At::new("btf", "/sys/kernel/btf/vmlinux");
        if self.btf {
            return at.ok("the kernel describes its types");
        }
        at.warning(
            "the kernel does not describe its types",
            "answers that fail to leave are not counted",
            "boot a kernel that is built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are",
        )
    }

    fn jit(&self) -> Finding {
        let at = At::new("jit", "net.core.bpf_jit_enable");
        match self.jit.as_deref() {
            None => at.not_asked("only the initial network namespace has this setting"),
            Some("0") => at.warning(
                "0: programs are interpreted",
                "every packet takes several times as long",
                "sysctl -w net.core.bpf_jit_enable=1",
            ),
            Some("1") => at.ok("1: programs are compiled"),
            Some(other) => at.warning(
                format!("{other}: programs are compiled, and written to the kernel log"),
                "that is for debugging, and shows kernel addresses",
                "sysctl -w net.core.bpf_jit_enable=1",
            ),
        }
    }

    /// An edge router forwards; a machine that does not may be one that bridges.
    fn forwarding(&self) -> Vec<Finding> {
        const NAMES: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
        let settings = NAMES.into_iter().zip(&self.forwarding);
        let finding = |(name, value): (&'static str, &Option<String>)| {
            let at = At::new("forwarding", name);
            match value.as_deref() {
                None => at.not_asked("this kernel has no such setting"),
                Some("0") => at.note(
                    format!("0: this machine does not route; `sysctl -w {name}=1` if it should"),
                    "subscribers who are routed here reach nothing, port 25 or not",
                ),
                Some(value) => at.ok(value),
            }
        };
        settings.map(finding).collect()
    }

    fn fwmark_accept(&self, marks: bool) -> Option<Finding> {
        let at = At::new("mark_of_sockets", "net.ipv4.tcp_fwmark_accept");
        let value = self.fwmark_accept.as_deref().filter(|_| marks)?;
        Some(if value == "0" {
            at.note(
                "0: sockets do not take the mark of the connection that they accept",
                "a mail server on this machine that reads SO_MARK sees 0; `sysctl -w net.ipv4.tcp_fwmark_accept=1` if there is one",
            )
        } else {
            at.ok(value)
        })
    }

    fn clock(&self, newest: Option<Timestamp>) -> Finding {
        /// 2020-01-01: the project is younger.
        const PAST: i64 = 1_577_836_800;
        let at = At::new("clock", "this machine");
        let now = self.now;
        let wrong = if now.as_second() < PAST {
            Some("before the gate was written".to_owned())
        } else {
            newest
                .filter(|built| now < *built)
                .map(|built| format!("before the country database was built, at {built:.0}"))
        };
        match wrong {
            Some(wrong) => at.degraded(
                format!("{now:.0}: {wrong}"),
                "deadlines (`until`, `effective_from`) go by it",
                "timedatectl set-ntp true",
            ),
            None => at.ok(format!("{now:.0}")),
        }
    }

    fn synchronised(&self) -> Finding {
        let at = At::new("clock_synchronised", "this machine");
        match &self.synchronised {
            Ok(true) => at.ok("something keeps the clock right"),
            Ok(false) => at.warning(
                "nothing keeps the clock right, or it has not begun to",
                "deadlines (`until`, `effective_from`) go by it",
                "timedatectl set-ntp true",
            ),
            Err(error) => at.not_asked(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    fn well() -> Host {
        Host {
            kernel: ("6.12.1".to_owned(), None),
            btf: true,
            jit: Some("1".to_owned()),
            forwarding: [Some("1".to_owned()), Some("1".to_owned())],
            fwmark_accept: Some("1".to_owned()),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            synchronised: Ok(true),
        }
    }

    fn outcomes(host: &Host, wants: Wants) -> Vec<(&'static str, Outcome)> {
        let findings = host.findings(wants);
        let bad = findings.iter().filter(|it| it.outcome != Outcome::Ok);
        bad.map(|it| (it.check, it.outcome)).collect()
    }

    #[test]
    fn a_well_machine_has_nothing_but_ok() {
        let wants = Wants {
            marks: true,
            newest: Some(Timestamp::from_second(1_799_000_000).unwrap()),
        };
        assert_eq!(outcomes(&well(), wants), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_one_finding() {
        type Break = fn(&mut Host);
        let old = Some("this kernel is Linux 5.15".to_owned());
        let breaks: [(Break, &str, Outcome); 8] = [
            (|it| it.btf = false, "btf", Outcome::Warning),
            (|it| it.jit = Some("0".to_owned()), "jit", Outcome::Warning),
            (|it| it.jit = Some("2".to_owned()), "jit", Outcome::Warning),
            (|it| it.jit = None, "jit", Outcome::NotAsked),
            (
                |it| it.forwarding = [Some("0".to_owned()), Some("1".to_owned())],
                "forwarding",
                Outcome::Note,
            ),
            (
                |it| it.fwmark_accept = Some("0".to_owned()),
                "mark_of_sockets",
                Outcome::Note,
            ),
            (
                |it| it.synchronised = Ok(false),
                "clock_synchronised",
                Outcome::Warning,
            ),
            (
                |it| it.now = Timestamp::from_second(1_500_000_000).unwrap(),
                "clock",
                Outcome::Degraded,
            ),
        ];
        let wants = Wants {
            marks: true,
            newest: None,
        };
        for (broken, check, outcome) in breaks {
            let mut host = well();
            broken(&mut host);
            assert_eq!(outcomes(&host, wants), [(check, outcome)]);
        }
        let mut host = well();
        host.kernel.1 = old;
        assert_eq!(outcomes(&host, wants), [("kernel", Outcome::Degraded)]);
    }

    #[test]
    fn a_clock_behind_the_database_is_wrong() {
        let wants = Wants {
            marks: false,
            newest: Some(Timestamp::from_second(1_800_000_001).unwrap()),
        };
        assert_eq!(outcomes(&well(), wants), [("clock", Outcome::Degraded)]);
    }
}
