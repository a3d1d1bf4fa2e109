//! The daemon: says what is in force, follows the clock, reloads, and waits to be ended.
//!
//! Two threads. One is the event loop: signals, the clock, the control socket; nothing in it takes long. The other, the
//! worker, owns the gate: it watches the data files and reloads, one reload at a time.

mod back_off;
mod say;
mod worker;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use gate_user::{
    Exit,
    control::{By, Reply, Request, Server},
    load::Source,
    pins::Pins,
    run::{self, Order, Upkeep},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    say::log,
    worker::{Desk, Worker},
};

/// How often the clock is looked at: how late a deadline can be after somebody set it.
const CLOCK: Duration = Duration::from_secs(1);
/// How often tags that are too old are removed.
const SWEEP: Duration = Duration::from_hours(1);

/// Puts the configuration in force with the program in `object`, and looks after it until told to end.
pub(crate) fn run(
    pins: &Pins,
    config: &Path,
    force: bool,
    object: &'static [u8],
) -> anyhow::Result<Exit> {
    // Before anything is in force: told to end in the middle of it, the start is finished or taken back, never cut short.
    let ended = Flag::of(&[SIGTERM, SIGINT]).context("cannot listen for SIGTERM and SIGINT")?;
    let hung_up = Flag::of(&[SIGHUP]).context("cannot listen for SIGHUP")?;
    let order = Order {
        source: Source::Named(config),
        object,
        force,
        cancelled: &|| ended.is_set(),
    };
    let running = run::start(pins, order)?;
    let upkeep = running.upkeep();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let listener = running
        .endpoint()
        .listener()
        .context("cannot listen on the control socket")?;
    say::start(&running);
    let (mut worker, desk) = Worker::new(running, object, ended.clone())?;
    let work = thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || worker.work())
        .context("cannot start the thread that reloads")?;
    runtime.block_on(async {
        let server = Server::new(listener).context("cannot listen on the control socket")?;
        let result = wait(&upkeep, &server, &desk, &ended, &hung_up).await;
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
    log("ended; the gate goes on without its daemon (`gate detach` opens it)");
    Ok(Exit::Ok)
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
    desk: &Desk,
    ended: &Flag,
    hung_up: &Flag,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut clock = tokio::time::interval(CLOCK);
    let mut sweep = tokio::time::interval(SWEEP);
    let asked = desk.clone();
    let serve = server.serve(move |request| answer(asked.clone(), request));
    tokio::pin!(serve);
    // A signal that came before those above listened is in its flag.
    while !ended.is_set() {
        if hung_up.take()
            && let Err(message) = desk.send(By::Sighup, false)
        {
            log(&format!("SIGHUP: {message}"));
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {}
            () = &mut serve => {}
            () = desk.stopped() => anyhow::bail!("the thread that reloads ended"),
            _ = clock.tick() => {
                if upkeep.follow_clock()? {
                    log("the clock was set: deadlines follow it");
                }
            }
            _ = sweep.tick() => upkeep.sweep()?,
        }
    }
    Ok(())
}

async fn answer(desk: Desk, request: Request) -> Reply {
    match request {
        Request::Status => Reply::Status(desk.standing()),
        Request::Reload { force } => match desk.send(By::Command, force) {
            Err(message) => Reply::Error { message },
            Ok(outcome) => match outcome.await {
                Ok(attempt) => Reply::Reload(attempt),
                Err(_) => Reply::Error {
                    message: "the daemon was told to end before it came to this".to_owned(),
                },
            },
        },
    }
}
