//! The thread that owns the gate: it watches the data files, and reloads.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
#[cfg(feature = "log")]
use gate_user::packet_log::PacketLog;
use gate_user::{
    Error, Exit,
    change::Change,
    control::{Attempt, By, Outcome, Standing},
    file,
    load::Source,
    marking::Finding,
    run::{Back, Means, Order, Running},
    watch::{Look, Watch},
};
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::{Flag, back_off::BackOff, say};

/// How often data files are looked at.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// How often the log of packets is read, where there is one.
#[cfg(feature = "log")]
const PACKET_LOG: Duration = Duration::from_millis(100);
/// How long at most an interface waits that the gate could not get on: until then it may be open.
const UNSETTLED: Duration = Duration::from_mins(1);
/// How many reloads wait for their turn at most: each finds what those before it did, so that more would be of no use.
const QUEUE: usize = 16;

/// Something that changes what is in force, or decides about it.
pub(super) enum Task {
    /// A reload.
    Reload {
        /// Who asks.
        by: By,
        /// Whether guards are overridden.
        force: bool,
        /// How long it waits for a confirmation.
        confirm: Option<Duration>,
    },
    /// A return to the generation before.
    Rollback(Back),
    /// A confirmation.
    Confirm {
        /// Who asks, if known.
        by: Option<String>,
    },
}

/// What waits for its turn.
enum Job {
    /// A task, and where to say what became of it.
    Task(Task, oneshot::Sender<Attempt>),
    /// A look at the interfaces.
    Interfaces,
}

/// Where the event loop hands reloads in, and learns what became of them.
#[derive(Clone)]
pub(super) struct Desk {
    jobs: Arc<Mutex<Option<SyncSender<Job>>>>,
    standing: Arc<Mutex<Standing>>,
    stopped: Arc<Notify>,
    wanted: Arc<AtomicBool>,
}

