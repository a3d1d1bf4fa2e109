//! `gate top` on a terminal of its own: a pair of pseudo-terminals, whose screen a terminal emulator keeps.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Packets,
    interrupt,
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::{Pid, setsid},
};

use crate::bench::{Bench, Found};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("top::agrees_with_counters", agrees),
        found.lab_trial("top::any_size_and_every_end", sizes),
        found.lab_trial("top::without_a_gate", absent),
        found.lab_trial("top::without_a_terminal", no_terminal),
    ]
}

/// `gate top` and its terminal.
pub(crate) struct Screen {
    child: Child,
    keys: File,
    parser: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Screen {
    pub(crate) fn open(bench: &Bench<'_>, rows: u16, columns: u16) -> Result<Self> {
        let pair = openpty(Some(&winsize(rows, columns)), None)?;
        let mut command = bench.gate().command(&["top", "--interval", "1s"]);
        command.env("TERM", "xterm-256color");
        let child = on_terminal(&mut command, &pair.slave)?;
        drop(pair.slave);
        let keys = File::from(pair.master);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let mut output = keys.try_clone()?;
        let sink = Arc::clone(&parser);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The other end is closed when the last one that has it has ended.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let mut parser = sink.lock().unwrap_or_else(PoisonError::into_inner);
                parser.process(buffer.get(..count).unwrap_or_default());
            }
        });
        Ok(Self {
            child,
            keys,
            parser,
            reader: Some(reader),
        })
    }

    pub(crate) fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keys.write_all(keys.as_bytes())?)
    }

    fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen_mut().set_size(rows, columns);
        drop(parser);
        resize(&self.keys, winsize(rows, columns))
    }

    fn text(&self) -> String {
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen().contents()
    }

    /// Waits until the screen is as `wanted`, and returns it.
    pub(crate) fn shows(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let shown = interrupt::wait_until(PATIENCE, || wanted(&self.text()))?;
        let text = self.text();
        ensure!(shown, "the screen does not show {what}:\n{text}");
        Ok(text)
    }

    /// Waits for its end, with exit code 0 and a terminal as it was.
    pub(crate) fn ended(mut self) -> Result<()> {
        let status = exec::wait(&mut self.child, PATIENCE)?.context("it does not end")?;
        if let Some(reader) = self.reader.take() {
            reader.join().ok().context("the reader panicked")?;
        }
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        let screen = parser.screen();
        ensure!(status.success(), "{status}: {}", screen.contents());
        ensure!(
            !screen.alternate_screen() && !screen.hide_cursor(),
            "the terminal is not as it was"
        );
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a trial that failed; nobody is there to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agrees(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let knock = || {
        for (from, to, port) in [
            (Who::Subscriber, Who::ThirdNetwork, 25),
            (Who::Subscriber, Who::OtherMail, 25),
            (Who::Static, Who::OtherMail, 25),
            (Who::Foreign, Who::OwnMail, 587),
            (Who::HighSpam, Who::OwnMail, 587),
        ] {
            bench.lab.connect(from, to, Family::V4, port)?;
        }
        anyhow::Ok(())
    };
    knock()?;
    let mut screen = Screen::open(bench, 40, 100)?;
    screen.shows("the gate", |it| it.contains("gate ok"))?;
    // What comes while it looks shows in a second that has a rate.
    knock()?;
    screen.shows("a rate", |it| {
        rate_of_refused(it).is_some_and(|rate| rate > 0.0)
    })?;
    screen.press("t")?;
    let counters = bench.gate().counters()?;
    let totals = counters.verdicts;
    screen.shows("the totals of gate counters", |it| {
        row(it, "in all") == Some(cells(&totals))
    })?;
    let sources = counters
        .sources
        .entries
        .iter()
        .map(|it| (it.source.clone(), it.packets));
    let pools = counters
        .pools
        .iter()
        .map(|it| (it.name.clone(), it.packets));
    let classes = counters
        .classes
        .iter()
        .map(|it| (it.name.clone(), it.packets));
    let interfaces = counters
        .interfaces
        .iter()
        .map(|it| (it.name.clone(), it.packets));
    let lists: [(&str, Vec<(String, Packets)>); 4] = [
        ("1", sources.collect()),
        ("3", classes.collect()),
        ("4", pools.collect()),
        ("5", interfaces.collect()),
    ];
    for (key, rows) in lists {
        ensure!(!rows.is_empty(), "nothing to compare");
        screen.press(key)?;
        for (name, packets) in rows {
            let wanted = Some(cells(&packets));
            screen.shows(&format!("{name} as gate counters has it"), |it| {
                row(it, &name) == wanted
            })?;
        }
    }
    screen.press("q")?;
    screen.ended()
}

/// Packets a second that are refused, of all.
fn rate_of_refused(screen: &str) -> Option<f64> {
    row(screen, "a second")?.get(1)?.parse().ok()
}

/// The five numbers behind a name, in the line that begins with it.
pub(crate) fn row(screen: &str, name: &str) -> Option<Vec<String>> {
    screen.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let cells: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
        (rest.starts_with(' ') && cells.len() == 5).then_some(cells)
    })
}

