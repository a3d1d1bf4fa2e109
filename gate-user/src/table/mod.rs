//! Prefix tables in memory: from prefixes or runs of addresses to the lines that [`gate_common::table`] looks up.
//!
//! Invariants, as absences: no I/O, no clock, no randomness: the same runs make the same bytes.

mod compile;
mod decompile;
mod line;
mod runs;
#[cfg(test)]
mod tests;

use gate_common::{
    Addr,
    table::{self, Line, Lines, MAX_NUMBER, ROOT_LINES},
};

use sha2::{Digest as _, Sha256};

pub(crate) use self::runs::RunsBuilder;
pub use self::runs::{Family, Run, Runs, addr, key};
use crate::hex;

/// How many lines a table can have: 256 MiB. Prefixes that lie far from one another need the most, since they share no
/// lines: a million single addresses at random take 84 MB in IPv4 and 159 MB in all of `2000::/3`. What does not fit is
/// found out on the way: how many lines a list needs depends on where its prefixes are, and no count of them tells.
pub const MAX_LINES: usize = 1 << 22;

/// A table as it goes into the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    root: Vec<Line>,
    nodes: Vec<Line>,
}

/// Runs that make no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// They need too many lines.
    #[error(
        "it needs more than {} MiB, which is as large as a table can be",
        (MAX_LINES * size_of::<Line>()) >> 20
    )]
    Lines,
    /// A number is too large.
    #[error("it has the number {0}; the largest is {MAX_NUMBER}")]
    Number(u16),
}

impl Table {
    /// The table of these runs.
    pub fn new(runs: &Runs) -> Result<Self, TableError> {
        compile::compile(runs)
    }

    /// The lines of the root.
    #[must_use]
    pub fn root(&self) -> &[Line] {
        &self.root
    }

    /// The lines of the nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Line] {
        &self.nodes
    }

    /// The number of `addr`; 0 is nothing.
    #[must_use]
    pub fn get(&self, addr: Addr) -> u16 {
        table::lookup(&self, addr)
    }

    /// A table from its lines.
    #[must_use]
    pub fn from_lines(root: Vec<Line>, nodes: Vec<Line>) -> Self {
        Self { root, nodes }
    }

    /// The runs that it is made of.
    #[must_use]
    pub fn runs(&self) -> Runs {
        decompile::decompile(self)
    }

    /// The SHA-256 of what its lines say, in hexadecimal digits: of those of the root that say something, each with its
    /// place, and of the nodes.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        for (line, place) in self.root.iter().zip(0u64..) {
            if *line != Line::default() {
                digest.update(place.to_ne_bytes());
                digest.update(bytemuck::cast_slice(line));
            }
        }
        digest.update(bytemuck::cast_slice(&self.nodes));
        hex(&digest.finalize())
    }

    /// How many bytes of memory its lines take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Line>() * (self.root.len() + self.nodes.len())
    }
}

impl Default for Table {
    /// The table that says nothing about any address.
    fn default() -> Self {
        Self {
            root: vec![Line::default(); ROOT_LINES],
            nodes: vec![Line::default()],
        }
    }
}

impl<'t> Lines for &'t Table {
    type Line = &'t Line;

    fn root(&self, index: u32) -> Option<&'t Line> {
        self.root.get(index as usize)
    }

    fn node(&self, index: u32) -> Option<&'t Line> {
        self.nodes.get(index as usize)
    }
}
