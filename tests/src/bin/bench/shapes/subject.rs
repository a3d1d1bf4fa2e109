//! Who is measured: programs in the kernel, the gates' with everything that a daemon put in force around them.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Answer, Config, Daemon, Gate, Limit, Mode, Packets},
    lab::{Database, Lab, NetNs, Who},
    matrix::Profile,
    pin,
};
use serde::Deserialize;

use super::frame::Fate;
use crate::xdp_filter::{Counts, XdpFilter};

/// A gate in force.
pub(crate) struct Force<'a> {
    gate: Gate<'a>,
    lab: &'a Lab,
    config: Config,
    path: PathBuf,
    daemon: Option<Daemon>,
}

impl<'a> Force<'a> {
    /// Starts `program` in `lab`.
    pub(crate) fn start(program: &'a Path, lab: &'a Lab, config: Config) -> Result<Self> {
        let gate = Gate::new(program, lab);
        let path = config.write(lab, "bench.toml")?;
        Ok(Self {
            daemon: Some(gate.run(&path)?),
            gate,
            lab,
            config,
            path,
        })
    }

    /// Ends its daemon. What is in force stays so.
    pub(crate) fn end_daemon(&mut self) -> Result<()> {
        self.daemon
            .take()
            .map_or(Ok(()), |it| it.terminate().map(drop))
    }

    /// From here on it answers with resets, as many as it can.
    pub(crate) fn reset(&mut self) -> Result<()> {
        let many = Limit {
            limit: 1_000_000,
            per: "second",
            burst: 1_000_000,
        };
        self.config.answer = Answer::Reset;
        self.config.answers_source = Some(many);
        self.config.answers_total = Some(many);
        self.config.write(self.lab, "bench.toml")?;
        let (code, _) = self.gate.reload(&[])?;
        ensure!(code == Some(0), "gate reload ended with {code:?}");
        Ok(())
    }

    /// The configuration, as it stands in its file.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.path)?)
    }

    /// Its commands.
    pub(crate) fn gate(&self) -> Gate<'a> {
        self.gate
    }

    /// Where it runs.
    pub(crate) fn netns(&self) -> &'a NetNs {
        self.lab.router()
    }

    /// Its program at the interface that `who` is behind.
    pub(crate) fn program(&self, who: Who) -> Result<OwnedFd> {
        let attached = self.lab.attached()?;
        let id = attached
            .get(who.interface())
            .with_context(|| format!("nothing is attached to {}", who.interface()))?;
        pin::program(*id)
    }

    /// Its totals, and how many resets it made.
    pub(crate) fn counts(&self) -> Result<Tally> {
        let text = self.gate.text(&["--format", "json", "counters"])?;
        serde_json::from_str(&text).with_context(|| format!("unexpected JSON: {text}"))
    }
}

/// What of `gate counters` older gates have as well, and answers where there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Tally {
    verdicts: Packets,
    #[serde(default)]
    answers: Vec<Answers>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Answers {
    answered: String,
    packets: u64,
}

