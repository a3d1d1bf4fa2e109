//! From runs to lines.

use std::ops::Range;

use gate_common::table::{
    ANSWERS_AT, BITS_AT, CHILD, CHILDREN_AT, CHUNK_LINES, ELSEWHERE, ENTRIES, ESCAPE, Entry,
    INLINE, INLINE_AT, KIND_RUNS, KIND_RUNS128, Line, MAX_NUMBER, RANKS_AT, ROOT_LINES, RUNS,
    RUNS128, SHORTCUT_LENGTH, STARTS_AT, V6, run_number_at, shortcut_line, shortcut_word,
};

use super::{
    Family, MAX_LINES, Run, Runs, Table, TableError,
    line::{GLOBAL, HALVES, set_half, set_octet, set_word},
    runs::RunsBuilder,
};

/// How many bits of an address a /16 leaves open.
const ROOT_OPEN: u32 = u128::BITS - 16;
/// How many of its 256 lines a fan must use for something that a chunk's byte cannot say, to be worth its memory.
const FAN: usize = 64;

pub(super) fn compile(runs: &Runs) -> Result<Table, TableError> {
    let (v4, v6) = (runs.of(Family::V4), runs.of(Family::V6));
    if let Some(run) = v4.iter().chain(v6).find(|run| run.number > MAX_NUMBER) {
        return Err(TableError::Number(run.number));
    }
    let mut compiler = Compiler {
        root: vec![Line::default(); ROOT_LINES],
        // Line 0 is nobody's: as the place of a node's answers it means the node's own line.
        nodes: vec![Line::default()],
        spare: 0,
    };
    compiler.enter_all(v4, 0, 0..V6)?;
    compiler.enter_all(v6, GLOBAL.start, V6..ELSEWHERE)?;
    let elsewhere = elsewhere(v6);
    let all = Block {
        runs: &elsewhere,
        base: 0,
        open: u128::BITS,
    };
    compiler.enter(ELSEWHERE, all.part())?;
    Ok(Table {
        root: compiler.root,
        nodes: compiler.nodes,
    })
}

/// The runs with those of `2000::/3` left out, which has entries of its own.
fn elsewhere(v6: &[Run]) -> Vec<Run> {
    let (before, rest) = v6.split_at(v6.partition_point(|run| run.start < GLOBAL.start));
    let (inside, after) = rest.split_at(rest.partition_point(|run| run.start <= GLOBAL.end));
    let mut runs = RunsBuilder::new();
    for run in before {
        runs.begin(run.start, run.number);
    }
    if let Some(last) = inside.last() {
        runs.begin(GLOBAL.end, last.number);
    }
    for run in after {
        runs.begin(run.start, run.number);
    }
    runs.finish()
}

/// A block of addresses with more than one number.
#[derive(Clone, Copy)]
struct Block<'r> {
    /// Its runs; the first one may begin before it.
    runs: &'r [Run],
    /// Its first address.
    base: u128,
    /// How many bits it leaves open.
    open: u32,
}

/// What a block of addresses has.
#[derive(Clone, Copy)]
enum Part<'r> {
    Number(u16),
    Split(Block<'r>),
}

/// The blocks that leave `open` bits open, from `base` on.
fn pieces(runs: &[Run], base: u128, open: u32) -> impl Iterator<Item = Part<'_>> {
    let mut rest = runs;
    (0u128..).map(move |index| {
        let base = base | (index << open);
        rest = after(rest, base);
        Block::first(rest, base, open).part()
    })
}

/// The runs from the one on that has `start`.
fn after(mut runs: &[Run], start: u128) -> &[Run] {
    while let [_, rest @ ..] = runs
        && rest.first().is_some_and(|next| next.start <= start)
    {
        runs = rest;
    }
    runs
}

impl<'r> Block<'r> {
    /// The block at `base`, which the first run has.
    fn first(runs: &'r [Run], base: u128, open: u32) -> Self {
        let last = base | ((1 << open) - 1);
        let begun = runs
            .iter()
            .skip(1)
            .take_while(|run| run.start <= last)
            .count();
        Self {
            runs: runs.get(..=begun).unwrap_or(runs),
            base,
            open,
        }
    }

