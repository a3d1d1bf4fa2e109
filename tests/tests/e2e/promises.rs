//! The matrix, with the real country database: in either mode and either profile, beside its control.
//!
//! A scene is played once, by the first of its trials to run; each trial then looks at its part of what came out.

use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow, ensure};
use gate_tests::{
    gate::{Config, Gate, Mode},
    lab::Lab,
    matrix::{self, Account, Group, Profile, Run},
    pin,
    residue::Watch,
};
use libtest_mimic::Trial;

use crate::bench::{Found, Tools};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [Mode::Native, Mode::Generic]
        .into_iter()
        .flat_map(|mode| Profile::ALL.map(|profile| (mode, profile)))
        .flat_map(|(mode, profile)| of_scene(found, mode, profile))
        .collect()
}

fn of_scene(found: &Found, mode: Mode, profile: Profile) -> Vec<Trial> {
    let scene = Arc::new(Scene {
        mode,
        profile,
        played: OnceLock::new(),
    });
    let trial = |name: String, look: fn(&Played, Option<Group>) -> Vec<String>, group| {
        let scene = Arc::clone(&scene);
        let name = format!("promises::{mode}::{}::{name}", profile.name());
        found.trial(name, move |tools| {
            let faults = look(scene.play(tools)?, group);
            ensure!(faults.is_empty(), "{}", faults.join("\n"));
            Ok(())
        })
    };
    let rows = |played: &Played, group: Option<Group>| {
        of_group(&played.guarded, group)
            .flat_map(Account::faults)
            .collect()
    };
    let mut trials = vec![trial(
        "control_is_open".to_owned(),
        |played, _| played.control.faults(),
        None,
    )];
    trials.extend(Group::ALL.map(|group| {
        let name = group.to_string().replace(' ', "_");
        trial(name, rows, Some(group))
    }));
    trials.push(trial(
        "syns_sent_are_syns_judged".to_owned(),
        |played, _| played.guarded.syn_faults(),
        None,
    ));
    trials.push(trial(
        "connections_got_are_connections_accepted".to_owned(),
        |played, _| played.guarded.accept_faults(),
        None,
    ));
    trials.push(trial(
        "mode_in_force_is_the_one_asked_for".to_owned(),
        |played, _| played.modes.clone(),
        None,
    ));
    trials.push(trial(
        "detach_and_drop_leave_nothing".to_owned(),
        |played, _| played.left.clone(),
        None,
    ));
    trials
}

fn of_group(run: &Run, group: Option<Group>) -> impl Iterator<Item = &Account> {
    run.accounts
        .iter()
        .filter(move |account| group.is_none_or(|group| account.case.row.group == group))
}

struct Scene {
    mode: Mode,
    profile: Profile,
    played: OnceLock<Result<Played, String>>,
}

/// What came out of a scene.
struct Played {
    control: Run,
    guarded: Run,
    /// Interfaces in another mode than the one asked for.
    modes: Vec<String>,
    /// What was left in the end.
    left: Vec<String>,
}

impl Scene {
    fn play(&self, tools: &Tools) -> Result<&Played> {
        self.played
            .get_or_init(|| self.play_now(tools).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    fn play_now(&self, tools: &Tools) -> Result<Played> {
        let watch = Watch::start();
        let mut played = self.play_in(tools, &Lab::new(&tools.real)?)?;
        if let Err(left) = watch.nothing_left() {
            played.left.push(left.to_string());
        }
        Ok(played)
    }

    fn play_in(&self, tools: &Tools, lab: &Lab) -> Result<Played> {
        let gate = Gate::new(&tools.program, lab);
        let control = matrix::control(lab)?;
        let config = Config::of(lab, tools.real.path(), self.mode)?.profile(lab, self.profile)?;
        let daemon = gate.run(&config.write(lab, "gate.toml")?)?;
        let guarded = matrix::guarded(lab, gate, &tools.real, self.profile)?;
        let (_, status) = gate.status()?;
        daemon.terminate()?;
        gate.detach()?;
        let mode = self.mode.to_string();
        Ok(Played {
            control,
            guarded,
            modes: status
                .interfaces
                .iter()
                .filter(|one| one.state != "attached" || one.mode.as_deref() != Some(&mode))
                .map(|one| format!("{one:?}"))
                .collect(),
            left: pin::list(gate.pins())?
                .iter()
                .map(|pin| format!("{pin:?}"))
                .collect(),
        })
    }
}
