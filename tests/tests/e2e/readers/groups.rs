//! Members of the group of `[tags]` read what they may, and nobody reads anything else.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{
    exec::{self, Output},
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use nix::unistd::Group;

use super::{connection, readable};
use crate::bench::{Bench, Found};

/// Two groups that every Debian has.
const ONE: &str = "mail";
const OTHER: &str = "games";

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("readers::members_read_tags_and_nothing_else", members),
        found.lab_trial("readers::another_group_is_applied", another),
        found.lab_trial("readers::a_restart_shuts_nobody_out", restart),
        found.lab_trial("readers::a_group_that_is_not_there_is_refused", absent),
        found.lab_trial("readers::a_way_that_is_closed_is_said", blocked),
    ]
}

fn gid(group: &str) -> Result<u32> {
    let found = Group::from_name(group)?;
    Ok(found
        .with_context(|| format!("no group {group}"))?
        .gid
        .as_raw())
}

/// What is group-readable or can be gone through below the pins, and whose it is: written out here, and nothing else.
fn open_to(bench: &Bench<'_>) -> Result<BTreeMap<String, (u32, u32)>> {
    fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<String, (u32, u32)>) -> Result<()> {
        for path in fs::read_dir(directory)? {
            let path = path?.path();
            let meta = fs::symlink_metadata(&path)?;
            if meta.is_symlink() {
                continue;
            }
            let mode = meta.mode() & 0o7777;
            if mode & 0o077 != 0 {
                let name = path.strip_prefix(root)?.display().to_string();
                found.insert(name, (mode, meta.gid()));
            }
            if meta.is_dir() {
                walk(root, &path, found)?;
            }
        }
        Ok(())
    }
    let root = bench.lab.pins();
    let mut found = BTreeMap::new();
    let meta = fs::metadata(root)?;
    if meta.mode() & 0o077 != 0 {
        found.insert(String::new(), (meta.mode() & 0o7777, meta.gid()));
    }
    walk(root, root, &mut found)?;
    Ok(found)
}

fn expected(group: &str, generation: u32) -> Result<BTreeMap<String, (u32, u32)>> {
    let group = gid(group)?;
    let version = format!("v{ABI_VERSION}");
    let directory = format!("{version}/generations/{generation}");
    let pins = [
        "LEGEND",
        "SETTINGS",
        "CLASSES_ROOT",
        "CLASSES_NODES",
        "COUNTRIES_ROOT",
        "COUNTRIES_NODES",
    ]
    .map(|pin| format!("{directory}/{pin}"));
    let flows = format!("{version}/maps/FLOWS");
    let directories = [
        String::new(),
        format!("{version}/maps"),
        format!("{version}/generations"),
        version,
        directory,
    ];
    Ok(directories
        .map(|name| (name, (0o710, group)))
        .into_iter()
        .chain(pins.map(|name| (name, (0o640, group))))
        .chain([(flows, (0o640, group))])
        .collect())
}

/// One of the gate's commands, run as nobody, who is a member of these groups.
fn as_nobody(bench: &Bench<'_>, groups: &str, arguments: &[&str]) -> Result<Output> {
    let program = bench.lab.scratch().join("gate");
    if !program.exists() {
        fs::copy(&bench.tools.program, &program)?;
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534"])
        .arg(match groups {
            "" => "--clear-groups".to_owned(),
            groups => format!("--groups={groups}"),
        })
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(&program)
        .arg("--pins")
        .arg(bench.lab.pins())
        .args(arguments);
    exec::output(&mut command, "", Duration::from_secs(30))
}

fn members(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&readable(bench, Some(ONE))?)?;
    ensure!(
        open_to(bench)? == expected(ONE, 1)?,
        "open to others: {:#?}",
        open_to(bench)?
    );
    let member = gid(ONE)?.to_string();
    let stranger = gid(OTHER)?.to_string();
    let ends = connection(bench, Who::Foreign, Family::V4)?.map(|end| end.to_string());
    let [client, server] = &ends;
    let flow = ["flow", client, server];
    let output = as_nobody(bench, &member, &flow)?;
    ensure!(
        output.code() == Some(0) && output.stdout.contains("class       foreign"),
        "a member: {output:?}"
    );
    for groups in ["", &stranger] {
        let output = as_nobody(bench, groups, &flow)?;
        let root = bench.lab.pins().display();
        ensure!(
            output.code() == Some(1)
                && output.stderr.contains(&format!(
                    "this process may not read it, nor go through {root}\n"
                ))
                && output
                    .stderr
                    .contains("hint: run it as a member of the group of [tags]"),
            "no member: {output:?}"
        );
    }
    // What these need is not for readers.
    for arguments in [&["counters"][..], &["lookup", "100.64.0.2"]] {
        let output = as_nobody(bench, &member, arguments)?;
        ensure!(
            output.code() == Some(1) && output.stderr.contains("Permission denied"),
            "a member's {arguments:?}: {output:?}"
        );
    }
    let output = as_nobody(bench, &member, &["detach"])?;
    ensure!(output.code() != Some(0), "a member's detach: {output:?}");
    bench.in_force()
}

