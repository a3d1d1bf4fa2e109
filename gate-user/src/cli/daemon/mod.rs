//! The daemon: says what is in force, follows the clock, reloads, and waits to be ended.
//!
//! Two threads. One is the event loop: signals, the clock, the control socket; nothing in it takes long. The other, the
//! worker, owns the gate: it watches the data files and reloads, one reload at a time.

mod back_off;
mod notify;
mod say;
mod worker;

use std::{
    convert::Infallible,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use gate_user::{
    Error, Exit,
    chore::Chore,
    control::{By, Reply, Request, Server, Standing},
    last_good::Store,
    load::Source,
    logging::{Destination, Entry, Event, Field, Form},
    metrics::Endpoint,
    object,
    pins::Pins,
    retention::Sweeper,
    run::{self, Back, Fallback, Instead, Order, Reason, Upkeep},
    sys::DeviceEvents,
};
use ipnet::IpNet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    notify::{Beat, Manager, Watchdog},
    say::log,
    worker::{Desk, Task, Worker},
};

/// How often the clock is looked at: how late a deadline can be after somebody set it.
const CLOCK: Duration = Duration::from_secs(1);
/// The least time between two looks at the interfaces, of which dozens may change at once.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is asked whether skb marks are set.
const MARKS: Duration = Duration::from_secs(5);
/// How often tags that are too old are removed.
const SWEEP: Duration = Duration::from_hours(1);
/// How soon that is tried again where it failed.
const RETRY: Duration = Duration::from_secs(10);
/// How often sources are deleted that are over: how much later than said they are.
const SWEEP_SOURCES: Duration = Duration::from_secs(10);

/// What a daemon is started with.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Put it in force even if the guards refuse the data; damaged data and mistakes are refused all the same
    #[arg(long)]
    force: bool,
    /// Keep what is in force in this directory, for the next start of the machine (`gate restore`)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// If the configuration cannot be put in force and nothing is, take the one that was kept last
    #[arg(long, requires = "state")]
    last_good: bool,
    /// What the log looks like
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
    /// Where the journal or the syslog daemon listens, if not where it does everywhere
    #[arg(long, value_name = "PATH")]
    log_socket: Option<PathBuf>,
    /// Log every judged packet, for debugging
    #[cfg(feature = "log")]
    #[arg(long)]
    log_packets: bool,
}

/// What the log looks like, and where it goes.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Log {
    /// Fields of the journal where standard error is the journal, else text
    #[default]
    Auto,
    /// Lines for people, on standard error
    Text,
    /// Fields of the journal of systemd (/run/systemd/journal/socket)
    Journal,
    /// Objects of JSON, one a line, on standard error
    Json,
    /// Lines for the syslog daemon of this machine (/dev/log)
    Syslog,
}

impl Log {
    fn form(self) -> Form {
        match self {
            Self::Auto => Form::default(),
            Self::Text => Form::Text,
            Self::Journal => Form::Journal,
            Self::Json => Form::Json,
            Self::Syslog => Form::Syslog,
        }
    }
}

/// Puts the configuration in force, and looks after it until told to end. What goes wrong is in the log, if anybody takes it.
pub(crate) fn run(pins: &Pins, arguments: &Arguments) -> anyhow::Result<Exit> {
    let form = arguments.log.form();
    let destination = match (form.destination(), &arguments.log_socket) {
        (Destination::Socket(_), Some(path)) => Destination::Socket(path.clone()),
        (destination, _) => destination,
    };
    let is_stderr = destination == Destination::Stderr;
    say::open(form, destination).context("cannot start the thread that writes the log")?;
    let result = look_after(pins, arguments);
    if let Err(error) = &result {
        say::fatal(error);
    }
    let written = say::close();
    match result {
        Err(error) if written || is_stderr => {
            Ok(error.downcast_ref().map_or(Exit::Failed, Error::exit))
        }
        result => result,
    }
}

