//! The daemon's log: lines on standard error.

use std::{
    io,
    io::Write as _,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use gate_common::abi::ABI_VERSION;
use gate_user::{
    Error,
    bypass::{Bypass, Found, Switched},
    chore::Chore,
    control::{Attempt, By, Outcome},
    generation::Manifest,
    marking::{self, Finding},
    migrate::Migrated,
    report, retention,
    run::Running,
    sys::XdpMode,
};
use jiff::Timestamp;

/// One line, or one and those that belong to it. That nobody reads it must not end the daemon.
///
/// During a bypass each says so: whoever reads a line of the log must not have to look for the one that began it.
pub(super) fn log(line: &str) {
    let bypass = told().as_ref().map_or_else(String::new, |bypass| {
        format!(" [bypassed until {:.0}]", bypass.until)
    });
    let (first, rest) = line.split_at(line.find('\n').unwrap_or(line.len()));
    let _ = writeln!(io::stderr().lock(), "gate: {first}{bypass}{rest}");
}

/// The bypass that the log has told of.
static TOLD: Mutex<Option<Bypass>> = Mutex::new(None);

fn told() -> MutexGuard<'static, Option<Bypass>> {
    // Nothing is done under this lock that could leave it half changed.
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of the bypass since the log told of it last.
pub(super) fn bypass(found: &Found) {
    let before = mem::replace(&mut *told(), found.now.clone());
    if before == found.now && found.ended.is_none() {
        return;
    }
    match (&found.now, before.as_ref().or(found.ended.as_ref())) {
        (Some(now), _) => log(&format!(
            "bypass: everything is observed and nothing refused {now}"
        )),
        (None, Some(before)) => log(&format!(
            "the bypass is over, verdicts are as configured again; it was {before}"
        )),
        (None, None) => {}
    }
}

/// What became of a rehearsal whose process was killed. It judges no packet: that it cannot be cleared away ends no daemon, and is said
/// once, which `told` remembers.
pub(super) fn rehearsal(cleared: Result<bool, Error>, told: &mut Option<String>) {
    match cleared {
        Ok(true) => {
            log("cleared away a rehearsal whose command is gone; nothing of what it found is kept");
            *told = None;
        }
        Ok(false) => *told = None,
        Err(error) => {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                log(&format!(
                    "cannot clear away a rehearsal whose command is gone, and tries again: {error}"
                ));
                *told = Some(error);
            }
        }
    }
}

/// Somebody turned the switch.
pub(super) fn switched(switched: &Switched) {
    bypass(&Found {
        now: switched.now.clone(),
        ended: None,
    });
}

/// What is in force after the start.
pub(super) fn start(running: &Running) {
    let manifest = running.manifest();
    for warning in running.warnings() {
        log(&format!("warning: {warning}"));
    }
    for name in running.removed() {
        log(&format!(
            "{name}: detached, since the configuration names it no more"
        ));
    }
    for it in &manifest.databases {
        log(&format!(
            "{}: {} IPv4 and {} IPv6 networks, {} countries, built {:.0}",
            it.path.display(),
            it.networks_v4,
            it.networks_v6,
            it.countries,
            it.built
        ));
    }
    for it in &manifest.list_files {
        log(&format!("{}: {} prefixes", it.path.display(), it.prefixes));
    }
    for line in &manifest.attribution {
        log(line);
    }
    for it in &manifest.forced {
        log(&format!("--force overrode: {it}"));
    }
    for it in &manifest.pools {
        log(&format!(
            "pool {}: {}{}",
            it.name,
            it.policy,
            it.action
                .as_ref()
                .map_or_else(String::new, |it| format!(", {it}"))
        ));
    }
    for it in &manifest.interfaces {
        let Some(mode) = running.modes().get(&it.name) else {
            continue;
        };
        let fallback = it.mode == "auto" && *mode == XdpMode::Generic;
        let note = if fallback {
            " (the driver has no native XDP)"
        } else {
            ""
        };
        log(&format!(
            "{}: {}, {} mode{note}",
            it.label(),
            it.role,
            mode.name()
        ));
    }
    if let Some(Migrated { from, lost }) = running.migrated() {
        log(&format!(
            "took over what the gate with map ABI {from} had in force, and removed its pins"
        ));
        for it in lost {
            log(&format!(
                "warning: {it} start from zero: the map ABIs {from} and {ABI_VERSION} lay them out differently"
            ));
        }
    }
    let how = if running.adopted() {
        "adopted what was in force"
    } else {
        "started"
    };
    log(&format!("ready: generation {} ({how})", manifest.number));
}

