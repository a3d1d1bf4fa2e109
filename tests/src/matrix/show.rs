//! Runs as tables for a terminal of 100 columns.

use comfy_table::{Cell, LineStyle, Table, TableStyle};

use super::{Account, Case, Observed, Run, Tag};
use crate::lab::{Family, Roamers};

/// A run through the gate: one line per connection.
#[must_use]
pub fn table(run: &Run, roamers: &Roamers) -> String {
    let mut table = framed(&[
        "who", "to whom", "IP", "port", "expected", "seen", "reason", "",
    ]);
    for account in &run.accounts {
        let Account {
            case: Case { row, family, port },
            expect,
            attempt,
            observed: _,
            faults: _,
        } = account;
        table.add_row([
            Cell::new(row.from.label(roamers)),
            Cell::new(row.to.label(roamers)),
            Cell::new(family),
            Cell::new(port),
            Cell::new(expect),
            Cell::new(attempt.seen),
            Cell::new(reason(account)),
            Cell::new(mark(account)),
        ]);
    }
    table.trim_fmt()
}

/// A run without the gate: one line per row and port, both families beside each other.
#[must_use]
pub fn control_table(run: &Run, roamers: &Roamers) -> String {
    let mut table = framed(&["who", "to whom", "port", "IPv4", "IPv6", ""]);
    for pair in run.accounts.chunks(Family::ALL.len()) {
        let Some(first) = pair.first() else {
            continue;
        };
        let Case {
            row,
            port,
            family: _,
        } = first.case;
        let mut cells = vec![
            row.from.label(roamers),
            row.to.label(roamers),
            port.to_string(),
        ];
        cells.extend(pair.iter().map(|account| account.attempt.seen.to_string()));
        let worse = pair.iter().find(|account| !account.faults.is_empty());
        cells.push(mark(worse.unwrap_or(first)).to_owned());
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// Columns set apart by space, and a line below their heads.
fn framed(header: &[&str]) -> Table {
    const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    let gap = |column: usize| if column + 1 == header.len() { 0 } else { 2 };
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, gap(index)));
    }
    table
}

/// Why it came out as it did, from the gate's counters, with the tag's country; in full where that is not as expected.
fn reason(account: &Account) -> String {
    let Observed { reasons, tag } = &account.observed;
    match tag {
        _ if !account.faults.is_empty() => reasons.to_string(),
        None if reasons.is_nothing() => "no rule".to_owned(),
        None => reasons.names(),
        Some(Tag { country, .. }) => {
            format!("{} {}", reasons.names(), country.as_deref().unwrap_or("-"))
        }
    }
}

fn mark(account: &Account) -> &'static str {
    if account.faults.is_empty() {
        "PASS"
    } else {
        "FAIL"
    }
}
