//! Whose packets lose the code point that they came with, and whose keep it: both are worth a warning where nobody may expect it.

use gate_common::{Action, Policy};
use jiff::Timestamp;

use super::{ClassRule, Submission, class, dscp, problem::Problems};

/// Warns where the code points of other people's packets are changed. It is no error, as refusing their connections is: a network may mark what
/// enters it anew (RFC 2475 section 2.3.3), and nobody's connection fails by it.
pub(super) fn check_servers(
    draft: &dscp::Draft,
    classes: &[&class::Draft],
    submission: &Submission,
    problems: &mut Problems,
) {
    if !submission.servers.is_empty() {
        return;
    }
    let class = classes.iter().find_map(|class| class.dscp.as_ref());
    let written = [
        ("class.dscp", class.map(|it| &it.origin)),
        ("tags.over_dscp", draft.over.as_ref().map(|it| &it.origin)),
        ("tags.bleach", draft.bleach.as_ref()),
    ];
    let written = written.into_iter().filter_map(|(key, it)| Some((key, it?)));
    let (keys, origins): (Vec<_>, Vec<_>) = written.unzip();
    let Some(origin) = origins.first() else {
        return;
    };
    problems.warn(
        origin,
        format!(
            "`{}` and no `submission.servers`: connections to other people's servers that pass here lose the code points that they came with, too",
            keys.join("`, `")
        ),
        "list your own servers in `servers` of [submission]".to_owned(),
    );
}

/// Warns of a class that gets no code point for now, and brings one along: it looks like one of the gate's.
pub(super) fn check_observed(
    draft: &dscp::Draft,
    classes: &[&class::Draft],
    now: Timestamp,
    problems: &mut Problems,
) {
    let any = draft.over.is_some() || classes.iter().any(|class| class.dscp.is_some());
    if draft.bleach.is_some() || !any {
        return;
    }
    for class in classes.iter().filter(|class| observes(&class.rule, now)) {
        let origin = class.dscp.as_ref().map_or(&class.origin, |it| &it.origin);
        problems.warn(
            origin,
            format!(
                "the class `{}` is only observed for now and gets no code point, and without `tags.bleach` one that a sender wrote passes as if the gate \
                 had written it",
                class.name
            ),
            "add `bleach = true` to [tags], or let nobody rely on code points before the class is in force".to_owned(),
        );
    }
}

fn observes(rule: &ClassRule, now: Timestamp) -> bool {
    rule.policy == Policy::Restrict
        && (rule.action == Action::Observe || rule.effective_from.is_some_and(|from| now < from))
}
