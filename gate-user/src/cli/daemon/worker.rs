//! The thread that owns the gate: it watches the data files, and reloads.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
    run::{Order, Running},
    watch::{Look, Watch},
};
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::{Flag, back_off::BackOff, say};

/// How often data files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often the log of packets is read, where there is one.
#[cfg(feature = "log")]
const PACKET_LOG: Duration = Duration::from_millis(100);
/// How many reloads wait for their turn at most: each finds what those before it did, so that more would be of no use.
const QUEUE: usize = 16;

/// A reload that waits for its turn.
struct Job {
    by: By,
    force: bool,
    reply: oneshot::Sender<Attempt>,
}

/// Where the event loop hands reloads in, and learns what became of them.
#[derive(Clone)]
pub(super) struct Desk {
    jobs: Arc<Mutex<Option<SyncSender<Job>>>>,
    standing: Arc<Mutex<Standing>>,
    stopped: Arc<Notify>,
}

impl Desk {
    /// Hands a reload in; what becomes of it comes later, if it comes to it.
    pub(super) fn send(&self, by: By, force: bool) -> Result<oneshot::Receiver<Attempt>, String> {
        let (reply, outcome) = oneshot::channel();
        let job = Job { by, force, reply };
        match locked(&self.jobs).as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => Ok(outcome),
            Some(Err(_)) => Err(format!("{QUEUE} reloads wait for their turn already")),
            None => Err("it is ending".to_owned()),
        }
    }

    /// How the daemon is.
    pub(super) fn standing(&self) -> Standing {
        locked(&self.standing).clone()
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
        let desk = Desk {
            jobs: Arc::new(Mutex::new(Some(sender))),
            standing: Arc::clone(&standing),
            stopped: Arc::clone(&stopped),
        };
        let watch = Watch::new(running.files().clone());
        let mut worker = Self {
            running,
            object,
            watch,
            back_off: BackOff::default(),
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
                Ok(job) => {
                    let attempt = self.reload(job.by, job.force);
                    // Whoever asked may not be there any more.
                    let _ = job.reply.send(attempt);
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= look_at && !self.ended.is_set() {
                self.look();
                look_at = Instant::now() + LOOK;
            }
            self.flush_packet_log();
        }
    }

    fn look(&mut self) {
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
                    self.reload(By::Watch, false);
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

    /// Reloads, says so, and returns what became of it.
    fn reload(&mut self, by: By, force: bool) -> Attempt {
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
            By::Watch => Source::Kept {
                path: &path,
                text: &text,
            },
            By::Sighup | By::Command => Source::Again(&path),
        };
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let order = Order {
            source,
            object: self.object,
            force,
            cancelled: &|| ended.is_set(),
        };
        let result = self.running.reload(order);
        // No two generations of a daemon have the same number.
        let replaced = self.running.manifest().number != before;
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
        self.note(by, force, outcome, tell)
    }

    /// Lets the watch know what became of a reload; says whether there is anything new to tell.
    fn follow(&mut self, by: By, replaced: bool, result: &Result<Option<Change>, Error>) -> bool {
        if replaced {
            self.watch = Watch::new(self.running.files().clone());
            self.back_off = BackOff::default();
            if let Err(error) = self.open_packet_log() {
                say::error(&error);
            }
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