/// `5000 unparsed`, `nothing`.
fn verdicts(
    Packets {
        passed,
        refused,
        observed,
        tagged,
        unparsed,
        over_limit: _,
    }: Packets,
) -> String {
    let counted: Vec<String> = [
        (passed, "passed"),
        (refused, "refused"),
        (observed, "observed"),
        (tagged, "tagged"),
        (unparsed, "unparsed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, verdict)| format!("{count} {verdict}"))
    .collect();
    if counted.is_empty() {
        return "nothing".to_owned();
    }
    counted.join(", ")
}

impl Tally {
    /// An error unless so many packets of this fate, and nothing else, lie between `before` and this.
    pub(crate) fn check(&self, before: &Self, fate: Fate, packets: u64) -> Result<()> {
        let wanted = fate.moves(packets);
        let moved = self.verdicts.since(before.verdicts);
        ensure!(
            moved == wanted,
            "of {packets} packets it counts {} and not {}",
            verdicts(moved),
            verdicts(wanted)
        );
        let resets = self.resets() - before.resets();
        let due = if fate == Fate::Reset { packets } else { 0 };
        ensure!(
            resets == due,
            "{packets} packets brought {resets} resets and not {due}"
        );
        Ok(())
    }

    fn resets(&self) -> u64 {
        let resets = self.answers.iter().filter(|it| it.answered == "reset");
        resets.map(|it| it.packets).sum()
    }
}

/// What an ISP of some size would write: some hundred prefixes of subscribers, static ones with a deadline, relays, classes. It drops what
/// it refuses. Every key is one that older gates have as well.
pub(crate) fn config(lab: &Lab, database: &Database) -> Result<Config> {
    let mut config =
        Config::of(lab, database.path(), Mode::Native)?.profile(lab, Profile::Listed)?;
    "the benchmark's router".clone_into(&mut config.title);
    config.answer = Answer::Drop;
    let more: Vec<String> = (0..128)
        .map(|number| format!("100.{}.{}.0/19", 66 + number / 4, number % 4 * 64))
        .collect();
    for pool in &mut config.pools {
        if pool.policy == "restrict" {
            pool.prefixes.extend(more.iter().cloned());
        } else {
            pool.prefixes
                .extend((1..=200).map(|host| format!("100.64.8.{host}")));
            pool.until = Some("2099-01-01T00:00:00+09:00".to_owned());
        }
    }
    config
        .relays
        .extend((1..=14).map(|host| format!("192.0.2.{host}")));
    // Keys that an earlier gate may not have, and that no packet here depends on.
    config.classes.iter_mut().for_each(|it| it.keys.clear());
    Ok(config)
}

/// xdp-filter's own counts, held against what it was shown.
pub(crate) fn check_filter(
    filter: &XdpFilter<'_>,
    before: Counts,
    action: u32,
    packets: u64,
) -> Result<()> {
    let moved = filter.counts()?.since(before);
    let wanted = if action == super::frame::DROP {
        Counts {
            passed: 0,
            dropped: packets,
            hits: packets,
        }
    } else {
        Counts {
            passed: packets,
            dropped: 0,
            hits: 0,
        }
    };
    ensure!(
        moved == wanted,
        "{packets} packets moved xdp-filter's counters by {moved:?} and not by {wanted:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(refused: u64, passed: u64, resets: u64) -> Tally {
        serde_json::from_value(serde_json::json!({
            "verdicts": { "passed": passed, "refused": refused, "observed": 0, "tagged": 0, "unparsed": 0 },
            "answers": [ { "answered": "reset", "packets": resets }, { "answered": "over", "packets": 7 } ],
            "generation": 3,
        }))
        .unwrap()
    }

    #[test]
    fn counters_have_to_move_by_exactly_the_packets() {
        let before = tally(5, 2, 1);
        let check = |after: Tally, fate, packets| after.check(&before, fate, packets).map_err(drop);
        assert_eq!(check(tally(15, 2, 1), Fate::Dropped, 10), Ok(()));
        assert_eq!(check(tally(14, 2, 1), Fate::Dropped, 10), Err(()));
        assert_eq!(check(tally(15, 3, 1), Fate::Dropped, 10), Err(()));
        assert_eq!(check(tally(15, 2, 2), Fate::Dropped, 10), Err(()));
        assert_eq!(check(tally(15, 2, 11), Fate::Reset, 10), Ok(()));
        assert_eq!(check(tally(15, 2, 10), Fate::Reset, 10), Err(()));
        assert_eq!(check(tally(5, 2, 1), Fate::Unrelated, 10), Ok(()));
        assert_eq!(check(tally(5, 12, 1), Fate::Unrelated, 10), Err(()));
        assert_eq!(check(tally(5, 12, 1), Fate::Passed, 10), Ok(()));
    }
}
