//! The thread that owns the gate: it watches the data files, and reloads.

mod desk;
mod exempt;
mod health;
mod interfaces;
mod keep;
mod packets;
mod wayback;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
#[cfg(feature = "log")]
use gate_user::packet_log::PacketLog;
use gate_user::{
    Error, Exit,
    attach::Target,
    change::Change,
    control::{Attempt, By, Outcome, Standing},
    file,
    load::Source,
    run::{Order, Running},
    watch::{Look, Watch},
};
use jiff::Timestamp;
use tokio::sync::Notify;

pub(super) use self::desk::{Desk, Task};
use self::{
    desk::{Job, QUEUE, locked},
    keep::Keeper,
};
use super::{
    Flag,
    back_off::BackOff,
    notify::{Beat, Manager},
    say,
};

/// How often data files are looked at.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// How long at most an interface waits that the gate could not get on: until then it may be open.
const UNSETTLED: Duration = Duration::from_mins(1);

/// What became of something, of which the log says so, and the status does not.
fn said(by: By, force: bool, outcome: Outcome) -> Attempt {
    let attempt = Attempt {
        at: Timestamp::now(),
        by,
        force,
        outcome,
    };
    say::end(&attempt);
    attempt
}
/// Tells the event loop that the worker ended, however it did.
struct Stop(Arc<Notify>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
/// Whether the process was told to end. Who asks at all gets on with its work: it is asked all through whatever takes long.
#[derive(Clone)]
struct Pulse {
    ended: Flag,
    beat: Beat,
}

impl Pulse {
    fn is_set(&self) -> bool {
        self.beat.touch();
        self.ended.is_set()
    }
}

/// What the worker has.
pub(super) struct Worker {
    running: Running,
    object: &'static [u8],
    watch: Watch,
    back_off: BackOff,
    /// That of a rollback that nobody asked for.
    overdue: BackOff,
    /// That of interfaces.
    unsettled: BackOff,
    /// That of files that a start did not read.
    unread: BackOff,
    /// The interfaces that the generation in force does not know, as they were told.
    unknown: Vec<Target>,
    /// Why interfaces cannot be looked at, as it was told.
    trouble: Option<String>,
    /// Whether a look at the interfaces waits for its turn.
    wanted: Arc<AtomicBool>,
    /// Whether a reload because of SIGHUP does.
    hung_up: Arc<AtomicBool>,
    jobs: Receiver<Job>,
    standing: Arc<Mutex<Standing>>,
    ended: Pulse,
    keeper: Option<Keeper>,
    manager: Manager,
    /// How it is, as the service manager was told.
    health: String,
    _stop: Stop,
    #[cfg(feature = "log")]
    packets: Option<PacketLog>,
}

impl Worker {
    /// A worker for this gate, and the desk that it works for.
    pub(super) fn new(
        running: Running,
        object: &'static [u8],
        ended: Flag,
        manager: Manager,
        beat: Beat,
    ) -> anyhow::Result<(Self, Desk)> {
        let (sender, jobs) = sync_channel(QUEUE);
        let standing = Arc::new(Mutex::new(Standing {
            pid: std::process::id(),
            ..Standing::default()
        }));
        let stopped = Arc::new(Notify::new());
        let wanted = Arc::new(AtomicBool::new(false));
        let hung_up = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            jobs: Arc::new(Mutex::new(Some(sender))),
            standing: Arc::clone(&standing),
            stopped: Arc::clone(&stopped),
            wanted: Arc::clone(&wanted),
            hung_up: Arc::clone(&hung_up),
        };
        let watch = Watch::new(running.files().clone());
        let mut worker = Self {
            running,
            object,
            watch,
            back_off: BackOff::default(),
            overdue: BackOff::default(),
            unsettled: BackOff::up_to(UNSETTLED),
            unread: BackOff::default(),
            unknown: Vec::new(),
            trouble: None,
            wanted,
            hung_up,
            jobs,
            standing,
            ended: Pulse { ended, beat },
            keeper: None,
            manager,
            health: String::new(),
            _stop: Stop(stopped),
            #[cfg(feature = "log")]
            packets: None,
        };
        worker
            .open_packet_log()
            .context("cannot open the log of packets")?;
        Ok((worker, desk))
    }

    /// Works until the desk is closed or the process is told to end.
    pub(super) fn work(&mut self) {
        let mut look_at = Instant::now() + LOOK;
        self.keep();
        self.tell_health();
        while !self.ended.is_set() {
            let wait = look_at.saturating_duration_since(Instant::now());
            match self.jobs.recv_timeout(self.at_most(wait)) {
                Ok(Job::Task(task, reply)) => {
                    let attempt = self.turn(task);
                    self.keep();
                    // Whoever asked may not be there any more.
                    let _ = reply.send(attempt);
                }
                Ok(Job::Interfaces) => self.look_at_interfaces(),
                Ok(Job::HangUp) => {
                    // Before anything is read: a signal that comes from now on wants another reload.
                    self.hung_up.store(false, Ordering::Release);
                    self.reload(By::Sighup, false, None);
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= look_at && !self.ended.is_set() {
                self.take_back();
                self.look();
                self.look_at_interfaces();
                look_at = Instant::now() + LOOK;
            }
            self.keep();
            self.tell_health();
            self.flush_packet_log();
        }
    }

    /// A change of generations begins; [`Self::note`] ends it.
    fn begin(&self, by: By) {
        locked(&self.standing).reloading = Some(by);
        self.manager.reloading();
    }

    /// Does what a task asks for.
    fn turn(&mut self, task: Task) -> Attempt {
        match task {
            Task::Reload { by, force, confirm } => self.reload(by, force, confirm),
            Task::Rollback(back) => self.rollback(&back),
            Task::Exempt(prefix) => self.exempt(prefix),
            Task::Confirm { by } => self.confirm(by.as_deref()),
        }
    }

    fn look(&mut self) {
        // Whatever came in was rolled back, or is not confirmed: a person says what comes next.
        if self.is_held() || self.running.waits().unwrap_or(true) {
            return;
        }
        if self.running.is_unread() && !self.read() {
            return;
        }
        let look = self.watch.look();
        {
            let mut standing = locked(&self.standing);
            standing.looked_at = Some(Timestamp::now());
            standing.restless = self.watch.restless().map(ToOwned::to_owned);
        }
        match look {
            Look::Quiet => {}
            Look::Changed => {
                if self.back_off.is_over(Instant::now()) {
                    self.reload(By::Watch, false, None);
                }
            }
            Look::Restored => {
                self.back_off = BackOff::default();
                if locked(&self.standing).data_refused() {
                    let generation = self.running.manifest().number;
                    self.note(By::Watch, false, Outcome::Unchanged { generation }, true);
                }
            }
        }
    }

    /// Reads what a start did not read, since a person had to decide first; says whether it is what was in force. Another configuration than that is
    /// taken when a person says so.
    fn read(&mut self) -> bool {
        let manifest = self.running.manifest();
        let is_same = file::sha256(&manifest.config, file::LIST_MAX)
            .is_ok_and(|sha256| sha256 == manifest.config_sha256);
        locked(&self.standing).unread = !is_same;
        if is_same && self.unread.is_over(Instant::now()) {
            self.reload(By::Watch, false, None);
            if self.running.is_unread() {
                self.unread.fail("not read", Instant::now());
            } else {
                self.unread.clear();
                self.watch = Watch::new(self.running.files().clone());
            }
        }
        !self.running.is_unread()
    }

    /// Reloads, says so, and returns what became of it.
    fn reload(&mut self, by: By, force: bool, confirm: Option<Duration>) -> Attempt {
        self.begin(by);
        // Where data that failed is tried again, what there is to say is known afterwards.
        let again = by == By::Watch && self.back_off.failed();
        if !again {
            say::begin(by, force);
        }
        let (path, text) = (
            self.running.config().to_owned(),
            self.running.text().to_owned(),
        );
        let source = match by {
            By::Watch if !self.running.is_unread() => Source::Kept {
                path: &path,
                text: &text,
            },
            By::Watch
            | By::Interfaces
            | By::Sighup
            | By::Command
            | By::Rollback
            | By::Exempt
            | By::Unconfirmed => Source::Again(&path),
        };
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let order = Order {
            source,
            object: self.object,
            force,
            confirm,
            cancelled: &|| ended.is_set(),
        };
        let result = self.running.reload(order);
        // No two generations of a daemon have the same number.
        let replaced = self.running.manifest().number != before;
        let waits = matches!(result, Err(Error::Unconfirmed { .. }));
        let tell = self.follow(by, replaced, &result);
        if again && tell {
            say::begin(by, force);
        }
        let outcome = match result {
            Ok(Some(change)) => Outcome::Loaded {
                change: Box::new(change),
            },
            Ok(None) => Outcome::Unchanged { generation: before },
            Err(error) => {
                if tell {
                    say::error(&error);
                }
                Outcome::of(&error, self.running.manifest().number)
            }
        };
        if waits {
            // Nothing is wrong with what was asked for: it was asked too early, and who asked knows.
            locked(&self.standing).reloading = None;
            self.manager.ready();
            return said(by, force, outcome);
        }
        let attempt = self.note(by, force, outcome, tell);
        if replaced {
            self.say_who_waits();
        }
        attempt
    }

    /// Another generation is in force.
    fn replaced(&mut self) {
        self.watch = Watch::new(self.running.files().clone());
        self.back_off = BackOff::default();
        self.overdue.clear();
        self.unsettled.clear();
        if let Err(error) = self.open_packet_log() {
            say::error(&error);
        }
    }

    /// Lets the watch know what became of a reload; says whether there is anything new to tell.
    fn follow(&mut self, by: By, replaced: bool, result: &Result<Option<Change>, Error>) -> bool {
        if replaced {
            locked(&self.standing).unread = false;
            self.replaced();
            return true;
        }
        if by != By::Watch {
            return true;
        }
        match result {
            // The fault is not that of the data.
            Err(error) if error.exit() != Exit::Usage => {
                self.watch.fail();
                self.back_off.fail(&error.to_string(), Instant::now())
            }
            Ok(_) | Err(_) => {
                self.watch.refuse();
                self.back_off = BackOff::default();
                true
            }
        }
    }

    fn note(&mut self, by: By, force: bool, outcome: Outcome, tell: bool) -> Attempt {
        let mut attempt = Attempt {
            at: Timestamp::now(),
            by,
            force,
            outcome,
        };
        if tell {
            say::end(&attempt);
        }
        attempt.outcome.shorten();
        let manifest = self.running.manifest();
        let current = file::sha256(&manifest.config, file::LIST_MAX)
            .is_ok_and(|sha256| sha256 == manifest.config_sha256);
        locked(&self.standing).note(attempt.clone(), current);
        self.manager.ready();
        attempt
    }
}
