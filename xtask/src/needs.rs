//! What the tasks need from the machine beside Rust: one table, by the command each package brings.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{apt, command, say};

/// What a machine is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Compile the BPF object: a toolchain and bpf-linker.
    Build,
    /// Run gate on the country database of the repository.
    Run,
    /// Network namespaces with real sockets: the demo and the end-to-end tests.
    Lab,
    /// A mail server in the lab, of Debian's own programs.
    Mail,
    /// Prometheus in the lab, and parsers of what it reads.
    Metrics,
    /// A browser in the lab, for the status page.
    Browser,
    /// The peers of the benchmark, each of which can be left out.
    Bench,
    /// Compare the parser with tshark's.
    Conformance,
    /// Other kernels in qemu.
    Vm,
    /// Make the Debian package.
    Package,
    /// Try the Debian package: in a clean root, and in a guest with systemd.
    Dist,
    /// Fuzz: libFuzzer is C++.
    Fuzz,
    /// Formatting, clippy, licences, data.
    Lint,
    /// Fetch the country database again.
    Data,
}

impl Group {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Lab => "lab",
            Self::Mail => "mail",
            Self::Metrics => "metrics",
            Self::Browser => "browser",
            Self::Bench => "bench",
            Self::Conformance => "conformance",
            Self::Vm => "vm",
            Self::Package => "package",
            Self::Dist => "dist",
            Self::Fuzz => "fuzz",
            Self::Lint => "lint",
            Self::Data => "data",
        }
    }
}

/// A command that tasks call.
struct Need {
    /// Its name; or `perl -MNAME` or `python3 -mNAME`, for a module that one of them needs.
    command: &'static str,
    /// Debian's package that brings the command.
    package: &'static str,
    /// The tasks that call it.
    groups: &'static [Group],
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        command: "xz",
        package: "xz-utils",
        groups: &[
            Group::Run,
            Group::Lab,
            Group::Conformance,
            Group::Vm,
            Group::Dist,
            Group::Lint,
            Group::Data,
        ],
        why: "packs and unpacks country databases and captures, unpacks drivers",
    },
    Need {
        command: "ip",
        package: "iproute2",
        groups: &[Group::Lab, Group::Vm],
        why: "makes namespaces and the links in them",
    },
    Need {
        command: "ethtool",
        package: "ethtool",
        groups: &[Group::Lab, Group::Vm],
        why: "sets the offloads of a veth pair, shows those of a NIC",
    },
    Need {
        command: "nsenter",
        package: "util-linux",
        groups: &[Group::Lab],
        why: "enters a namespace without losing bpffs",
    },
    Need {
        command: "unshare",
        package: "util-linux",
        groups: &[Group::Vm, Group::Dist],
        why: "gives a virtual machine a network of its own",
    },
    Need {
        command: "strace",
        package: "strace",
        groups: &[Group::Lab],
        why: "kills the gate between two system calls",
    },
    Need {
        command: "xdp-filter",
        package: "xdp-tools",
        groups: &[Group::Bench],
        why: "filters ports in XDP",
    },
    Need {
        command: "bpftool",
        package: "bpftool",
        groups: &[Group::Lab],
        why: "says what it sees of the gate's programs",
    },
    Need {
        command: "nft",
        package: "nftables",
        groups: &[Group::Mail, Group::Bench, Group::Lab],
        why: "filters packets, looks addresses up in sets, counts what shows of classes",
    },
    Need {
        command: "ipset",
        package: "ipset",
        groups: &[Group::Bench],
        why: "looks addresses up for iptables",
    },
    Need {
        command: "iptables",
        package: "iptables",
        groups: &[Group::Bench],
        why: "filters packets",
    },
    Need {
        command: "tshark",
        package: "tshark",
        groups: &[Group::Conformance],
        why: "is the decoder that the parser is compared with",
    },
    Need {
        command: "nmap",
        package: "nmap",
        groups: &[Group::Lab],
        why: "scans the lab as attackers would",
    },
    Need {
        command: "curl",
        package: "curl",
        groups: &[Group::Lab],
        why: "asks for metrics as the pages show it",
    },
    Need {
        command: "postfix",
        package: "postfix",
        groups: &[Group::Mail],
        why: "reads tags in the lab, with a configuration of its own",
    },
    Need {
        command: "dovecot",
        package: "dovecot-core",
        groups: &[Group::Mail],
        why: "checks passwords for that Postfix",
    },
    Need {
        command: "swaks",
        package: "swaks",
        groups: &[Group::Mail],
        why: "submits mail in the lab",
    },
    Need {
        command: "perl -MIO::Socket::INET6",
        package: "libio-socket-inet6-perl",
        groups: &[Group::Mail],
        why: "lets swaks speak IPv6",
    },
    Need {
        command: "perl -MNet::SSLeay",
        package: "libnet-ssleay-perl",
        groups: &[Group::Mail],
        why: "lets swaks speak TLS",
    },
    Need {
        command: "openssl",
        package: "openssl",
        groups: &[Group::Lab, Group::Mail],
        why: "makes certificates for servers in the lab",
    },
    Need {
        command: "python3",
        package: "python3",
        groups: &[Group::Lab],
        why: "serves country databases in the lab",
    },
    Need {
        command: "prometheus",
        package: "prometheus",
        groups: &[Group::Metrics],
        why: "scrapes the gate in the lab, and checks metrics and alerts",
    },
    Need {
        command: "python3 -mprometheus_client.openmetrics.parser",
        package: "python3-prometheus-client",
        groups: &[Group::Metrics],
        why: "reads OpenMetrics",
    },
    Need {
        command: "chromium",
        package: "chromium",
        groups: &[Group::Browser],
        why: "shows the status page in the lab",
    },
    Need {
        command: "setpriv",
        package: "util-linux",
        groups: &[Group::Lab],
        why: "runs readers of tags as nobody",
    },
    Need {
        command: "qemu-system-x86_64",
        package: "qemu-system-x86",
        groups: &[Group::Vm, Group::Dist],
        why: "boots the other kernels",
    },
    Need {
        command: "cpio",
        package: "cpio",
        groups: &[Group::Vm],
        why: "packs the initramfs",
    },
    Need {
        command: "dpkg-shlibdeps",
        package: "dpkg-dev",
        groups: &[Group::Package],
        why: "says which libraries the package depends on",
    },
    Need {
        command: "lintian",
        package: "lintian",
        groups: &[Group::Dist],
        why: "reads the package as Debian's archive does",
    },
    Need {
        command: "mmdebstrap",
        package: "mmdebstrap",
        groups: &[Group::Dist],
        why: "makes a clean root to install the package in",
    },
    Need {
        command: "busybox",
        package: "busybox-static",
        groups: &[Group::Vm],
        why: "is the userland of the initramfs",
    },
    Need {
        command: "strip",
        package: "binutils",
        groups: &[Group::Vm, Group::Package],
        why: "makes programs small",
    },
    Need {
        command: "dpkg-deb",
        package: "dpkg",
        groups: &[Group::Vm, Group::Package],
        why: "unpacks a kernel package",
    },
    Need {
        command: "ldd",
        package: "libc-bin",
        groups: &[Group::Vm],
        why: "lists the libraries a test needs",
    },
    Need {
        command: "c++",
        package: "g++",
        groups: &[Group::Fuzz],
        why: "compiles libFuzzer",
    },
    Need {
        command: "npm",
        package: "npm",
        groups: &[Group::Data],
        why: "fetches the country database",
    },
];

