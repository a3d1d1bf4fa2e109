//! Where the event loop hands in what is to be done, and learns what became of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
    time::Duration,
};

use gate_user::{
    chore::Chore,
    control::{Attempt, By, Standing},
    generation::Prefix,
    marking::Finding,
    run::Back,
};
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::say;

/// How many reloads wait for their turn at most: each finds what those before it did, so that more would be of no use.
pub(super) const QUEUE: usize = 16;

/// Something that changes what is in force, or decides about it.
pub(in super::super) enum Task {
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
    /// The exemptions of their file, of which a person changed that of this prefix.
    Exempt(Prefix),
    /// A confirmation.
    Confirm {
        /// Who asks, if known.
        by: Option<String>,
    },
}

/// What waits for its turn.
pub(super) enum Job {
    /// A task, and where to say what became of it.
    Task(Task, oneshot::Sender<Attempt>),
    /// A look at the interfaces.
    Interfaces,
    /// A reload because of SIGHUP.
    HangUp,
}

/// Where the event loop hands reloads in, and learns what became of them.
#[derive(Clone)]
pub(in super::super) struct Desk {
    pub(super) jobs: Arc<Mutex<Option<SyncSender<Job>>>>,
    pub(super) standing: Arc<Mutex<Standing>>,
    pub(super) stopped: Arc<Notify>,
    pub(super) wanted: Arc<AtomicBool>,
    pub(super) hung_up: Arc<AtomicBool>,
}

impl Desk {
    /// Hands a task in; what becomes of it comes later, if it comes to it.
    pub(in super::super) fn send(&self, task: Task) -> Result<oneshot::Receiver<Attempt>, String> {
        let (reply, outcome) = oneshot::channel();
        let job = Job::Task(task, reply);
        let sent = locked(&self.jobs).as_ref().map(|jobs| jobs.try_send(job));
        match sent {
            Some(Ok(())) => Ok(outcome),
            refused => Err(refusal(refused.is_some())),
        }
    }

    /// Has the interfaces looked at. One look is enough for all that happened before it. Where the queue is full, the next one that is due looks.
    pub(in super::super) fn look_at_interfaces(&self) {
        if self.wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(jobs) = locked(&self.jobs).as_ref() {
            let _ = jobs.try_send(Job::Interfaces);
        }
    }

    /// Has the configuration read again. One reload is enough for all signals before it begins.
    pub(in super::super) fn hang_up(&self) -> Result<(), String> {
        if self.hung_up.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let sent = locked(&self.jobs)
            .as_ref()
            .map(|jobs| jobs.try_send(Job::HangUp));
        if matches!(sent, Some(Ok(()))) {
            return Ok(());
        }
        self.hung_up.store(false, Ordering::Release);
        Err(refusal(sent.is_some()))
    }

    /// How the daemon is.
    pub(in super::super) fn standing(&self) -> Standing {
        say::with_log(locked(&self.standing).clone())
    }

    /// Notes what became of the skb marks.
    pub(in super::super) fn note_marks(&self, finding: Finding) {
        locked(&self.standing).unseen = match finding {
            Finding::Unseen(missing) => Some(missing),
            Finding::Set | Finding::Lost(_) => None,
        };
    }

    /// Notes whether what is over of sources was deleted; whether that is another word than the last one.
    pub(in super::super) fn note_sweep(&self, failure: Option<String>) -> bool {
        let mut standing = locked(&self.standing);
        if failure.is_none() {
            standing.swept_at = Some(Timestamp::now());
        }
        let news = standing.unswept != failure;
        standing.unswept = failure;
        news
    }

    /// Notes whether something was looked after; whether that is another word than the last one.
    pub(in super::super) fn note_chore(&self, chore: Chore, failure: Option<&str>) -> bool {
        let mut standing = locked(&self.standing);
        let before = match failure {
            Some(failure) => {
                *standing.chore_failures.entry(chore).or_default() += 1;
                standing.undone.insert(chore, failure.to_owned())
            }
            None => standing.undone.remove(&chore),
        };
        before.as_deref() != failure
    }

    /// Takes no more reloads: the worker ends once it is done.
    pub(in super::super) fn close(&self) {
        locked(&self.jobs).take();
    }

    /// Comes true when the worker ends.
    pub(in super::super) async fn stopped(&self) {
        self.stopped.notified().await;
    }
}

/// Why a task is not taken.
fn refusal(listens: bool) -> String {
    if listens {
        format!("{QUEUE} reloads wait for their turn already")
    } else {
        "it is ending".to_owned()
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
