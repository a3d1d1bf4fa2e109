//! Reads every table of a configuration, and checks what they need of one another.

use std::{path::PathBuf, slice};

use gate_common::{Role, Shape};
use jiff::Timestamp;

use super::{
    Answers, Classes, Counters, Geoip, Guards, InterfaceConfig, Metrics, Pool, Port25, Submission,
    Tags, Treatment, access, answers, class, class_rule, classes, counters, exemptions,
    files::Files,
    geoip, interface, lists, metrics,
    names::Taken,
    needs::{self, Needs},
    overlaps, port25,
    ports::Ports,
    problem::{Problems, Reported},
    schema,
    section::Section,
    shapes, submission, tags,
    treatment::Inherited,
};

/// What the tables say.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) interfaces: Vec<InterfaceConfig>,
    pub(super) port25: Port25,
    pub(super) pools: Vec<Pool>,
    pub(super) exemptions: Option<PathBuf>,
    pub(super) submission: Submission,
    pub(super) geoip: Option<Geoip>,
    pub(super) classes: Option<Classes>,
    pub(super) answers: Answers,
    pub(super) dropped_shapes: Vec<Shape>,
    pub(super) guards: Guards,
    pub(super) counters: Counters,
    pub(super) metrics: Metrics,
    pub(super) tags: Tags,
}

/// Reads everything before it gives up on anything, so that all problems are found.
pub(super) fn assemble(
    root: &Section<'_>,
    files: &mut Files<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Parts, Reported> {
    let interfaces = interfaces(root, problems);
    let section = root.table("port25", schema::PORT25, problems);
    let (port25, inherited) = port25::read(section, now, problems);
    let pools = pools(root, &inherited, files, problems);
    let section = root.table("submission", schema::SUBMISSION, problems);
    let submission = submission::read(section, problems);
    let section = root.table("geoip", schema::GEOIP, problems);
    let geoip = geoip::read(section, files.directory, problems);
    let section = root.table("answers", schema::ANSWERS, problems);
    let answers = answers::read(section, problems);
    let section = root.table("shapes", schema::SHAPES, problems);
    let dropped_shapes = shapes::read(section, problems);
    let section = root.table("lists", schema::LISTS, problems);
    let lists_guard = lists::read(section, problems);
    let section = root.table("counters", schema::COUNTERS, problems);
    let counters = counters::read(section, problems);
    let section = root.table("metrics", schema::METRICS, problems);
    let metrics = metrics::read(section, problems);
    let drafts = drafts(root, files, now, problems);
    // After every other list file: none of them may be this one.
    let section = root.table("exemptions", schema::EXEMPTIONS, problems);
    let exemptions = exemptions::read(section, files, problems);
    let section = root.table("tags", schema::TAGS, problems);
    let tags = tags::read(section, &drafts, &submission, now, problems);

    if let (Ok(drafts), Ok(submission)) = (&drafts, &submission) {
        let rules = drafts.iter().flatten();
        let rules = rules.map(|draft| (draft.name.clone(), draft.rule.clone()));
        class_rule::check_servers(rules, submission, problems);
    }

    let unlisted = port25.as_ref().ok().map(|port25| port25.unlisted);
    let needs = Needs {
        no_pools: matches!(&pools, Ok(pools) if pools.is_empty()),
        no_classes: matches!(&drafts, Ok(drafts) if drafts.is_empty()),
        no_geoip: matches!(geoip.geoip, Ok(None)),
        passes_unlisted: unlisted.is_some_and(Treatment::passes),
    };
    if let Ok(interfaces) = &interfaces {
        needs.check(interfaces, problems);
    }
    let pools = pools.and_then(|pools| {
        let (mut pools, outcome) = readable(pools);
        overlaps::drop_repeats(&mut pools, problems);
        if let Ok(Some((_, pool))) = &exemptions {
            let mut pool = pool.clone();
            overlaps::drop_repeats(slice::from_mut(&mut pool), problems);
            pools.push(pool);
        }
        overlaps::check_deadlines(&pools, unlisted, now, problems);
        needs::check_written_prefixes(&pools, problems);
        outcome.map(|()| pools)
    });
    let interfaces = interfaces.map(readable);
    // Without [geoip], that is what is wrong; its keys need not be missed as well.
    let uplink = interfaces
        .iter()
        .filter(|_| !needs.no_geoip)
        .flat_map(|(readable, _)| readable)
        .find(|interface| interface.has_role(Role::Uplink));
    let classes = drafts.and_then(|drafts| {
        classes::combine(drafts, geoip.unknown, geoip.tunnels, uplink, problems)
    });
    let (interfaces, outcome) = interfaces?;
    outcome?;
    let guards = Guards {
        geoip: geoip.guard?,
        lists: lists_guard?,
    };
    // Nothing that is in force is made of them.
    geoip.updates?;
    let parts = Parts {
        interfaces,
        port25: port25?,
        pools: pools?,
        exemptions: exemptions?.map(|(file, _)| file),
        submission: submission?,
        geoip: geoip.geoip?,
        classes: classes?,
        answers: answers?,
        dropped_shapes: dropped_shapes?,
        guards,
        counters: counters?,
        metrics: metrics?,
        tags: tags?,
    };
    needs::check_counters(&parts, problems);
    Ok(parts)
}

fn interfaces(
    root: &Section<'_>,
    problems: &mut Problems,
) -> Result<Vec<Result<InterfaceConfig, Reported>>, Reported> {
    let mut ports = Ports::default();
    let sections = root.tables("interface", schema::INTERFACE, problems)?;
    Ok(sections
        .into_iter()
        .map(|section| interface::read(section, &mut ports, problems))
        .collect())
}

fn pools(
    root: &Section<'_>,
    inherited: &Inherited,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Result<Vec<Result<Pool, Reported>>, Reported> {
    let mut taken = Taken::default();
    let sections = root.tables("access", schema::ACCESS, problems)?;
    Ok(sections
        .into_iter()
        .map(|section| access::read(section, inherited, files, &mut taken, problems))
        .collect())
}

fn drafts(
    root: &Section<'_>,
    files: &mut Files<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Vec<Result<class::Draft, Reported>>, Reported> {
    let mut taken = Taken::default();
    let sections = root.tables("class", schema::CLASS, problems)?;
    Ok(sections
        .into_iter()
        .map(|section| class::read(section, files, &mut taken, now, problems))
        .collect())
}

/// Those that could be read, and whether that is all of them.
fn readable<T>(read: Vec<Result<T, Reported>>) -> (Vec<T>, Result<(), Reported>) {
    let mut outcome = Ok(());
    let readable = read
        .into_iter()
        .filter_map(|each| each.map_err(|reported| outcome = Err(reported)).ok())
        .collect();
    (readable, outcome)
}
