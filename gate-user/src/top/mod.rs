//! `gate top`: what the gate does, live, on a terminal.
//!
//! | module | what it is |
//! |---|---|
//! | `sample` | what is read at one moment |
//! | `rates` | two moments, as rows of totals and rates |
//! | `screen` | rows on a screen of any size |
//!
//! It reads what `gate counters` and `gate status` read, and shows no number that is not theirs, or the difference of two of theirs.

mod rates;
mod sample;
mod screen;

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGTERM};

use self::{rates::Rates, sample::Sample, screen::Screen};
use crate::pins::Pins;

/// How long a key may wait for its answer while nothing else happens, and a signal for the end.
const TICK: Duration = Duration::from_millis(100);

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// Standard output is no terminal.
    #[error("`gate top` draws on a terminal, and standard output is none")]
    NoTerminal,
    /// The terminal does not do what it is asked.
    #[error("the terminal cannot be used")]
    Terminal(#[from] io::Error),
}

impl TopError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoTerminal => "`gate counters --format json` is for programs",
            Self::Terminal(_) => "try another terminal, or another value of TERM",
        }
    }
}

/// Shows the gate with these pins, with new numbers every `interval`, until somebody has seen enough.
pub fn top(pins: &Pins, interval: Duration) -> Result<(), TopError> {
    if !io::stdout().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    // A panic, too, gives the terminal back as it was.
    let mut terminal = ratatui::try_init()?;
    let outcome = watch(pins, interval, &mut terminal, &ended);
    ratatui::try_restore()?;
    outcome
}

fn watch(
    pins: &Pins,
    interval: Duration,
    terminal: &mut ratatui::DefaultTerminal,
    ended: &AtomicBool,
) -> Result<(), TopError> {
    let mut screen = Screen::new(interval);
    let mut sample = Sample::take(pins);
    let mut rates = Rates::first(&sample);
    let mut taken = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        terminal.draw(|frame| screen.draw(&rates, frame))?;
        let left = interval.saturating_sub(taken.elapsed());
        if event::poll(left.min(TICK))? {
            // What else there is, a new size among it, shows when the screen is drawn again.
            if let Event::Key(key) = event::read()? {
                if is_end(key) {
                    break;
                }
                if key.kind != KeyEventKind::Release {
                    screen.key(key.code);
                }
            }
        }
        if taken.elapsed() >= interval {
            taken = Instant::now();
            let next = Sample::take(pins);
            if !screen.is_paused() {
                rates = Rates::between(&sample, &next);
            }
            sample = next;
        }
    }
    Ok(())
}

/// Raw terminals make no signal of Ctrl-C.
fn is_end(key: KeyEvent) -> bool {
    let KeyEvent {
        code, modifiers, ..
    } = key;
    let interrupted = code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL);
    interrupted || matches!(code, KeyCode::Char('q') | KeyCode::Esc)
}
