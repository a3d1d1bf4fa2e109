//! The thread that writes, the queue before it, and what is lost meanwhile.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{Destination, Entry, Event, Field, Form};

/// How many lines wait at most: more than a reload says at once of hundreds of pools and lists.
const QUEUE: usize = 2048;
/// How long it takes until somebody who does not read is a problem.
const PATIENCE: SignedDuration = SignedDuration::from_secs(2);
/// How soon a line is tried again that could not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// How the log is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// What its lines look like.
    pub form: Form,
    /// Where they go.
    pub to: String,
    /// How many lines were lost since the start.
    pub lost: u64,
    /// How many wait.
    pub waiting: u64,
    /// Since when no line can be written; nothing if lines flow.
    pub blocked_since: Option<Timestamp>,
    /// Why not.
    pub cause: Option<String>,
}

impl LogState {
    /// What is wrong with it, if anything is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let Self {
            form: _,
            to,
            lost,
            waiting,
            blocked_since,
            cause,
        } = self;
        let since = blocked_since.as_ref()?;
        let cause = cause.as_deref().unwrap_or("nobody reads it");
        Some(format!(
            "the log ({to}) takes no lines since {since:.0}: {cause}; {waiting} wait, {lost} are lost since the daemon's start; \
             nothing else waits for it, and how many were lost is its first line once it flows again"
        ))
    }
}

/// The log. Clones are of one.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    form: Form,
    destination: Destination,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Lines that were lost, of which no line says so yet, and when the first was.
    untold: Option<(u64, Timestamp)>,
    lost: u64,
    /// Since when the line is written that is.
    writing: Option<Timestamp>,
    /// Why it could not be, the last time.
    failure: Option<String>,
    closing: bool,
}

