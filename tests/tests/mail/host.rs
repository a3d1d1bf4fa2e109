//! The mail host of the lab with its servers, and who sends to it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    interrupt,
    lab::{Family, Lab, Who},
    mail::{self, Dovecot, Postfix, Service, Submitted},
};
use nix::unistd::Group;

/// The group whose members read tags; every Debian has it.
pub(crate) const GROUP: &str = "mail";

/// How long the policy server may take to listen.
const START: Duration = Duration::from_secs(10);

/// Postfix and Dovecot. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) postfix: Postfix,
    _dovecot: Dovecot,
}

impl Host {
    /// Starts them, with these lines more in `main.cf` and `master.cf`, and these files beside them.
    pub(crate) fn start(
        lab: &mut Lab,
        configuration: [&str; 2],
        files: &[(&str, &str)],
    ) -> Result<Self> {
        lab.vacate(Who::OwnMail)?;
        let home = lab.scratch().join("mail");
        let etc = home.join("postfix/etc");
        fs::create_dir_all(&etc)?;
        for (name, text) in files {
            fs::write(etc.join(name), text)?;
        }
        let netns = lab.netns(Who::OwnMail)?;
        let dovecot = Dovecot::start(netns, &home)?;
        let postfix = Postfix::start(netns, &home, &dovecot, configuration, 587)?;
        Ok(Self {
            postfix,
            _dovecot: dovecot,
        })
    }

    /// Submits a message that has to be taken, and returns it as it was delivered.
    pub(crate) fn deliver(
        &mut self,
        lab: &Lab,
        from: Who,
        family: Family,
        headers: &[&str],
    ) -> Result<String> {
        let Submitted {
            accepted,
            transcript,
        } = submit(lab, from, family, headers)?;
        ensure!(
            accepted,
            "{from}, {family}: not taken:\n{transcript}\n{}",
            self.postfix.log()
        );
        self.postfix.delivered()
    }
}

/// Submits a message to port 587.
pub(crate) fn submit(lab: &Lab, from: Who, family: Family, headers: &[&str]) -> Result<Submitted> {
    mail::submit(
        lab.netns(from)?,
        lab.address(from, family)?,
        (lab.address(Who::OwnMail, family)?, 587),
        headers,
    )
}

/// The policy server of the example, as nobody.
#[derive(Debug)]
pub(crate) struct Policy {
    service: Service,
}

impl Policy {
    /// Where it listens, in the mail host.
    pub(crate) const LISTEN: &str = "127.0.0.1:9998";

    /// Starts it as a member of these groups and no other, with these arguments more.
    pub(crate) fn start(lab: &Lab, groups: &[&str], arguments: &[&str]) -> Result<Self> {
        Self::listen(lab, groups, Self::LISTEN, arguments)
    }

    /// The same, where `listen` says.
    pub(crate) fn listen(
        lab: &Lab,
        groups: &[&str],
        listen: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        // Nobody may have no way to where it was built.
        let program = lab.scratch().join("policy_reader");
        if !program.exists() {
            fs::copy(Path::new(env!("CARGO_BIN_EXE_policy_reader")), &program)?;
        }
        let mut numbers = Vec::new();
        for group in groups {
            let group = Group::from_name(group)?.with_context(|| format!("no group {group}"))?;
            numbers.push(group.gid.to_string());
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534"])
            .arg(if numbers.is_empty() {
                "--clear-groups".to_owned()
            } else {
                format!("--groups={}", numbers.join(","))
            })
            .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
            .arg(program)
            .arg(lab.pins())
            .arg(listen)
            .args(arguments);
        lab.netns(Who::OwnMail)?.contain(&mut command);
        let service = Service::start(&mut command)?;
        interrupt::wait_until(START, || service.said().contains("listening"))?;
        ensure!(
            service.said().contains("listening"),
            "the policy server does not listen: {}",
            service.said()
        );
        Ok(Self { service })
    }

    /// What it has said beside that it listens.
    pub(crate) fn said(&self) -> Vec<String> {
        let said = self.service.said();
        let lines = said.lines().filter(|line| !line.contains("listening"));
        lines.map(str::to_owned).collect()
    }

    /// Its answer to a request with these attributes.
    pub(crate) fn ask(lab: &Lab, attributes: &[(&str, &str)]) -> Result<String> {
        lab.netns(Who::OwnMail)?
            .run(|| converse(TcpStream::connect(Self::LISTEN)?, attributes))?
    }
}

/// One request and its answer, over a connection.
pub(crate) fn converse(
    mut stream: impl Read + Write,
    attributes: &[(&str, &str)],
) -> Result<String> {
    let request: Vec<String> = attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    stream.write_all(format!("{}\n", request.concat()).as_bytes())?;
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next().context("no answer")??;
    ensure!(
        lines.next().context("no end of the answer")??.is_empty(),
        "more than one line"
    );
    Ok(line)
}