fn another(bench: &Bench<'_>) -> Result<()> {
    let gate = bench.gate();
    let _daemon = bench.run(&readable(bench, None)?)?;
    ensure!(
        open_to(bench)?.is_empty(),
        "no group: {:?}",
        open_to(bench)?
    );
    for (generation, group) in [(2, Some(ONE)), (3, Some(OTHER)), (4, None)] {
        readable(bench, group)?.write(&bench.lab, "gate.toml")?;
        let (code, _) = gate.reload(&[])?;
        ensure!(code == Some(0), "gate reload: {code:?}");
        let expected = match group {
            Some(group) => expected(group, generation)?,
            None => BTreeMap::new(),
        };
        ensure!(
            open_to(bench)? == expected,
            "{group:?}: {:#?}",
            open_to(bench)?
        );
        let (code, status) = gate.status()?;
        ensure!(
            (code, status.readers.as_deref()) == (Some(0), group),
            "{status:?}"
        );
    }
    // What somebody changes by hand is said, and put right.
    readable(bench, Some(ONE))?.write(&bench.lab, "gate.toml")?;
    gate.text(&["reload"])?;
    let pin = bench.lab.pins().join(format!("v{ABI_VERSION}/maps/FLOWS"));
    fs::set_permissions(&pin, Permissions::from_mode(0o644))?;
    let (code, status) = gate.status()?;
    ensure!(
        code == Some(3)
            && status
                .problems
                .iter()
                .any(|it| it.contains("than [tags] asks for")),
        "{status:?}"
    );
    gate.text(&["reload"])?;
    ensure!(
        open_to(bench)? == expected(ONE, 6)? && gate.status()?.0 == Some(0),
        "{:#?}",
        open_to(bench)?
    );
    Ok(())
}

/// The lock is taken anew, which closes a directory that is not as it should be; one that is stays open.
fn restart(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&readable(bench, Some(ONE))?)?;
    let member = gid(ONE)?.to_string();
    let [client, server] = connection(bench, Who::Foreign, Family::V6)?.map(|end| end.to_string());
    let flow = ["flow", &client, &server];
    let reads = || -> Result<()> {
        let output = as_nobody(bench, &member, &flow)?;
        ensure!(output.code() == Some(0), "a member: {output:?}");
        Ok(())
    };
    daemon.kill()?;
    reads()?;
    // A start that is refused changes nothing for readers either.
    let path = bench.lab.scratch().join("bad.toml");
    fs::write(&path, "nonsense = 1\n")?;
    let text = path.to_str().context("a path that is no text")?;
    let refused = bench.gate().output(&["run", "--config", text])?;
    ensure!(refused.code() == Some(2), "{refused:?}");
    reads()?;
    let _daemon = bench.run(&readable(bench, Some(ONE))?)?;
    reads()
}

fn absent(bench: &Bench<'_>) -> Result<()> {
    const NONE: &str = "gate-no-such-group";
    let path = readable(bench, Some(NONE))?.write(&bench.lab, "gate.toml")?;
    let text = path.to_str().context("a path that is no text")?;
    for command in ["run", "check"] {
        let output = bench.gate().output(&[command, "--config", text])?;
        ensure!(
            output.code() == Some(2)
                && output
                    .stderr
                    .contains(": `tags.group`: this machine has no group `gate-no-such-group`")
                && output
                    .stderr
                    .contains("`groupadd --system gate-no-such-group` makes it"),
            "gate {command}: {output:?}"
        );
    }
    bench.out_of_force()?;
    let _daemon = bench.run(&readable(bench, Some(ONE))?)?;
    readable(bench, Some(NONE))?.write(&bench.lab, "gate.toml")?;
    let (code, _) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(2) && open_to(bench)? == expected(ONE, 1)?,
        "{code:?}, {:#?}",
        open_to(bench)?
    );
    bench.in_force()
}

fn blocked(bench: &Bench<'_>) -> Result<()> {
    let outer = bench.lab.pins().join("outer");
    fs::create_dir(&outer)?;
    fs::set_permissions(&outer, Permissions::from_mode(0o700))?;
    let inner = outer.join("gate");
    let gate = bench.gate().with_pins(&inner);
    let path = readable(bench, Some(ONE))?.write(&bench.lab, "gate.toml")?;
    let what = format!(
        "the group `{ONE}` cannot get to the pins: {} has mode 0700",
        outer.display()
    );
    let how = format!("`chmod o+x {}`", outer.display());
    let text = path.to_str().context("a path that is no text")?;
    let checked = gate.text(&["check", "--config", text])?;
    ensure!(
        checked.contains(&what) && checked.contains(&how),
        "gate check: {checked}"
    );
    let daemon = gate.run(&path)?;
    let said = daemon.said();
    ensure!(
        said.contains(&what) && said.contains(&how),
        "gate run: {said}"
    );
    let (code, status) = gate.status()?;
    ensure!(
        code == Some(3)
            && status
                .problems
                .iter()
                .any(|it| it.contains(&what) && it.contains(&how)),
        "{status:?}"
    );
    fs::set_permissions(&outer, Permissions::from_mode(0o711))?;
    let (code, status) = gate.status()?;
    ensure!(code == Some(0), "{status:?}");
    daemon.terminate()?;
    gate.detach()?;
    Ok(())
}
