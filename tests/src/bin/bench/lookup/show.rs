//! The figures as tables for a terminal.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::{
    case::Subject,
    rounds::{self, Measured},
    targets::{self, Outcome},
};
use crate::figure::{Figure, Spread};

/// A line for each case: the floor, then medians without it, each with the least and the most.
pub(crate) fn times(measured: &[Measured]) -> String {
    let mut table = framed(&[
        "case",
        "floor",
        "table ns",
        "lpm ns",
        "lpm-slotted ns",
        "lpm/table",
        "slotted/table",
    ]);
    for one in measured {
        let figures = one.figures();
        let cell = |subject: &str, metric: &str| {
            let figure = figures
                .iter()
                .find(|it| it.subject == subject && it.metric == metric);
            figure.map_or_else(|| "-".to_owned(), |it| spread(it.spread))
        };
        let mut cells = vec![one.case.name.clone()];
        cells.extend(Subject::ALL.map(|subject| cell(subject.name(), "time")));
        cells.extend(Subject::TRIES.map(|trie| cell(&rounds::ratio_of(trie), rounds::RATIO)));
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// A line for each of the figures.
pub(crate) fn amounts(figures: &[Figure]) -> String {
    let mut table = framed(&["what", "of what", "median", "least", "most"]);
    for Figure {
        suite: _,
        case,
        subject,
        metric,
        unit,
        spread,
    } in figures
    {
        let mut cells = vec![format!("{case} {metric}"), subject.clone()];
        cells.extend([spread.median, spread.min, spread.max].map(|it| targets::amount(it, unit)));
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// A line for each target.
pub(crate) fn outcomes(outcomes: &[Outcome]) -> String {
    let mut table = framed(&["target", "figure", ""]);
    for Outcome {
        target,
        figure,
        met,
    } in outcomes
    {
        table.add_row([target.as_str(), figure, if *met { "met" } else { "MISSED" }]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.trim_fmt()
}

/// `12.3 (11.9-14.0)`
fn spread(
    Spread {
        median,
        min,
        max,
        rounds: _,
    }: Spread,
) -> String {
    let digits = usize::from(max < 100.0);
    format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
}

fn framed(header: &[&str]) -> Table {
    const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
