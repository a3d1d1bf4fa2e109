//! What happens on port 25: policy, action and answer, of the configuration as a whole and of a pool.

use gate_common::{Action, Answer, Policy};

use super::{
    Listed, Treatment,
    problem::{Problems, Reported},
    section::Section,
    words::word,
};

const EXPLICIT_ANSWER: &str = "the default answer is `reset`, which is not built yet: it must be \
    said what a refused client hears";
const ADD_ANSWER: &str =
    "add `answer = \"drop\"`: a refused client hears nothing and waits for its time-out";

/// What pools and unlisted sources inherit from `[port25]`.
#[derive(Debug)]
pub(super) struct Inherited {
    action: Result<Action, Reported>,
    answer: Result<Option<Answer>, Reported>,
}

impl Inherited {
    /// What holds without a `[port25]`.
    pub(super) const DEFAULT: Self = Self {
        action: Ok(Action::Observe),
        answer: Ok(None),
    };

    /// What holds when `[port25]` could not be read.
    pub(super) const fn unknown(reported: Reported) -> Self {
        Self {
            action: Err(reported),
            answer: Err(reported),
        }
    }

    /// Reads the keys `action` and `answer` of `[port25]`.
    pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Self {
        let action = section.optional("action", word::<Action>, problems);
        let answer = section.optional("answer", word::<Answer>, problems);
        let answer = match (&action, answer) {
            (Ok(Some(action)), Ok(None)) if refuses(action.value) => {
                Err(no_answer("port25", action, problems))
            }
            (_, answer) => answer.map(|answer| answer.map(|answer| answer.value)),
        };
        Self {
            action: action.map(|action| action.map_or(Action::Observe, |action| action.value)),
            answer,
        }
    }

    /// How those are treated that `unlisted = "refuse"` or a restricted pool without words of its own names.
    pub(super) fn restrict(&self) -> Result<Treatment, Reported> {
        Ok(Treatment {
            policy: Policy::Restrict,
            action: self.action?,
            answer: self.answer?.unwrap_or(Answer::Drop),
        })
    }

    /// Reads the keys `policy`, `action` and `answer` of a pool.
    pub(super) fn pool(
        &self,
        section: &Section<'_>,
        problems: &mut Problems,
    ) -> Result<Treatment, Reported> {
        let policy = section.required("policy", word::<Policy>, problems);
        let action = section.optional("action", word::<Action>, problems);
        let answer = section.optional("answer", word::<Answer>, problems);
        let (policy, action, answer) = (policy?.value, action?, answer?);
        match policy {
            Policy::Exempt => {
                let action = action.map(|action| ("action", action.origin));
                let answer = answer.map(|answer| ("answer", answer.origin));
                let mut treatment = Ok(Treatment::EXEMPT);
                for (key, origin) in action.into_iter().chain(answer) {
                    treatment = Err(problems.error(
                        origin,
                        format!("an exempt pool has no `{key}`: port 25 is open to it"),
                        format!("leave `{key}` out, or write `policy = \"restrict\"`"),
                    ));
                }
                treatment
            }
            Policy::Restrict => {
                let answer = match (answer, self.answer?, &action) {
                    (Some(own), _, _) => own.value,
                    (None, Some(inherited), _) => inherited,
                    (None, None, Some(action)) if refuses(action.value) => {
                        return Err(no_answer("access", action, problems));
                    }
                    (None, None, _) => Answer::Drop,
                };
                Ok(Treatment {
                    policy,
                    action: match action {
                        Some(action) => action.value,
                        None => self.action?,
                    },
                    answer,
                })
            }
        }
    }
}

const fn refuses(action: Action) -> bool {
    match action {
        Action::Enforce | Action::Throttle => true,
        Action::Observe => false,
    }
}

fn no_answer(table: &str, action: &Listed<Action>, problems: &mut Problems) -> Reported {
    problems.error(
        action.origin.clone(),
        format!(
            "`{table}.action = \"{}\"` without an `answer`: {EXPLICIT_ANSWER}",
            action.value
        ),
        ADD_ANSWER,
    )
}
