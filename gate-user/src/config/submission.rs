//! `[submission]`: which connections get a class.

use super::{
    Submission,
    problem::{Problems, Reported},
    repeats,
    section::{Item, Section},
    values::{integer, prefix},
};

/// A port that mail is submitted on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    /// 587, RFC 6409.
    Submission,
    /// 465, RFC 8314.
    Submissions,
}

pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Submission, Reported> {
    let Some(section) = section? else {
        return Ok(Submission {
            submission: true,
            submissions: true,
            servers: Vec::new(),
        });
    };
    let ports = section.optional(
        "ports",
        |item, problems| {
            let origin = item.place.origin.clone();
            let ports = item.list(port, problems)?;
            if ports.is_empty() {
                return Err(problems.error(
                    origin,
                    "`submission.ports` is empty: no connection would get a class",
                    "write `ports = [587, 465]`, or one of the two",
                ));
            }
            Ok(ports)
        },
        problems,
    );
    let servers = section.list("servers", prefix, problems);
    let ports = ports?.map(|ports| ports.value);
    let watched = |port| {
        ports
            .as_ref()
            .is_none_or(|ports| ports.iter().any(|each| each.value == port))
    };
    Ok(Submission {
        submission: watched(Port::Submission),
        submissions: watched(Port::Submissions),
        servers: repeats::dropped("submission.servers", servers?, problems),
    })
}

fn port(item: &Item<'_>, problems: &mut Problems) -> Result<Port, Reported> {
    let origin = item.place.origin.clone();
    match integer(item, problems)? {
        587 => Ok(Port::Submission),
        465 => Ok(Port::Submissions),
        number => Err(problems.error(
            origin,
            format!("{number} is no port that mail is submitted on"),
            "accepted values: 587, 465",
        )),
    }
}
