//! One line of the log.

use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;

use super::{Event, Field};

/// How long the words and each field of a line can be, in bytes: a datagram has room for all of them, and a full queue does not take the machine's memory.
const LENGTH: usize = 8 << 10;

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Words.
    Text(String),
}

impl Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => out.write_str(text),
        }
    }
}

/// A line: what happened, in words and in fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) at: Timestamp,
    pub(super) event: Event,
    pub(super) message: String,
    /// Those that it has, once each.
    pub(super) fields: Vec<(Field, Value)>,
}

impl Entry {
    /// Something that happens now.
    #[must_use]
    pub fn new(event: Event, message: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            event,
            message: within(message.into()),
            fields: Vec::new(),
        }
    }

    /// The same with a number.
    #[must_use]
    pub fn number(mut self, field: Field, number: impl Into<u64>) -> Self {
        self.fields.push((field, Value::Number(number.into())));
        self
    }

    /// The same with words.
    #[must_use]
    pub fn text(mut self, field: Field, text: impl Display) -> Self {
        let text = Value::Text(within(text.to_string()));
        self.fields.push((field, text));
        self
    }

    /// The same with words, if there are any.
    #[must_use]
    pub fn maybe(self, field: Field, text: Option<impl Display>) -> Self {
        match text {
            Some(text) => self.text(field, text),
            None => self,
        }
    }

    pub(super) fn get(&self, field: Field) -> Option<&Value> {
        let mut fields = self.fields.iter();
        fields.find(|it| it.0 == field).map(|it| &it.1)
    }
}

/// No more of it than there is room for.
fn within(mut text: String) -> String {
    if text.len() > LENGTH {
        let end = text.floor_char_boundary(LENGTH);
        let more = text.len() - end;
        text.truncate(end);
        let _ = write!(text, " [and {more} bytes]");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_says_so() {
        let text = format!("x{}", "é".repeat(LENGTH));
        let entry = Entry::new(Event::Remark, text.clone()).text(Field::Reason, text);
        let expected = format!("x{} [and {} bytes]", "é".repeat(LENGTH / 2 - 1), LENGTH + 2);
        assert_eq!(entry.message, expected);
        assert_eq!(entry.get(Field::Reason), Some(&Value::Text(expected)));
    }
}
