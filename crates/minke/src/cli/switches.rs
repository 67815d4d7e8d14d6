//! `--verbose=true` and `--verbose=false`: scripts made for Go programs write switches with values.

use std::ffi::OsString;

use clap::{ArgAction, Command};

use crate::flags::boolean;

/// Turns `--switch=true` into `--switch` and leaves `--switch=false` out.
pub fn without_values(definition: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let named = words
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .find_map(|word| definition.find_subcommand(word));
    let Some(command) = named else { return words };
    let mut ended = false;
    words
        .into_iter()
        .filter_map(|word| {
            ended |= word == "--";
            if ended { Some(word) } else { rewrite(command, word) }
        })
        .collect()
}

fn rewrite(command: &Command, word: OsString) -> Option<OsString> {
    let Some((name, value)) = word.to_str().and_then(|word| word.split_once('=')) else { return Some(word) };
    let is_switch = command.get_arguments().any(|arg| {
        let short = arg.get_short().is_some_and(|short| name == format!("-{short}"));
        let long = arg.get_long().is_some_and(|long| name == format!("--{long}"));
        matches!(arg.get_action(), ArgAction::SetTrue) && (short || long)
    });
    match boolean(value) {
        Ok(true) if is_switch => Some(name.into()),
        Ok(false) if is_switch => None,
        _ => Some(word),
    }
}
