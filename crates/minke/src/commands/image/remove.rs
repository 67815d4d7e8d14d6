//! `minke image remove`: forgets a name, and what nothing else needs.

use clap::Args;
use model::ImageRef;

use self::wishes::Wishes;
use crate::error::Failure;
use crate::flags::DataDirFlag;
use crate::{images, printer};

mod wishes;

#[derive(Debug, Args)]
#[command(
    after_help = "An image that a function was deployed from stays, whether the platform runs or not; remove the function first."
)]
pub struct RemoveArgs {
    /// Names of images
    #[arg(value_name = "IMAGE", required = true, value_parser = images::reference)]
    references: Vec<ImageRef>,
    #[command(flatten)]
    data_dir: DataDirFlag,
}

pub fn run(args: RemoveArgs) -> Result<(), Failure> {
    let store = images::open_store(&args.data_dir.data_dir)?;
    // A platform that is down holds no lock on what its functions run from.
    let wishes = Wishes::read(&args.data_dir.data_dir)
        .map_err(|reason| Failure::general(format_args!("no image is removed: {reason}")))?;
    let entries = store.list().map_err(|error| images::failure(&error))?;
    let mut failed = false;
    for reference in &args.references {
        let entry = entries.iter().find(|entry| entry.reference == *reference);
        if let Some(function) = entry.and_then(|entry| wishes.function_of(&entry.digest)) {
            failed = true;
            let name = reference.familiar();
            printer::tell(format_args!(
                "{name} is needed by the function {function}; remove the function first"
            ));
            continue;
        }
        match store.remove(reference, &|digest| wishes.function_of(digest).is_some()) {
            Ok(_) => printer::data(format_args!("Removed: {}\n", reference.familiar()))?,
            Err(error) => {
                failed = true;
                printer::tell(images::failure(&error));
            }
        }
    }
    if failed { Err(Failure::told()) } else { Ok(()) }
}
