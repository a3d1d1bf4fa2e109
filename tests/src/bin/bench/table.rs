//! Figures as tables, for a terminal and for Markdown: one table a metric, a line for each case, a column for each subject.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, LineStyle, TableStyle};

use crate::{
    figure::{Figure, Spread},
    target::Outcome,
};

/// Rows of text under a heading.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// How many columns, from the left, are text; the others are numbers.
    text: usize,
}

/// One table for each metric and unit, in the order in which the figures name them first.
pub(crate) fn of(figures: &[Figure]) -> Vec<Table> {
    let mut metrics: Vec<(&str, &str)> = Vec::new();
    for figure in figures {
        note(&mut metrics, (figure.metric, figure.unit));
    }
    metrics
        .into_iter()
        .map(|metric| one(figures, metric))
        .collect()
}

fn one(figures: &[Figure], (metric, unit): (&str, &str)) -> Table {
    let figures: Vec<&Figure> = figures
        .iter()
        .filter(|it| (it.metric, it.unit) == (metric, unit))
        .collect();
    let (mut cases, mut subjects) = (Vec::new(), Vec::new());
    for figure in &figures {
        note(&mut cases, figure.case.as_str());
        note(&mut subjects, figure.subject.as_str());
    }
    let label = format!("{metric}, {unit}");
    // A table that is mostly holes is a list.
    if cases.len() * subjects.len() > 2 * figures.len() {
        let header = [label.as_str(), "of", "median", "least", "most"];
        return Table {
            header: header.map(str::to_owned).to_vec(),
            rows: figures.iter().map(|it| listed(it)).collect(),
            text: 2,
        };
    }
    let rows = cases.into_iter().map(|case| {
        let cells = subjects.iter().map(|subject| {
            let figure = figures
                .iter()
                .find(|it| it.case == case && it.subject == *subject);
            figure.map_or_else(|| "-".to_owned(), |it| spread(it.spread, unit))
        });
        [case.to_owned()].into_iter().chain(cells).collect()
    });
    let rows = rows.collect();
    let header = [label]
        .into_iter()
        .chain(subjects.iter().map(|&it| it.to_owned()));
    Table {
        header: header.collect(),
        rows,
        text: 1,
    }
}

fn listed(figure: &Figure) -> Vec<String> {
    let Spread {
        median,
        min,
        max,
        rounds: _,
    } = figure.spread;
    let mut row = vec![figure.case.clone(), figure.subject.clone()];
    row.extend([median, min, max].map(|it| number(it, figure.unit, it)));
    row
}

fn note<T: PartialEq>(seen: &mut Vec<T>, value: T) {
    if !seen.contains(&value) {
        seen.push(value);
    }
}

/// `12.3 (11.9-14.0)`
fn spread(
    Spread {
        median,
        min,
        max,
        rounds,
    }: Spread,
    unit: &str,
) -> String {
    let [middle, least, most] = [median, min, max].map(|it| number(it, unit, max));
    if rounds == 1 {
        return middle;
    }
    format!("{middle} ({least}-{most})")
}

/// With as many digits as a value of the size of `like` deserves.
fn number(value: f64, unit: &str, like: f64) -> String {
    if unit == "bytes" {
        return format!("{:.1} MB", value / 1e6);
    }
    let digits = match like.abs() {
        like if like < 1.0 => 3,
        like if like < 10.0 => 2,
        like if like < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// A line for each target.
pub(crate) fn outcomes(outcomes: &[Outcome]) -> Table {
    let rows = outcomes.iter().map(
        |Outcome {
             target,
             figure,
             met,
         }| {
            let met = if *met { "met" } else { "MISSED" };
            vec![target.clone(), figure.clone(), met.to_owned()]
        },
    );
    Table {
        header: ["target", "figure", ""].map(str::to_owned).to_vec(),
        rows: rows.collect(),
        text: 3,
    }
}

impl Table {
    /// For a terminal.
    pub(crate) fn terminal(&self) -> String {
        const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).set_header(&self.header);
        for row in &self.rows {
            table.add_row(row);
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if index >= self.text {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }

    /// For a page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.collect();
            // A string takes everything.
            let _ = writeln!(page, "| {} |", cells.join(" | "));
        };
        let escaped = |cell: &String| cell.replace('|', "\\|");
        line(&mut self.header.iter().map(escaped));
        let rule = |index| if index < self.text { "---" } else { "--:" };
        line(&mut (0..self.header.len()).map(|index| rule(index).to_owned()));
        for row in &self.rows {
            line(&mut row.iter().map(escaped));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(case: &str, subject: &str, unit: &'static str, values: &[f64]) -> Figure {
        Figure::of("suite", (case, subject), ("time", unit), values).unwrap()
    }

    #[test]
    fn a_metric_is_a_table() {
        let figures = [
            figure("tcp", "gate", "ns", &[10.0, 12.0, 11.0]),
            figure("tcp", "peer", "ns", &[20.0]),
            figure("udp", "gate", "ns", &[9.0, 9.0]),
            figure("udp", "gate", "bytes", &[2e6]),
        ];
        let tables = of(&figures);
        let pages: Vec<String> = tables.iter().map(Table::markdown).collect();
        assert_eq!(
            pages,
            [
                "| time, ns | gate | peer |\n| --- | --: | --: |\n| tcp | 11.0 (10.0-12.0) | 20.0 |\n| udp | 9.00 (9.00-9.00) | - |\n",
                "| time, bytes | gate |\n| --- | --: |\n| udp | 2.0 MB |\n"
            ]
        );
        assert!(tables[0].terminal().contains("11.0 (10.0-12.0)"));
    }

    #[test]
    fn what_would_be_mostly_holes_is_a_list() {
        let figures = ["a", "b", "c"].map(|it| figure(it, it, "s", &[1.0, 2.0]));
        let page = of(&figures)[0].markdown();
        assert!(
            page.starts_with("| time, s | of | median | least | most |\n| --- | --- | --: | --: | --: |\n| a | a | 1.50 | 1.00 | 2.00 |\n"),
            "{page}"
        );
    }
}