/// What became of the skb marks, where that is another thing than before.
pub(super) fn marks(finding: Finding) {
    match finding {
        Finding::Set => log("skb marks are set again"),
        Finding::Lost(missing) => log(&format!(
            "warning: {missing} had no metadata: {}",
            marking::LOST
        )),
        Finding::Unseen(missing) => log(&format!("warning: {}", missing.unseen())),
    }
}

/// Sources that are over cannot be deleted any more, or can again.
pub(super) fn sweep(failure: Option<&str>) {
    match failure {
        Some(failure) => log(&format!("warning: {}", retention::unswept(failure))),
        None => log("sources that are over are deleted again"),
    }
}

/// Something cannot be looked after any more, or can again.
pub(super) fn chore(chore: Chore, failure: Option<&str>) {
    match failure {
        Some(failure) => log(&format!("warning: {}", chore.undone(failure))),
        None => log(chore.done_again()),
    }
}

/// A change of generations begins.
pub(super) fn begin(by: By, force: bool) {
    if let By::Rollback | By::Unconfirmed = by {
        log(&format!("rollback: {by}"));
        return;
    }
    let force = if force { " --force" } else { "" };
    log(&format!("reload{force}: {by}"));
}

/// A reload is over.
pub(super) fn end(attempt: &Attempt) {
    match &attempt.outcome {
        Outcome::Loaded { change } => {
            for line in report::details(change) {
                log(&format!("reload: {line}"));
            }
            let number = change.generation.after.unwrap_or_default();
            let word = match attempt.by {
                By::Rollback | By::Unconfirmed => "rolled back",
                By::Watch | By::Interfaces | By::Sighup | By::Command | By::Exempt => "reloaded",
            };
            log(&format!("{word}: generation {number} is in force"));
        }
        Outcome::Confirmed { generation } => {
            log(&format!(
                "confirmed: generation {generation} stays in force"
            ));
        }
        Outcome::Unchanged { generation } => log(&format!(
            "reload: configuration and data are those of generation {generation}; it stays in force"
        )),
        Outcome::Refused(cause) => log(&format!(
            "{} refused: generation {} stays in force",
            kind(attempt.by),
            cause.generation
        )),
        Outcome::Failed(cause) => log(&format!(
            "{} failed: generation {} is in force",
            kind(attempt.by),
            cause.generation
        )),
    }
}

/// What was attempted.
const fn kind(by: By) -> &'static str {
    match by {
        By::Rollback | By::Unconfirmed => "rollback",
        By::Watch | By::Interfaces | By::Sighup | By::Command => "reload",
        By::Exempt => "change of exemptions",
    }
}

/// What waits for a person, if anything does.
pub(super) fn waits(manifest: &Manifest, pending: Option<Timestamp>) {
    if let Some(until) = pending {
        log(&format!(
            "generation {} waits for a confirmation until {until:.0}, then the gate goes back: `gate reload --confirmed` keeps it",
            manifest.number
        ));
    } else if let Some(rolled_back) = &manifest.rolled_back {
        log(&format!(
            "{rolled_back}: changes of data are held; `gate reload` puts {} in force again",
            manifest.config.display()
        ));
    }
}

/// What went wrong, in full, and what to do about it.
pub(super) fn error(error: &Error) {
    match error.hint() {
        Some(hint) => log(&format!("error: {error}\n  hint: {hint}")),
        None => log(&format!("error: {error}")),
    }
}
