//! Bytes as they come from a stream, cut into lines.

/// A longer line is cut into pieces.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// What came and is not a whole line yet.
#[derive(Debug, Default)]
pub struct Cutter {
    pending: Vec<u8>,
}

/// Whole lines.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    /// Where each line ends in `bytes`; the next one begins there.
    ends: Vec<usize>,
}

impl Cutter {
    pub fn cut(&mut self, bytes: &[u8]) -> Chunk {
        let mut chunk = Chunk { bytes: std::mem::take(&mut self.pending), ends: Vec::new() };
        chunk.bytes.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(end) = line_end(&chunk.bytes[begin..]) {
            begin += end;
            chunk.ends.push(begin);
        }
        self.pending = chunk.bytes.split_off(begin);
        chunk
    }

    /// What was written last, without the end of its line.
    pub fn rest(self) -> Chunk {
        let ends = if self.pending.is_empty() { Vec::new() } else { vec![self.pending.len()] };
        Chunk { bytes: self.pending, ends }
    }
}

impl Chunk {
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Without their ends.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let begin = |n: usize| if n == 0 { 0 } else { self.ends[n - 1] };
        (0..self.ends.len()).map(move |n| {
            let line = &self.bytes[begin(n)..self.ends[n]];
            let Some(line) = line.strip_suffix(b"\n") else { return line };
            line.strip_suffix(b"\r").unwrap_or(line)
        })
    }
}

/// How far the first line, or piece of one, goes.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n').map(|at| at + 1);
    end.or_else(|| (bytes.len() >= LINE_BYTES_MAX).then(|| character_start(bytes, LINE_BYTES_MAX)))
}

/// No character is cut in two, as far as there are characters.
fn character_start(bytes: &[u8], at: usize) -> usize {
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (at - 3..=at).rev().find(is_start).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chunk: &Chunk) -> Vec<String> {
        chunk.lines().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn lines_come_whole_however_they_are_written() {
        let text = "one\n\n  two \r\nkäse\n";
        for size in 1..text.len() {
            let mut cutter = Cutter::default();
            let mut lines = Vec::new();
            text.as_bytes().chunks(size).for_each(|bytes| lines.extend(texts(&cutter.cut(bytes))));
            assert_eq!(lines, ["one", "", "  two ", "käse"], "{size}");
            assert!(cutter.rest().is_empty());
        }
        let mut cutter = Cutter::default();
        assert_eq!(texts(&cutter.cut(b"a\nb")), ["a"]);
        assert_eq!(texts(&cutter.rest()), ["b"]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = format!("{}\nend\n", "ä€".repeat(10_000));
        let mut cutter = Cutter::default();
        let mut lines = Vec::new();
        text.as_bytes().chunks(1000).for_each(|bytes| lines.extend(texts(&cutter.cut(bytes))));
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX && !line.contains('\u{fffd}')));
        assert_eq!(lines.concat(), text.replace('\n', ""));
        assert_eq!(lines.last().map(String::as_str), Some("end"));
        // What is no text at all is bounded, too.
        let mut cutter = Cutter::default();
        let pieces = cutter.cut(&[0x80; 50_000]);
        assert!(pieces.lines().count() == 3 && pieces.lines().all(|line| line.len() <= LINE_BYTES_MAX));
    }
}