fn look_after(pins: &Pins, arguments: &Arguments) -> anyhow::Result<Exit> {
    #[cfg(feature = "log")]
    let object = match arguments.log_packets {
        true => object::LOG_OBJECT,
        false => object::OBJECT,
    };
    #[cfg(not(feature = "log"))]
    let object = object::OBJECT;
    // Before anything is in force: told to end in the middle of it, the start is finished or taken back, never cut short.
    let ended = Flag::of(&[SIGTERM, SIGINT]).context("cannot listen for SIGTERM and SIGINT")?;
    let hung_up = Flag::of(&[SIGHUP]).context("cannot listen for SIGHUP")?;
    let manager =
        Manager::from_environment().context("cannot tell the service manager anything")?;
    let order = Order {
        source: Source::Named(&arguments.config),
        object,
        force: arguments.force,
        confirm: None,
        cancelled: &|| ended.is_set(),
    };
    let store = arguments.state.as_deref().map(Store::new).transpose();
    let store = store.context("cannot find the working directory")?;
    let fallback = store.as_ref().map(|store| Fallback {
        store,
        last_good: arguments.last_good,
    });
    let running = run::start(pins, order, fallback);
    if let (Err(error), Some(store)) = (&running, &store)
        && error.exit() == Exit::Usage
        && let Err(none) = store.open()
    {
        let missing = format!("no last good configuration can take its place: {none}");
        log(Entry::new(Event::LastGoodMissing, missing).text(Field::Hint, none.hint()));
    }
    let running = running?;
    if let Some(instead) = running.instead() {
        say_instead(instead);
    }
    let upkeep = running.upkeep();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let listener = running
        .endpoint()
        .listener()
        .context("cannot listen on the control socket")?;
    // What fails here fails again in the event loop, which has a name for it.
    if let Ok(found) = upkeep.follow_bypass() {
        say::bypass(&found);
    }
    say::start(&running);
    say::waits(running.manifest(), run::pending(pins, running.manifest())?);
    let beat = Beat::default();
    beat.touch();
    let watchdog = Watchdog::from_environment(&manager, &beat);
    let (mut worker, desk) = Worker::new(running, object, ended.clone(), manager.clone(), beat)?;
    if let Some(store) = store {
        worker.keep_in(store);
    }
    let told = desk.clone();
    let metrics = Endpoint::start(pins, move || told.standing(), log)
        .context("cannot start the thread that tells metrics")?;
    let work = thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || worker.work())
        .context("cannot start the thread that reloads")?;
    runtime.block_on(async {
        let server = Server::new(listener).context("cannot listen on the control socket")?;
        manager.ready();
        let feed = feed(&manager, watchdog.as_ref());
        let result = tokio::select! {
            result = wait(&upkeep, &server, (&desk, metrics), &ended, &hung_up) => result,
            never = feed => match never {},
        };
        manager.stopping();
        ended.set();
        desk.close();
        // A reload that goes on is finished or taken back, and those who wait for it hear of it.
        tokio::task::spawn_blocking(move || work.join())
            .await
            .context("cannot wait for the thread that reloads")?
            .map_err(|_| anyhow!("the thread that reloads panicked"))?;
        server.finish().await;
        result
    })?;
    log(Entry::new(
        Event::Ended,
        "ended; the gate goes on without its daemon (`gate detach` opens it)",
    ));
    Ok(Exit::Ok)
}

/// Says why something else is in force than what was named.
fn say_instead(instead: &Instead) {
    if let Reason::Mistake(error) = &instead.reason {
        say::error(error);
    }
    let kept = instead.kept_at.map_or_else(String::new, |at| {
        format!("\nit is in force as it was kept {at:.0}")
    });
    let words = instead.words().replace('\n', "; ");
    log(Entry::new(Event::LastGoodInstead, format!("{words}{kept}")));
}