    fn part(self) -> Part<'r> {
        match self.runs {
            [] => Part::Number(0),
            [run] => Part::Number(run.number),
            _ => Part::Split(self),
        }
    }

    /// What each value of the next byte has, neighbours with the same number together.
    fn parts(self) -> Vec<(u8, Part<'r>)> {
        let mut parts: Vec<(u8, Part<'r>)> = Vec::new();
        for (part, byte) in pieces(self.runs, self.base, self.open - 8).zip(0..=u8::MAX) {
            match (parts.last(), part) {
                (Some((_, Part::Number(before))), Part::Number(number)) if *before == number => {}
                _ => parts.push((byte, part)),
            }
        }
        parts
    }

    /// All of it in one line, if it fits one.
    fn line(self) -> Option<Line> {
        let (_, starts) = self.runs.split_first()?;
        let whole = starts.iter().any(|run| run.start << 64 != 0);
        let (kind, room) = if whole {
            (KIND_RUNS128, RUNS128)
        } else {
            (KIND_RUNS, RUNS)
        };
        if self.runs.len() > room {
            return None;
        }
        // What is not used begins after every address, or repeats the last number where it cannot.
        let mut line = [u64::MAX; 8];
        let mut words = line.iter_mut().skip(STARTS_AT);
        for run in starts {
            let [hi, lo] = [upper(run.start), upper(run.start << 64)];
            for word in [Some(hi), whole.then_some(lo)].into_iter().flatten() {
                if let Some(at) = words.next() {
                    *at = word;
                }
            }
        }
        for rank in 0..room {
            let run = self.runs.get(rank).or(self.runs.last())?;
            set_half(&mut line, run_number_at(rank), run.number);
        }
        set_octet(&mut line, 0, kind);
        Some(line)
    }
}

fn upper(bits: u128) -> u64 {
    (bits >> 64) as u64
}

struct Compiler {
    root: Vec<Line>,
    nodes: Vec<Line>,
    /// How many `u16` at the end of the nodes are free for answers.
    spare: usize,
}

impl Compiler {
    /// The /16s from `base` on, into these entries of the root.
    fn enter_all(
        &mut self,
        runs: &[Run],
        base: u128,
        mut entries: Range<u32>,
    ) -> Result<(), TableError> {
        let first = entries.start;
        let mut rest = runs;
        while !entries.is_empty() {
            let start = base + (u128::from(entries.start - first) << ROOT_OPEN);
            rest = after(rest, start);
            // A run that has many whole blocks is entered at once; most lists have few runs.
            let whole = rest.get(1).map_or(entries.end, |next| {
                let blocks = u32::try_from((next.start - base) >> ROOT_OPEN);
                entries
                    .end
                    .min(first.saturating_add(blocks.unwrap_or(u32::MAX)))
            });
            if whole > entries.start {
                let number = rest.first().map_or(0, |run| run.number);
                // The root says nothing before anything is entered.
                for index in (entries.start..whole).filter(|_| number != 0) {
                    self.enter(index, Part::Number(number))?;
                }
                entries.start = whole;
            } else {
                let block = Block::first(rest, start, ROOT_OPEN);
                self.enter(entries.start, block.part())?;
                entries.start += 1;
            }
        }
        Ok(())
    }

    fn enter(&mut self, index: u32, part: Part<'_>) -> Result<(), TableError> {
        let entry = match part {
            Part::Number(number) => Entry::Number(number),
            Part::Split(block) => self.entry(block)?,
        };
        let (line, place) = (index as usize / ENTRIES, index as usize % ENTRIES);
        if let Some(line) = self.root.get_mut(line) {
            set_word(line, place, entry.word());
        }
        Ok(())
    }

    fn entry(&mut self, block: Block<'_>) -> Result<Entry, TableError> {
        let parts = block.parts();
        if block.line().is_some() || parts.len() <= INLINE {
            let line = self.reserve(1)?;
            self.fill(line, Part::Split(block))?;
            return Ok(Entry::Node(line));
        }
        if parts.iter().filter(|(_, part)| escapes(part)).count() >= FAN {
            let first = self.reserve(256)?;
            for (part, byte) in pieces(block.runs, block.base, block.open - 8).zip(0..256) {
                self.fill(first + byte, part)?;
            }
            return Ok(Entry::Fan(first));
        }
        self.chunk(&parts).map(Entry::Chunk)
    }

