//! Where the commands of a page are run: the lab's router, with the gate installed as an operator has it.
//!
//! A namespace of mounts has `/etc/gate`, `/var/lib/GeoIP`, `/run` and bpffs of its own, so that pages show the paths that operators have.
//! It is gone with the process that holds it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Daemon,
    interrupt,
    lab::{Family, Lab, Who},
};

use super::page::{Connections, Keeps};
use crate::bench::Tools;

/// What becomes `/etc/gate`.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pages");

/// Makes the mounts. `$1` is a directory for what is written, `$2` the directory that becomes `/etc/gate`, `$3` the country database.
const MOUNTS: &str = r#"
set -e
mount -t tmpfs gate "$1"
for on in etc var/lib; do
    mkdir -p "$1/$on/upper" "$1/$on/work"
    mount -t overlay -o "lowerdir=/$on,upperdir=$1/$on/upper,workdir=$1/$on/work" gate "/$on"
done
mount -t tmpfs -o mode=755 gate /run
mount -t bpf bpf /sys/fs/bpf
chmod 700 /sys/fs/bpf
rm -rf /etc/gate
mkdir -p /etc/gate /var/lib/gate /var/lib/GeoIP
cp -r "$2/." /etc/gate
cp "$3" /var/lib/GeoIP/dbip-country-lite.mmdb
echo ready
exec cat
"#;

/// What every shell begins with. Who asks is `SUDO_USER`, also where a person logged in to run the tests (`loginuid`, proc(5)).
const SHELL: &str = "cd /etc/gate\n{ echo 4294967295 > /proc/self/loginuid; } 2> /dev/null\n";

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct World {
    // In this order: each goes before what it is in.
    daemon: Option<Daemon>,
    holder: Holder,
    lab: Lab,
}

/// The process that holds the mounts; it ends when its standard input does.
struct Holder {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.input = None;
        // A destructor has nobody to tell.
        let _ = exec::wait(&mut self.child, PATIENCE);
    }
}

impl World {
    pub(super) fn new(tools: &Tools) -> Result<Self> {
        let lab = Lab::new(&tools.real)?;
        let holder = Holder::new(&lab, tools)?;
        Ok(Self {
            daemon: None,
            holder,
            lab,
        })
    }

    /// Starts the gate as an operator does.
    pub(super) fn start(&mut self, keeps: Keeps) -> Result<()> {
        let state = match keeps {
            Keeps::Nothing => "",
            Keeps::LastGood => " --state /var/lib/gate",
        };
        let run = format!("exec gate run --config /etc/gate/gate.toml{state}");
        self.daemon = Some(Daemon::start(self.shell(&run))?);
        Ok(())
    }

    /// Ends the daemon.
    pub(super) fn stop(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("no daemon runs")?;
        daemon.terminate().map(drop)
    }

    /// What `command` prints, on either stream.
    pub(super) fn output(&self, command: &str) -> Result<String> {
        let mut shell = self.shell(&format!("exec 2>&1\n{command}"));
        Ok(exec::output(&mut shell, "", PATIENCE)?.stdout)
    }

    /// Runs `command`, which has to succeed.
    pub(super) fn run(&self, command: &str) -> Result<()> {
        exec::tool(&mut self.shell(command), "").map(drop)
    }

    pub(super) fn connect(&self, connections: &Connections) -> Result<()> {
        let Connections {
            from,
            to,
            port,
            count,
        } = connections;
        for _ in 0..*count {
            self.lab.connect(who(from)?, who(to)?, Family::V4, *port)?;
        }
        Ok(())
    }

    /// These connections, once a configuration is rehearsed.
    pub(super) fn rehearsed(&self, connections: &[Connections]) -> Result<()> {
        if connections.is_empty() {
            return Ok(());
        }
        interrupt::wait_until(PATIENCE, || {
            self.run("gate status | grep -q '^rehearsal'").is_ok()
        })?;
        connections.iter().try_for_each(|it| self.connect(it))
    }

    /// A shell where the gate is installed.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.holder.child.id()))
            .args(["--mount", "--net", "sh", "-c", &format!("{SHELL}{script}")])
            .env("PATH", path(&self.lab))
            .env("SUDO_USER", "miyu")
            .env("TZ", "UTC")
            .env_remove("RUNTIME_DIRECTORY");
        command
    }
}

impl Holder {
    fn new(lab: &Lab, tools: &Tools) -> Result<Self> {
        let programs = lab.scratch().join("bin");
        let mounts = lab.scratch().join("mounts");
        fs::create_dir(&programs)?;
        fs::create_dir(&mounts)?;
        symlink(&tools.program, programs.join("gate"))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation=private", "sh", "-c", MOUNTS, "sh"])
            .args([&mounts, Path::new(FIXTURES), tools.real.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        lab.router().contain(&mut command);
        let mut child = exec::spawn(&mut command).context("cannot start unshare")?;
        let output = child.stdout.take();
        let holder = Self {
            input: child.stdin.take(),
            child,
        };
        let mut said = String::new();
        BufReader::new(output.context("no standard output")?).read_line(&mut said)?;
        ensure!(said == "ready\n", "the mounts cannot be made: {said}");
        Ok(holder)
    }
}

fn path(lab: &Lab) -> String {
    format!(
        "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        lab.scratch().join("bin").display()
    )
}

fn who(name: &str) -> Result<Who> {
    let mut all = Who::ALL.iter().copied();
    all.find(|who| who.netns() == name)
        .with_context(|| format!("nobody in the lab is called {name}"))
}
