//! Counts tests from the lines that each test program closes with, and keeps the names of those that failed.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::AddAssign,
};

use crate::say;

/// How many lines of what a failed test printed are kept: an assertion says what it has to in the first ones.
const KEPT: usize = 40;

/// How many tests passed, failed, and were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// What failed, by name, with the first lines that it printed. Thousands of lines later nobody finds it by its line.
    pub(crate) failures: BTreeMap<String, Vec<String>>,
}

/// Reads the output of test programs, line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tally: Tally,
    closed: bool,
    within: Within,
}

/// What part of a test program's output the next line belongs to.
#[derive(Debug, Default)]
enum Within {
    /// The tests, a line each.
    #[default]
    Tests,
    /// The lines, indented, below a test that failed.
    Test(String),
    /// What failed tests printed; of one of them, once a line has named it.
    Printed(Option<String>),
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
            self.closed = true;
            self.within = Within::Tests;
        } else if line == "failures:" {
            // Twice: what each printed, and then their names alone.
            self.within = Within::Printed(None);
        } else if let Within::Printed(test) = &mut self.within {
            if let Some(name) = headline(line) {
                self.tally.failures.entry(name.to_owned()).or_default();
                *test = Some(name.to_owned());
            } else if let Some(name) = test {
                self.tally.keep(name, line);
            } else if let Some(name) = line.strip_prefix("    ") {
                self.tally.failures.entry(name.to_owned()).or_default();
            }
        } else if let Some(rest) = line.strip_prefix("test ") {
            self.within = match rest.strip_suffix(" ... FAILED") {
                Some(name) => {
                    let name = name.trim_end();
                    self.tally.failures.entry(name.to_owned()).or_default();
                    Within::Test(name.to_owned())
                }
                None => Within::Tests,
            };
        } else if let Within::Test(name) = &self.within {
            match line.strip_prefix("    ") {
                Some(line) => self.tally.keep(name, line),
                None => self.within = Within::Tests,
            }
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
            failures: (!passed)
                .then(|| (name.to_owned(), Vec::new()))
                .into_iter()
                .collect(),
        }
    }

    /// Keeps a line that a failed test printed, within bounds, and none with nothing in it.
    fn keep(&mut self, name: &str, line: &str) {
        let lines = self.failures.entry(name.to_owned()).or_default();
        if lines.len() < KEPT && !line.is_empty() {
            lines.push(line.to_owned());
        }
    }

    /// Prints what failed, and below each name what it printed.
    pub(crate) fn tell_failures(&self) {
        for (name, lines) in &self.failures {
            say::line(format_args!("             failed: {name}"));
            for line in lines {
                say::line(format_args!("                 {line}"));
            }
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            ignored,
            failures,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        for (name, lines) in failures {
            match self.failures.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(lines);
                }
                Entry::Occupied(mut found) => found.get_mut().extend(lines),
            }
        }
    }
}

/// The name in the line above what one failed test printed.
fn headline(line: &str) -> Option<&str> {
    let name = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
    Some(name.strip_suffix(" stdout").unwrap_or(name))
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
            failures: BTreeMap::new(),
        };
        assert_eq!(tally, Some(expected));
        assert_eq!(read("test a ... ok\n"), None);
    }

    #[test]
    fn what_failed_is_named_once_with_what_it_printed() {
        let tally = read(
            "\
test part::first   ... \u{1b}[31mFAILED\u{1b}[0m
test part::second ... eth1: busy
\u{1b}[31mFAILED\u{1b}[0m

failures:

---- part::first stdout ----
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
        deeper
test next ... ok
    not of a failed one
test result: FAILED. 1 passed; 1 failed; 0 ignored
",
        );
        let failures = [
            ("alone", vec!["after", "    deeper"]),
            ("part::first", vec![]),
            ("part::second", vec!["    indented", "two words"]),
            ("the third: of some words", vec![]),
        ];
        let failures = failures.map(|(name, lines)| {
            let lines = lines.into_iter().map(str::to_owned).collect();
            (name.to_owned(), lines)
        });
        assert_eq!(tally.unwrap().failures, failures.into());
    }

    #[test]
    fn of_what_a_failed_test_printed_the_beginning_is_kept() {
        let printed: Vec<String> = (0..2 * KEPT).map(|line| line.to_string()).collect();
        let output = format!(
            "test it ... FAILED\n    {}\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n",
            printed.join("\n    ")
        );
        assert_eq!(read(&output).unwrap().failures["it"], printed[..KEPT]);
    }
}
