//! Where results go: the terminal, a JSON file, a report with plots.

use std::{
    env,
    fmt::Write as _,
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::{
    figure::Figure,
    machine, rates,
    suite::{RuleSet, Section},
    table::{self, Table},
};

/// The report's page, and its figures.
const PAGE: &str = "README.md";
const FIGURES: &str = "figures.json";
/// What the figures mean on a link.
const RATES: &str = "rates.md";

/// What was measured, and on what.
pub(crate) struct About {
    kernel: String,
    processor: String,
    memory: String,
    /// The commit of the tree that was built.
    commit: String,
    date: String,
    /// What was typed.
    command: String,
}

impl About {
    /// This machine, now. `commit` is the tree's.
    pub(crate) fn now(commit: String, command: String) -> Self {
        Self {
            kernel: machine::kernel(),
            processor: machine::processor(),
            memory: machine::memory(),
            commit,
            date: jiff::Zoned::now().date().to_string(),
            command,
        }
    }

    fn rows(&self) -> [(&str, &str); 6] {
        let Self {
            kernel,
            processor,
            memory,
            commit,
            date,
            command,
        } = self;
        [
            ("date", date),
            ("commit", commit),
            ("kernel", kernel),
            ("processor", processor),
            ("memory", memory),
            ("command", command),
        ]
    }

    /// For the terminal.
    pub(crate) fn introduce(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (name, value) in self.rows() {
            writeln!(out, "{name:<10} {value}")?;
        }
        Ok(())
    }
}

/// Shows a section on the terminal.
pub(crate) fn show(section: &Section) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Section {
        title,
        method: _,
        figures,
        outcomes,
        plots: _,
        rule_sets: _,
        absent,
    } = section;
    writeln!(out, "\n== {title}")?;
    for table in table::of(figures) {
        writeln!(out, "\n{}", table.terminal())?;
    }
    for reason in absent {
        writeln!(out, "\nnot measured: {reason}")?;
    }
    if !outcomes.is_empty() {
        writeln!(out, "\n{}", table::outcomes(outcomes).terminal())?;
    }
    Ok(())
}

/// A file that is made beside its place before anything is measured, and gets there whole.
pub(crate) struct Saved {
    path: PathBuf,
    file: NamedTempFile,
}

impl Saved {
    pub(crate) fn beside(path: &Path) -> Result<Self> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let file = NamedTempFile::new_in(directory)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn text(mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes())?;
        // For everybody, as a file that a shell makes.
        let permissions = Permissions::from_mode(0o644);
        self.file.as_file().set_permissions(permissions)?;
        let saved = self.file.persist(&self.path);
        saved.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }

    /// Every figure, as one flat list.
    pub(crate) fn figures(self, sections: &[Section]) -> Result<()> {
        let figures: Vec<&Figure> = sections.iter().flat_map(|it| &it.figures).collect();
        let text = serde_json::to_string_pretty(&figures)?;
        self.text(&format!("{text}\n"))
    }
}

/// A directory for the report.
pub(crate) struct Report {
    directory: PathBuf,
    page: Saved,
    figures: Saved,
}

impl Report {
    /// Makes sure, before anything is measured, that it can be written.
    pub(crate) fn into(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self {
            page: Saved::beside(&directory.join(PAGE))?,
            figures: Saved::beside(&directory.join(FIGURES))?,
            directory: directory.to_owned(),
        })
    }

    /// Writes page, figures and plots.
    pub(crate) fn write(self, about: &About, sections: &[Section]) -> Result<()> {
        for plot in sections.iter().flat_map(|it| &it.plots) {
            let path = self.directory.join(format!("{}.svg", plot.name));
            Saved::beside(&path)?.text(&plot.svg()?)?;
        }
        self.figures.figures(sections)?;
        let figures: Vec<Figure> = sections.iter().flat_map(|it| it.figures.clone()).collect();
        if let Some(rates) = rates::page(&figures) {
            Saved::beside(&self.directory.join(RATES))?.text(&rates)?;
        }
        self.page.text(&page(about, sections))
    }
}

const INTRODUCTION: &str = "\
# Benchmarks

This page, its plots and [figures.json](figures.json) are written by `cargo xtask bench --report docs/benchmarks`, as root, on any machine.
Within a suite, all subjects were measured in turn, round after round, in one run: read ratios, not nanoseconds, since a machine's figures are its own.
Each cell is the median of the rounds with the least and the most.

