//! What is wrong with a configuration: every problem that was found, not only the first.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Origin;

/// How many problems of one list file are told one by one; a file in the wrong format has one on every line.
const PER_LIST_FILE: usize = 20;

/// One thing that is wrong, or that deserves a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` if it is about the configuration as a whole.
    pub origin: Option<Origin>,
    /// What is wrong, and why.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}\n  hint: {}", Line(&self.message), Line(&self.hint))
    }
}

/// Shows text that may quote anything as one line, so that what a file holds cannot steer a terminal.
struct Line<'a>(&'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if character.is_control() {
                write!(f, "{}", character.escape_default())
            } else {
                f.write_char(character)
            }
        })
    }
}

/// A configuration that cannot be used. Shows as one paragraph a problem.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    /// The configuration.
    pub file: PathBuf,
    /// What is wrong with it; never empty. Those of the configuration itself come first, then those of its list files.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            if problem.origin.is_none() {
                write!(f, "{}: ", self.file.display())?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// What a program is told of one of its problems: where and what, and by itself what to do about it.
    #[must_use]
    pub fn apart(&self, problem: &Problem) -> (String, String) {
        let place = match &problem.origin {
            Some(origin) => origin.to_string(),
            None => self.file.display().to_string(),
        };
        let Problem {
            origin: _,
            message,
            hint,
        } = problem;
        (
            format!("{place}: {}", Line(message)),
            Line(hint).to_string(),
        )
    }

    /// The same of all of them. Where there are several, each needs its own hint beside it.
    #[must_use]
    pub fn told(&self) -> (String, String) {
        if let [problem] = self.problems.as_slice() {
            return self.apart(problem);
        }
        let hint = format!(
            "put each of these right; `gate check --config {}` tries it and changes nothing",
            self.file.display()
        );
        (self.to_string(), hint)
    }
}

/// Proof that a value is missing because of a problem that has been reported: only [`Problems::error`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported(());

/// Collects problems while a configuration is read.
#[derive(Debug)]
pub(super) struct Problems {
    errors: Findings,
    warnings: Findings,
}

impl Problems {
    /// A collector for the configuration `file`.
    pub(super) fn new(file: &Path) -> Self {
        Self {
            errors: Findings::new(file),
            warnings: Findings::new(file),
        }
    }

    /// Records what makes the configuration unusable.
    pub(super) fn error(
        &mut self,
        origin: impl Into<Option<Origin>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Reported {
        self.errors.push(Problem {
            origin: origin.into(),
            message: message.into(),
            hint: hint.into(),
        });
        Reported(())
    }

    /// Records what the operator should know, though the configuration can be used.
    pub(super) fn warn(&mut self, origin: &Origin, message: String, hint: String) {
        self.warnings.push(Problem {
            origin: Some(origin.clone()),
            message,
            hint,
        });
    }

    /// What was read, and the warnings, if there is no error.
    pub(super) fn finish<T>(
        self,
        read: Result<T, Reported>,
    ) -> Result<(T, Vec<Problem>), Vec<Problem>> {
        match read {
            Ok(value) if self.errors.kept.is_empty() => Ok((value, self.warnings.in_order())),
            Ok(_) | Err(Reported(())) => Err(self.errors.in_order()),
        }
    }
}

/// Problems of one severity.
#[derive(Debug)]
struct Findings {
    kept: Vec<Problem>,
    /// The files that problems were found in, in the order in which they were met; the configuration is the first.
    files: HashMap<Arc<Path>, File>,
}

#[derive(Debug)]
struct File {
    order: usize,
    found: usize,
    limit: usize,
}

impl Findings {
    fn new(configuration: &Path) -> Self {
        let file = File {
            order: 0,
            found: 0,
            limit: usize::MAX,
        };
        Self {
            kept: Vec::new(),
            files: HashMap::from([(configuration.into(), file)]),
        }
    }

