//! `minke image`: the images of this machine's platform.

mod import;
mod list;
mod remove;

use clap::{Args, Subcommand};

use crate::error::Failure;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docker save hello | minke image import -\n  minke image import hello.tar\n  \
                        minke image list\n  minke image remove hello\n\n\
                        The images are in the data folder of `minke up`, so these commands need its rights (root)."
)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Take in an image from a file or a folder
    Import(import::ImportArgs),
    /// List the images of the store
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Remove an image from the store
    #[command(visible_alias = "rm")]
    Remove(remove::RemoveArgs),
}

pub fn run(args: ImageArgs) -> Result<(), Failure> {
    match args.command {
        ImageCommand::Import(args) => import::run(args),
        ImageCommand::List(args) => list::run(args),
        ImageCommand::Remove(args) => remove::run(args),
    }
}
