//! What is done with connections of a `[[class]]`: its limit, and from when on.

use gate_common::{Action, Over, Policy, decide::SOURCE_LENGTHS};
use jiff::Timestamp;

use super::{
    ClassRule, Connections, Listed, Submission, effective, limit,
    problem::{Problems, Reported},
    schema::{CLASS_SOURCE_PREFIX, CONNECTIONS},
    section::{Item, Section},
    source_prefix,
    words::word,
};

/// Reads the keys `policy`, `action`, `connections`, `effective_from` and `source_prefix`.
pub(super) fn read(
    section: &Section<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<ClassRule, Reported> {
    let policy = section.optional("policy", word::<Policy>, problems);
    let action = section.optional("action", action, problems);
    let connections = connections(section, problems);
    let effective_from = effective::read(section, now, problems);
    let lengths = source_prefix::read(section, CLASS_SOURCE_PREFIX, SOURCE_LENGTHS, problems);
    let policy = policy?.map_or(Policy::Restrict, |policy| policy.value);
    let (action, connections, effective_from) = (action?, connections?, effective_from?);
    let (source_v4, source_v6) = lengths?;
    if policy == Policy::Exempt {
        let written = [
            ("action", action.map(|it| it.origin)),
            ("connections", connections.map(|it| it.origin)),
            ("effective_from", effective_from.map(|it| it.origin)),
        ];
        let mut outcome = Ok(());
        for (key, origin) in written {
            if let Some(origin) = origin {
                outcome = Err(problems.error(
                    origin,
                    format!(
                        "an exempt class has no `{key}`: nothing limits it, and nothing observes it"
                    ),
                    format!("leave `{key}` out, or write `policy = \"restrict\"`"),
                ));
            }
        }
        outcome?;
        return Ok(ClassRule {
            policy,
            action: Action::Observe,
            effective_from: None,
            connections: None,
            source_v4,
            source_v6,
        });
    }
    let action = action.map_or(Action::Enforce, |action| action.value);
    effective::warn_idle(effective_from.as_ref(), action, section.title(), problems);
    Ok(ClassRule {
        policy,
        action,
        effective_from: effective_from.map(|from| from.value),
        connections,
        source_v4,
        source_v6,
    })
}

/// Reads an action that a class can have.
fn action(item: &Item<'_>, problems: &mut Problems) -> Result<Action, Reported> {
    match word(item, problems)? {
        action @ (Action::Observe | Action::Enforce) => Ok(action),
        Action::Throttle => Err(problems.error(
            item.place.origin.clone(),
            format!("`{}` cannot be \"throttle\"", item.place.path()),
            "a class is throttled by its `connections`, with `action = \"enforce\"`; accepted values: \"observe\", \"enforce\"",
        )),
    }
}

fn connections(
    section: &Section<'_>,
    problems: &mut Problems,
) -> Result<Option<Connections>, Reported> {
    let Some(section) = section.table("connections", CONNECTIONS, problems)? else {
        return Ok(None);
    };
    let over = section.optional("over", word::<Over>, problems);
    let limit = limit::of(&section, problems)?;
    let Listed { value, origin } = over?.unwrap_or(Listed {
        value: Over::Tag,
        origin: section.origin,
    });
    Ok(Some(Connections {
        limit,
        over: value,
        origin,
    }))
}

/// Reports a class that would refuse connections to any server: to those of other people too, whose customers are behind the same router.
pub(super) fn check_servers(
    rules: impl Iterator<Item = (String, ClassRule)>,
    submission: &Submission,
    problems: &mut Problems,
) {
    if !submission.servers.is_empty() {
        return;
    }
    for (name, rule) in rules {
        if let Some(Connections {
            over: over @ (Over::Reset | Over::Drop),
            origin,
            ..
        }) = rule.connections
        {
            problems.error(
                origin,
                format!(
                    "the class `{name}` has `over = \"{over}\"`, and `submission.servers` is empty: connections to other people's servers \
                     would be refused too"
                ),
                "list your own servers in `servers` of [submission], or write `over = \"tag\"`",
            );
        }
    }
}
