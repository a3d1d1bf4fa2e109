//! What the daemon says in its log.

use std::{
    io, mem,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use gate_user::{
    Error,
    attach::Target,
    bypass::{Bypass, Found, Switched},
    chore::Chore,
    control::{Attempt, By, Cause, Outcome, Standing},
    generation::Manifest,
    logging::{Destination, Entry, Event, Field, Form, Writer},
    marking::{self, Finding},
    migrate::Migrated,
    report, retention,
    run::Running,
    sys::XdpMode,
};
use jiff::Timestamp;

/// How long the end waits for whoever reads the log.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How many mistakes of one configuration are told: the log has room for other things.
const MISTAKES: usize = 100;

/// The log of this process, once it is open.
static LOG: OnceLock<Writer> = OnceLock::new();

/// Opens the log; that nobody reads it yet is no error.
pub(super) fn open(form: Form, destination: Destination) -> io::Result<()> {
    let writer = Writer::start(form, destination)?;
    // There is one daemon in a process.
    let _ = LOG.set(writer);
    Ok(())
}

/// Waits until the last line is written, but not for somebody who does not read; whether it is.
pub(super) fn close() -> bool {
    LOG.get().is_some_and(|it| it.close(LAST_WORDS))
}

/// Has a line written. Nothing waits for that.
///
/// During a bypass each says so: whoever reads a line of the log must not have to look for the one that began it.
pub(super) fn log(entry: Entry) {
    let until = told().as_ref().map(|it| it.until);
    let until = until.map(|it| format!("{it:.0}"));
    if let Some(log) = LOG.get() {
        log.write(entry.maybe(Field::Bypass, until));
    }
}

/// A line without more to it than its words.
fn words(event: Event, message: impl Into<String>) {
    log(Entry::new(event, message));
}

/// The same with how the log is.
pub(super) fn with_log(standing: Standing) -> Standing {
    Standing {
        log: LOG.get().map(Writer::state),
        ..standing
    }
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
        (Some(now), _) => {
            let begun = format!("bypass: everything is observed and nothing refused {now}");
            let until = format!("{:.0}", now.until);
            log(Entry::new(Event::BypassBegun, begun).text(Field::Until, until));
        }
        (None, Some(before)) => words(
            Event::BypassOver,
            format!("the bypass is over, verdicts are as configured again; it was {before}"),
        ),
        (None, None) => {}
    }
}

/// What became of a rehearsal whose process was killed.
pub(super) fn rehearsal(cleared: Result<bool, Error>, told: &mut Option<String>) {
    let events = [Event::RehearsalCleared, Event::RehearsalStuck];
    let kept = "nothing of what it found is kept";
    left(cleared, events, "a rehearsal", kept, told);
}

/// What became of a listener to events that was killed.
pub(super) fn listener(cleared: Result<bool, Error>, told: &mut Option<String>) {
    let events = [Event::ListenerCleared, Event::ListenerStuck];
    let kept = "events are told to nobody";
    left(cleared, events, "a listener to events", kept, told);
}

