//! What was counted between two moments.
//!
//! No number is ever negative. An entry of a source that is another one than before (its `began_ns` tells) began at nothing in between, as does what was not there before, and
//! everything of a gate that was loaded anew. What was there and is no more leaves packets behind that nobody can tell by source: they are in the row `rest`.

use std::collections::HashMap;

use super::{
    moment::{Moment, rest},
    row::{ByVerdict, Kind, Row},
};

/// The rows of the time between, notes first. Sources without a packet in it are left out.
pub(super) fn between(before: &Moment, after: &Moment) -> Vec<Row> {
    let is_anew = before.loaded != after.loaded;
    let known: HashMap<_, &Row> = if is_anew {
        HashMap::new()
    } else {
        before.rows.iter().map(|it| (it.identity(), it)).collect()
    };
    let mut notes = Vec::new();
    if is_anew {
        notes.push(Row::note(
            "the gate was loaded anew in between: its counters began at nothing".to_owned(),
        ));
    } else if before.generation != after.generation {
        notes.push(Row::note(format!(
            "generation {} -> {}; what both have is counted on",
            before.generation, after.generation
        )));
    }
    let mut found = 0;
    let mut replaced = 0;
    let mut rows = Vec::new();
    for row in &after.rows {
        let old = known.get(&row.identity()).copied();
        found += usize::from(old.is_some());
        let old = old.filter(|old| {
            let is_same = old.began_ns == row.began_ns;
            replaced += usize::from(!is_same);
            is_same
        });
        rows.push(match old {
            Some(old) => row.since(old),
            None => row.clone(),
        });
    }
    let gone = known.len() - found;
    if gone > 0 {
        notes.push(Row::note(format!(
            "{gone} {} no more: what they had since then is not told by name",
            if gone == 1 { "row is" } else { "rows are" }
        )));
    }
    if replaced > 0 {
        notes.push(Row::note(format!(
            "{replaced} {} in between: counted from nothing",
            if replaced == 1 {
                "source began anew"
            } else {
                "sources began anew"
            }
        )));
    }
    let has_sources = after
        .rows
        .iter()
        .chain(&before.rows)
        .any(|it| it.kind == Some(Kind::Sources));
    if has_sources {
        rows.extend(unnamed((!is_anew).then_some(before), after, &rows));
    }
    rows.retain(|it| it.kind != Some(Kind::Sources) || it.packets != Some(0));
    notes.extend(rows);
    notes
}

/// Packets of the time between whose sources are in no row: they went meanwhile, or never had an entry.
fn unnamed(before: Option<&Moment>, after: &Moment, rows: &[Row]) -> Option<Row> {
    let mut left = after.judged.named().map(|(_, packets)| packets);
    let old = before.map_or([0; 5], |it| it.judged.named().map(|(_, packets)| packets));
    for (left, old) in left.iter_mut().zip(old) {
        *left = left.saturating_sub(old);
    }
    let sources = rows.iter().filter(|it| it.kind == Some(Kind::Sources));
    for row in sources {
        for (left, packets) in left.iter_mut().zip(row.by_verdict.each()) {
            *left = left.saturating_sub(packets.unwrap_or(0));
        }
    }
    rest(left)
}

