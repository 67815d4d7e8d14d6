//! `minke image remove`: forgets a name, and what nothing else needs.

use clap::Args;
use model::ImageRef;

use crate::error::Failure;
use crate::flags::DataDirFlag;
use crate::{images, printer};

#[derive(Debug, Args)]
#[command(after_help = "What a running function was started from stays on disk until the function ends.")]
pub struct RemoveArgs {
    /// Names of images
    #[arg(value_name = "IMAGE", required = true, value_parser = images::reference)]
    references: Vec<ImageRef>,
    #[command(flatten)]
    data_dir: DataDirFlag,
}

pub fn run(args: RemoveArgs) -> Result<(), Failure> {
    let store = images::open_store(&args.data_dir.data_dir)?;
    let mut failed = false;
    for reference in &args.references {
        // The platform holds a lock on what its functions run from.
        match store.remove(reference, &|_| false) {
            Ok(_) => printer::data(format_args!("Removed: {}\n", reference.familiar()))?,
            Err(error) => {
                failed = true;
                printer::tell(images::failure(&error));
            }
        }
    }
    if failed { Err(Failure::told()) } else { Ok(()) }
}
