//! What a trial works with: a fresh lab, the program, and checks that say what was seen.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use gate_tests::{
    exec,
    gate::{self, Answer, Config, Daemon, GATE_ANOTHER, GATE_BIN, GATE_MMDB, Gate, Mode},
    interrupt,
    lab::{self, Database, Family, Lab, Seen, Who},
    privilege,
    residue::Watch,
};
use libtest_mimic::{Completion, Failed, Trial};
use tempfile::TempDir;

use crate::database;

/// The tools of this run, or why there are none.
#[derive(Clone)]
pub(crate) struct Found {
    tools: Arc<Result<Tools>>,
}

/// What all trials share.
pub(crate) struct Tools {
    /// The program under test.
    pub(crate) program: PathBuf,
    /// The same of another version of the map ABI, if it was built.
    pub(crate) another: Option<PathBuf>,
    /// The real country database.
    pub(crate) real: Database,
    /// A small one, which loads at once.
    pub(crate) small: Database,
    _scratch: TempDir,
}

impl Found {
    pub(crate) fn new() -> Self {
        let tools = Tools::find();
        if let Err(reason) = &tools {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "all trials are ignored: {reason:#}");
        }
        Self {
            tools: Arc::new(tools),
        }
    }

    fn get(&self) -> Result<&Tools> {
        let tools: &Result<Tools> = &self.tools;
        tools.as_ref().map_err(|reason| anyhow!("{reason:#}"))
    }

    /// A trial, ignored where the tools are missing.
    pub(crate) fn trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Tools) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.open_trial(name, |tools| body(tools).map(|()| Completion::Completed))
    }

    /// The same, of a trial that may find that this machine cannot try it.
    pub(crate) fn open_trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Tools) -> Result<Completion> + Send + 'static,
    ) -> Trial {
        let found = self.clone();
        let ignored = self.tools.is_err();
        let run = move || {
            let tried = || {
                let tools = found.get()?;
                body(tools)
            };
            tried().map_err(|error: anyhow::Error| Failed::from(format!("{error:#}")))
        };
        Trial::ignorable_test(name, run).with_ignored_flag(ignored)
    }

    /// A trial in a lab of its own, of which nothing may be left.
    pub(crate) fn lab_trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Bench<'_>) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.own_lab_trial(name, |bench| body(bench))
    }

    /// The same, of a trial that takes a program with another version of the map ABI; ignored where that was not built.
    pub(crate) fn another_trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Bench<'_>) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.needs_another(self.lab_trial(name, body))
    }

    /// A trial, ignored where no program with another version of the map ABI was built.
    pub(crate) fn needs_another(&self, trial: Trial) -> Trial {
        if self.get().is_ok_and(|tools| tools.another.is_none()) {
            trial.with_ignored_flag(true)
        } else {
            trial
        }
    }

    /// The same, of a trial that changes what is in the lab.
    pub(crate) fn own_lab_trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&mut Bench<'_>) -> Result<()> + Send + 'static,
    ) -> Trial {
        self.trial(name, |tools| tools.in_lab(body))
    }
}

impl Tools {
    fn find() -> Result<Self> {
        privilege::privileged()?;
        let program = gate::path_from(GATE_BIN)?;
        let real = Database::open(&gate::path_from(GATE_MMDB)?)?;
        interrupt::catch()?;
        let scratch = tempfile::Builder::new().prefix(&lab::prefix()).tempdir()?;
        let path = scratch.path().join("small.mmdb");
        std::fs::write(&path, database::small()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            program,
            another: gate::path_from(GATE_ANOTHER).ok(),
            real,
            small: Database::open(&path)?,
            _scratch: scratch,
        })
    }

    /// Does `work` in a lab of its own, of which nothing may be left.
    pub(crate) fn in_lab<T>(&self, work: impl FnOnce(&mut Bench<'_>) -> Result<T>) -> Result<T> {
        let watch = Watch::start();
        let outcome = Bench::new(self).and_then(|mut bench| work(&mut bench));
        let clean = watch.nothing_left();
        outcome.and_then(|it| clean.map(|()| it))
    }
}