    fn chunk(&mut self, parts: &[(u8, Part<'_>)]) -> Result<u32, TableError> {
        let chunk = self.reserve(CHUNK_LINES as usize + 1)?;
        let escaped: Vec<_> = parts.iter().filter(|(_, part)| escapes(part)).collect();
        let children = self.reserve(escaped.len())?;
        let mut ranks = ranks(escaped.iter().map(|(byte, _)| *byte));
        set_word(&mut ranks, CHILDREN_AT, children);
        self.set(chunk + CHUNK_LINES, ranks);
        for (index, (first, part)) in parts.iter().enumerate() {
            let value = match part {
                Part::Number(number) if !escapes(part) => number.to_le_bytes()[0],
                Part::Number(_) | Part::Split(_) => ESCAPE,
            };
            let next = parts
                .get(index + 1)
                .map_or(256, |(byte, _)| u32::from(*byte));
            for byte in u32::from(*first)..next {
                if let Some(line) = self.nodes.get_mut((chunk + byte / 64) as usize) {
                    set_octet(line, byte as usize % 64, value);
                }
            }
        }
        for ((_, part), line) in escaped.iter().zip(children..) {
            self.fill(line, *part)?;
        }
        Ok(chunk)
    }

    /// Writes what a block has into a reserved line, and what that refers to after all lines so far.
    fn fill(&mut self, line: u32, part: Part<'_>) -> Result<(), TableError> {
        if let Part::Split(block) = part {
            self.shortcut(line, block);
        }
        let parts = match part {
            Part::Number(_) => vec![(0, part)],
            Part::Split(block) => match block.line() {
                Some(runs) => {
                    self.set(line, runs);
                    return Ok(());
                }
                None => block.parts(),
            },
        };
        let mut node = ranks(parts.iter().map(|(byte, _)| *byte));
        let split = parts
            .iter()
            .filter(|(_, part)| matches!(part, Part::Split(_)));
        let first = self.reserve(split.count())?;
        set_word(&mut node, CHILDREN_AT, first);
        let mut children = 0..;
        let answers = parts.iter().filter_map(|(_, part)| match part {
            Part::Number(number) => Some(*number),
            Part::Split(_) => children.next().map(|child| CHILD | child),
        });
        if parts.len() <= INLINE {
            answers
                .zip(INLINE_AT..)
                .for_each(|(answer, at)| set_half(&mut node, at, answer));
        } else {
            let place = self.place(parts.len())?;
            set_word(&mut node, ANSWERS_AT, place);
            for (answer, at) in answers.zip(place as usize..) {
                if let Some(line) = self.nodes.get_mut(at / HALVES) {
                    set_half(line, at % HALVES, answer);
                }
            }
        }
        self.set(line, node);
        let split = parts
            .iter()
            .filter(|(_, part)| matches!(part, Part::Split(_)));
        for ((_, part), line) in split.zip(first..) {
            self.fill(line, *part)?;
        }
        Ok(())
    }

    /// Leads to the line at once, if it is a /40 that has a shortcut to be found by, and if there is room.
    fn shortcut(&mut self, line: u32, block: Block<'_>) {
        if u128::BITS - block.open != SHORTCUT_LENGTH || !GLOBAL.contains(&block.base) {
            return;
        }
        let hi = upper(block.base);
        let shortcuts = self.root.get_mut(shortcut_line(hi) as usize);
        if let Some(word) = shortcuts.and_then(|line| line.iter_mut().find(|word| **word == 0)) {
            *word = shortcut_word(hi, line);
        }
    }

    fn set(&mut self, index: u32, value: Line) {
        if let Some(line) = self.nodes.get_mut(index as usize) {
            *line = value;
        }
    }

    /// Room for so many lines, and the first of them.
    fn reserve(&mut self, lines: usize) -> Result<u32, TableError> {
        let first = self.nodes.len();
        if lines > 0 {
            self.spare = 0;
        }
        if first + lines > MAX_LINES {
            return Err(TableError::Lines);
        }
        self.nodes.resize(first + lines, Line::default());
        u32::try_from(first).map_err(|_| TableError::Lines)
    }

    /// Room for so many answers, and the place of the first of them.
    fn place(&mut self, answers: usize) -> Result<u32, TableError> {
        let spare = self.spare;
        let lines = answers.saturating_sub(spare).div_ceil(HALVES);
        let first = self.reserve(lines)? as usize * HALVES - spare;
        self.spare = spare + lines * HALVES - answers;
        u32::try_from(first).map_err(|_| TableError::Lines)
    }
}

/// Whether a byte of a chunk cannot say this.
fn escapes(part: &Part<'_>) -> bool {
    match part {
        Part::Number(number) => *number >= u16::from(ESCAPE),
        Part::Split(_) => true,
    }
}

/// A node whose runs begin at these bytes, without answers.
fn ranks(begins: impl Iterator<Item = u8>) -> Line {
    let mut line = Line::default();
    let mut before = [0u8; 4];
    for byte in begins {
        let place = usize::from(byte / 64);
        if let Some(word) = line.get_mut(BITS_AT + place) {
            *word |= 1 << (byte % 64);
        }
        before.iter_mut().skip(place + 1).for_each(|it| *it += 1);
    }
    for (place, runs) in before.into_iter().enumerate() {
        set_octet(&mut line, RANKS_AT + place, runs);
    }
    line
}
