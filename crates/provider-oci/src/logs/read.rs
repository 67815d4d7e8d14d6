//! Lines as somebody asks for them, from disk alone: who reads slowly holds up nobody and costs no memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::stream;
use jiff::Timestamp;
use model::{LogLine, LogQuery};
use provider::{LogStream, ProviderError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::line;
use super::store::{FunctionLog, Segment};
use crate::blocking;
use crate::durable::{FileError, at};

/// Read at once; longer than any line.
const READ_BYTES: usize = 128 * 1024;
/// Told in place of lines that were removed before they were read.
const GAP: &str = "lines are missing here: more was written than is kept before this reader came to it";
/// Who tells that.
const GAP_INSTANCE: &str = "minke";

/// Ends after the last line, or, when it is to follow, with the function or the platform.
pub async fn read(
    log: Arc<FunctionLog>,
    query: LogQuery,
    end: CancellationToken,
) -> Result<LogStream, ProviderError> {
    let function = query.function.clone();
    let changed = query.follow.then(|| log.watch());
    let opened = blocking(move || Cursor::open(log, query)).await;
    let cursor = match opened {
        Ok(Ok(Some(cursor))) => cursor,
        Ok(Ok(None)) => return Err(ProviderError::function_not_found(&function)),
        Ok(Err(error)) => return Err(ProviderError::backend(format!("read the log of {function}"), error)),
        Err(error) => return Err(ProviderError::backend(format!("read the log of {function}"), error)),
    };
    let reader = Reader { cursor: Some(cursor), ready: VecDeque::new(), changed, end };
    let next = async |mut reader: Reader| reader.next().await.map(|line| (line, reader));
    Ok(Box::pin(stream::unfold(reader, move |reader| Box::pin(next(reader)))))
}

struct Reader {
    /// Away while a thread reads; gone when nothing more is to come.
    cursor: Option<Cursor>,
    ready: VecDeque<LogLine>,
    changed: Option<watch::Receiver<()>>,
    end: CancellationToken,
}

/// Where a reader is.
struct Cursor {
    log: Arc<FunctionLog>,
    query: LogQuery,
    segment: u64,
    offset: u64,
    file: Option<File>,
    /// Matching lines to be passed over.
    skip: usize,
    /// What is written later is not asked for.
    stop: Option<Segment>,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogLine, ProviderError>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            let mut cursor = self.cursor.take()?;
            if let Some(changed) = &mut self.changed {
                changed.mark_unchanged();
            }
            let read = blocking(move || (cursor.step(), cursor)).await;
            let (lines, cursor) = match read {
                Ok((Ok(Some(lines)), cursor)) => (lines, cursor),
                // The function is gone, and its log with it.
                Ok((Ok(None), _)) | Err(_) => return None,
                Ok((Err(error), _)) => return Some(Err(ProviderError::backend("read the log", error))),
            };
            self.cursor = Some(cursor);
            if lines.is_empty() {
                let changed = self.changed.as_mut()?;
                tokio::select! {
                    () = self.end.cancelled() => return None,
                    more = changed.changed() => more.ok()?,
                }
            }
            self.ready = lines;
        }
    }
}

impl Cursor {
    /// `None` when the function is deleted.
    fn open(log: Arc<FunctionLog>, query: LogQuery) -> Result<Option<Cursor>, FileError> {
        let Some(segments) = log.segments()? else { return Ok(None) };
        let newest = segments.last().copied().unwrap_or(Segment { number: 0, bytes: 0 });
        let stop = (!query.follow).then_some(newest);
        let oldest = segments.first().map_or(0, |segment| segment.number);
        let mut cursor = Cursor { log, query, segment: oldest, offset: 0, file: None, skip: 0, stop };
        if let Some(tail) = cursor.query.tail {
            cursor.wind_back(&segments, tail)?;
        }
        Ok(Some(cursor))
    }

    /// Moves to where the last `tail` lines begin.
    fn wind_back(&mut self, segments: &[Segment], tail: usize) -> Result<(), FileError> {
        if let (0, Some(newest)) = (tail, segments.last()) {
            (self.segment, self.offset) = (newest.number, newest.bytes);
            return Ok(());
        }
        let mut found = 0;
        for segment in segments.iter().rev() {
            (self.segment, self.offset, self.file) = (segment.number, 0, None);
            while let Some(lines) = self.read_until(segment.bytes)? {
                found += lines.len();
            }
            if found >= tail {
                self.skip = found - tail;
                break;
            }
        }
        (self.offset, self.file) = (0, None);
        Ok(())
    }

    /// The next lines; none when there are no more now, `None` when there will never be.
    fn step(&mut self) -> Result<Option<VecDeque<LogLine>>, FileError> {
        let Some(segments) = self.log.segments()? else { return Ok(None) };
        let mut ready = VecDeque::new();
        loop {
            while let Some(lines) = self.read_until(self.limit(&segments))? {
                let skipped = self.skip.min(lines.len());
                self.skip -= skipped;
                ready.extend(lines.into_iter().skip(skipped));
                if !ready.is_empty() {
                    return Ok(Some(ready));
                }
            }
            let is_asked_for =
                |segment: &&Segment| self.stop.is_none_or(|stop| segment.number <= stop.number);
            let next = segments.iter().find(|segment| segment.number > self.segment).filter(is_asked_for);
            let Some(next) = next else { return Ok(Some(ready)) };
            if next.number != self.segment + 1 {
                ready.push_back(self.gap());
            }
            (self.segment, self.offset, self.file) = (next.number, 0, None);
        }
    }

    /// How far the current file goes. One that was removed while it was read is complete.
    fn limit(&self, segments: &[Segment]) -> u64 {
        if let Some(stop) = self.stop.filter(|stop| stop.number == self.segment) {
            return stop.bytes;
        }
        let known = segments.iter().find(|segment| segment.number == self.segment);
        known.map_or(u64::MAX, |segment| segment.bytes)
    }

    /// The matching lines of the next bytes of the current file, `None` at its end.
    fn read_until(&mut self, limit: u64) -> Result<Option<Vec<LogLine>>, FileError> {
        let path = self.log.path(self.segment);
        let left = limit.saturating_sub(self.offset);
        if left == 0 {
            return Ok(None);
        }
        let file = match &self.file {
            Some(file) => file,
            None => match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => self.file.insert(file.map_err(at("open", &path))?),
            },
        };
        let mut bytes = vec![0; READ_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let count = file.read_at(&mut bytes, self.offset).map_err(at("read", &path))?;
        if count == 0 {
            return Ok(None);
        }
        let Some(last) = bytes[..count].iter().rposition(|byte| *byte == b'\n') else {
            // Torn by a crash, or nothing of ours.
            self.offset += count as u64;
            return Ok(Some(Vec::new()));
        };
        let whole = last + 1;
        self.offset += whole as u64;
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        Ok(Some(
            lines
                .filter_map(|line| line::decode(line, &self.log.function))
                .filter(|l| self.wants(l))
                .collect(),
        ))
    }

    fn wants(&self, line: &LogLine) -> bool {
        self.query.instance.as_ref().is_none_or(|instance| *instance == line.instance)
            && self.query.since.is_none_or(|since| line.timestamp >= since)
    }

    fn gap(&self) -> LogLine {
        LogLine {
            function: self.log.function.clone(),
            instance: GAP_INSTANCE.to_owned(),
            timestamp: Timestamp::now(),
            text: GAP.to_owned(),
        }
    }
}
