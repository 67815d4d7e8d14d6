//! `minke image import`: what `docker save`, `buildah push oci:…` and the like have written.

use std::path::{Path, PathBuf};

use clap::Args;
use image::ImportOptions;
use model::ImageRef;

use crate::error::Failure;
use crate::flags::DataDirFlag;
use crate::{images, printer};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// An archive of `docker save`, or an OCI layout as a folder or an archive; - for standard input
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// Name the image so, in place of the name in the archive
    #[arg(long, value_name = "IMAGE", value_parser = images::reference)]
    name: Option<ImageRef>,
    #[command(flatten)]
    data_dir: DataDirFlag,
}

pub fn run(args: ImportArgs) -> Result<(), Failure> {
    let from_stdin = args.path == Path::new("-");
    if !from_stdin && !args.path.exists() {
        return Err(Failure::usage(format_args!("{} is not there", args.path.display())));
    }
    let store = images::open_store(&args.data_dir.data_dir)?;
    let options = ImportOptions { name: args.name };
    let imported = match from_stdin {
        true => store.import_reader(&mut std::io::stdin().lock(), &options),
        false => store.import(&args.path, &options),
    };
    let names = imported.map_err(|error| images::failure(&error))?;
    printer::data(names.iter().map(|name| format!("Imported: {}\n", name.familiar())).collect::<String>())
}
