//! The gate's table, the tries, nftables and ipset on the same footing: each judges the same frames at the end of a link of its own, and
//! what its hook takes without a look-up is taken off.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_tests::lab::LabName;
use gate_user::table::Family;

use super::{
    DRAWS, FEW, MANY, NAME,
    case::{Size, Subject, family_name},
    ipset::{self, Ipset},
    kernel::{Kernel, Loaded},
    list::List,
    live::{self, Attached, Link, Round, Source},
    load,
    nft::Nft,
    peer,
    reload::{self, Reloaded},
    rounds::Bench,
};
use crate::{
    figure::Figure,
    suite::{self, Rounds, RuleSet, Setting, progress},
};

/// What judges frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judge {
    /// Our programs, by what they look up in.
    Xdp(Subject),
    NftFloor,
    Nft,
    IpsetFloor,
    /// A set whose networks have marks.
    Ipset,
    /// A set a country, with a rule each.
    IpsetEach,
}

impl Judge {
    const ALL: [Self; 9] = [
        Self::Xdp(Subject::Floor),
        Self::Xdp(Subject::Table),
        Self::Xdp(Subject::Lpm),
        Self::Xdp(Subject::LpmOrtc),
        Self::NftFloor,
        Self::Nft,
        Self::IpsetFloor,
        Self::Ipset,
        Self::IpsetEach,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Xdp(Subject::Floor) => "floor, xdp",
            Self::Xdp(subject) => subject.name(),
            Self::NftFloor => "floor, nft",
            Self::Nft => "nft",
            Self::IpsetFloor => "floor, iptables",
            Self::Ipset => "ipset",
            Self::IpsetEach => "ipset-each",
        }
    }

    /// What is taken off; `None` for a floor.
    const fn floor(self) -> Option<Self> {
        match self {
            Self::Xdp(Subject::Floor) | Self::NftFloor | Self::IpsetFloor => None,
            Self::Xdp(_) => Some(Self::Xdp(Subject::Floor)),
            Self::Nft => Some(Self::NftFloor),
            Self::Ipset | Self::IpsetEach => Some(Self::IpsetFloor),
        }
    }

    /// How many frames it gets where others get `count`.
    const fn count(self, count: u32) -> u32 {
        match self {
            // A look-up in each of some 250 sets.
            Self::IpsetEach => count / 16,
            Self::Xdp(_) | Self::NftFloor | Self::Nft | Self::IpsetFloor | Self::Ipset => count,
        }
    }
}

/// The metrics: of frames over a link.
pub(crate) const LINK: (&str, &str) = ("time on a link", "ns");
pub(crate) const LINK_RATIO: (&str, &str) = ("ratio on a link", "x");

/// What came of it.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) figures: Vec<Figure>,
    pub(crate) absent: Vec<String>,
    pub(crate) rule_sets: Vec<RuleSet>,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: Rounds,
    /// Frames a round.
    pub(crate) frames: u32,
    /// How often everything is loaded, and how often reloaded.
    pub(crate) loads: u32,
    /// Also what takes longest and is not needed for a target: a set a country, and reloads of the peers in place.
    pub(crate) slow: bool,
    pub(crate) reloads: u32,
}

/// A link for each judge, and all of ours on one.
pub(super) struct Stage<'a> {
    pub(super) links: BTreeMap<Judge, Link>,
    pub(super) source: Source,
    /// The bench's sets of addresses, at the source.
    pub(super) sets: Vec<Loaded>,
    pub(super) bench: &'a mut Bench,
}

/// The case of a set and a size.
struct Case {
    set: usize,
    size: u32,
    name: String,
}

/// The cases asked for.
fn cases(setting: &Setting) -> Vec<Case> {
    let all = DRAWS
        .into_iter()
        .enumerate()
        .flat_map(|(set, (family, draw))| {
            let sizes = setting.either([MANY, FEW].as_slice(), &[MANY]);
            sizes.iter().map(move |&size| Case {
                set,
                size,
                name: format!(
                    "{}/{}/{}/link",
                    family_name(family),
                    draw.name(),
                    Size(size)
                ),
            })
        });
    all.filter(|case| setting.wants(&case.name)).collect()
}