/// A lab and the program in it.
pub(crate) struct Bench<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) lab: Lab,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(tools: &'a Tools) -> Result<Self> {
        let lab = Lab::new(&tools.small)?;
        Ok(Self { tools, lab })
    }

    /// The program in the lab's router.
    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate::new(&self.tools.program, &self.lab)
    }

    /// What the daemon tells monitoring systems.
    pub(crate) fn metrics(&self) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "http://127.0.0.1:25587/metrics"]);
        self.lab.router().contain(&mut curl);
        exec::tool(&mut curl, "")
    }

    /// The program of another version of the map ABI, in the same place.
    pub(crate) fn another(&self) -> Result<Gate<'_>> {
        let program = self.tools.another.as_deref();
        let program = program.with_context(|| format!("{GATE_ANOTHER} is not set"))?;
        Ok(Gate::new(program, &self.lab))
    }

    /// A configuration with the small database, to be changed. Refused clients hear nothing: those that knock all the time
    /// would meet the limit on answers, and what they hear would say little.
    pub(crate) fn config(&self) -> Result<Config> {
        let mut config = Config::of(&self.lab, self.tools.small.path(), Mode::Native)?;
        config.answer = Answer::Drop;
        Ok(config)
    }

    /// Gives the link of `who` so many queues to send from. With more than one, the driver of the router's end refuses a program:
    /// it has one to receive in.
    pub(crate) fn queues(&self, who: Who, count: u32) -> Result<()> {
        let mut ethtool = Command::new("ethtool");
        ethtool.args(["-L", "eth0", "tx", &count.to_string()]);
        self.lab.netns(who)?.contain(&mut ethtool);
        exec::tool(&mut ethtool, "").map(drop)
    }

    /// Starts the gate with `config`.
    pub(crate) fn run(&self, config: &Config) -> Result<Daemon> {
        self.gate().run(&config.write(&self.lab, "gate.toml")?)
    }

    /// `from` gets no answer from `to` on `port`, in either family.
    pub(crate) fn refused(&self, from: Who, to: Who, port: u16) -> Result<()> {
        self.tried(from, to, port, |seen| seen == Seen::NoAnswer)
            .context("should be refused")
    }

    /// `from` reaches `to` on `port`, in both families.
    pub(crate) fn open(&self, from: Who, to: Who, port: u16) -> Result<()> {
        self.tried(from, to, port, |seen| matches!(seen, Seen::Open(_)))
            .context("should be open")
    }

    fn tried(&self, from: Who, to: Who, port: u16, right: impl Fn(Seen) -> bool) -> Result<()> {
        for family in Family::ALL {
            let peer = self.lab.address(from, family)?;
            let before = self.lab.accepted(to)?.from(peer, port);
            let seen = self.lab.connect(from, to, family, port)?;
            let accepted = self.lab.accepted(to)?.from(peer, port) - before;
            ensure!(
                right(seen) && accepted == u64::from(seen.local().is_some()),
                "{from} to {to}, {family}, port {port}: {seen}, {accepted} accepted"
            );
        }
        Ok(())
    }

    /// Port 25 is closed to subscribers and open to others, submission is open and gets its class: the gate is in
    /// force.
    pub(crate) fn in_force(&self) -> Result<()> {
        self.refused(Who::Subscriber, Who::OtherMail, 25)?;
        self.open(Who::Static, Who::OtherMail, 25)?;
        self.open(Who::Subscriber, Who::OwnMail, 587)?;
        self.tagged(Who::Foreign, "foreign")
    }

    /// Everything gets through, and nothing gets a class.
    pub(crate) fn out_of_force(&self) -> Result<()> {
        self.open(Who::Subscriber, Who::OtherMail, 25)?;
        self.open(Who::Foreign, Who::OwnMail, 587)
    }

    /// A submission connection of `from` gets this class, and the country that the database has for it.
    pub(crate) fn tagged(&self, from: Who, class: &str) -> Result<()> {
        for family in Family::ALL {
            let seen = self.lab.connect(from, Who::OwnMail, family, 587)?;
            let source = seen
                .local()
                .with_context(|| format!("{from} to submission, {family}: {seen}"))?;
            let server = (self.lab.address(Who::OwnMail, family)?, 587).into();
            let flow = self
                .gate()
                .flow(source, server)?
                .with_context(|| format!("{from}, {family}: no tag"))?;
            let country = self.tools.small.country(source.ip())?;
            ensure!(
                flow.class == class && flow.country == country,
                "{from}, {family}: {flow:?}, should be {class}, {country:?}"
            );
        }
        Ok(())
    }
}

/// Long enough for a few attempts of a client that knocks all the time.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);
