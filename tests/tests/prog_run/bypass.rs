//! A bypass: until its instant every packet of the table that is refused is observed, and counted by the same counters; from then on
//! each is what its row says.

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    kernel::Action,
    rows::{self, Expected, Row},
};

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial("bypass: no packet of the table is refused", |state| {
            with_each(state, 1, |state, row| {
                let expected = bypassed(&row.expected);
                let (action, change) = state.observe(&row.frame)?;
                ensure!(action == Action::Pass, "{action}, and counted:\n{change}");
                // What was refused is observed; what passes may do so for another reason, since nothing is limited.
                ensure!(
                    row.expected.action == Action::Pass || change == expected.change,
                    "expected:\n{}  seen:\n{change}",
                    expected.change
                );
                ensure!(!change.says("refused"), "refused:\n{change}");
                Ok(())
            })
        }),
        bench.trial("bypass: it is over at its instant", |state| {
            with_each(state, 0, |state, row| {
                let (action, change) = state.observe(&row.frame)?;
                let found = Expected { action, change };
                ensure!(
                    found == row.expected,
                    "expected:\n{}  seen {action}, and counted:\n{}",
                    row.expected.change,
                    found.change
                );
                Ok(())
            })
        }),
    ]
}

/// Each row, with a bypass that ends so many nanoseconds after its packet.
fn with_each(
    state: &mut State,
    rest_ns: u64,
    check: impl Fn(&mut State, &Row) -> Result<()>,
) -> Result<()> {
    let mut refused = 0;
    let mut outcome = Ok(());
    for (_, row) in rows::by_configuration() {
        state.prepare(&row)?;
        let now: Timestamp = row.now.parse()?;
        let now_ns = u64::try_from(now.as_nanosecond())?;
        state.device.gate.maps.set_bypass_until(now_ns + rest_ns)?;
        refused += u64::from(row.expected.action != Action::Pass);
        outcome = check(state, &row).with_context(|| row.name);
        if outcome.is_err() {
            break;
        }
    }
    state.device.gate.maps.set_bypass_until(0)?;
    outcome?;
    ensure!(refused > 50, "only {refused} rows are refused");
    Ok(())
}

/// What becomes of a refused packet: the same is counted, in other words, and nothing is answered.
fn bypassed(expected: &Expected) -> Expected {
    Expected {
        action: Action::Pass,
        change: expected
            .change
            .without(&["answer ", "bucket answer"])
            .reworded("refused", "observed"),
    }
}
