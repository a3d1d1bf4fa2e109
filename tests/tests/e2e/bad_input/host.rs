//! A machine that is not as the gate needs it: an interface, a privilege or bpffs is missing, or somebody else is in
//! the way.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Gate,
    lab::{BPFFS, Role, Who},
    pin::{self, Object},
};
use libtest_mimic::Trial;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};

use super::{Complaint, Kernel, changes_nothing, run, text};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let trial = |name: &str, body: fn(&Bench<'_>) -> Result<()>| {
        found.lab_trial(format!("bad_input::host::{name}"), body)
    };
    vec![
        trial("interface_that_does_not_exist", no_interface),
        trial("not_root", not_root),
        trial("pins_outside_of_bpffs", pins_elsewhere),
        trial("no_bpffs", no_bpffs),
        trial("foreign_pins", foreign_pins),
        trial("stale_pins", stale_pins),
        trial("foreign_program", foreign_program),
    ]
}

fn no_interface(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.interfaces.push(("absent0", Role::Access));
    let path = config.write(&bench.lab, "wrong.toml")?;
    let complaint = Complaint {
        code: 1,
        says: &["absent0"],
    };
    changes_nothing(bench, || complaint.is_made_in(&run(bench.gate(), &path)?))
}

/// `gate run`, after `change` was made to its process.
fn run_after(
    bench: &Bench<'_>,
    gate: Gate<'_>,
    change: impl Fn() -> nix::Result<()> + Send + Sync + 'static,
) -> Result<exec::Output> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let mut command = gate.command(&["run", "--config", text(&path)?]);
    after(&mut command, change);
    exec::output(&mut command, "", Duration::from_secs(10))
}

fn after(command: &mut Command, change: impl Fn() -> nix::Result<()> + Send + Sync + 'static) {
    let change = move || Ok(change()?);
    // SAFETY: between fork and exec, `change` makes system calls on values that are there already, and allocates
    // nothing.
    unsafe { command.pre_exec(change) };
}

fn not_root(bench: &Bench<'_>) -> Result<()> {
    // Where nobody can start it, whoever owns the directory that it was built in.
    let program: PathBuf = bench.lab.scratch().join("gate");
    fs::copy(&bench.tools.program, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    // The configuration and the database have to be readable, or the error is about them.
    let database = bench.lab.scratch().join("small.mmdb");
    fs::copy(bench.tools.small.path(), &database)?;
    let mut config = bench.config()?;
    config.databases = vec![database];
    let path = config.write(&bench.lab, "gate.toml")?;
    let gate = Gate::new(&program, &bench.lab);
    let complaint = Complaint {
        code: 1,
        says: &["CAP_BPF"],
    };
    changes_nothing(bench, || {
        let mut command = gate.command(&["run", "--config", text(&path)?]);
        after(&mut command, become_nobody);
        complaint.is_made_in(&exec::output(&mut command, "", Duration::from_secs(10))?)
    })
}

fn become_nobody() -> nix::Result<()> {
    const NOBODY: u32 = 65534;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

fn pins_elsewhere(bench: &Bench<'_>) -> Result<()> {
    let pins = bench.lab.scratch().join("pins");
    let complaint = Complaint {
        code: 1,
        says: &[text(&pins)?, "mount -t bpf"],
    };
    changes_nothing(bench, || {
        complaint.is_made_in(&run_after(bench, bench.gate().with_pins(&pins), || Ok(()))?)?;
        ensure!(!pins.exists(), "made a directory outside of bpffs");
        Ok(())
    })
}

/// In a mount namespace without it: the machine keeps its own.
fn no_bpffs(bench: &Bench<'_>) -> Result<()> {
    let complaint = Complaint {
        code: 1,
        says: &[BPFFS, "mount -t bpf"],
    };
    changes_nothing(bench, || {
        complaint.is_made_in(&run_after(bench, bench.gate(), hide_bpffs)?)
    })
}

fn hide_bpffs() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )?;
    umount2(BPFFS, MntFlags::MNT_DETACH)
}

/// Complains, and touches neither the pin at `path` nor anything else.
fn respects(bench: &Bench<'_>, path: &Path) -> Result<()> {
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let before = pin::list(bench.lab.pins())?;
    let attached = bench.lab.attached()?;
    let complaint = Complaint {
        code: 4,
        says: &[text(path)?],
    };
    complaint.is_made_in(&run(bench.gate(), &config)?)?;
    let after = pin::list(bench.lab.pins())?;
    ensure!(before == after, "{before:?} became {after:?}");
    ensure!(
        attached == bench.lab.attached()?,
        "something was attached or detached"
    );
    Ok(())
}

fn foreign_pins(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.pins().join("theirs");
    pin::pin(&pin::tiny_map()?, &path)?;
    respects(bench, &path)
}

/// In turn, each of the gate's maps is replaced by one that is none of the gate's.
fn stale_pins(bench: &Bench<'_>) -> Result<()> {
    bench.run(&bench.config()?)?.terminate()?;
    let maps = pin::list(bench.lab.pins())?
        .into_iter()
        .filter(|pin| matches!(pin.object, Object::Map(_)))
        .filter(|pin| {
            pin.path
                .parent()
                .is_some_and(|parent| parent.ends_with("maps"))
        });
    let mut tried = 0;
    for map in maps {
        let path = bench.lab.pins().join(&map.path);
        let keep = pin::get(&path)?;
        fs::remove_file(&path)?;
        pin::pin(&pin::tiny_map()?, &path)?;
        respects(bench, &path)?;
        fs::remove_file(&path)?;
        pin::pin(&keep, &path)?;
        tried += 1;
    }
    ensure!(tried > 3, "only {tried} maps are pinned");
    bench
        .in_force()
        .context("with every map in its place again")
}

fn foreign_program(bench: &Bench<'_>) -> Result<()> {
    let interface = Who::Subscriber.interface();
    let program = bench.lab.pins().join("passing");
    pin::pin(&pin::passing_program()?, &program)?;
    // Not with `ip -n`, which hides bpffs.
    let mut ip = Command::new("ip");
    ip.args(["link", "set", interface, "xdp", "pinned"])
        .arg(&program);
    bench.lab.router().contain(&mut ip);
    exec::tool(&mut ip, "")?;
    fs::remove_file(&program)?;
    let before = Kernel::now(bench)?;
    let id = before
        .attached
        .get(interface)
        .context("the program is not attached")?
        .to_string();
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let complaint = Complaint {
        code: 4,
        says: &[interface, &id],
    };
    complaint.is_made_in(&run(bench.gate(), &config)?)?;
    let after = Kernel::now(bench)?;
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}
