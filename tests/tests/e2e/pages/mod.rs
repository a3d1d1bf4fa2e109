//! The pages that show commands and what they print: every command is run in the lab, and what it prints is what the page says.
//!
//! A comment before a block says what happens first. `GATE_BLESS=1 cargo xtask test -- pages` writes anew what the commands print.
//!
//! | comment | does |
//! |---|---|
//! | `<!-- lab: begin -->` | a new lab with `tests/fixtures/pages` as `/etc/gate`, and its daemon |
//! | `<!-- lab: begin without daemon -->` | the same, and nobody has started the gate |
//! | `<!-- lab: connect WHO WHO PORT COUNT -->` | connections by IPv4, one after the other, by the names of the lab's namespaces |
//! | `<!-- lab: meanwhile WHO WHO PORT COUNT -->` | the same, while the next block rehearses |
//! | `<!-- lab: run COMMAND -->` | a command that is not shown |
//! | `<!-- lab: stop -->`, `<!-- lab: start -->` | the daemon ends, or starts |
//! | `<!-- lab: start with state -->` | it starts as its unit has it, with a copy of what is in force |
//! | `<!-- lab: machine: REASON -->` | what the next block prints depends on the machine: it is run, and not compared |
//! | `<!-- lab: not run: REASON -->` | the next block is left alone |

mod page;
mod plain;
mod world;

use std::{env, fs, mem, panic::resume_unwind, path::Path, thread};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::residue::Watch;
use libtest_mimic::Trial;

use self::{
    page::{Block, Connections, Keeps, Page, Piece, Step, Treat},
    world::World,
};
use crate::bench::{Found, Tools};

/// The pages, below the root of the repository.
const PAGES: [&str; 7] = [
    "README.md",
    "docs/explain.md",
    "docs/doctor.md",
    "docs/look.md",
    "docs/metrics.md",
    "docs/operations.md",
    "docs/privacy.md",
];

/// What commands of a page begin with: a page is run as root, and is to do nothing to the machine.
const SHOWN: [&str; 3] = ["gate ", "TZ=Asia/Tokyo gate ", "curl "];

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("pages::other_words_are_noticed", || {
            plain::noticed().map_err(|error| format!("{error:#}").into())
        }),
        Trial::test("pages::a_page_is_read_and_written", || {
            page::kept().map_err(|error| format!("{error:#}").into())
        }),
    ];
    trials.extend(PAGES.map(|path| {
        found.trial(format!("pages::{path}"), move |tools| {
            let watch = Watch::start();
            let outcome = walk(tools, path);
            let outcome = outcome.with_context(|| format!("{path} is not what the gate says"));
            outcome.and(watch.nothing_left())
        })
    }));
    trials
}

/// Goes through a page from its top.
fn walk(tools: &Tools, path: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = fs::read_to_string(&path).context("cannot read it")?;
    let mut page = Page::read(&text)?;
    let mut walk = Walk::default();
    for piece in &mut page.pieces {
        match piece {
            Piece::Text(_) => {}
            Piece::Step(step) => walk.step(tools, step)?,
            Piece::Block(block) => walk.block(block)?,
        }
    }
    if env::var_os("GATE_BLESS").is_some() {
        return fs::write(&path, page.to_string()).context("cannot write it");
    }
    ensure!(
        walk.faults.is_empty(),
        "{}\nif the gate is right, write the page anew: GATE_BLESS=1 cargo xtask test -- pages",
        walk.faults.join("\n")
    );
    Ok(())
}

/// Where one is on a page.
#[derive(Default)]
struct Walk {
    world: Option<World>,
    /// How the next block is to be taken.
    treat: Treat,
    /// What goes on while it rehearses.
    meanwhile: Vec<Connections>,
    faults: Vec<String>,
}

impl Walk {
    fn step(&mut self, tools: &Tools, step: &Step) -> Result<()> {
        match step {
            Step::Begin { daemon } => {
                // One after the other: the name of a namespace may be the same.
                self.world = None;
                let world = self.world.insert(World::new(tools)?);
                if *daemon {
                    world.start(Keeps::Nothing)?;
                }
            }
            Step::Treat(treat) => self.treat = *treat,
            Step::Connect(connections) => self.world()?.connect(connections)?,
            Step::Meanwhile(connections) => self.meanwhile.push(connections.clone()),
            Step::Run(command) => self.world()?.run(command)?,
            Step::Start(keeps) => self.world()?.start(*keeps)?,
            Step::Stop => self.world()?.stop()?,
        }
        Ok(())
    }

    fn block(&mut self, block: &mut Block) -> Result<()> {
        let treat = mem::take(&mut self.treat);
        let meanwhile = mem::take(&mut self.meanwhile);
        if treat == Treat::NotRun {
            return Ok(());
        }
        for shown in &mut block.commands {
            let Some(world) = &self.world else {
                bail!("{:?} comes before any <!-- lab: begin -->", shown.command);
            };
            ensure!(
                SHOWN.iter().any(|it| shown.command.starts_with(it)),
                "{:?} is none of {SHOWN:?}: say above it that it is not run",
                shown.command
            );
            let printed = thread::scope(|scope| {
                let traffic = scope.spawn(|| world.rehearsed(&meanwhile));
                let printed = world.output(&shown.command)?;
                traffic
                    .join()
                    .unwrap_or_else(|panic| resume_unwind(panic))?;
                anyhow::Ok(printed)
            })?;
            if treat == Treat::Compared {
                self.faults.extend(shown.compare(&printed));
            }
            shown.take(&printed);
        }
        Ok(())
    }

    fn world(&mut self) -> Result<&mut World> {
        self.world
            .as_mut()
            .context("a step comes before any <!-- lab: begin -->")
    }
}
