//! Postfix, as an ISP's submission server: customers with a password submit, and their mail lands in one maildir.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::User;

use super::{Dovecot, Service, directory};
use crate::{exec, interrupt, lab::NetNs};

/// The domain whose mail it keeps.
pub const DOMAIN: &str = "example.net";

/// Where Debian has its servers.
const DAEMONS: &str = "/usr/lib/postfix/sbin";
/// How long it may take to listen, and a message to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody, whose maildir it is.
const NOBODY: u32 = 65_534;

/// The server.
#[derive(Debug)]
pub struct Postfix {
    home: PathBuf,
    /// Messages that somebody has asked for.
    seen: BTreeSet<PathBuf>,
    _service: Service,
}

impl Postfix {
    /// Starts it in `netns`, with all that is its own below `home`; `main` and `master` are added to `main.cf` and `master.cf`, and
    /// it is there once it listens on `port`.
    pub fn start(
        netns: &NetNs,
        home: &Path,
        dovecot: &Dovecot,
        [main, master]: [&str; 2],
        port: u16,
    ) -> Result<Self> {
        let home = directory(&home.join("postfix"))?;
        let etc = directory(&home.join("etc"))?;
        directory(&home.join("queue"))?;
        let own = User::from_name("postfix")?.context("there is no user postfix")?;
        chown(directory(&home.join("data"))?, Some(own.uid.as_raw()), None)?;
        chown(directory(&home.join("mail"))?, Some(NOBODY), Some(NOBODY))?;
        fs::write(etc.join("main.cf"), main_cf(&home, dovecot.socket()) + main)?;
        fs::write(etc.join("master.cf"), MASTER_CF.to_owned() + master)?;
        certificate(&etc)?;
        let mut check = Command::new("postfix");
        check.arg("-c").arg(&etc).arg("check");
        exec::tool(&mut check, "")?;
        let mut command = Command::new(Path::new(DAEMONS).join("master"));
        // In the foreground, in the process group that it is given.
        command.arg("-d").arg("-c").arg(&etc);
        netns.contain(&mut command);
        let mut service = Service::start(&mut command)?;
        let mut ended = false;
        let mut listens = Ok(false);
        interrupt::wait_until(PATIENCE, || {
            ended = service.ended().unwrap_or(true);
            listens = super::listens(netns, port);
            ended || !matches!(listens, Ok(false))
        })?;
        ensure!(
            !ended && listens?,
            "postfix does not listen on port {port}: {}{}",
            service.said(),
            log(&home)
        );
        Ok(Self {
            home,
            seen: BTreeSet::new(),
            _service: service,
        })
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        log(&self.home)
    }

    /// Waits for the next message to arrive, and returns it.
    pub fn delivered(&mut self) -> Result<String> {
        let new = self.home.join("mail/inbox/new");
        let mut found = None;
        interrupt::wait_until(PATIENCE, || {
            let entries = fs::read_dir(&new).into_iter().flatten().flatten();
            found = entries
                .map(|entry| entry.path())
                .find(|path| !self.seen.contains(path));
            found.is_some()
        })?;
        let Some(path) = found else {
            bail!("no message was delivered: {}", self.log());
        };
        let message = fs::read_to_string(&path)?;
        self.seen.insert(path);
        Ok(message)
    }
}

/// Makes a certificate that holds for the time of a test.
fn certificate(etc: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN=mail.{DOMAIN}"),
        ])
        .arg("-keyout")
        .arg(etc.join("key.pem"))
        .arg("-out")
        .arg(etc.join("certificate.pem"));
    exec::tool(&mut openssl, "").map(drop)
}

fn log(home: &Path) -> String {
    fs::read_to_string(home.join("log")).unwrap_or_default()
}

/// Nothing of it looks at the machine's own configuration, at DNS, or beyond the lab.
fn main_cf(home: &Path, sasl: &Path) -> String {
    let (home, sasl) = (home.display(), sasl.display());
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {home}/queue\n\
         data_directory = {home}/data\n\
         command_directory = /usr/sbin\n\
         daemon_directory = {DAEMONS}\n\
         mail_owner = postfix\n\
         setgid_group = postdrop\n\
         maillog_file = {home}/log\n\
         maillog_file_prefixes = {home}\n\
         myhostname = mail.{DOMAIN}\n\
         mydestination =\n\
         mynetworks =\n\
         alias_maps =\n\
         local_recipient_maps =\n\
         inet_interfaces = all\n\
         smtpd_peername_lookup = no\n\
         disable_dns_lookups = yes\n\
         virtual_mailbox_domains = {DOMAIN}\n\
         virtual_mailbox_base = {home}/mail\n\
         virtual_mailbox_maps = static:inbox/\n\
         virtual_uid_maps = static:{NOBODY}\n\
         virtual_gid_maps = static:{NOBODY}\n\
         smtpd_tls_cert_file = {home}/etc/certificate.pem\n\
         smtpd_tls_key_file = {home}/etc/key.pem\n\
         smtpd_sasl_type = dovecot\n\
         smtpd_sasl_path = {sasl}\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject\n"
    )
}

/// What a message passes on its way from submission to a maildir.
const MASTER_CF: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
";