fn cells(packets: &Packets) -> Vec<String> {
    let Packets {
        passed,
        refused,
        observed,
        tagged,
        unparsed,
        ..
    } = packets;
    [passed, refused, observed, tagged, unparsed]
        .map(ToString::to_string)
        .to_vec()
}

fn sizes(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let mut screen = Screen::open(bench, 24, 80)?;
    screen.shows("a usual screen", |it| {
        ["gate ok", "classes", "countries", "sources", "q end"]
            .iter()
            .all(|word| it.contains(word))
    })?;
    screen.resize(5, 10)?;
    screen.shows("a tiny screen", |it| {
        it.contains("refused") && !it.contains("classes")
    })?;
    screen.resize(1, 1)?;
    screen.resize(60, 200)?;
    screen.shows("a large screen", |it| it.contains("refused a second"))?;
    screen.press("?")?;
    screen.shows("help", |it| it.contains("this, and back"))?;
    // Raw terminals hand Ctrl-C through.
    screen.press("\x03")?;
    screen.ended()?;
    let screen = Screen::open(bench, 24, 80)?;
    screen.shows("the gate", |it| it.contains("gate ok"))?;
    kill(
        Pid::from_raw(i32::try_from(screen.child.id())?),
        Signal::SIGTERM,
    )?;
    screen.ended()
}

fn absent(bench: &Bench<'_>) -> Result<()> {
    let mut screen = Screen::open(bench, 24, 80)?;
    screen.shows("that there is no gate", |it| it.contains("gate absent"))?;
    let daemon = bench.run(&bench.config()?)?;
    screen.shows("the gate that came", |it| it.contains("gate ok"))?;
    daemon.kill()?;
    screen.shows("a gate without a daemon", |it| it.contains("gate degraded"))?;
    bench.gate().detach()?;
    screen.shows("that it is gone", |it| it.contains("gate absent"))?;
    screen.press("q")?;
    screen.ended()
}

fn no_terminal(bench: &Bench<'_>) -> Result<()> {
    let output = bench.gate().output(&["top"])?;
    ensure!(output.code() == Some(1), "{output:?}");
    ensure!(output.stderr.contains("gate counters"), "{}", output.stderr);
    Ok(())
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Starts `command` with `terminal` as its own, in a session of its own.
fn on_terminal(command: &mut Command, terminal: &OwnedFd) -> Result<Child> {
    command
        .stdin(Stdio::from(terminal.try_clone()?))
        .stdout(Stdio::from(terminal.try_clone()?))
        .stderr(Stdio::from(terminal.try_clone()?));
    let lead = || {
        setsid()?;
        // SAFETY: standard input is the terminal, and the call takes no memory.
        let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
        nix::errno::Errno::result(taken)?;
        Ok(())
    };
    // SAFETY: between fork and exec, `lead` makes two system calls and allocates nothing.
    unsafe { command.pre_exec(lead) };
    command.spawn().context("cannot start gate top")
}

fn resize(terminal: &File, size: Winsize) -> Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the terminal is open, and `size` is what the call reads.
    let set = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    nix::errno::Errno::result(set)?;
    Ok(())
}
