//! The log of one function: files of a bounded size, the oldest of which goes when there are too many bytes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::FunctionId;
use tokio::sync::watch;

use super::chunk::Chunk;
use super::line;
use crate::durable::{self, FileError, at, list};

const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;
/// A log has at least so many files, so that losing the oldest is losing little.
const SEGMENTS_MIN: u64 = 8;
/// Written at once, and a line more.
const BATCH_BYTES_MAX: u64 = 64 * 1024;
/// What one function may write for long; one that writes more waits.
const PACE_BYTES_PER_SECOND: f64 = 4.0 * 1024.0 * 1024.0;
/// What it may write beyond that for a moment.
const BURST: Duration = Duration::from_secs(1);

/// All but [`FunctionLog::pace`] and [`FunctionLog::watch`] wait for the disk.
#[derive(Debug)]
pub struct FunctionLog {
    pub function: FunctionId,
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
    pace: Mutex<Option<Instant>>,
    changed: watch::Sender<()>,
}

/// One file, as far as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub number: u64,
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first; not known until somebody writes or reads.
    segments: Option<VecDeque<Segment>>,
    /// The function is deleted.
    removed: bool,
    /// The last attempt to write failed.
    failing: bool,
}

impl FunctionLog {
    pub fn new(function: FunctionId, folder: PathBuf, bytes_max: u64) -> Self {
        let (state, pace, changed) = (Mutex::default(), Mutex::default(), watch::Sender::new(()));
        Self { function, folder, bytes_max, state, pace, changed }
    }

    /// Returns how many bytes the lines are on disk. What cannot be written is dropped.
    pub fn append(&self, instance: &str, chunk: &Chunk) -> u64 {
        let batch_bytes_max = BATCH_BYTES_MAX.min(self.segment_bytes_max()) as usize;
        let (mut batch, mut total) = (Vec::new(), 0);
        let mut state = self.lock();
        let mut flush = |state: &mut State, batch: &mut Vec<u8>| {
            total += batch.len() as u64;
            self.write_or_drop(state, batch);
            batch.clear();
        };
        for text in chunk.lines() {
            line::encode(&mut batch, Timestamp::now(), instance, text);
            if batch.len() >= batch_bytes_max {
                flush(&mut state, &mut batch);
            }
        }
        flush(&mut state, &mut batch);
        drop(state);
        self.changed.send_replace(());
        total
    }

    /// Until when whoever wrote so many bytes is to wait.
    pub fn pace(&self, bytes: u64) -> Option<Instant> {
        let now = Instant::now();
        let mut until = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = until.map_or(earliest, |until| until.max(earliest));
        let next = from + Duration::from_secs_f64(bytes as f64 / PACE_BYTES_PER_SECOND);
        *until = Some(next);
        (next > now).then_some(next)
    }

    /// Told after each change.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The files as they are now, the oldest first; `None` when the function is deleted.
    pub fn segments(&self) -> Result<Option<Vec<Segment>>, FileError> {
        let mut state = self.lock();
        if state.removed {
            return Ok(None);
        }
        Ok(Some(self.load(&mut state)?.iter().copied().collect()))
    }

    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:010}.log"))
    }

    /// With the function: what is still written is dropped.
    pub fn remove(&self) {
        let mut state = self.lock();
        state.removed = true;
        if let Err(error) = remove_folder(&self.folder) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(function = %self.function, error, "log is not removed, the next start tries again");
        }
        drop(state);
        self.changed.send_replace(());
    }

    fn write_or_drop(&self, state: &mut State, batch: &[u8]) {
        if state.removed || batch.is_empty() {
            return;
        }
        let written = self.write(state, batch);
        if let (Err(error), false) = (&written, state.failing) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(function = %self.function, error, "log cannot be written, lines are dropped until it can");
        }
        state.failing = written.is_err();
    }

    fn write(&self, state: &mut State, batch: &[u8]) -> Result<(), FileError> {
        let segment_bytes_max = self.segment_bytes_max();
        let bytes = batch.len() as u64;
        let segments = self.load(state)?;
        let newest = segments.back().copied().unwrap_or(Segment { number: 0, bytes: u64::MAX });
        if newest.bytes.saturating_add(bytes) > segment_bytes_max {
            segments.push_back(Segment { number: newest.number + 1, bytes: 0 });
        }
        while segments.len() > 1 && total(segments) + bytes > self.bytes_max {
            let oldest = segments[0];
            durable::remove_unsynced(&self.path(oldest.number))?;
            segments.pop_front();
        }
        let Some(newest) = segments.back_mut() else { return Ok(()) };
        let path = self.path(newest.number);
        let mut file = match open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                durable::make_dir(&self.folder)?;
                open(&path)
            }
            file => file,
        }
        .map_err(at("open", &path))?;
        if let Err(error) = file.write_all(batch) {
            // The next line must not be glued to half of this one.
            let _ = file.set_len(newest.bytes);
            return Err(at("write", &path)(error));
        }
        newest.bytes += bytes;
        Ok(())
    }

    fn load<'a>(&self, state: &'a mut State) -> Result<&'a mut VecDeque<Segment>, FileError> {
        if state.segments.is_none() {
            state.segments = Some(load(&self.folder)?);
        }
        Ok(state.segments.get_or_insert_default())
    }

    fn segment_bytes_max(&self) -> u64 {
        SEGMENT_BYTES_MAX.min(self.bytes_max / SEGMENTS_MIN)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn remove_folder(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Not held open: a host has more functions than a process may have files.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = libc::O_NOFOLLOW;
    File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)
}

/// What an earlier platform left. One that was killed may have left half a line at the end.
fn load(folder: &Path) -> Result<VecDeque<Segment>, FileError> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".log")?.parse::<u64>().ok();
    let mut segments = Vec::new();
    for path in list(folder)? {
        if let Some(number) = number(&path) {
            let bytes = path.metadata().map_err(at("examine", &path))?.len();
            segments.push(Segment { number, bytes });
        }
    }
    segments.sort_by_key(|segment| segment.number);
    if let Some(last) = segments.last().copied()
        && !ends_with_a_line(&folder.join(format!("{:010}.log", last.number)), last.bytes)
    {
        segments.push(Segment { number: last.number + 1, bytes: 0 });
    }
    Ok(segments.into())
}

fn ends_with_a_line(path: &Path, bytes: u64) -> bool {
    let mut last = [0];
    let read = File::open(path).and_then(|file| file.read_at(&mut last, bytes.saturating_sub(1)));
    bytes == 0 || (matches!(read, Ok(1)) && last == *b"\n")
}

fn total(segments: &VecDeque<Segment>) -> u64 {
    segments.iter().map(|segment| segment.bytes).sum()
}
