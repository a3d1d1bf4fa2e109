//! Where a value stands: file, line, column.

use std::{fmt, path::Path, sync::Arc};

/// A place in the configuration or in a list file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file. Shared, because a list file has one origin a line.
    pub file: Arc<Path>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{}:{line}:{column}", file.display())
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub origin: Origin,
}

/// The text of the configuration, for turning byte offsets into places.
#[derive(Debug)]
pub(super) struct Source<'t> {
    file: Arc<Path>,
    lines: Vec<Line<'t>>,
}

#[derive(Debug)]
struct Line<'t> {
    /// The offset of its first byte.
    start: usize,
    text: &'t str,
    /// Whether each of its characters is one byte: a generated list may be one long line.
    ascii: bool,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: &Path, text: &'t str) -> Self {
        let mut start = 0;
        let lines = text.split('\n').map(|text| {
            let line = Line {
                start,
                text,
                ascii: text.is_ascii(),
            };
            start += text.len() + 1;
            line
        });
        Self {
            file: file.into(),
            lines: lines.collect(),
        }
    }

    pub(super) fn origin(&self, offset: usize) -> Origin {
        let number = self.lines.partition_point(|line| line.start <= offset);
        let line = number
            .checked_sub(1)
            .and_then(|index| self.lines.get(index));
        Origin {
            file: Arc::clone(&self.file),
            line: count(number),
            column: count(1 + line.map_or(0, |line| line.characters_before(offset))),
        }
    }
}

impl Line<'_> {
    fn characters_before(&self, offset: usize) -> usize {
        let bytes = offset - self.start;
        if self.ascii {
            return bytes;
        }
        let before = self.text.get(..bytes).unwrap_or(self.text);
        before.chars().count()
    }
}

/// A line or column number; texts of more than four billion lines do not occur.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Source::new(Path::new("gate.toml"), "a = 1\n# 国\nb = 2");
        for (offset, place) in [
            (0, "gate.toml:1:1"),
            (4, "gate.toml:1:5"),
            (6, "gate.toml:2:1"),
            (11, "gate.toml:2:4"),
            (12, "gate.toml:3:1"),
            (17, "gate.toml:3:6"),
        ] {
            assert_eq!(source.origin(offset).to_string(), place);
        }
    }
}
