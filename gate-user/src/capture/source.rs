//! A file, read from its beginning to its end.

use std::io::{self, Read};

use super::Cause;

/// What is read from, and how far it was read.
pub(super) struct Source<R> {
    reader: R,
    position: u64,
    begun: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
            begun: 0,
        }
    }

    /// Where the record begins that is being read.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Begins a record: reads the `length` octets of its header into `buffer`, alone. Says whether there is one.
    pub(super) fn begin(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<bool, Cause> {
        self.begun = self.position;
        buffer.clear();
        match self.append(buffer, length)? {
            0 => Ok(false),
            read if read == length => Ok(true),
            _ => Err(Cause::Cut),
        }
    }

    /// Reads `length` octets more into `buffer`.
    pub(super) fn more(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<(), Cause> {
        if self.append(buffer, length)? == length {
            Ok(())
        } else {
            Err(Cause::Cut)
        }
    }

    /// Reads `length` octets and forgets them.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), Cause> {
        let skipped = io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?;
        self.position += skipped;
        if skipped == length {
            Ok(())
        } else {
            Err(Cause::Cut)
        }
    }

    /// Memory grows as octets come, whatever `length` promises.
    fn append(&mut self, buffer: &mut Vec<u8>, length: usize) -> io::Result<usize> {
        let mut part = self.reader.by_ref().take(length as u64);
        let read = part.read_to_end(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}
