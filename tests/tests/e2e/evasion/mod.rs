//! What somebody with root on an access line could send instead: raw frames of every kind that may reach a mail host past the
//! rule.
//!
//! Each technique is tried without the gate first, which shows whether Linux on the other side opens a connection for it, and
//! then with it. The gate must leave no technique a connection to port 25, nor let anything of it emerge that has both ports in it;
//! and it must leave submission and relays as open as they were, unless the technique hides what they are told by.
//!
//! | module | what is in it |
//! |---|---|
//! | `techniques` | the table: segments, IP options, extension headers, fragments, tags, sessions, labels, tunnels |
//! | `shot` | what they are made of |
//! | `stage` | trying all of them |
//! | `routes` | source routes by way of a relay, and connections that are opened from elsewhere |
//! | `scanner` | nmap's own tricks |
//! | `hidden` | submission connections from abroad that hide their port |
//!
//! What gets by, as it is meant to, and what is done about it:
//!
//! | what | why |
//! |---|---|
//! | later fragments | they have no ports, and without the first one no host makes a packet of them |
//! | tunnels in tunnels, encrypted ones, those over UDP | to port 25, they need a host outside that ends them, which can send mail itself |
//! | segments of connections that somebody else opened in the subscriber's name, from a line without source validation (BCP 38) | `scope = "syn"` judges only what opens; `scope = "all"` stops these too |

mod hidden;
mod routes;
mod scanner;
mod shot;
mod stage;
mod techniques;

use anyhow::Result;
use gate_tests::{
    gate::{Answer, Limit, Mode},
    matrix::Profile,
};
use libtest_mimic::Trial;

pub(crate) use self::stage::{frames, widen};
use self::{
    stage::{Aim, Outcome},
    techniques::Hides,
};
use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let in_mode = |mode: Mode| {
        let name = format!("evasion::no_technique_reaches_port_25_in_{mode}_mode");
        found.lab_trial(name, move |bench| techniques(bench, mode))
    };
    let mut trials = vec![
        in_mode(Mode::Native),
        in_mode(Mode::Generic),
        found.lab_trial(
            "evasion::who_hides_its_source_escapes_no_action",
            hidden_sources,
        ),
    ];
    trials.extend(hidden::trials(found));
    trials.extend(routes::trials(found));
    trials.extend(scanner::trials(found));
    trials
}

fn techniques(bench: &Bench<'_>, mode: Mode) -> Result<()> {
    widen(bench)?;
    stage::warm_up(bench)?;
    let control = stage::play(bench)?;
    let mut config = bench.config()?.profile(&bench.lab, Profile::Listed)?;
    config.mode = mode;
    config.answer = Answer::Reset;
    let _daemon = bench.run(&config)?;
    let guarded = stage::play(bench)?;
    let wrong: Vec<String> = control
        .iter()
        .zip(&guarded)
        .filter_map(|(control, guarded)| wrong(control, guarded))
        .collect();
    stage::ensure_none(&wrong)
}

/// A pool that is enforced while others are only observed, and a limit, hold for those who hide whose they are as well.
fn hidden_sources(bench: &Bench<'_>) -> Result<()> {
    widen(bench)?;
    stage::warm_up(bench)?;
    let mut by_pool = bench.config()?;
    by_pool.action = "observe";
    for pool in &mut by_pool.pools {
        if pool.policy == "restrict" {
            pool.action = Some("enforce");
        }
    }
    let mut throttled = bench.config()?;
    throttled.action = "throttle";
    throttled.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 1,
    });
    for config in [by_pool, throttled] {
        let daemon = bench.run(&config)?;
        let wrong: Vec<String> = stage::play(bench)?
            .iter()
            .filter(|it| it.technique.hides == Hides::All && it.aim == Aim::Mail)
            .filter(|it| it.opened || it.emerged)
            .map(|it| format!("{}: {} got through", config.action, it.technique.name))
            .collect();
        daemon.terminate()?;
        stage::ensure_none(&wrong)?;
    }
    Ok(())
}

/// What is wrong with an outcome, beside the same without a gate.
fn wrong(control: &Outcome, guarded: &Outcome) -> Option<String> {
    let Outcome {
        technique,
        aim,
        opened,
        emerged,
    } = guarded;
    let fault = if technique.opens && !control.opened {
        "does nothing without the gate"
    } else if !technique.opens && control.opened {
        "works without the gate, and should not"
    } else {
        let left = match (aim, technique.hides) {
            (Aim::Mail, _) | (_, Hides::All | Hides::Port) => false,
            (Aim::Submission | Aim::Relay, Hides::Nothing) => control.opened,
        };
        match (*opened, left) {
            (true, false) => "got through",
            (false, true) => "was lost",
            _ if *aim == Aim::Mail && *emerged => "emerged",
            _ => return None,
        }
    };
    Some(format!(
        "{}, {}, {aim:?}: {fault}",
        technique.name, technique.family
    ))
}