/// Finds every command of `group`, installs what is missing.
pub(crate) fn ensure(group: Group) -> Result<()> {
    let absent = missing(group);
    if absent.is_empty() {
        return Ok(());
    }
    let reasons = reasons(&absent);
    let packages: Vec<&str> = absent.iter().map(|need| need.package).collect();
    if !apt::available() {
        bail!(
            "not on this machine: {reasons}\n\
             there is no apt-get here: install what brings these commands (on Debian: {}) and run again",
            packages.join(" ")
        );
    }
    apt::install(&packages, &reasons)?;
    let absent = missing(group);
    if !absent.is_empty() {
        bail!(
            "the packages are installed, but not in PATH: {}\ndoes PATH name the directories of the system?",
            self::reasons(&absent)
        );
    }
    Ok(())
}

/// Installs what is missing of `group` where that is possible. What is not there in the end is the task's to name.
pub(crate) fn offer(group: Group) {
    if let Err(error) = ensure(group) {
        say::step(format_args!("going on without: {}", say::chain(&error)));
    }
}

fn missing(group: Group) -> Vec<&'static Need> {
    of(group)
        .filter(|need| found(need.command).is_none())
        .collect()
}

/// Where a command is; of a module of Perl or Python, where that is which has it.
fn found(command: &str) -> Option<PathBuf> {
    let (interpreter, arguments) = if let Some(module) = command.strip_prefix("perl -M") {
        ("perl", [format!("-M{module}"), "-e1".to_owned()])
    } else if let Some(module) = command.strip_prefix("python3 -m") {
        // Debian's own, for which its packages are: another one may come first in PATH.
        (
            "/usr/bin/python3",
            ["-c".to_owned(), format!("import {module}")],
        )
    } else {
        return command::find(command);
    };
    let interpreter = command::find(interpreter)?;
    let mut load = Command::new(&interpreter);
    load.args(arguments);
    command::capture(&mut load).is_ok().then_some(interpreter)
}

/// `xz (packs and unpacks the country database), ...`
fn reasons(needs: &[&Need]) -> String {
    needs
        .iter()
        .map(|Need { command, why, .. }| format!("{command} ({why})"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The group's name and a line per command: where it was found.
pub(crate) fn report(group: Group) {
    say::line(group.name());
    for Need {
        command,
        package,
        groups: _,
        why,
    } in of(group)
    {
        match found(command) {
            Some(path) => say::line(format_args!("  {command}: {} ({why})", path.display())),
            None => say::line(format_args!(
                "  {command}: missing, package {package} brings it ({why})"
            )),
        }
    }
}

fn of(group: Group) -> impl Iterator<Item = &'static Need> {
    NEEDS
        .iter()
        .filter(move |need| need.groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_one_row() {
        for (index, need) in NEEDS.iter().enumerate() {
            assert!(
                NEEDS[..index]
                    .iter()
                    .all(|other| other.command != need.command),
                "{} stands twice",
                need.command
            );
        }
    }
}