/// What became of something whose command was killed. It judges no packet: that it cannot be cleared away ends no daemon, and is said
/// once, which `told` remembers.
fn left(
    cleared: Result<bool, Error>,
    [gone, stuck]: [Event; 2],
    what: &str,
    kept: &str,
    told: &mut Option<String>,
) {
    match cleared {
        Ok(true) => {
            let text = format!("cleared away {what} whose command is gone; {kept}");
            log(Entry::new(gone, text));
            *told = None;
        }
        Ok(false) => *told = None,
        Err(error) => {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                let text = format!(
                    "cannot clear away {what} whose command is gone, and tries again: {error}"
                );
                log(Entry::new(stuck, text).text(Field::Reason, &error));
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
        words(Event::Remark, warning);
    }
    for name in running.removed() {
        let detached = format!("{name}: detached, since the configuration names it no more");
        log(Entry::new(Event::InterfaceDetached, detached).text(Field::Interface, name));
    }
    for it in &manifest.databases {
        let file = it.path.display();
        let database = format!(
            "{file}: {} IPv4 and {} IPv6 networks, {} countries, built {:.0}",
            it.networks_v4, it.networks_v6, it.countries, it.built
        );
        log(Entry::new(Event::Database, database).text(Field::File, file));
    }
    for it in &manifest.list_files {
        let file = it.path.display();
        let list = format!("{file}: {} prefixes", it.prefixes);
        log(Entry::new(Event::ListFile, list).text(Field::File, file));
    }
    for line in &manifest.attribution {
        words(Event::Attribution, line);
    }
    for it in &manifest.forced {
        words(Event::Forced, format!("--force overrode: {it}"));
    }
    for it in &manifest.pools {
        let action = it.action.as_ref();
        let action = action.map_or_else(String::new, |it| format!(", {it}"));
        let pool = format!("pool {}: {}{action}", it.name, it.policy);
        log(Entry::new(Event::Pool, pool).text(Field::Pool, &it.name));
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
        let attached = format!("{}: {}, {} mode{note}", it.label(), it.role, mode.name());
        log(Entry::new(Event::Interface, attached).text(Field::Interface, &it.name));
    }
    if let Some(before) = running.found_unknown() {
        for interface in &before.interfaces {
            let (name, index) = (interface.name(), interface.index());
            let message = format!(
                "{name}: has the index {index}, which generation {} did not know: until this start, packets passed there unjudged, as `no_role`",
                before.generation
            );
            log_unknown(interface, before.generation, message);
        }
    }
    if let Some(Migrated { from, lost }) = running.migrated() {
        words(
            Event::Migrated,
            format!(
                "took over what the gate with map ABI {from} had in force, and removed its pins"
            ),
        );
        for it in lost {
            words(
                Event::CountersReset,
                format!("start from zero: {}", it.told()),
            );
        }
    }
    let how = if running.adopted() {
        "adopted what was in force"
    } else {
        "started"
    };
    let ready = format!("ready: generation {} ({how})", manifest.number);
    log(Entry::new(Event::Ready, ready).number(Field::Generation, manifest.number));
}

/// What became of the skb marks, where that is another thing than before.
pub(super) fn marks(finding: Finding) {
    match finding {
        Finding::Set => words(Event::MarksSet, "skb marks are set again"),
        Finding::Lost(missing) => words(
            Event::MarksMissing,
            format!("{missing} had no metadata: {}", marking::LOST),
        ),
        Finding::Unseen(missing) => words(Event::MarksMissing, missing.unseen()),
    }
}

/// Sources that are over cannot be deleted any more, or can again.
pub(super) fn sweep(failure: Option<&str>) {
    match failure {
        Some(failure) => {
            let late = Entry::new(Event::RetentionLate, retention::unswept(failure));
            log(late.text(Field::Reason, failure));
        }
        None => words(
            Event::RetentionKept,
            "sources that are over are deleted again",
        ),
    }
}

/// Something cannot be looked after any more, or can again.
pub(super) fn chore(chore: Chore, failure: Option<&str>) {
    match failure {
        Some(failure) => {
            let undone = Entry::new(Event::ChoreUndone, chore.undone(failure));
            log(undone.text(Field::Reason, failure));
        }
        None => words(Event::ChoreDone, chore.done_again()),
    }
}

/// The gate is on an interface that the generation in force does not know.
pub(super) fn unknown(interface: &Target, generation: u32) {
    let (name, index) = (interface.name(), interface.index());
    let message = format!(
        "{name}: has the index {index} now, which generation {generation} does not know: packets pass there unjudged, as `no_role`, until there is one that does"
    );
    log_unknown(interface, generation, message);
}

fn log_unknown(interface: &Target, generation: u32, message: String) {
    let unknown = Entry::new(Event::InterfaceUnknown, message);
    log(unknown
        .text(Field::Interface, interface.name())
        .number(Field::Generation, generation));
}

/// A change of generations begins.
pub(super) fn begin(by: By, force: bool) {
    if let By::Rollback | By::Unconfirmed = by {
        log(Entry::new(Event::Begun, format!("rollback: {by}")).text(Field::By, by.name()));
        return;
    }
    let force = if force { " --force" } else { "" };
    log(Entry::new(Event::Begun, format!("reload{force}: {by}")).text(Field::By, by.name()));
}

/// A reload is over.
pub(super) fn end(attempt: &Attempt) {
    let about = |event, message: String, generation: u32| {
        Entry::new(event, message)
            .number(Field::Generation, generation)
            .text(Field::By, attempt.by.name())
    };
    let undone = |event, ended: &str, stays: &str, cause: &Cause| {
        let Cause {
            reason,
            hint,
            generation,
        } = cause;
        let kind = kind(attempt.by);
        let message = format!("{kind} {ended}: generation {generation} {stays} in force");
        about(event, message, *generation)
            .text(Field::Reason, reason)
            .maybe(Field::Hint, hint.as_ref())
    };
    log(match &attempt.outcome {
        Outcome::Loaded { change } => {
            let number = change.generation.after.unwrap_or_default();
            for line in report::details(change) {
                log(about(Event::Change, format!("reload: {line}"), number));
            }
            let (event, word) = match attempt.by {
                By::Rollback | By::Unconfirmed => (Event::RolledBack, "rolled back"),
                By::Watch | By::Interfaces | By::Sighup | By::Command | By::Exempt => {
                    (Event::Reloaded, "reloaded")
                }
            };
            about(
                event,
                format!("{word}: generation {number} is in force"),
                number,
            )
        }
        Outcome::Confirmed { generation } => about(
            Event::Confirmed,
            format!("confirmed: generation {generation} stays in force"),
            *generation,
        ),
        Outcome::Unchanged { generation } => about(
            Event::Unchanged,
            format!(
                "reload: configuration and data are those of generation {generation}; it stays in force"
            ),
            *generation,
        ),
        Outcome::Refused(cause) => undone(Event::Refused, "refused", "stays", cause),
        Outcome::Failed(cause) => undone(Event::Failed, "failed", "is", cause),
    });
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
    let number = manifest.number;
    if let Some(until) = pending {
        let waits = format!(
            "generation {number} waits for a confirmation until {until:.0}, then the gate goes back: `gate reload --confirmed` keeps it"
        );
        let waits = Entry::new(Event::Unconfirmed, waits).number(Field::Generation, number);
        log(waits.text(Field::Until, format!("{until:.0}")));
    } else if let Some(rolled_back) = &manifest.rolled_back {
        let held = format!(
            "{rolled_back}: changes of data are held; `gate reload` puts {} in force again",
            manifest.config.display()
        );
        log(Entry::new(Event::Held, held).number(Field::Generation, number));
    }
}

/// What went wrong, in full, and what to do about it.
pub(super) fn error(error: &Error) {
    let Error::Config(mistakes) = error else {
        log(Entry::new(Event::Error, error.to_string()).maybe(Field::Hint, error.hint()));
        return;
    };
    // A line each, so that each has its hint.
    for problem in mistakes.problems.iter().take(MISTAKES) {
        let (message, hint) = mistakes.apart(problem);
        let file = problem
            .origin
            .as_ref()
            .map_or(mistakes.file.as_path(), |it| &*it.file);
        log(Entry::new(Event::Error, message)
            .text(Field::File, file.display())
            .text(Field::Hint, hint));
    }
    if let Some(more @ 1..) = mistakes.problems.len().checked_sub(MISTAKES) {
        let file = mistakes.file.display();
        log(
            Entry::new(Event::Error, format!("{file}: and {more} more mistakes"))
                .text(Field::File, &file)
                .text(
                    Field::Hint,
                    format!("`gate check --config {file}` tells them all"),
                ),
        );
    }
}

/// What ends the daemon.
pub(super) fn fatal(failure: &anyhow::Error) {
    match failure.downcast_ref::<Error>() {
        Some(typed) => error(typed),
        None => words(Event::Error, format!("{failure:#}")),
    }
}
