//! A function that is started for each request (mode streaming): it prints what the watchdog tells it.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let length = io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (name, value) in variables {
        writeln!(out, "{}={}", name.to_string_lossy(), value.to_string_lossy())?;
    }
    writeln!(out, "stdin={length} bytes")?;
    out.flush()
}
