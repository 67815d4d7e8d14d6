//! `minke image list`: what the store holds.

use clap::Args;
use image::ImageEntry;
use serde::Serialize;

use crate::error::Failure;
use crate::flags::DataDirFlag;
use crate::{images, printer};

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// The images as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDirFlag,
}

pub fn run(args: ListArgs) -> Result<(), Failure> {
    let store = images::open_store(&args.data_dir.data_dir)?;
    let mut entries = store.list().map_err(|error| images::failure(&error))?;
    entries.sort_by_key(|entry| entry.reference.familiar());
    if args.json {
        return printer::json(&entries.iter().map(Row::from).collect::<Vec<_>>());
    }
    printer::data(match args.quiet {
        true => entries.iter().map(|entry| format!("{}\n", entry.reference.familiar())).collect(),
        false => table(&entries),
    })
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    digest: String,
    size: Option<u64>,
    created: Option<String>,
}

impl From<&ImageEntry> for Row {
    fn from(entry: &ImageEntry) -> Self {
        Self {
            name: entry.reference.familiar(),
            digest: entry.digest.to_string(),
            size: entry.size,
            created: entry.created.map(|created| created.to_string()),
        }
    }
}

fn table(entries: &[ImageEntry]) -> String {
    let names: Vec<String> = entries.iter().map(|entry| entry.reference.familiar()).collect();
    let width = names.iter().map(String::len).max().unwrap_or_default().max(30);
    let mut table = format!("{:<width$} {:<12} {:>10} {}\n", "Image", "Digest", "Size", "Created");
    for (entry, name) in entries.iter().zip(&names) {
        let digest: String = entry.digest.hex().chars().take(12).collect();
        let size = entry.size.map_or("damaged".to_owned(), megabytes);
        // What is built to be the same every time claims the first second of 1970.
        let created = entry.created.filter(|created| created.as_second() != 0);
        let created = created.map(|created| created.strftime("%Y-%m-%d %H:%M:%S").to_string());
        table += &format!("{name:<width$} {digest} {size:>10} {}\n", created.as_deref().unwrap_or("unknown"));
    }
    table
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