[rates.md](rates.md) says what the figures mean on links of 10, 25 and 100 Gbit/s, [profile.md](profile.md) where the time goes.
";

fn page(about: &About, sections: &[Section]) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut add = |text: std::fmt::Arguments<'_>| {
        // A string takes everything.
        let _ = writeln!(page, "{text}");
    };
    add(format_args!("\n| | |\n|---|---|"));
    for (name, value) in about.rows() {
        add(format_args!("| {name} | {value} |"));
    }
    for section in sections {
        let Section {
            title,
            method,
            figures,
            outcomes,
            plots,
            rule_sets,
            absent,
        } = section;
        add(format_args!("\n## {title}"));
        for paragraph in method {
            add(format_args!("\n{paragraph}"));
        }
        for plot in plots {
            add(format_args!("\n![{}]({}.svg)", plot.title, plot.name));
        }
        for table in table::of(figures) {
            add(format_args!("\n{}", table.markdown().trim_end()));
        }
        for reason in absent {
            add(format_args!("\nNot measured: {reason}."));
        }
        if !outcomes.is_empty() {
            let targets: Table = table::outcomes(outcomes);
            add(format_args!(
                "\n### Targets\n\n{}",
                targets.markdown().trim_end()
            ));
        }
        if !rule_sets.is_empty() {
            add(format_args!("\n### Rule sets"));
        }
        for RuleSet { subject, text } in rule_sets {
            add(format_args!(
                "\n<details><summary>{subject}</summary>\n\n```text\n{}\n```\n\n</details>",
                portable(text.trim_end())
            ));
        }
    }
    page
}

/// Paths below the working directory as they are from there: where that is on this machine is nobody's concern.
fn portable(text: &str) -> String {
    match env::current_dir() {
        Ok(here) => text.replace(&format!("{}/", here.display()), ""),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figure::Spread,
        plot::{Plot, Shape},
        target::Outcome,
    };

    fn section() -> Section {
        Section {
            title: "Cost of a packet",
            method: vec!["One packet, again and again.".to_owned()],
            figures: vec![Figure {
                suite: "shapes",
                case: "udp".to_owned(),
                subject: "gate".to_owned(),
                metric: "time",
                unit: "ns",
                spread: Spread::of(&[12.0]).unwrap(),
            }],
            outcomes: vec![Outcome {
                target: "no dearer".to_owned(),
                figure: "0.9 times".to_owned(),
                met: true,
            }],
            plots: vec![Plot {
                name: "shapes",
                title: "Cost of a packet".to_owned(),
                unit: "ns",
                shape: Shape::Bars(Vec::new()),
            }],
            rule_sets: vec![RuleSet {
                subject: "gate".to_owned(),
                text: format!(
                    "[geoip]\ndatabases = [\"{}/a.mmdb\"]\n",
                    env::current_dir().unwrap().display()
                ),
            }],
            absent: vec!["xdp-filter: it is not installed".to_owned()],
        }
    }

    #[test]
    fn a_report_is_a_page_with_its_plots_and_figures() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let about = About::now("abc".to_owned(), "bench".to_owned());
        let report = Report::into(&path).unwrap();
        report.write(&about, &[section()]).unwrap();
        let mut names: Vec<String> = fs::read_dir(&path)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [PAGE, FIGURES, "shapes.svg"]);
        let page = fs::read_to_string(path.join(PAGE)).unwrap();
        for text in [
            "| commit | abc |",
            "## Cost of a packet\n\nOne packet",
            "![Cost of a packet](shapes.svg)",
            "| udp | 12.0 |",
            "Not measured: xdp-filter: it is not installed.",
            "| no dearer | 0.9 times | met |",
            "<summary>gate</summary>\n\n```text\n[geoip]\ndatabases = [\"a.mmdb\"]\n```",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        let figures = fs::read_to_string(path.join(FIGURES)).unwrap();
        let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
        assert_eq!(figures[0]["median"], 12.0);
    }

    #[test]
    fn nothing_is_there_before_all_is() {
        let directory = tempfile::tempdir().unwrap();
        let report = Report::into(directory.path()).unwrap();
        assert!(!directory.path().join(PAGE).exists());
        drop(report);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
