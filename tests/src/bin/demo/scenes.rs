//! The demo's course: control, profile by profile, a limit, tags, counters, detach.

use std::path::Path;

use anyhow::{Context as _, Result};
use gate_tests::{
    gate::{self, Config, Daemon, GATE_BIN, GATE_MMDB, Gate, Mode},
    lab::{Database, Lab},
    matrix::{self, Judged, Profile, Run},
    pin,
};

use crate::{Arguments, keep, limit, narrate::Narrator, tags};

/// Plays all of it. The lab is gone when this returns.
pub(crate) fn play(arguments: &Arguments, narrator: &mut Narrator) -> Result<()> {
    let program = gate::path_from(GATE_BIN)?;
    let database = Database::open(&gate::path_from(GATE_MMDB)?)?;
    let lab = Lab::new(&database)?;
    let gate = Gate::new(&program, &lab);
    let stage = Stage {
        lab: &lab,
        gate,
        database: &database,
        mode: arguments.mode.into(),
    };
    introduce(&stage, narrator)?;
    stage.control(narrator)?;
    // Each daemon adopts what the one before leaves.
    for profile in Profile::ALL {
        stage.profile(profile, narrator)?.terminate()?;
    }
    stage.limit(narrator)?.terminate()?;
    let daemon = tags::play(&stage, narrator)?;
    stage.counters(narrator)?;
    if arguments.keep {
        keep::wait(&lab, gate, narrator)?;
    }
    daemon.terminate()?;
    stage.detach(narrator)
}

fn introduce(stage: &Stage<'_>, narrator: &mut Narrator) -> Result<()> {
    let roamers = stage.lab.roamers();
    narrator.line(&format!(
        "A lab of network namespaces ({}-...): subscribers, a router, mail hosts, the Internet.",
        stage.lab.name()
    ))?;
    for (what, country) in [
        ("at home", &roamers.domestic),
        ("abroad", &roamers.foreign),
        ("in a high-spam country", &roamers.high_spam),
    ] {
        narrator.line(&format!(
            "Roaming {what}: {}, {} and {}, from the country database.",
            country.code, country.addresses.v4, country.addresses.v6
        ))?;
    }
    Ok(())
}

/// What every scene is played with.
pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    gate: Gate<'a>,
    pub(crate) database: &'a Database,
    pub(crate) mode: Mode,
}

impl Stage<'_> {
    /// Without the gate everything is open, or what follows proves nothing.
    fn control(&self, narrator: &mut Narrator) -> Result<()> {
        narrator.scene("Control: the gate is detached")?;
        let run = matrix::control(self.lab)?;
        narrator.table(&matrix::control_table(&run, self.lab.roamers()))?;
        narrator.check(
            &format!(
                "{} of {} connections open; servers accepted {}",
                run.connected,
                run.accounts.len(),
                run.accepted
            ),
            &run.faults(),
        )?;
        Ok(())
    }

    fn profile(&self, profile: Profile, narrator: &mut Narrator) -> Result<Daemon> {
        narrator.scene(&format!("Port 25 enforced, {profile}"))?;
        let config =
            Config::of(self.lab, self.database.path(), self.mode)?.profile(self.lab, profile)?;
        let path = config.write(self.lab, &format!("{}.toml", profile.name()))?;
        let daemon = self.start(&path, narrator)?;
        self.attached(narrator)?;
        let run = matrix::guarded(self.lab, self.gate, self.database, profile)?;
        narrator.line("")?;
        narrator.table(&matrix::table(&run, self.lab.roamers()))?;
        sums(&run, narrator)?;
        Ok(daemon)
    }

    /// What the tags of a burst of connections say, from abroad and from home.
    fn limit(&self, narrator: &mut Narrator) -> Result<Daemon> {
        narrator.scene("Connections from abroad have a limit, which only tags")?;
        let config = Config::of(self.lab, self.database.path(), self.mode)?;
        let path = limit::configure(config)?.write(self.lab, "limit.toml")?;
        let daemon = self.start(&path, narrator)?;
        limit::play(self.lab, self.gate, narrator)?;
        Ok(daemon)
    }

    pub(crate) fn start(&self, config: &Path, narrator: &mut Narrator) -> Result<Daemon> {
        narrator.line(&format!("$ gate run --config {}", config.display()))?;
        let daemon = self.gate.run(config)?;
        narrator.quote(&daemon.said())?;
        Ok(daemon)
    }

    /// Every interface with a role is held in the mode that was asked for.
    fn attached(&self, narrator: &mut Narrator) -> Result<()> {
        let (code, status) = self.gate.status()?;
        let mode = self.mode.to_string();
        let mut faults = status.problems;
        faults.extend(
            status
                .interfaces
                .iter()
                .filter(|one| one.state != "attached" || one.mode.as_deref() != Some(&mode))
                .map(|one| format!("{one:?}")),
        );
        if code != Some(0) {
            faults.push(format!("gate status ended with {code:?}"));
        }
        narrator.check(
            &format!(
                "attached to {} interfaces, {mode} mode",
                status.interfaces.len()
            ),
            &faults,
        )?;
        Ok(())
    }

    fn counters(&self, narrator: &mut Narrator) -> Result<()> {
        narrator.scene("Counters")?;
        narrator.line("$ gate counters")?;
        let counters = self.gate.text(&["counters"])?;
        narrator.line(counters.trim_end())?;
        Ok(())
    }

    fn detach(&self, narrator: &mut Narrator) -> Result<()> {
        narrator.scene("Detached")?;
        narrator.line("$ gate detach")?;
        let said = self.gate.detach()?;
        narrator.quote(&said)?;
        let left: Vec<String> = pin::list(self.gate.pins())
            .context("cannot see what is left")?
            .iter()
            .map(|pin| format!("{pin:?}"))
            .collect();
        narrator.check("no pin is left", &left)?;
        Ok(())
    }
}

/// What has to agree beyond the single rows.
fn sums(run: &Run, narrator: &mut Narrator) -> Result<()> {
    let wrong = run
        .accounts
        .iter()
        .filter(|account| !account.faults.is_empty())
        .count();
    narrator.check(
        &format!(
            "{} of {} connections as expected",
            run.accounts.len() - wrong,
            run.accounts.len()
        ),
        &run.row_faults(),
    )?;
    if let Some(judged) = run.judged {
        let Judged {
            refused,
            passed,
            observed,
        } = judged;
        narrator.check(
            &format!(
                "{} SYNs sent to port 25 from access lines = {refused} refused + {passed} passed + {observed} observed",
                run.syns
            ),
            &run.syn_faults(),
        )?;
    }
    narrator.check(
        &format!(
            "{} connections got by clients, {} accepted by servers",
            run.connected, run.accepted
        ),
        &run.accept_faults(),
    )?;
    Ok(())
}