impl Writer {
    /// Starts it. That nobody listens is no error: somebody may later.
    pub fn start(form: Form, destination: Destination) -> io::Result<Self> {
        let out = destination.open()?;
        let writer = Self::new(form, destination);
        let own = writer.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || own.work(out))?;
        Ok(writer)
    }

    fn new(form: Form, destination: Destination) -> Self {
        Self(Arc::new(Shared {
            form,
            destination,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nothing is done under this lock that could leave it half changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a line written, if there is room for it to wait. Returns at once.
    pub fn write(&self, entry: Entry) {
        self.locked().push(entry);
        self.0.changed.notify_all();
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> LogState {
        let state = self.locked();
        let (now, lost_at) = (Timestamp::now(), state.untold.map(|it| it.1));
        let stuck = state
            .writing
            .filter(|since| state.failure.is_some() || now.duration_since(*since) >= PATIENCE);
        LogState {
            form: self.0.form,
            to: self.0.destination.to_string(),
            lost: state.lost,
            waiting: state.queue.len() as u64 + u64::from(state.writing.is_some()),
            blocked_since: stuck.or(lost_at),
            cause: state.failure.clone(),
        }
    }

    /// Waits until everything is written, but no longer than that; whether it is.
    pub fn close(&self, limit: Duration) -> bool {
        let mut state = self.locked();
        state.closing = true;
        self.0.changed.notify_all();
        let waits = |it: &mut State| it.writing.is_some() || it.has_more();
        let waited = self.0.changed.wait_timeout_while(state, limit, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !waits(&mut state) && state.failure.is_none()
    }

    fn work(&self, mut out: impl FnMut(&[u8]) -> io::Result<()>) {
        while let Some(entry) = self.next() {
            let line = self.0.form.write(&entry);
            loop {
                let written = out(&line);
                let mut state = self.locked();
                match written {
                    Ok(()) => state.failure = None,
                    // No line is so long; should one be, those behind it are not held up.
                    Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                        state.lose();
                    }
                    Err(error) => {
                        state.failure = Some(error.to_string());
                        let waited = self
                            .0
                            .changed
                            .wait_timeout_while(state, AGAIN, |it| !it.closing);
                        let (mut state, over) = waited.unwrap_or_else(PoisonError::into_inner);
                        if over.timed_out() {
                            continue;
                        }
                        // It ends, and there is nobody who takes its last words.
                        state.queue.clear();
                        state.untold = None;
                        drop(state);
                        self.done();
                        return;
                    }
                }
                break;
            }
            self.done();
        }
    }

    /// The next line, once there is one; nothing if there will be none.
    fn next(&self) -> Option<Entry> {
        let waits = |it: &mut State| !it.has_more() && !it.closing;
        let waited = self.0.changed.wait_while(self.locked(), waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let entry = state.take()?;
        state.writing = Some(Timestamp::now());
        Some(entry)
    }

    fn done(&self) {
        self.locked().writing = None;
        self.0.changed.notify_all();
    }
}

impl State {
    fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.untold.is_some()
    }

    /// What is lost is lost in one piece: where lines are missing, there is a line that says how many.
    fn push(&mut self, entry: Entry) {
        let needed = 1 + usize::from(self.untold.is_some());
        if self.queue.len() + needed > QUEUE {
            self.lose();
            return;
        }
        let told = self.tell();
        self.queue.extend(told);
        self.queue.push_back(entry);
    }

    fn take(&mut self) -> Option<Entry> {
        self.queue.pop_front().or_else(|| self.tell())
    }

    fn lose(&mut self) {
        self.lost += 1;
        let (count, since) = self.untold.unwrap_or((0, Timestamp::now()));
        self.untold = Some((count + 1, since));
    }

    /// The line that says what was lost, if anything was.
    fn tell(&mut self) -> Option<Entry> {
        let (count, since) = self.untold.take()?;
        let message =
            format!("{count} lines of this log are lost, from {since:.0} on: nobody took them");
        Some(Entry::new(Event::LinesLost, message).number(Field::Lost, count))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    fn entry(number: usize) -> Entry {
        Entry::new(Event::Change, number.to_string())
    }

    /// A log, what lets it write a line, and what it wrote.
    fn log() -> (Writer, Sender<io::Result<()>>, Receiver<String>) {
        let writer = Writer::new(Form::Text, Destination::Stderr);
        let ((reads, read), (wrote, written)) = (channel(), channel());
        let own = writer.clone();
        thread::spawn(move || {
            own.work(|line| {
                let let_go: io::Result<()> = read.recv().unwrap_or(Ok(()));
                let_go.map(|()| drop(wrote.send(String::from_utf8_lossy(line).into_owned())))
            });
        });
        (writer, reads, written)
    }

    #[test]
    fn what_is_lost_is_said_where_it_is_missing() {
        let (writer, reads, written) = log();
        writer.write(entry(0));
        // The thread has it, and the queue is empty.
        while writer.state().waiting != 1 || !writer.locked().queue.is_empty() {
            thread::yield_now();
        }
        for number in 1..=QUEUE + 5 {
            writer.write(entry(number));
        }
        let state = writer.state();
        assert_eq!((state.lost, state.waiting), (5, QUEUE as u64 + 1));
        assert!(state.problem().unwrap().contains("5 are lost"), "{state:?}");
        // With room for one line, there is none for that and the one that says what is missing.
        reads.send(Ok(())).unwrap();
        written.recv().unwrap();
        while writer.locked().queue.len() == QUEUE {
            thread::yield_now();
        }
        writer.write(entry(QUEUE + 6));
        assert_eq!(writer.state().lost, 6);
        drop(reads);
        let lines: Vec<_> = (1..=QUEUE + 1).map(|_| written.recv().unwrap()).collect();
        for (number, line) in (1..=QUEUE).zip(&lines) {
            assert_eq!(*line, format!("gate: {number}\n"));
        }
        assert!(
            lines[QUEUE].starts_with("gate: warning: 6 lines of this log are lost, from "),
            "{}",
            lines[QUEUE]
        );
        writer.write(entry(0));
        assert_eq!(written.recv().unwrap(), "gate: 0\n");
        assert!(writer.close(Duration::from_mins(1)));
        let state = writer.state();
        assert_eq!((state.lost, state.problem()), (6, None));
    }

    #[test]
    fn a_line_that_cannot_be_written_is_tried_again() {
        let (writer, reads, written) = log();
        writer.write(entry(1));
        reads.send(Err(io::ErrorKind::NotFound.into())).unwrap();
        while writer.state().problem().is_none() {
            thread::yield_now();
        }
        assert_eq!(writer.state().cause.unwrap(), "entity not found");
        drop(reads);
        assert_eq!(written.recv().unwrap(), "gate: 1\n");
        assert!(writer.close(Duration::from_mins(1)));
        assert_eq!(writer.state().problem(), None);
    }

    #[test]
    fn who_ends_waits_for_nobody_for_ever() {
        let (writer, _reads, _written) = log();
        writer.write(entry(1));
        assert!(!writer.close(Duration::from_millis(1)));
        let (writer, reads, _written) = log();
        reads.send(Err(io::ErrorKind::NotFound.into())).unwrap();
        writer.write(entry(1));
        // Not even as long as it takes to try again.
        assert!(!writer.close(Duration::from_mins(10)));
    }
}
