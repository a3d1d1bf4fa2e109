//! From lines back to runs: the inverse of compiling, for whoever wants to know where an answer begins and ends.
//! Shortcuts say nothing that the rest does not, and are not looked at.

use gate_common::table::{
    ANSWERS_AT, BITS_AT, CHILD, CHILDREN_AT, CHUNK_LINES, ELSEWHERE, ENTRIES, ESCAPE, Entry,
    INLINE_AT, KIND_NODE, KIND_RUNS, Line, RUNS, RUNS128, STARTS_AT, V6, run_number_at,
};

use super::{
    Runs, Table,
    line::{GLOBAL, HALVES, half, octet, word},
    runs::RunsBuilder,
};

/// Every run of the table. Lines that are missing or make no sense say nothing.
pub(super) fn decompile(table: &Table) -> Runs {
    let mut v4 = Reader::new(table);
    for index in 0..V6 {
        v4.entry(index, u128::from(index) << 112, 112);
    }
    let mut elsewhere = Reader::new(table);
    elsewhere.entry(ELSEWHERE, 0, u128::BITS);
    let elsewhere = elsewhere.runs.finish();
    let mut v6 = Reader::new(table);
    let copy = |v6: &mut Reader<'_>, wanted: &dyn Fn(u128) -> bool| {
        let runs = elsewhere.iter().filter(|run| wanted(run.start));
        runs.for_each(|run| v6.runs.begin(run.start, run.number));
    };
    copy(&mut v6, &|start| start < GLOBAL.start);
    for index in V6..ELSEWHERE {
        v6.entry(index, GLOBAL.start + (u128::from(index - V6) << 112), 112);
    }
    let after = elsewhere.iter().rfind(|run| run.start <= GLOBAL.end);
    v6.runs.begin(GLOBAL.end, after.map_or(0, |run| run.number));
    copy(&mut v6, &|start| start > GLOBAL.end);
    Runs::new(v4.runs, v6.runs)
}

struct Reader<'t> {
    table: &'t Table,
    runs: RunsBuilder,
}

impl<'t> Reader<'t> {
    fn new(table: &'t Table) -> Self {
        Self {
            table,
            runs: RunsBuilder::new(),
        }
    }

    fn node(&self, line: u32) -> Option<&'t Line> {
        self.table.nodes.get(line as usize)
    }

    /// The block that an entry of the root is about.
    fn entry(&mut self, index: u32, base: u128, open: u32) {
        let index = index as usize;
        let line = self.table.root.get(index / ENTRIES);
        match Entry::of(line.map_or(0, |line| word(line, index % ENTRIES))) {
            Entry::Number(number) => self.runs.begin(base, number),
            Entry::Node(line) => self.line(line, base, open),
            Entry::Fan(line) => {
                for byte in 0..256u32 {
                    self.line(line.wrapping_add(byte), at(base, byte, open), open - 8);
                }
            }
            Entry::Chunk(line) => self.chunk(line, base, open),
        }
    }

    fn chunk(&mut self, chunk: u32, base: u128, open: u32) {
        let ranks = self.node(chunk.wrapping_add(CHUNK_LINES));
        let mut begun = 0;
        for byte in 0..256 {
            let base = at(base, byte, open);
            begun += u32::from(ranks.is_some_and(|node| begins(node, byte)));
            let values = self.node(chunk.wrapping_add(byte / 64));
            match values.map_or(0, |line| octet(line, byte as usize % 64)) {
                ESCAPE => {
                    let first = ranks.map_or(0, |node| word(node, CHILDREN_AT));
                    self.line(first.wrapping_add(begun).wrapping_sub(1), base, open - 8);
                }
                number => self.runs.begin(base, number.into()),
            }
        }
    }

    /// The block that a line of the nodes is about.
    fn line(&mut self, line: u32, base: u128, open: u32) {
        let Some(node) = self.node(line) else { return };
        match octet(node, 0) {
            KIND_NODE if open >= 8 => self.ranked(node, base, open),
            KIND_NODE => {}
            kind => self.listed(node, kind == KIND_RUNS, base),
        }
    }

    fn ranked(&mut self, node: &Line, base: u128, open: u32) {
        let bytes = (0..256).filter(|byte| begins(node, *byte));
        for (byte, rank) in bytes.zip(0..) {
            let base = at(base, byte, open);
            let answer = match word(node, ANSWERS_AT) {
                0 => half(node, INLINE_AT + rank),
                first => {
                    let place = first as usize + rank;
                    let line = self.table.nodes.get(place / HALVES);
                    line.map_or(0, |line| half(line, place % HALVES))
                }
            };
            if answer & CHILD == 0 {
                self.runs.begin(base, answer);
            } else {
                let child = word(node, CHILDREN_AT).wrapping_add((answer & !CHILD).into());
                self.line(child, base, open - 8);
            }
        }
    }

    fn listed(&mut self, node: &Line, upper: bool, base: u128) {
        let words = node.get(STARTS_AT..STARTS_AT + 6).unwrap_or_default();
        let starts: Vec<u128> = if upper {
            words.iter().map(|word| u128::from(*word) << 64).collect()
        } else {
            let pairs = words.chunks_exact(2);
            pairs
                .map(|pair| {
                    pair.iter()
                        .fold(0, |bits, word| bits << 64 | u128::from(*word))
                })
                .collect()
        };
        debug_assert_eq!(starts.len() + 1, if upper { RUNS } else { RUNS128 });
        self.runs.begin(base, half(node, run_number_at(0)));
        for (start, rank) in starts.into_iter().zip(1..) {
            // What is not used repeats the last number, and so begins no run.
            self.runs.begin(start, half(node, run_number_at(rank)));
        }
    }
}

fn begins(node: &Line, byte: u32) -> bool {
    let bits = node.get(BITS_AT + byte as usize / 64);
    bits.is_some_and(|bits| bits >> (byte % 64) & 1 == 1)
}

/// Where the part of a block begins that has this next byte.
fn at(base: u128, byte: u32, open: u32) -> u128 {
    base | (u128::from(byte) << (open - 8))
}
