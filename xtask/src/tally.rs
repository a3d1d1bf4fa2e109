//! Counts tests from the lines cargo test closes each binary with.

use std::ops::AddAssign;

/// How many tests passed, failed, and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// The counts of a line `test result: ok. 3 passed; 0 failed; 1 ignored; ...`; `None` for any other line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line
            .trim()
            .strip_prefix("test result: ")?
            .split_once(". ")?;
        let count = |word: &str| {
            counts
                .split("; ")
                .find_map(|part| part.strip_suffix(word)?.trim_end().parse().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            ignored,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed_and_others_are_not() {
        let output = "\
running 4 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
the words test result: are no closing line here
test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s\r
";
        let mut sum = Tally::default();
        output
            .lines()
            .filter_map(Tally::parse)
            .for_each(|tally| sum += tally);
        assert_eq!(
            sum,
            Tally {
                passed: 4,
                failed: 2,
                ignored: 1
            }
        );
    }
}
