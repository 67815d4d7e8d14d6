//! The command line: what there is to say, and where each command goes.

mod refusal;
mod switches;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    build, deploy, describe, image, invoke, list, login, logout, remove, scale, up, version,
};
use crate::error::Failure;

/// Functions as a service in one binary, OpenFaaS-compatible
#[derive(Debug, Parser)]
#[command(
    name = "minke",
    version,
    propagate_version = false,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "A first tour:\n  minke up --demo                     # as root: the platform, and a sample function\n  \
                  echo hi | minke invoke hello\n  minke list\n\n\
                  Exit codes: 0 done; 1 tried and failed; 64 wrong flags, stack file or configuration.\n\
                  `minke COMMAND --help` tells more about each command."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform
    Up(up::UpArgs),
    /// Build images for functions
    Build(build::BuildArgs),
    /// Deploy functions
    // Boxed for being several times the size of the others.
    Deploy(Box<deploy::DeployArgs>),
    /// List functions
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show all that is known of a function
    Describe(describe::DescribeArgs),
    /// Call a function
    Invoke(invoke::InvokeArgs),
    /// Set the number of replicas of a function
    Scale(scale::ScaleArgs),
    /// Remove functions
    #[command(visible_aliases = ["rm", "delete"])]
    Remove(remove::RemoveArgs),
    /// Manage the images of this machine
    Image(image::ImageArgs),
    /// Check and keep a password for a gateway
    Login(login::LoginArgs),
    /// Forget the password for a gateway
    Logout(logout::LogoutArgs),
    /// Show versions
    Version(version::VersionArgs),
}

/// Reads the command line and does what it says; the answer is for the shell.
pub fn run() -> ExitCode {
    let mut definition = Cli::command();
    definition.build();
    let words: Vec<_> = std::env::args_os().collect();
    let named = words.iter().skip(1).filter_map(|word| word.to_str());
    let subcommand =
        named.filter_map(|word| definition.find_subcommand(word)).next().map(|c| c.get_name().to_owned());
    let words = switches::without_values(&definition, words);
    let parsed =
        definition.try_get_matches_from_mut(words).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed.map_err(|error| refusal::into_failure(error, subcommand.as_deref())) {
        Ok(cli) => dispatch(cli.command).map_or_else(Failure::report, |()| ExitCode::SUCCESS),
        Err(Some(failure)) => failure.report(),
        Err(None) => ExitCode::SUCCESS,
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Build(args) => build::run(args),
        Command::Deploy(args) => deploy::run(*args),
        Command::List(args) => list::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Invoke(args) => invoke::run(args),
        Command::Scale(args) => scale::run(args),
        Command::Remove(args) => remove::run(args),
        Command::Image(args) => image::run(args),
        Command::Login(args) => login::run(args),
        Command::Logout(args) => logout::run(args),
        Command::Version(args) => version::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
