//! The daemon's log: lines on standard error.

use std::{io, io::Write as _};

use gate_user::{
    Error,
    control::{Attempt, By, Outcome},
    report,
    run::Running,
    sys::XdpMode,
};

/// One line, or one and those that belong to it. That nobody reads it must not end the daemon.
pub(super) fn log(line: &str) {
    let _ = writeln!(io::stderr().lock(), "gate: {line}");
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
    let how = if running.adopted() {
        "adopted what was in force"
    } else {
        "started"
    };
    log(&format!("ready: generation {} ({how})", manifest.number));
}

/// A reload begins.
pub(super) fn begin(by: By, force: bool) {
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
            log(&format!("reloaded: generation {number} is in force"));
        }
        Outcome::Unchanged { generation } => log(&format!(
            "reload: configuration and data are those of generation {generation}; it stays in force"
        )),
        Outcome::Refused(cause) => log(&format!(
            "reload refused: generation {} stays in force",
            cause.generation
        )),
        Outcome::Failed(cause) => log(&format!(
            "reload failed: generation {} is in force",
            cause.generation
        )),
    }
}

/// What went wrong, in full, and what to do about it.
pub(super) fn error(error: &Error) {
    match error.hint() {
        Some(hint) => log(&format!("error: {error}\n  hint: {hint}")),
        None => log(&format!("error: {error}")),
    }
}