impl Row {
    /// What came to it since; all of it where it has less than before, which began at nothing in between.
    fn since(&self, old: &Self) -> Self {
        let more = |now: Option<u64>, old: Option<u64>| {
            let old = old.unwrap_or(0);
            now.map(|now| now.checked_sub(old))
        };
        let mut by_verdict = self.by_verdict.each();
        let mut is_less = false;
        let verdicts = by_verdict.iter_mut().zip(old.by_verdict.each());
        for (now, old) in verdicts {
            let since = more(*now, old);
            is_less |= since == Some(None);
            *now = since.flatten();
        }
        let [packets, over_limit] = [
            more(self.packets, old.packets),
            more(self.over_limit, old.over_limit),
        ];
        is_less |= packets == Some(None) || over_limit == Some(None);
        if is_less {
            return self.clone();
        }
        Self {
            packets: packets.flatten(),
            by_verdict: ByVerdict::of(by_verdict),
            over_limit: over_limit.flatten(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use jiff::Timestamp;

    use super::*;
    use crate::report::Verdicts;

    fn refused(packets: u64) -> Verdicts {
        let mut verdicts = Verdicts::default();
        verdicts.count("refused", packets);
        verdicts
    }

    fn moment(loaded: u32, generation: u32, judged: u64, rows: Vec<Row>) -> Moment {
        Moment {
            at: Timestamp::UNIX_EPOCH,
            instant: Instant::now(),
            generation,
            loaded,
            rows,
            judged: refused(judged),
            counts_sources: true,
            attribution: Vec::new(),
        }
    }

    fn source(name: &str, began_ns: u64, packets: u64) -> Row {
        Row {
            began_ns,
            over_limit: Some(packets / 2),
            ..Row::counted(Kind::Sources, name, &refused(packets))
        }
    }

    fn pool(name: &str, packets: u64) -> Row {
        Row::counted(Kind::Pools, name, &refused(packets))
    }

    fn told(rows: &[Row]) -> Vec<(&str, Option<u64>, Option<u64>)> {
        rows.iter()
            .filter(|it| it.kind != Some(Kind::Note))
            .map(|it| (it.name.as_str(), it.packets, it.by_verdict.refused))
            .collect()
    }

    fn notes(rows: &[Row]) -> Vec<&str> {
        rows.iter().filter_map(|it| it.note.as_deref()).collect()
    }

    #[test]
    fn what_an_entry_had_before_is_taken_off_and_a_new_one_counts_whole() {
        let before = moment(
            1,
            1,
            100,
            vec![
                source("busy", 5, 10),
                source("quiet", 5, 20),
                source("again", 5, 30),
                source("gone", 5, 40),
            ],
        );
        let after = moment(
            1,
            1,
            130,
            vec![
                source("busy", 5, 17),
                source("quiet", 5, 20),
                // More than before, and yet another entry.
                source("again", 9, 31),
                source("new", 9, 2),
            ],
        );
        // 30 packets came; what "gone" had of them nobody knows. Were "again" taken for the old entry, it would have 1.
        let found = between(&before, &after);
        assert_eq!(
            told(&found),
            [
                ("busy", Some(7), Some(7)),
                ("again", Some(31), Some(31)),
                ("new", Some(2), Some(2)),
            ]
        );
        let busy = found.iter().find(|it| it.name == "busy").unwrap();
        assert_eq!(busy.over_limit, Some(3));
        assert_eq!(
            notes(&found),
            [
                "1 row is no more: what they had since then is not told by name",
                "1 source began anew in between: counted from nothing"
            ]
        );
        let found = between(&before, &moment(1, 1, 150, vec![source("busy", 5, 17)]));
        assert_eq!(
            told(&found),
            [("busy", Some(7), Some(7)), ("rest", Some(43), Some(43))]
        );
    }

    #[test]
    fn a_gate_that_was_loaded_anew_counts_from_nothing_however_much_it_has() {
        let before = moment(1, 4, 10, vec![pool("a", 10)]);
        let found = between(&before, &moment(2, 1, 15, vec![pool("a", 15)]));
        assert_eq!(told(&found), [("a", Some(15), Some(15))]);
        assert_eq!(
            notes(&found),
            ["the gate was loaded anew in between: its counters began at nothing"]
        );
    }

    #[test]
    fn another_generation_counts_on_and_nothing_is_negative() {
        let before = moment(1, 4, 10, vec![pool("a", 10), pool("b", 7), pool("c", 1)]);
        let after = moment(1, 5, 15, vec![pool("a", 15), pool("b", 3), pool("d", 2)]);
        let found = between(&before, &after);
        assert_eq!(
            told(&found),
            [
                ("a", Some(5), Some(5)),
                ("b", Some(3), Some(3)),
                ("d", Some(2), Some(2))
            ]
        );
        assert_eq!(
            notes(&found),
            [
                "generation 4 -> 5; what both have is counted on",
                "1 row is no more: what they had since then is not told by name"
            ]
        );
    }
}
