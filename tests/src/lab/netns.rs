//! A named network namespace that is gone when its owner is.
//!
//! It is bound below `/run/netns`, where `ip netns` and `nsenter --net=` find it. To run something in it, a thread or a
//! child changes its *network* namespace only: `ip netns exec` would mount a fresh `/sys` over bpffs.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    panic::resume_unwind,
    path::PathBuf,
    process::Command,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};

use super::wiring;
use crate::exec;

/// Where `ip netns` binds them.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// The namespace. Sockets made in it may outlive the name, not the kernel's idea of it: drop them first.
#[derive(Debug)]
pub struct NetNs {
    handle: Arc<File>,
    name: Named,
}

/// A name that may exist below [`DIRECTORY`], and does not once this is dropped.
#[derive(Debug)]
struct Named(String);

impl NetNs {
    /// Makes it, with its loopback interface up.
    pub fn new(name: String) -> Result<Self> {
        // Before the command: one that is cut short leaves a name all the same.
        let name = Named(name);
        exec::tool(Command::new("ip").args(["netns", "add", &name.0]), "")?;
        let path = name.path();
        let handle =
            File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let netns = Self {
            handle: Arc::new(handle),
            name,
        };
        netns.ip("link set lo up\n")?;
        Ok(netns)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// The number by which `/proc/PID/ns/net` names it.
    pub fn inode(&self) -> Result<u64> {
        Ok(self.handle.metadata()?.ino())
    }

    /// Writes below `/proc/sys`, which shows each thread the settings of its own network namespace.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.run(|| fs::write(format!("/proc/sys/{name}"), value))?
            .with_context(|| format!("cannot set {name} in {}", self.name()))
    }

    /// The XDP programs on its interfaces, as the system shows them: name and id.
    pub fn attached(&self) -> Result<BTreeMap<String, u64>> {
        wiring::attached(self)
    }

    /// Runs `work` on a thread of its own inside. Sockets that it makes stay inside, wherever they are used afterwards.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter(&self.handle)?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Starts `work` on a thread that lives inside.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> JoinHandle<Result<T>> {
        let handle = Arc::clone(&self.handle);
        thread::spawn(move || {
            enter(&handle)?;
            work()
        })
    }

    /// Makes `command` start inside.
    pub fn contain(&self, command: &mut Command) {
        let handle = Arc::clone(&self.handle);
        let enter = move || Ok(setns(&*handle, CloneFlags::CLONE_NEWNET)?);
        // SAFETY: between fork and exec, `enter` makes one system call and allocates nothing.
        unsafe { command.pre_exec(enter) };
    }

    /// Runs lines of `ip` inside, all or an error.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut ip = Command::new("ip");
        ip.args(["-n", self.name(), "-batch", "-"]);
        exec::tool(&mut ip, lines).map(drop)
    }
}

fn enter(handle: &File) -> Result<()> {
    setns(handle, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")
}

impl Named {
    fn path(&self) -> PathBuf {
        [DIRECTORY, &self.0].iter().collect()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.path().exists() {
            return;
        }
        // A destructor has nobody to tell; the residue check looks for what this leaves.
        let _ = exec::tool(Command::new("ip").args(["netns", "del", &self.0]), "");
    }
}
