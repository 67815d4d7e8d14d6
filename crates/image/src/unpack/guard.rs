//! Stands between a compressed stream and its reader: hashes what comes out and ends it when it is too much.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use model::image::Digest;
use sha2::{Digest as _, Sha256};

use super::Problem;
use super::decompress::{Compression, decompress};
use crate::limits::Limits;

/// Read by shared reference, because the archive parser holds one while we ask and set things in between.
pub(crate) struct Guard<'a> {
    stream: RefCell<Box<dyn Read + 'a>>,
    hasher: RefCell<Sha256>,
    consumed: Rc<Cell<u64>>,
    produced: Cell<u64>,
    produced_max: u64,
    ratio_max: u64,
    ratio_floor: u64,
    /// What may still be read as headers; `None` while content is read.
    headers_left: Cell<Option<u64>>,
    headers_max: Cell<u64>,
    tripped: RefCell<Option<Problem>>,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(archive: impl Read + 'a, limits: &Limits, bytes_max: u64) -> io::Result<Self> {
        let consumed = Rc::new(Cell::new(0));
        let counted = Counted { inner: archive, count: consumed.clone() };
        let (compression, stream) = decompress(counted)?;
        let tripped = (compression == Compression::Other).then_some(Problem::Compression);
        Ok(Self {
            stream: RefCell::new(stream),
            hasher: RefCell::default(),
            consumed,
            produced: Cell::new(0),
            // Headers and padding come on top of contents, yet not without end.
            produced_max: bytes_max.saturating_add(limits.entries_max.saturating_mul(1024)),
            ratio_max: limits.ratio_max,
            ratio_floor: limits.ratio_floor,
            headers_left: Cell::new(None),
            headers_max: Cell::new(0),
            tripped: RefCell::new(tripped),
        })
    }

    /// Until [`end_headers`](Guard::end_headers) no more than `max` bytes can be read: the parser keeps them in memory.
    pub(crate) fn begin_headers(&self, max: u64) {
        self.headers_max.set(max);
        self.headers_left.set(Some(max));
    }

    pub(crate) fn end_headers(&self) {
        self.headers_left.set(None);
    }

    /// Which bound ended the stream, if one did. The parser hides our error in its own.
    pub(crate) fn tripped(&self) -> Option<Problem> {
        self.tripped.borrow().clone()
    }

    /// Of everything that was read.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_sha256(self.hasher.borrow().clone().finalize().into())
    }

    fn trip(&self, problem: Problem) -> io::Error {
        let error = io::Error::other(problem.to_string());
        self.tripped.borrow_mut().get_or_insert(problem);
        error
    }

    fn check(&self) -> io::Result<()> {
        let produced = self.produced.get();
        if produced > self.produced_max {
            return Err(self.trip(Problem::TooLarge(self.produced_max)));
        }
        if produced > self.ratio_floor && produced / self.consumed.get().max(1) > self.ratio_max {
            return Err(self.trip(Problem::Ratio(self.ratio_max)));
        }
        Ok(())
    }
}

impl Read for &Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(problem) = self.tripped() {
            return Err(io::Error::other(problem.to_string()));
        }
        let count = self.stream.borrow_mut().read(buffer)?;
        self.hasher.borrow_mut().update(&buffer[..count]);
        self.produced.set(self.produced.get() + count as u64);
        self.check()?;
        if let Some(left) = self.headers_left.get() {
            match left.checked_sub(count as u64) {
                Some(left) => self.headers_left.set(Some(left)),
                None => return Err(self.trip(Problem::HeaderTooLarge(self.headers_max.get()))),
            }
        }
        Ok(count)
    }
}

struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}
