//! What an image may take of the host's disk: bytes and inodes.

use super::Problem;
use crate::limits::Limits;

/// The least that a file system takes for anything with a name.
const BLOCK: u64 = 4096;

/// Counts over all layers of an image.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    bytes_max: u64,
    entries: u64,
    entries_max: u64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { bytes: 0, bytes_max: limits.unpacked_max, entries: 0, entries_max: limits.entries_max }
    }

    /// Something with a name: an entry, or a directory that one stands in.
    pub(super) fn name(&mut self) -> Result<(), Problem> {
        self.entries += 1;
        if self.entries > self.entries_max {
            return Err(Problem::TooManyNames(self.entries_max));
        }
        self.content(BLOCK)
    }

    pub(super) fn content(&mut self, bytes: u64) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bytes_max {
            return Err(Problem::TooLarge(self.bytes_max));
        }
        Ok(())
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }
}
