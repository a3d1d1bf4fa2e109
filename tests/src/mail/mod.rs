//! A mail host of the lab with Debian's own programs: Postfix, Dovecot for its passwords, swaks as a customer's mail program.
//!
//! All have configurations, queues and sockets of their own below one directory of the lab, and run in the mail host's namespace as
//! children of this process. Those of the machine are neither read nor touched.

mod dovecot;
mod postfix;
mod swaks;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

pub use self::{
    dovecot::Dovecot,
    postfix::{DOMAIN, Postfix},
    swaks::{PASSWORD, Submitted, USER, submit},
};
use crate::{exec, lab::NetNs};

/// The programs that it takes.
pub const NEEDED: [&str; 6] = ["postfix", "dovecot", "swaks", "openssl", "setpriv", "nft"];

/// How long a server may take to end.
const END: Duration = Duration::from_secs(10);

/// A server that is this process's child, and a process group of its own. Dropping it ends all of that.
#[derive(Debug)]
pub struct Service {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Service {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = exec::spawn(command)
            .with_context(|| format!("cannot start `{}`", exec::describe(command)))?;
        let said = Arc::default();
        follow(child.stderr.take(), &said);
        Ok(Self { child, said })
    }

    /// What it has said on its standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the residue check looks for what this leaves.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGTERM);
            let _ = exec::wait(&mut self.child, END);
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn follow(pipe: Option<impl Read + Send + 'static>, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in pipe
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).lines())
        {
            let Ok(line) = line else { return };
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// Whether something in `netns` listens on `port`: asked of the kernel, since a connection would leave a trace.
fn listens(netns: &NetNs, port: u16) -> Result<bool> {
    let mut ss = Command::new("ss");
    ss.args(["--listening", "--tcp", "--numeric", "--no-header"]);
    ss.arg(format!("sport = :{port}"));
    netns.contain(&mut ss);
    Ok(!exec::tool(&mut ss, "")?.trim().is_empty())
}

/// Makes a directory that everybody may go through.
fn directory(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(path.to_owned())
}