impl Desk {
    /// Hands a task in; what becomes of it comes later, if it comes to it.
    pub(super) fn send(&self, task: Task) -> Result<oneshot::Receiver<Attempt>, String> {
        let (reply, outcome) = oneshot::channel();
        let job = Job::Task(task, reply);
        match locked(&self.jobs).as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => Ok(outcome),
            Some(Err(_)) => Err(format!("{QUEUE} reloads wait for their turn already")),
            None => Err("it is ending".to_owned()),
        }
    }

    /// Has the interfaces looked at. One look is enough for all that happened before it. Where the queue is full, the next one that is due looks.
    pub(super) fn look_at_interfaces(&self) {
        if self.wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(jobs) = locked(&self.jobs).as_ref() {
            let _ = jobs.try_send(Job::Interfaces);
        }
    }

    /// How the daemon is.
    pub(super) fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    /// Notes what became of the skb marks.
    pub(super) fn note_marks(&self, finding: Finding) {
        locked(&self.standing).unseen = match finding {
            Finding::Unseen(missing) => Some(missing),
            Finding::Set | Finding::Lost(_) => None,
        };
    }

    /// Takes no more reloads: the worker ends once it is done.
    pub(super) fn close(&self) {
        locked(&self.jobs).take();
    }

    /// Comes true when the worker ends.
    pub(super) async fn stopped(&self) {
        self.stopped.notified().await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// What the worker has.
pub(super) struct Worker {
    running: Running,
    object: &'static [u8],
    watch: Watch,
    back_off: BackOff,
    /// That of interfaces.
    unsettled: BackOff,
    /// That of files that a start did not read.
    unread: BackOff,
    /// Why interfaces cannot be looked at, as it was told.
    trouble: Option<String>,
    /// Whether a look at the interfaces waits for its turn.
    wanted: Arc<AtomicBool>,
    jobs: Receiver<Job>,
    standing: Arc<Mutex<Standing>>,
    ended: Flag,
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
    ) -> anyhow::Result<(Self, Desk)> {
        let (sender, jobs) = sync_channel(QUEUE);
        let standing = Arc::new(Mutex::new(Standing {
            pid: std::process::id(),
            ..Standing::default()
        }));
        let stopped = Arc::new(Notify::new());
        let wanted = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            jobs: Arc::new(Mutex::new(Some(sender))),
            standing: Arc::clone(&standing),
            stopped: Arc::clone(&stopped),
            wanted: Arc::clone(&wanted),
        };
        let watch = Watch::new(running.files().clone());
        let mut worker = Self {
            running,
            object,
            watch,
            back_off: BackOff::default(),
            unsettled: BackOff::up_to(UNSETTLED),
            unread: BackOff::default(),
            trouble: None,
            wanted,
            jobs,
            standing,
            ended,
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
        while !self.ended.is_set() {
            let wait = look_at.saturating_duration_since(Instant::now());
            match self.jobs.recv_timeout(self.at_most(wait)) {
                Ok(Job::Task(task, reply)) => {
                    let attempt = self.turn(task);
                    // Whoever asked may not be there any more.
                    let _ = reply.send(attempt);
                }
                Ok(Job::Interfaces) => self.look_at_interfaces(),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= look_at && !self.ended.is_set() {
                self.take_back();
                self.look();
                self.look_at_interfaces();
                look_at = Instant::now() + LOOK;
            }
            self.flush_packet_log();
        }
    }

    /// Does what a task asks for.
    fn turn(&mut self, task: Task) -> Attempt {
        match task {
            Task::Reload { by, force, confirm } => self.reload(by, force, confirm),
            Task::Rollback(back) => self.rollback(&back),
            Task::Confirm { by } => self.confirm(by.as_deref()),
        }
    }

    /// Goes back, if nobody confirmed in time what is in force.
    fn take_back(&mut self) {
        match self.running.is_overdue() {
            Ok(false) => {}
            // One that failed is tried again, ever less often.
            Ok(true) if !self.back_off.is_over(Instant::now()) => {}
            Ok(true) => drop(self.rollback(&Back::Unconfirmed)),
            Err(error) => say::error(&error),
        }
    }

    fn rollback(&mut self, back: &Back) -> Attempt {
        let by = match back {
            Back::Asked(_) => By::Rollback,
            Back::Unconfirmed => By::Unconfirmed,
        };
        locked(&self.standing).reloading = Some(by);
        let again = by == By::Unconfirmed && self.back_off.failed();
        if !again {
            say::begin(by, false);
        }
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let means = Means {
            object: self.object,
            cancelled: &|| ended.is_set(),
        };
        let result = self.running.rollback(back, means);
        let replaced = self.running.manifest().number != before;
        let mut tell = true;
        let outcome = match result {
            Ok(change) => Outcome::Loaded {
                change: Box::new(change),
            },
            Err(error) => {
                if by == By::Unconfirmed {
                    tell = self.back_off.fail(&error.to_string(), Instant::now());
                }
                if tell {
                    say::error(&error);
                }
                Outcome::of(&error, self.running.manifest().number)
            }
        };
        if replaced {
            self.replaced();
        }
        let attempt = self.note(by, false, outcome, tell);
        if replaced {
            self.say_who_waits();
        }
        attempt
    }

    fn confirm(&mut self, by: Option<&str>) -> Attempt {
        let generation = self.running.manifest().number;
        let outcome = match self.running.confirm(by) {
            Ok(()) => Outcome::Confirmed { generation },
            Err(error) => {
                say::error(&error);
                Outcome::of(&error, generation)
            }
        };
        said(By::Command, false, outcome)
    }

    fn say_who_waits(&self) {
        match self.running.pending() {
            Ok(pending) => say::waits(self.running.manifest(), pending),
            Err(error) => say::error(&error),
        }
    }

    fn look(&mut self) {
        // Whatever came in was rolled back, or is not confirmed: a person says what comes next.
        if self.running.waits().unwrap_or(true) {
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

    /// Puts the gate back on interfaces that came back, or were made anew.
    fn look_at_interfaces(&mut self) {
        self.wanted.store(false, Ordering::Release);
        match self.running.is_unsettled() {
            Ok(unsettled) => {
                self.trouble = None;
                if !unsettled {
                    self.unsettled.clear();
                } else if self.unsettled.is_over(Instant::now()) {
                    self.settle();
                }
            }
            // To look again costs little, so that it waits for nothing.
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    say::error(&error);
                }
                self.trouble = Some(trouble);
            }
        }
    }

    /// Makes a generation for the interfaces that there are now.
    fn settle(&mut self) {
        let by = By::Interfaces;
        locked(&self.standing).reloading = Some(by);
        let again = self.unsettled.failed();
        if !again {
            say::begin(by, false);
        }
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let means = Means {
            object: self.object,
            cancelled: &|| ended.is_set(),
        };
        let result = self.running.settle(means);
        let replaced = self.running.manifest().number != before;
        let now = Instant::now();
        let (outcome, tell) = match result {
            Ok(change) => {
                // The gate could not get on one of them.
                let tell = if self.running.is_unsettled().unwrap_or(true) {
                    self.unsettled.fail(&change.warnings.join("\n"), now)
                } else {
                    self.unsettled.clear();
                    true
                };
                let change = Box::new(change);
                (Outcome::Loaded { change }, tell)
            }
            Err(error) => {
                let tell = self.unsettled.fail(&error.to_string(), now);
                if tell {
                    say::error(&error);
                }
                let outcome = Outcome::of(&error, self.running.manifest().number);
                (outcome, tell)
            }
        };
        if replaced && let Err(error) = self.open_packet_log() {
            say::error(&error);
        }
        self.note(by, false, outcome, tell);
    }

    /// Reloads, says so, and returns what became of it.
    fn reload(&mut self, by: By, force: bool, confirm: Option<Duration>) -> Attempt {
        locked(&self.standing).reloading = Some(by);
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
        attempt
    }
}

/// The log of packets belongs to the program that was loaded last.
#[cfg(feature = "log")]
impl Worker {
    fn open_packet_log(&mut self) -> Result<(), Error> {
        let logs = std::ptr::eq(self.object, gate_user::object::LOG_OBJECT);
        self.packets = if logs {
            Some(PacketLog::new(self.running.gate())?)
        } else {
            None
        };
        Ok(())
    }

    fn flush_packet_log(&mut self) {
        self.packets.iter_mut().for_each(PacketLog::flush);
    }

    fn at_most(&self, wait: Duration) -> Duration {
        if self.packets.is_some() {
            wait.min(PACKET_LOG)
        } else {
            wait
        }
    }
}

/// As if there were a log of packets.
#[cfg(not(feature = "log"))]
#[expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "as where there is a log of packets"
)]
impl Worker {
    fn open_packet_log(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn flush_packet_log(&mut self) {}

    fn at_most(&self, wait: Duration) -> Duration {
        wait
    }
}
