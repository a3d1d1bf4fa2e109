//! How the peers get their rules and elements, and the proof that their answers are right.

use std::path::Path;

use anyhow::{Context as _, Result};
use gate_tests::{interrupt, lab::NetNs};

use super::{
    FEW, NAME,
    ipset::{self, Ipset},
    list::List,
    live::{Link, Round},
    load,
    nft::{self, Nft, Policy},
    peer,
    peers::{Effort, Judge, Peers, Stage},
};
use crate::{
    figure::Figure,
    suite::{RuleSet, progress},
};

impl Stage<'_> {
    /// Loads so often into a namespace of its own; the last one stays.
    fn load(
        &mut self,
        judge: Judge,
        times: u32,
        peers: &mut Peers,
        run: impl Fn(&NetNs) -> Result<peer::Took>,
    ) -> Result<()> {
        let (mut seconds, mut peaks, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..times {
            self.links.remove(&judge);
            let link = Link::new()?;
            let before = peer::settled()?;
            let took = run(&link.receiver)?;
            sizes.push(peer::settled()?.saturating_sub(before) as f64);
            seconds.push(took.seconds);
            peaks.push(took.peak as f64);
            self.links.insert(judge, link);
        }
        let name = judge.name();
        peers.figures.extend(Figure::of(
            NAME,
            (load::CASE, name),
            ("time", "s"),
            &seconds,
        ));
        peers.figures.extend(Figure::of(
            NAME,
            (load::MEMORY, name),
            ("size", "bytes"),
            &sizes,
        ));
        peers.figures.extend(Figure::of(
            NAME,
            (load::MEMORY, format!("{name}, command's peak")),
            ("size", "bytes"),
            &peaks,
        ));
        Ok(())
    }

    /// `None` if it is not there or fails, which is said in what is absent.
    pub(super) fn nft(
        &mut self,
        scratch: &Path,
        list: &List,
        effort: Effort,
        peers: &mut Peers,
    ) -> Result<Option<Nft>> {
        if !peer::is_there("nft") {
            peers
                .absent
                .push("nft: it is not installed (package nftables)".to_owned());
            return Ok(None);
        }
        progress("loading nft");
        let files = Nft::write(scratch, &list.runs)?;
        if let Err(error) = self.load(Judge::Nft, effort.loads, peers, |netns| {
            nft::run(netns, &files.load)
        }) {
            interrupt::check()?;
            self.links.remove(&Judge::Nft);
            peers.absent.push(format!("nft: {error:#}"));
            return Ok(None);
        }
        let floor = Link::new()?;
        nft::floor(&floor.receiver)?;
        self.links.insert(Judge::NftFloor, floor);
        self.prove(Judge::Nft, nft::set_policy)?;
        let floor = format!("Floor:\n{}", nft::FLOOR);
        let text = format!(
            "nft -f - < gate.nft, which ends in:\n{}\n\n{floor}\n\nIt begins with:\n{}",
            nft::chain(nft::RULES, Policy::Drop),
            peer::abbreviated(&files.load, 6)?
        );
        let reload = format!(
            "\n\nReload, nft -f - < reload.nft:\n{}",
            peer::abbreviated(&files.reload, 6)?
        );
        peers.rule_sets.push(RuleSet {
            subject: Judge::Nft.name().to_owned(),
            text: text + &reload,
        });
        Ok(Some(files))
    }

    /// The same for ipset.
    pub(super) fn ipset(
        &mut self,
        scratch: &Path,
        list: &List,
        effort: Effort,
        peers: &mut Peers,
    ) -> Result<Option<Ipset>> {
        for command in ["ipset"].into_iter().chain(ipset::IPTABLES) {
            if !peer::is_there(command) {
                peers.absent.push(format!(
                    "ipset: {command} is not installed (packages ipset, iptables)"
                ));
                return Ok(None);
            }
        }
        progress("loading ipset");
        let files = Ipset::write(scratch, &list.entries)?;
        let loaded = self
            .load(Judge::Ipset, effort.loads, peers, |netns| {
                ipset::run(netns, &files.load)
            })
            .and_then(|()| ipset::rules(&self.link(Judge::Ipset)?.receiver))
            .and_then(|()| self.ipset_each(&files, effort, peers));
        if let Err(error) = loaded {
            interrupt::check()?;
            self.links.remove(&Judge::Ipset);
            self.links.remove(&Judge::IpsetEach);
            peers.absent.push(format!("ipset: {error:#}"));
            return Ok(None);
        }
        let floor = Link::new()?;
        ipset::floor(&floor.receiver)?;
        self.links.insert(Judge::IpsetFloor, floor);
        if peer::is_there("nft") {
            for judge in [Judge::Ipset, Judge::IpsetEach] {
                if self.links.contains_key(&judge) {
                    self.prove(judge, ipset::set_policy)?;
                }
            }
        } else {
            peers
                .absent
                .push("proof of ipset's answers: it takes nft to count them".to_owned());
        }
        peers.rule_sets.push(RuleSet {
            subject: Judge::Ipset.name().to_owned(),
            text: format!(
                "ipset restore < load.ipset:\n{}\n\n{}\n\nReload, ipset restore < reload.ipset, which ends in:\nswap countries4 countries4-next\ndestroy countries4-next\nswap countries6 countries6-next\ndestroy countries6-next",
                peer::abbreviated(&files.load, 6)?,
                ipset::RULES
            ),
        });
        Ok(Some(files))
    }

    fn ipset_each(&mut self, files: &Ipset, effort: Effort, peers: &mut Peers) -> Result<()> {
        if !effort.slow {
            peers
                .absent
                .push("ipset, a set a country: it takes too long for a quick run".to_owned());
            return Ok(());
        }
        self.load(Judge::IpsetEach, effort.loads, peers, |netns| {
            ipset::run(netns, &files.each)
        })?;
        ipset::rules_each(&self.link(Judge::IpsetEach)?.receiver, files)?;
        let [rules, _] = &files.each_rules;
        peers.rule_sets.push(RuleSet {
            subject: Judge::IpsetEach.name().to_owned(),
            text: format!(
                "ipset restore < each.ipset:\n{}\n\niptables-legacy-restore, and the same for IPv6:\n{}",
                peer::abbreviated(&files.each, 3)?,
                peer::first_lines(rules.lines(), 12)
            ),
        });
        Ok(())
    }

    /// Makes sure of the answers to some thousand addresses of each family.
    fn prove(
        &mut self,
        judge: Judge,
        set_policy: impl Fn(&NetNs, Policy) -> Result<()>,
    ) -> Result<()> {
        progress(&format!("checking the answers of {}", judge.name()));
        let Self {
            links,
            source,
            sets,
            bench,
        } = self;
        let link = links.get(&judge).context("a judge without a link")?;
        set_policy(&link.receiver, Policy::Accept)?;
        for ((family, set, _), loaded) in bench.sets.iter().zip(sets) {
            let round = Round {
                set: *loaded,
                size: FEW,
                first: 0,
                count: FEW,
            };
            peer::prove(link, source, (*family, set, round), judge.name())?;
        }
        set_policy(&link.receiver, Policy::Drop)
    }
}
