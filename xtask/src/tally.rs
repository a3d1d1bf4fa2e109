//! Counts tests from the lines that each test program closes with, and keeps the names of those that failed.

use std::{collections::BTreeSet, ops::AddAssign};

use crate::say;

/// How many tests passed, failed, and were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// What failed. Thousands of lines later nobody finds it by its line.
    pub(crate) names: BTreeSet<String>,
}

/// Reads the output of test programs, line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tally: Tally,
    closed: bool,
    /// Within a list of failures: the names so far.
    listed: Option<BTreeSet<String>>,
}

impl Reader {
    /// Reads one line.
    pub(crate) fn see(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim_end();
        if let Some((passed, failed, ignored)) = closing(line.trim_start()) {
            self.tally.passed += passed;
            self.tally.failed += failed;
            self.tally.ignored += ignored;
            self.tally
                .names
                .extend(self.listed.take().into_iter().flatten());
            self.closed = true;
        } else if line == "failures:" {
            // What was listed before was what failed tests printed.
            self.listed = Some(BTreeSet::new());
        } else if let Some(listed) = &mut self.listed
            && let Some(name) = line.strip_prefix("    ")
        {
            listed.insert(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("test ")
            && let Some(name) = rest.strip_suffix(" ... FAILED")
        {
            self.tally.names.insert(name.trim_end().to_owned());
        }
    }

    /// What was counted; nothing where no line closed a program.
    pub(crate) fn finish(self) -> Option<Tally> {
        self.closed.then_some(self.tally)
    }
}

impl Tally {
    /// Of one test of this name.
    pub(crate) fn of(name: &str, passed: bool) -> Self {
        Self {
            passed: passed.into(),
            failed: (!passed).into(),
            ignored: 0,
            names: (!passed).then(|| name.to_owned()).into_iter().collect(),
        }
    }

    /// Prints the names of what failed, one a line.
    pub(crate) fn tell_failures(&self) {
        for name in &self.names {
            say::line(format_args!("             failed: {name}"));
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            ignored,
            names,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        self.names.extend(names);
    }
}

/// The counts of a line `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; `None` for any other line.
fn closing(line: &str) -> Option<(u64, u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim_end().parse().ok())
    };
    Some((count("passed")?, count("failed")?, count("ignored")?))
}

/// `line` without the escapes that colour words of it.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Option<Tally> {
        let mut reader = Reader::default();
        output.lines().for_each(|line| reader.see(line));
        reader.finish()
    }

    #[test]
    fn closing_lines_are_summed_and_others_are_not() {
        let tally = read(
            "\
running 4 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
the words test result: are no closing line here
test result: \u{1b}[31mFAILED\u{1b}[0m. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s\r
",
        );
        let expected = Tally {
            passed: 4,
            failed: 2,
            ignored: 1,
            names: BTreeSet::new(),
        };
        assert_eq!(tally, Some(expected));
        assert_eq!(read("test a ... ok\n"), None);
    }

    #[test]
    fn what_failed_is_named_once_and_what_it_printed_is_not() {
        let tally = read(
            "\
test part::first   ... \u{1b}[31mFAILED\u{1b}[0m
test part::second ... eth1: busy
\u{1b}[31mFAILED\u{1b}[0m

failures:

---- part::second ----
    indented
    two words

failures:
    part::first
    part::second
    the third: of some words

test result: FAILED. 0 passed; 3 failed; 0 ignored
test alone ... FAILED
    after
test result: FAILED. 0 passed; 1 failed; 0 ignored
",
        );
        let names = [
            "alone",
            "part::first",
            "part::second",
            "the third: of some words",
        ]
        .map(str::to_owned);
        assert_eq!(tally.unwrap().names, names.into());
    }
}
