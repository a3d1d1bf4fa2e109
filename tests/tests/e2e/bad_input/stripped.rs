//! Roles by VLAN on devices that take VLAN tags off: refused unless the configuration, or the device, is told what to do.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, ensure};
use gate_tests::{exec, interrupt, lab::Who};
use libtest_mimic::Trial;

use super::{Complaint, changes_nothing, run, text};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let trial = |name: &str, body: fn(&Bench<'_>) -> Result<()>| {
        found.lab_trial(format!("bad_input::stripped::{name}"), body)
    };
    vec![
        trial("vlans_of_a_device_that_strips", refused),
        trial("vlans_of_a_device_that_does_not", not_stripping),
        trial("stripped_frames_have_the_role_that_is_said", said),
        trial("one_that_is_missing_is_not_asked", missing),
    ]
}

/// How long the daemon may take.
const SOON: Duration = Duration::from_secs(20);

/// The lab's configuration, its subscribers in VLANs, with these lines beside them.
fn config(bench: &Bench<'_>, lines: &str) -> Result<PathBuf> {
    let with = format!("role = \"access\"\nvlans = [\"100-199\", 300]\n{lines}");
    let right = bench.config()?.to_string();
    let path = bench.lab.scratch().join("vlans.toml");
    let text = right
        .replace("role = \"access\"\n", &with)
        .replace("answer   = \"drop\"", "answer   = \"reset\"");
    fs::write(&path, text)?;
    Ok(path)
}

/// veth says that it takes tags off.
fn refused(bench: &Bench<'_>) -> Result<()> {
    let path = config(bench, "")?;
    let complaint = Complaint {
        code: 1,
        says: &[
            "rx-vlan-offload is on",
            "rxvlan off",
            "stripped = \"access\"",
        ],
    };
    changes_nothing(bench, || {
        complaint.is_made_in(&run(bench.gate(), &path)?)?;
        complaint.is_made_in(&bench.gate().output(&["check", "--config", text(&path)?])?)
    })
}

/// A device that is not there cannot be asked, and keeps nothing from being in force; one that is made anew takes tags off again.
fn missing(bench: &Bench<'_>) -> Result<()> {
    keep_tags(bench)?;
    bench.lab.unplug(Who::Subscriber)?;
    let path = config(bench, "missing = \"wait\"\n")?;
    let _daemon = bench.gate().run(&path)?;
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(0), "{status:?}");
    bench.lab.plug(Who::Subscriber)?;
    let interface = Who::Subscriber.interface();
    let named = interrupt::wait_until(SOON, || {
        let status = bench.gate().status();
        status.is_ok_and(|(code, status)| {
            let mut problems = status.problems.iter();
            code == Some(3)
                && problems.any(|it| it.starts_with(interface) && it.contains("rxvlan off"))
        })
    })?;
    ensure!(named, "{:?}", bench.gate().status()?);
    keep_tags(bench)?;
    let well = interrupt::wait_until(SOON, || {
        bench.gate().status().is_ok_and(|(code, _)| code == Some(0))
    })?;
    ensure!(well, "{:?}", bench.gate().status()?);
    Ok(())
}

fn keep_tags(bench: &Bench<'_>) -> Result<()> {
    for who in Who::ALL.iter().filter(|who| who.role().is_some()) {
        let mut ethtool = Command::new("ethtool");
        ethtool.args(["-K", who.interface(), "rxvlan", "off"]);
        bench.lab.router().contain(&mut ethtool);
        exec::tool(&mut ethtool, "")?;
    }
    Ok(())
}

fn not_stripping(bench: &Bench<'_>) -> Result<()> {
    keep_tags(bench)?;
    let daemon = bench.gate().run(&config(bench, "")?)?;
    let interface = Who::Subscriber.interface();
    for command in ["status", "counters"] {
        let shown = bench.gate().text(&[command])?;
        let label = format!("{interface} vlans 100-199,300 ");
        ensure!(shown.contains(&label), "{command} lacks {label}: {shown}");
    }
    // The lab's frames have no tag, and so no role.
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    daemon.terminate().map(drop)
}

fn said(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench
        .gate()
        .run(&config(bench, "stripped = \"access\"\n")?)?;
    // Refused without an answer, though one is configured: it would leave without its tag.
    bench.in_force()?;
    let counters = bench.gate().text(&["counters"])?;
    let answers = counters.split("\nanswers\n").nth(1).unwrap_or_default();
    let answers = answers.split("\n\n").next().unwrap_or_default();
    ensure!(
        answers.contains("  stripped ") && answers.lines().count() == 2,
        "answers should be `stripped` only: {counters}"
    );
    let interface = Who::Subscriber.interface();
    let shown = bench.gate().text(&["status"])?;
    for label in ["vlans 100-199,300", "stripped"] {
        let label = format!("{interface} {label} ");
        ensure!(shown.contains(&label), "status lacks {label}: {shown}");
    }
    daemon.terminate().map(drop)
}