    fn push(&mut self, problem: Problem) {
        if let Some(origin) = &problem.origin {
            let order = self.files.len();
            let file = self.files.entry(Arc::clone(&origin.file)).or_insert(File {
                order,
                found: 0,
                limit: PER_LIST_FILE,
            });
            file.found += 1;
            if file.found > file.limit {
                return;
            }
        }
        self.kept.push(problem);
    }

    fn in_order(self) -> Vec<Problem> {
        let Self { kept, files } = self;
        let place = |problem: &Problem| match &problem.origin {
            None => (0, 0, 0),
            Some(origin) => (
                files.get(&origin.file).map_or(0, |file| file.order),
                origin.line,
                origin.column,
            ),
        };
        let mut placed: Vec<_> = kept
            .into_iter()
            .map(|problem| (place(&problem), problem))
            .collect();
        for (path, file) in &files {
            if let Some(more @ 1..) = file.found.checked_sub(file.limit) {
                placed.push((
                    (file.order, u32::MAX, u32::MAX),
                    Problem {
                        origin: None,
                        message: format!("and {more} more in `{}`", path.display()),
                        hint:
                            "put those above right first: the others are probably of the same kind"
                                .into(),
                    },
                ));
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, problem)| problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, line: u32) -> Origin {
        Origin {
            file: Path::new(file).into(),
            line,
            column: 1,
        }
    }

    #[test]
    fn errors_come_in_the_order_of_the_files_and_lines() {
        let mut problems = Problems::new(Path::new("gate.toml"));
        problems.error(at("a.txt", 2), "second", "h");
        problems.error(at("gate.toml", 9), "first", "h");
        let reported = problems.error(None, "whole", "h");
        let error = ConfigError {
            file: "gate.toml".into(),
            problems: problems.finish(Err::<(), _>(reported)).unwrap_err(),
        };
        assert_eq!(
            error.to_string(),
            "gate.toml: whole\n  hint: h\n\
             gate.toml:9:1: first\n  hint: h\n\
             a.txt:2:1: second\n  hint: h"
        );
        let (reason, hint) = error.told();
        assert_eq!(reason, error.to_string());
        assert!(hint.contains("`gate check --config gate.toml`"), "{hint}");
    }

    #[test]
    fn one_problem_is_told_apart_from_its_hint() {
        let mut error = ConfigError {
            file: "gate.toml".into(),
            problems: vec![Problem {
                origin: Some(at("a.txt", 2)),
                message: "no\nprefix".into(),
                hint: "make\nit one".into(),
            }],
        };
        let told = (
            "a.txt:2:1: no\\nprefix".to_owned(),
            "make\\nit one".to_owned(),
        );
        assert_eq!(error.told(), told);
        error.problems[0].origin = None;
        assert_eq!(error.told().0, "gate.toml: no\\nprefix");
    }

    #[test]
    fn a_list_file_tells_twenty_and_counts_the_rest() {
        let mut problems = Problems::new(Path::new("gate.toml"));
        for line in 1..=50 {
            problems.error(at("gate.toml", line), "toml", "h");
            problems.error(at("a.txt", line), "list", "h");
        }
        let found = problems.finish(Ok(())).unwrap_err();
        assert_eq!(found.len(), 50 + 20 + 1);
        assert_eq!(found.last().unwrap().message, "and 30 more in `a.txt`");
    }

    #[test]
    fn control_characters_are_escaped() {
        let problem = Problem {
            origin: None,
            message: "`\u{1b}[2J\n国`".into(),
            hint: "h".into(),
        };
        assert_eq!(problem.to_string(), "`\\u{1b}[2J\\n国`\n  hint: h");
    }

    #[test]
    fn warnings_do_not_make_an_error() {
        let mut problems = Problems::new(Path::new("gate.toml"));
        problems.warn(&at("gate.toml", 1), "w".into(), "h".into());
        let ((), warnings) = problems.finish(Ok(())).unwrap();
        assert_eq!(warnings.len(), 1);
    }
}
