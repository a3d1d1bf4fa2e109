//! What is wrong with a piece of text, whatever file it stands in.

/// What is wrong, and what to write instead. Whoever knows the place makes a [`Problem`](super::Problem) of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong, and why.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}
