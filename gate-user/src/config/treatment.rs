//! What happens on port 25: policy, action and answer, of the configuration as a whole and of a pool.

use gate_common::{Action, Answer, Policy};
use jiff::Timestamp;

use super::{
    Limit, Listed, Treatment, effective, limit,
    problem::{Problems, Reported},
    schema::THROTTLE,
    section::Section,
    words::word,
};

/// What pools and unlisted sources inherit from `[port25]`.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) action: Result<Action, Reported>,
    answer: Result<Answer, Reported>,
    pub(super) throttle: Result<Option<Limit>, Reported>,
    effective_from: Result<Option<Timestamp>, Reported>,
    now: Timestamp,
}

impl Inherited {
    /// What holds without a `[port25]`.
    pub(super) const fn default(now: Timestamp) -> Self {
        Self {
            action: Ok(Action::Observe),
            answer: Ok(Answer::Reset),
            throttle: Ok(None),
            effective_from: Ok(None),
            now,
        }
    }

    /// What holds when `[port25]` could not be read.
    pub(super) const fn unknown(reported: Reported, now: Timestamp) -> Self {
        Self {
            action: Err(reported),
            answer: Err(reported),
            throttle: Err(reported),
            effective_from: Err(reported),
            now,
        }
    }

    /// Reads the keys `action`, `answer`, `throttle` and `effective_from` of `[port25]`.
    pub(super) fn read(section: &Section<'_>, now: Timestamp, problems: &mut Problems) -> Self {
        let action = section.optional("action", word::<Action>, problems);
        let answer = section.optional("answer", word::<Answer>, problems);
        let throttle = limit::read(section, "throttle", THROTTLE, problems);
        let effective_from = effective::read(section, now, problems);
        let action = action.and_then(|action| {
            action.map_or(Ok(Action::Observe), |action| {
                limited("port25", &action, throttle.as_ref(), problems)
            })
        });
        Self {
            action,
            answer: answer.map(|answer| answer.map_or(Answer::Reset, |answer| answer.value)),
            throttle,
            effective_from: effective_from.map(|from| from.map(|from| from.value)),
            now,
        }
    }

    /// How those are treated that `unlisted = "refuse"` or a restricted pool without words of its own names.
    pub(super) fn restrict(&self) -> Result<Treatment, Reported> {
        Ok(Treatment {
            policy: Policy::Restrict,
            action: self.action?,
            answer: self.answer?,
            effective_from: self.effective_from?,
        })
    }

    /// Reads the keys `policy`, `action`, `answer` and `effective_from` of a pool.
    pub(super) fn pool(
        &self,
        section: &Section<'_>,
        problems: &mut Problems,
    ) -> Result<Treatment, Reported> {
        let policy = section.required("policy", word::<Policy>, problems);
        let action = section.optional("action", word::<Action>, problems);
        let answer = section.optional("answer", word::<Answer>, problems);
        let effective_from = effective::read(section, self.now, problems);
        let (policy, action, answer) = (policy?.value, action?, answer?);
        let effective_from = effective_from?;
        match policy {
            Policy::Exempt => {
                let action = action.map(|action| ("action", action.origin));
                let answer = answer.map(|answer| ("answer", answer.origin));
                let from = effective_from.map(|from| ("effective_from", from.origin));
                let mut treatment = Ok(Treatment::EXEMPT);
                for (key, origin) in action.into_iter().chain(answer).chain(from) {
                    treatment = Err(problems.error(
                        origin,
                        format!("an exempt pool has no `{key}`: port 25 is open to it"),
                        format!("leave `{key}` out, or write `policy = \"restrict\"`"),
                    ));
                }
                treatment
            }
            Policy::Restrict => {
                let action = match action {
                    Some(action) => limited("access", &action, self.throttle.as_ref(), problems)?,
                    None => self.action?,
                };
                effective::warn_idle(effective_from.as_ref(), action, section.title(), problems);
                Ok(Treatment {
                    policy,
                    action,
                    answer: match answer {
                        Some(answer) => answer.value,
                        None => self.answer?,
                    },
                    effective_from: match effective_from {
                        Some(from) => Some(from.value),
                        None => self.effective_from?,
                    },
                })
            }
        }
    }
}

/// The action, which has the limit that it needs; reports that it has none.
fn limited(
    table: &str,
    action: &Listed<Action>,
    throttle: Result<&Option<Limit>, &Reported>,
    problems: &mut Problems,
) -> Result<Action, Reported> {
    match (action.value, throttle) {
        (Action::Throttle, Ok(None)) => Err(problems.error(
            action.origin.clone(),
            format!(
                "`{table}.action = \"throttle\"` without `port25.throttle`: nothing says how many new connections a source has"
            ),
            "add `throttle = { limit = 5, per = \"minute\", burst = 10 }` to [port25]",
        )),
        (Action::Throttle, Err(reported)) => Err(*reported),
        (action, _) => Ok(action),
    }
}