/// Whether anything of it was asked for.
pub(crate) fn wanted(setting: &Setting) -> bool {
    [load::CASE, load::MEMORY, reload::CASE]
        .iter()
        .any(|case| setting.wants(case))
        || !cases(setting).is_empty()
}

/// Loads, proves, and measures all that are there.
pub(crate) fn measure(
    setting: &Setting,
    object: &[u8],
    database: &Path,
    list: &List,
    bench: &mut Bench,
    effort: Effort,
) -> Result<Peers> {
    let mut peers = Peers::default();
    let scratch = tempfile::Builder::new()
        .prefix(&format!("{}-", LabName::fresh()))
        .tempdir()
        .context("cannot make a temporary directory")?;
    let mut source = Source::new(object, u32::try_from(DRAWS.len())? * MANY)?;
    let mut sets = Vec::new();
    for (_, set, _) in &bench.sets {
        sets.push(source.add(set)?);
    }
    let links = BTreeMap::from([(Judge::Xdp(Subject::Floor), Link::new()?)]);
    let mut stage = Stage {
        links,
        source,
        sets,
        bench,
    };
    let nft = stage.nft(scratch.path(), list, effort, &mut peers)?;
    let ipset = stage.ipset(scratch.path(), list, effort, &mut peers)?;
    for case in cases(setting) {
        progress(&case.name);
        peers.figures.extend(stage.time(&case, effort)?);
    }
    if setting.wants(reload::CASE) {
        progress("reloading under traffic");
        stage.reloads(
            object,
            database,
            list,
            (nft.as_ref(), ipset.as_ref()),
            effort,
            &mut peers,
        )?;
    }
    peers.absent.push(
        "rare look-ups on a link: between two frames the sweep takes a thousand times what is measured, and nothing outside of BPF can \
         be timed from within"
            .to_owned(),
    );
    Ok(peers)
}

