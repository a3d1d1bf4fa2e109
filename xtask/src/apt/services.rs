//! Packages of servers, of which the lab runs its own instances: they are installed without starting the machine's.
//!
//! Debian starts what it installs, and at every boot from then on. While packages are installed, `policy-rc.d` says no to all of
//! that; afterwards their services are disabled. `systemctl enable`, or `update-rc.d ... enable`, makes them services again.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{command, say};

/// What is asked before a package's service is started (Debian Policy, `invoke-rc.d`).
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// What it answers to say no.
const FORBIDDEN: i32 = 101;

/// Packages that bring a service, and its name.
const SERVICES: [(&str, &str); 3] = [
    ("postfix", "postfix"),
    ("dovecot-core", "dovecot"),
    ("prometheus", "prometheus"),
];

/// Answers to what packages ask when they are installed: Postfix without a configuration stays off.
const ANSWERS: &str = "postfix postfix/main_mailer_type select No configuration\n";

/// Keeps services from starting, for as long as it lives; those that came meanwhile stay off.
pub(super) struct Idle {
    services: Vec<&'static str>,
    /// Whether the policy is ours, and goes with us.
    own_policy: bool,
}

impl Idle {
    /// While `packages` are installed; nothing where none of them has a service.
    pub(super) fn over(packages: &[&str]) -> Result<Option<Self>> {
        let services: Vec<&str> = SERVICES
            .iter()
            .filter(|(package, _)| packages.contains(package))
            .map(|(_, service)| *service)
            .collect();
        if services.is_empty() {
            return Ok(None);
        }
        let services_text = services.join(" and ");
        say::step(format_args!(
            "services that come with it ({services_text}) are neither started nor enabled"
        ));
        feed(&mut command::privileged("debconf-set-selections")?, ANSWERS)?;
        let own_policy = !Path::new(POLICY).exists();
        for service in services.iter().filter(|_| !own_policy) {
            // The administrator's own policy stays, and has to say no as well.
            let asked = Command::new(POLICY).args([service, "start"]).status();
            let answer = asked
                .with_context(|| format!("cannot ask {POLICY}"))?
                .code();
            ensure!(
                answer == Some(FORBIDDEN),
                "{POLICY} lets {service} start, and this machine's services are none of ours\n\
                 install its package by hand, or move {POLICY} away meanwhile"
            );
        }
        let idle = Self {
            services,
            own_policy,
        };
        if own_policy {
            let write = format!(
                "umask 022; printf '#!/bin/sh\\nexit {FORBIDDEN}\\n' > {POLICY} && chmod 755 {POLICY}"
            );
            command::run(command::privileged("sh")?.args(["-c", &write]))?;
        }
        Ok(Some(idle))
    }

    fn settle(&self) -> Result<()> {
        for service in &self.services {
            // What is not installed has nothing to disable.
            if Path::new("/etc/init.d").join(service).exists() {
                command::capture(command::privileged("update-rc.d")?.args([service, "disable"]))?;
            }
        }
        if self.own_policy {
            command::run(command::privileged("rm")?.args(["-f", POLICY]))?;
        }
        Ok(())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            say::step(format_args!(
                "look at {POLICY}, and at the services {}: {}",
                self.services.join(", "),
                say::chain(&error)
            ));
        }
    }
}

/// Runs `command` with `input` on its standard input.
fn feed(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", command::describe(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let status = child.wait()?;
    ensure!(
        status.success(),
        "`{}` failed: {status}",
        command::describe(command)
    );
    Ok(())
}
