//! `[tags]`: who may read what the gate knows of a connection, and how the classes show to those behind it.

use jiff::Timestamp;

use super::{
    Submission, Tags, class, dscp, marks,
    names::GROUP,
    problem::{Problems, Reported},
    section::Section,
    trust,
};

/// Those of `classes` that could be read are those that marks and code points are compared with.
pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    classes: &Result<Vec<Result<class::Draft, Reported>>, Reported>,
    submission: &Result<Submission, Reported>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Tags, Reported> {
    let (group, marks, dscps) = match section? {
        Some(section) => (
            section.optional(
                "group",
                |item, problems| GROUP.read(item, problems),
                problems,
            ),
            marks::read(&section, problems),
            dscp::read(&section, problems),
        ),
        None => (
            Ok(None),
            Ok(marks::Draft::default()),
            Ok(dscp::Draft::default()),
        ),
    };
    let classes: Vec<_> = classes.iter().flatten().flatten().collect();
    let marks = marks.and_then(|draft| marks::combine(draft, &classes, problems));
    if let (Ok(draft), Ok(submission)) = (&dscps, submission) {
        trust::check_servers(draft, &classes, submission, problems);
        trust::check_observed(draft, &classes, now, problems);
    }
    let dscps = dscps.and_then(|draft| dscp::combine(draft, &classes, problems));
    let (marks, dscps) = (marks?, dscps?);
    Ok(Tags {
        group: group?,
        mark_mask: marks.mask,
        over_mark: marks.over,
        dscp_all: dscps.all,
        over_dscp: dscps.over,
        bleach: dscps.bleach,
    })
}
