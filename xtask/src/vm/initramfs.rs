//! The initramfs: busybox, drivers, the gate, the test programs, the libraries of them all, and an init that runs the tests.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    NIC, STACK, TABLES, driver,
    nic::{Nics, PEER, VARIABLE},
};
use crate::{build::Built, command, say, workspace::Workspace};

/// What init writes before it switches the machine off; the exit code follows.
pub(crate) const SENTINEL: &str = "gate-vm: exit ";

/// The modules of devices that are made of others, each after those that it needs.
const DEVICES: [&str; 8] = [
    "veth", "llc", "stp", "garp", "mrp", "8021q", "tls", "bonding",
];

/// What is in every guest's image.
pub(crate) struct Root(PathBuf);

impl Root {
    /// Collects it; `programs` are the test programs, with their names.
    pub(crate) fn new(
        workspace: &Workspace,
        programs: &[(&str, PathBuf)],
        built: &Built,
        filter: &[String],
    ) -> Result<Self> {
        let Built { gate, object } = built;
        let root = workspace.target.join("vm").join("root");
        // From scratch: a program or library of an earlier run must not slip in.
        let _ = fs::remove_dir_all(&root);
        for name in [
            "bin", "dev", "etc", "proc", "run", "sys", "tests", "tmp", "var",
        ] {
            make(&root.join(name))?;
        }
        // Its own `ip` makes no bonds.
        for name in ["busybox", "ethtool", "ip"] {
            let program =
                command::find(name).with_context(|| format!("{name} is gone from PATH"))?;
            copy(&program, &root.join("bin").join(name))?;
            // None for Debian's busybox-static; its plain busybox is linked dynamically.
            copy_libraries(&program, &root)?;
        }
        symlink("busybox", root.join("bin/sh")).context("cannot link bin/sh")?;
        copy(object, &root.join("gate.o"))?;
        copy(gate, &root.join("bin/gate"))?;
        copy_libraries(gate, &root)?;
        for (name, program) in programs {
            // Debug information is most of a test program's size, and the image lies in the guest's memory.
            command::run(
                Command::new("strip")
                    .args(["--strip-debug", "-o"])
                    .arg(root.join("tests").join(name))
                    .arg(program),
            )?;
            copy_libraries(program, &root)?;
        }
        let init = root.join("init");
        fs::write(&init, init_script(filter))
            .and_then(|()| fs::set_permissions(&init, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", init.display()))?;
        Ok(Self(root))
    }

    /// Packs it with the drivers of `nics` out of `modules`, for the kernel `series`, and returns the image's path.
    pub(crate) fn pack(
        &self,
        workspace: &Workspace,
        series: &str,
        modules: &Path,
        nics: &Nics,
    ) -> Result<PathBuf> {
        let Self(root) = self;
        let directory = root.join("modules");
        // Those of another kernel.
        let _ = fs::remove_dir_all(&directory);
        make(&directory)?;
        for (index, name) in nics.modules().chain(DEVICES).enumerate() {
            // The shell, too, sorts by these numbers.
            driver::copy(
                modules,
                name,
                &directory.join(format!("{index:02}-{name}.ko")),
            )?;
        }
        let image = root.with_file_name(format!("initramfs-{series}.cpio"));
        archive(root, &image)?;
        say::step(format_args!("packed {}", workspace.show(&image)));
        Ok(image)
    }
}

/// The guest's first and only script. Statements that may fail on one kernel or another (a file system it lacks) do not stop it: the
/// tests tell what is missing better than a script could.
fn init_script(filter: &[String]) -> String {
    let arguments = ["--test-threads=1".to_owned()]
        .into_iter()
        .chain(filter.iter().map(|argument| quote(argument)))
        .collect::<Vec<_>>()
        .join(" ");
    format!(
        "#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp RUST_BACKTRACE=1 GATE_BPF_OBJECT=/gate.o GATE_BIN=/bin/gate
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
echo \"kernel $(uname -r)\"
for module in /modules/*.ko; do
    [ ! -e \"$module\" ] || insmod \"$module\"
done
# The interface with a hardware address.
interface() {{
    for link in /sys/class/net/*; do
        # Of the files there, bonding_masters is no device.
        [ ! -d \"$link\" ] || [ \"$(cat \"$link/address\")\" != \"$1\" ] || basename \"$link\"
    done
}}
code=0
/tests/{TABLES} {arguments} || code=$?
/tests/{STACK} {arguments} || code=$?
# ADDRESS/MODE/SPREAD of each; where there is none, the program says that it skips everything.
for nic in $(echo \"${{{VARIABLE}:--}}\" | tr ',' ' '); do
    address=${{nic%%/*}} rest=${{nic#*/}}
    export GATE_NIC=$(interface \"$address\") GATE_NIC_PEER=$(interface {PEER})
    export GATE_NIC_MODE=${{rest%/*}} GATE_NIC_SPREAD=${{rest#*/}}
    /tests/{NIC} {arguments} || code=$?
done
echo \"{SENTINEL}$code\"
poweroff -f
"
    )
}

/// `text` as one word for sh.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Puts the libraries of `program` below `root`, where its loader looks for them.
fn copy_libraries(program: &Path, root: &Path) -> Result<()> {
    for library in libraries(program)? {
        let inside = root.join(library.strip_prefix("/").unwrap_or(&library));
        copy(&library, &inside)?;
    }
    Ok(())
}

/// The shared libraries of `program` and its loader, as ldd finds them; none for a static program, which ldd calls an error.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        !text.contains("not found"),
        "{} needs a library this machine lacks:\n{text}",
        program.display()
    );
    Ok(paths(&text))
}

/// The absolute paths in ldd's output: `name => PATH (address)` or `PATH (address)`.
fn paths(ldd: &str) -> Vec<PathBuf> {
    ldd.lines()
        .filter_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with('/'))
                .map(PathBuf::from)
        })
        .collect()
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    to.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::copy(from, to))
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Packs everything below `root`, in the one format the kernel reads.
fn archive(root: &Path, image: &Path) -> Result<()> {
    let output =
        fs::File::create(image).with_context(|| format!("cannot create {}", image.display()))?;
    let mut list = Command::new("find")
        .args([".", "-print0"])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start find")?;
    let names = list.stdout.take().context("find has no output")?;
    let packed = command::run(
        Command::new("cpio")
            .args([
                "--null",
                "--create",
                "--format=newc",
                "--quiet",
                "--owner=0:0",
            ])
            .current_dir(root)
            .stdin(names)
            .stdout(output),
    );
    let listed = list.wait().context("cannot wait for find")?;
    packed?;
    ensure!(listed.success(), "find failed in {}", root.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_from_either_form_of_line() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                   \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f57)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f58)\n";
        assert_eq!(
            paths(ldd),
            [
                "/lib/x86_64-linux-gnu/libgcc_s.so.1",
                "/lib64/ld-linux-x86-64.so.2"
            ]
            .map(PathBuf::from)
        );
        assert!(paths("\tstatically linked\n").is_empty());
    }

    #[test]
    fn a_filter_reaches_the_program_as_one_word() {
        assert!(init_script(&["it's".to_owned()]).contains(r"--test-threads=1 'it'\''s' ||"));
    }
}