impl Stage<'_> {
    pub(super) fn link(&self, judge: Judge) -> Result<&Link> {
        let judge = match judge {
            Judge::Xdp(_) => Judge::Xdp(Subject::Floor),
            Judge::NftFloor | Judge::Nft | Judge::IpsetFloor | Judge::Ipset | Judge::IpsetEach => {
                judge
            }
        };
        self.links
            .get(&judge)
            .with_context(|| format!("{} has no link", judge.name()))
    }

    /// The figures of a case: floors, times without them, and ratios to the table.
    fn time(&mut self, case: &Case, effort: Effort) -> Result<Vec<Figure>> {
        let mut judges: Vec<Judge> = Judge::ALL
            .into_iter()
            .filter(|it| self.link(*it).is_ok())
            .collect();
        let asked = judges.clone();
        let times = suite::interleaved(&mut judges, effort.rounds, |judge, round| {
            self.once(*judge, case, effort.frames, round)
        })?;
        let times: BTreeMap<Judge, Vec<f64>> = asked.into_iter().zip(times).collect();
        let net: BTreeMap<Judge, Vec<f64>> = times
            .iter()
            .map(|(judge, values)| {
                let floor = judge.floor().and_then(|floor| times.get(&floor));
                let net = values.iter().enumerate().map(|(round, value)| {
                    let floor = floor.and_then(|floor| floor.get(round)).unwrap_or(&0.0);
                    value - floor
                });
                (*judge, net.collect())
            })
            .collect();
        let mut figures: Vec<Figure> = net
            .iter()
            .filter_map(|(judge, values)| {
                Figure::of(NAME, (&case.name, judge.name()), LINK, values)
            })
            .collect();
        // The table's look-up is within the scatter of a frame's way: the ratio is of the medians.
        let median = |judge: Judge| {
            let figure = figures.iter().find(|it| it.subject == judge.name())?;
            Some(figure.spread.median)
        };
        let table = median(Judge::Xdp(Subject::Table)).filter(|it| *it > RESOLUTION_NS);
        let ratios: Vec<Figure> = net
            .keys()
            .filter(|judge| judge.floor().is_some() && **judge != Judge::Xdp(Subject::Table))
            .filter_map(|judge| {
                let ratio = median(*judge)? / table?;
                Figure::of(
                    NAME,
                    (&case.name, format!("{}/table", judge.name())),
                    LINK_RATIO,
                    &[ratio],
                )
            })
            .collect();
        figures.extend(ratios);
        Ok(figures)
    }

    /// How long a frame took.
    fn once(&mut self, judge: Judge, case: &Case, frames: u32, round: u32) -> Result<f64> {
        let Self {
            links,
            source,
            sets,
            bench,
        } = self;
        let Bench {
            kernel,
            sets: known,
        } = &mut **bench;
        let found = known.get(case.set).zip(sets.get(case.set));
        let ((family, set, _), loaded) =
            found.with_context(|| format!("{} has no addresses", case.name))?;
        let count = judge.count(frames);
        let round = Round {
            set: *loaded,
            size: case.size,
            first: round.wrapping_mul(frames),
            count,
        };
        let Judge::Xdp(subject) = judge else {
            let link = links.get(&judge).context("a judge without a link")?;
            return live::send(link, source, *family, round);
        };
        let link = links
            .get(&Judge::Xdp(Subject::Floor))
            .context("no link for our programs")?;
        let attached = attach(kernel, link, subject, *family)?;
        attached.reset(0)?;
        let took = live::send(link, source, *family, round)?;
        let judged = attached.judged()?;
        let expected = match subject {
            Subject::Floor => set.floor_sum(round.first, count, case.size),
            Subject::Table | Subject::Lpm | Subject::LpmOrtc | Subject::LpmSlotted => {
                set.sum(round.first, count, case.size)
            }
        };
        ensure!(
            (judged.frames, judged.sum) == (count.into(), expected),
            "{}: {} judged {} of {count} frames, and its answers add up to {} and should to {expected}: no figure of this run counts",
            case.name,
            judge.name(),
            judged.frames,
            judged.sum
        );
        Ok(took)
    }

    fn reloads(
        &mut self,
        object: &[u8],
        database: &Path,
        list: &List,
        (nft, ipset): (Option<&Nft>, Option<&Ipset>),
        effort: Effort,
        peers: &mut Peers,
    ) -> Result<()> {
        let Self {
            links,
            source: _,
            sets: _,
            bench,
        } = self;
        let (_, set, _) = bench
            .sets
            .iter()
            .find(|(family, ..)| *family == Family::V4)
            .context("no IPv4 addresses")?;
        let traffic = reload::Traffic::new(object, set)?;
        let link = links
            .get(&Judge::Xdp(Subject::Floor))
            .context("no link for our programs")?;
        let mut all: Vec<Reloaded> = Vec::new();
        all.extend(reload::gate(&traffic, database, effort.reloads)?);
        all.extend(reload::ours(
            &traffic,
            link,
            &mut bench.kernel,
            list,
            effort.reloads,
        )?);
        let [iptables, _] = ipset::IPTABLES;
        let counted = nft.filter(|_| peer::is_there(iptables));
        if nft.is_some() && counted.is_none() {
            let reason = format!("reload of nft: it takes {iptables} to count marks");
            peers.absent.push(reason);
        }
        if let (Some(files), Some(link)) = (counted, links.get(&Judge::Nft)) {
            all.extend(reload::nft(&traffic, link, files, effort)?);
        }
        if let (Some(files), Some(link)) = (ipset, links.get(&Judge::Ipset)) {
            all.extend(reload::ipset(&traffic, link, files, effort)?);
        }
        peers.figures.extend(all.iter().flat_map(Reloaded::figures));
        Ok(())
    }
}

/// What is less than this apart from the floor cannot be told from it.
const RESOLUTION_NS: f64 = 0.5;

/// Puts a program of ours at the end of the link.
pub(crate) fn attach<'a>(
    kernel: &'a mut Kernel,
    link: &Link,
    subject: Subject,
    family: Family,
) -> Result<Attached<'a>> {
    Attached::new(kernel, link, &format!("{}_live", subject.program(family)))
}