/// Whether the process got one of these signals.
#[derive(Clone)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn of(signals: &[i32]) -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in signals {
            signal_hook::flag::register(*signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was set since it was last asked.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

async fn wait(
    upkeep: &Upkeep,
    server: &Server,
    (desk, metrics): (&Desk, Endpoint),
    ended: &Flag,
    hung_up: &Flag,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut clock = tokio::time::interval(CLOCK);
    let mut marks = tokio::time::interval(MARKS);
    let mut marking = None;
    let mut sweep = tokio::time::interval(SWEEP);
    let mut sweep_sources = tokio::time::interval(SWEEP_SOURCES);
    let mut sweeper = Sweeper::default();
    let asked = desk.clone();
    let metrics = Arc::new(metrics);
    let interfaces = follow_interfaces(desk);
    tokio::pin!(interfaces);
    let kept = upkeep.clone();
    let serve = server
        .serve(move |request| answer(asked.clone(), kept.clone(), Arc::clone(&metrics), request));
    tokio::pin!(serve);
    let mut listening = true;
    let (mut uncleared, mut unheard) = (None, None);
    // A signal that came before those above listened is in its flag.
    while !ended.is_set() {
        if hung_up.take()
            && let Err(message) = desk.hang_up()
        {
            log(Entry::new(Event::NotTaken, format!("SIGHUP: {message}")));
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {}
            () = &mut serve => {}
            error = &mut interfaces, if listening => {
                listening = false;
                let unheard = format!("cannot hear of interfaces that come and go, and looks every {} s instead: {error}", worker::LOOK.as_secs());
                log(Entry::new(Event::InterfacesUnheard, unheard).text(Field::Reason, error));
            }
            () = desk.stopped() => anyhow::bail!("the thread that reloads ended"),
            _ = clock.tick() => {
                if chore(desk, Chore::Clock, upkeep.follow_clock()) == Some(true) {
                    log(Entry::new(Event::ClockSet, "the clock was set: deadlines follow it"));
                }
                if let Some(found) = chore(desk, Chore::Bypass, upkeep.follow_bypass()) {
                    say::bypass(&found);
                }
                let cleared = upkeep.follow_rehearsal();
                note(desk, Chore::Rehearsal, &cleared);
                say::rehearsal(cleared, &mut uncleared);
                let cleared = upkeep.follow_events();
                note(desk, Chore::Listener, &cleared);
                say::listener(cleared, &mut unheard);
            }
            _ = marks.tick() => {
                if let Some(Some(finding)) = chore(desk, Chore::Marks, upkeep.follow_marks(&mut marking)) {
                    if marking.as_mut().is_some_and(|it| it.is_news(finding)) {
                        say::marks(finding);
                    }
                    desk.note_marks(finding);
                }
            }
            _ = sweep.tick() => {
                if chore(desk, Chore::Flows, upkeep.sweep()).is_none() {
                    sweep.reset_after(RETRY);
                }
            }
            _ = sweep_sources.tick() => {
                let failure = upkeep.sweep_sources(&mut sweeper).err().map(|error| error.to_string());
                if desk.note_sweep(failure.clone()) {
                    say::sweep(failure.as_deref());
                }
            }
        }
    }
    Ok(())
}

/// What came of something that the daemon looks after; nothing if it failed, which ends nothing: it is tried again.
fn chore<T>(desk: &Desk, chore: Chore, result: Result<T, Error>) -> Option<T> {
    if note(desk, chore, &result) {
        let failure = result.as_ref().err().map(ToString::to_string);
        say::chore(chore, failure.as_deref());
    }
    result.ok()
}

/// Notes what came of it; whether that is another word than the last one.
fn note<T>(desk: &Desk, chore: Chore, result: &Result<T, Error>) -> bool {
    let failure = result.as_ref().err().map(ToString::to_string);
    desk.note_chore(chore, failure.as_deref())
}

/// Tells the service manager what it had no room for, and that the daemon lives, as often as its watchdog wants to hear it.
async fn feed(manager: &Manager, watchdog: Option<&Watchdog>) -> Infallible {
    let mut tick = tokio::time::interval(watchdog.map_or(CLOCK, |it| it.interval().min(CLOCK)));
    loop {
        tick.tick().await;
        manager.flush();
        if let Some(watchdog) = watchdog {
            watchdog.feed();
        }
    }
}

/// Has the interfaces looked at when one came, went or changed. Returns when it cannot hear of that.
async fn follow_interfaces(desk: &Desk) -> io::Error {
    let events = match DeviceEvents::listen() {
        Ok(events) => events,
        Err(error) => return error,
    };
    loop {
        if let Err(error) = events.next().await {
            return error;
        }
        desk.look_at_interfaces();
        tokio::time::sleep(PAUSE).await;
    }
}

async fn answer(desk: Desk, upkeep: Upkeep, metrics: Arc<Endpoint>, request: Request) -> Reply {
    match request {
        Request::Status => Reply::Status(Box::new(Standing {
            metrics: metrics.problems(),
            ..desk.standing()
        })),
        Request::Bypass { wanted } => match upkeep.switch(wanted.as_ref()) {
            Ok(switched) => {
                say::switched(&switched);
                Reply::Bypass(switched)
            }
            Err(error) => Reply::Error {
                message: error.to_string(),
            },
        },
        Request::Reload {
            force,
            confirm_seconds,
        } => {
            let task = Task::Reload {
                by: By::Command,
                force,
                confirm: confirm_seconds.map(Duration::from_secs),
            };
            attempt(&desk, task).await
        }
        Request::Rollback { by } => attempt(&desk, Task::Rollback(Back::Asked(by))).await,
        Request::Exempt { prefix } => match prefix.parse::<IpNet>() {
            Ok(prefix) => attempt(&desk, Task::Exempt(prefix.into())).await,
            Err(error) => Reply::Error {
                message: format!("`{prefix}` is no prefix: {error}"),
            },
        },
        Request::Confirm { by } => attempt(&desk, Task::Confirm { by }).await,
    }
}

/// Hands a task in, and waits for what becomes of it.
async fn attempt(desk: &Desk, task: Task) -> Reply {
    match desk.send(task) {
        Err(message) => Reply::Error { message },
        Ok(outcome) => match outcome.await {
            Ok(attempt) => Reply::Reload(attempt),
            Err(_) => Reply::Error {
                message: "the daemon was told to end before it came to this".to_owned(),
            },
        },
    }
}
