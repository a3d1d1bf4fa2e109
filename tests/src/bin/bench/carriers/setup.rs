//! The gates that are measured: one for each carrier of the tag.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Config, Counters},
    lab::{Database, Lab, Who},
    pin, test_run,
};
use nix::net::if_::if_nametoindex;

use crate::{
    repeat::Place,
    shapes::{
        frame::PASS,
        subject::{self, Force},
    },
    suite::RuleSet,
};

/// Whose packets are measured, and in which class they are.
pub(super) const FROM: Who = Who::Foreign;
pub(super) const CLASS: &str = "foreign";

/// What a gate is told of the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setup {
    /// Nothing: its tag is in the flow map, as it always is.
    FlowMap,
    /// A limit as high as it goes.
    Within,
    /// A limit that is used up.
    Over,
    /// A mark.
    Mark,
    /// A mark, after a packet that had no room for metadata.
    NoRoom,
    /// A DSCP on what opens a connection.
    Dscp,
    /// A DSCP on every packet.
    EveryDscp,
    /// No DSCP, nor that of anybody else.
    Bleach,
}

impl Setup {
    /// The subject in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FlowMap => "flow map",
            Self::Within => "limit, within",
            Self::Over => "limit, over",
            Self::Mark => "mark",
            Self::NoRoom => "mark, no metadata",
            Self::Dscp => "DSCP, syn",
            Self::EveryDscp => "DSCP, all",
            Self::Bleach => "bleach",
        }
    }

    /// The keys of the class.
    fn class(self) -> &'static str {
        match self {
            Self::FlowMap | Self::Bleach => "",
            Self::Within => {
                "connections = { limit = 1000000, per = \"second\", burst = 1000000, over = \"tag\" }"
            }
            Self::Over => "connections = { limit = 1, per = \"day\", burst = 1, over = \"tag\" }",
            Self::Mark | Self::NoRoom => "mark = 0x20",
            Self::Dscp | Self::EveryDscp => "dscp = \"cs1\"",
        }
    }

    /// The table of tags.
    fn tags(self) -> &'static str {
        match self {
            Self::FlowMap | Self::Within | Self::Over => "",
            Self::Mark | Self::NoRoom => "[tags]\nmark_mask = 0xff",
            Self::Dscp => "[tags]\ndscp_on = \"syn\"",
            Self::EveryDscp => "[tags]\ndscp_on = \"all\"",
            Self::Bleach => "[tags]\nbleach = true",
        }
    }

    /// What it adds to the configuration that all have.
    pub(super) fn rule_set(self) -> RuleSet {
        let (class, tags) = (self.class(), self.tags());
        RuleSet {
            subject: self.name().to_owned(),
            text: format!("[[class]]\nname = \"{CLASS}\"\ndefault = true\n{class}\n\n{tags}\n"),
        }
    }

    fn config(self, lab: &Lab, database: &Database) -> Result<Config> {
        let mut config = subject::config(lab, database)?;
        config.class_keys(CLASS, self.class())?;
        config.tables = self.tags();
        Ok(config)
    }
}

/// A gate in force.
pub(super) struct World<'a> {
    force: Force<'a>,
    lab: &'a Lab,
}

impl<'a> World<'a> {
    /// Starts it. `opening` opens the connection that is measured: from then on it has a tag, and its source has used up a limit of one.
    pub(super) fn start(
        program: &'a std::path::Path,
        lab: &'a Lab,
        database: &Database,
        setup: Setup,
        opening: &[u8],
    ) -> Result<Self> {
        let mut force = Force::start(program, lab, setup.config(lab, database)?)?;
        // It would notice that nobody takes the metadata of what is measured, and have connections looked up.
        force.end_daemon()?;
        let world = Self { force, lab };
        let program = world.program()?;
        // Nothing takes away here what a run has put before the frame, until there is no room for more.
        let times = if setup == Setup::NoRoom { 1000 } else { 1 };
        world.place(&program).run(opening, PASS, times)?;
        let without = world.counters()?.shown("no_metadata");
        ensure!(
            (without > 0) == (setup == Setup::NoRoom),
            "{without} of {times} packets had no room for metadata"
        );
        Ok(world)
    }

    pub(super) fn counters(&self) -> Result<Counters> {
        self.force.gate().counters()
    }

    /// The whole configuration.
    pub(super) fn text(&self) -> Result<String> {
        self.force.text()
    }

    /// The XDP program.
    pub(super) fn program(&self) -> Result<OwnedFd> {
        self.force.program(FROM)
    }

    /// The program that sets the mark.
    pub(super) fn marker(&self) -> Result<OwnedFd> {
        let interface = FROM.interface();
        let index = self.lab.router().run(|| if_nametoindex(interface))??;
        let marker = std::path::Path::new("marks").join(index.to_string());
        let pins = pin::list(self.lab.pins())?;
        let pin = pins.iter().find(|it| it.path.ends_with(&marker));
        let pin = pin.with_context(|| format!("nothing is pinned that marks at {interface}"))?;
        pin::program_of(&self.lab.pins().join(&pin.path))
            .context("marking is measured where it is a TCX link: Linux 6.6 and later")
    }

    /// An XDP program where the packets arrive.
    pub(super) fn place<'b>(&'b self, program: &'b OwnedFd) -> Place<'b> {
        Place {
            netns: self.lab.router(),
            interface: FROM.interface(),
            program,
            repeat: test_run::repeat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_set_is_what_is_added() {
        assert_eq!(
            Setup::Mark.rule_set().text,
            "[[class]]\nname = \"foreign\"\ndefault = true\nmark = 0x20\n\n[tags]\nmark_mask = 0xff\n"
        );
    }
}
