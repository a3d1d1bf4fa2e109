//! What cannot be answered is said, with the cause and the next step.

use anyhow::{Result, ensure};
use aya::programs::{
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use gate_user::{
    kernel::{Gate, Look},
    object::OBJECT,
    pins::Pins,
};
use libtest_mimic::Trial;

use super::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("explain::mistakes_are_told", mistakes),
        found.lab_trial("explain::nothing_loaded_is_told", nothing_loaded),
        found.lab_trial("explain::an_open_interface_is_told", open),
        found.lab_trial("explain::another_program_is_told", other_program),
    ]
}

const FROM: [&str; 3] = ["explain", "--from", "100.64.0.2"];
const TO: [&str; 2] = ["--to", "198.51.100.25"];
const HOME: [&str; 2] = ["--in", "acc-home"];

fn complains(bench: &Bench<'_>, arguments: &[&str], code: i32, says: &[&str]) -> Result<()> {
    let output = bench.gate().output(arguments)?;
    ensure!(
        output.code() == Some(code) && output.stdout.is_empty(),
        "{arguments:?} should end with {code}: {output:?}"
    );
    for words in says {
        ensure!(
            output.stderr.contains(words),
            "{arguments:?} should say `{words}`: {}",
            output.stderr
        );
    }
    Ok(())
}

fn mistakes(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let ask = |more: &[&str], code, says: &[&str]| {
        complains(bench, &[&FROM[..], more].concat(), code, says)
    };
    ask(
        &["--to", "2001:db8:5100::25"],
        2,
        &[
            "no packet goes from 100.64.0.2 to 2001:db8:5100::25",
            "each family by itself",
        ],
    )?;
    ask(
        &TO,
        2,
        &[
            "it could arrive at acc-home (access), acc-next (access)",
            "`--in NAME`",
        ],
    )?;
    ask(
        &[&TO[..], &["--in", "eth9"]].concat(),
        2,
        &[
            "generation 1 has no interface eth9; it has acc-home (access)",
            "`gate status`",
        ],
    )?;
    for (name, value) in [
        ("--port", "0"),
        ("--port", "65536"),
        ("--vlan", "4095"),
        ("--to", "mail.example.net"),
    ] {
        let arguments = [&["--in", "acc-home", name, value], &TO[..]].concat();
        ask(&arguments, 2, &[value])?;
    }
    ask(&[], 2, &["--to"])
}

fn nothing_loaded(bench: &Bench<'_>) -> Result<()> {
    let arguments = [&FROM[..], &TO, &HOME].concat();
    complains(
        bench,
        &arguments,
        1,
        &["no gate is loaded here", "gate run --config"],
    )
}

fn open(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    std::fs::remove_file(Pins::new(bench.lab.pins())?.link("acc-home"))?;
    let arguments = [&FROM[..], &TO, &HOME].concat();
    complains(
        bench,
        &arguments,
        3,
        &["acc-home: open", "every packet passes there", "gate reload"],
    )?;
    // Elsewhere it answers as before.
    bench
        .gate()
        .text(&[&FROM[..], &TO, &["--in", "acc-next"]].concat())
        .map(drop)
}

/// An attached program that is another one: what this binary's would say is not what happens.
fn other_program(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let path = Pins::new(bench.lab.pins())?.link("acc-home");
    let mut other = Gate::private_looking(OBJECT, Look::Every)?;
    let link = FdLink::from(PinnedLink::from_pin(&path)?);
    let id = other.program()?.attach_to_link(XdpLink::try_from(link)?)?;
    let link = other.program()?.take_link(id)?;
    let arguments = [&FROM[..], &TO, &HOME].concat();
    complains(
        bench,
        &arguments,
        4,
        &[
            "acc-home: the attached program has the tag ",
            "that of this gate has ",
            "another build put it in force",
            "ask with the binary that runs",
        ],
    )?;
    drop(link);
    Ok(())
}
