//! Dovecot, for nothing but the passwords of customers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};

use super::{PASSWORD, Service, directory};
use crate::{interrupt, lab::NetNs};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);

/// The server.
#[derive(Debug)]
pub struct Dovecot {
    socket: PathBuf,
    _service: Service,
}

impl Dovecot {
    /// Starts it in `netns`, with all that is its own below `home`.
    pub fn start(netns: &NetNs, home: &Path) -> Result<Self> {
        let home = directory(&home.join("dovecot"))?;
        let socket = home.join("auth");
        let path = home.join("dovecot.conf");
        fs::write(&path, configuration(&home, &socket))?;
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(&path);
        netns.contain(&mut command);
        let mut service = Service::start(&mut command)?;
        let mut ended = false;
        interrupt::wait_until(START, || {
            ended = service.ended().unwrap_or(true);
            ended || socket.exists()
        })?;
        ensure!(
            !ended && socket.exists(),
            "dovecot does not listen: {}{}",
            service.said(),
            fs::read_to_string(home.join("log")).unwrap_or_default()
        );
        Ok(Self {
            socket,
            _service: service,
        })
    }

    /// Where Postfix asks.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

fn configuration(home: &Path, socket: &Path) -> String {
    let (home, socket) = (home.display(), socket.display());
    format!(
        "base_dir = {home}/run\n\
         state_dir = {home}/state\n\
         log_path = {home}/log\n\
         protocols =\n\
         ssl = no\n\
         disable_plaintext_auth = no\n\
         auth_mechanisms = plain login\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = uid=65534 gid=65534 home=/nonexistent\n}}\n\
         service auth {{\n  unix_listener {socket} {{\n    mode = 0666\n  }}\n}}\n"
    )
}
