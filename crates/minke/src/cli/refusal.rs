//! What clap refuses, in our form: one line and exit code 64. Help goes to stdout and is no failure.

use clap::Error;
use clap::error::ErrorKind;

use crate::error::Failure;
use crate::printer;

/// Longest problem that is shown; clap repeats values whole.
const PROBLEM_MAX: usize = 500;

/// `None` when the text was asked for.
pub fn into_failure(error: Error, subcommand: Option<&str>) -> Option<Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion => printer::data(error.render()).err(),
        _ => Some(Failure::usage(one_line(&error.render().to_string(), subcommand))),
    }
}

/// The problem and the tips of clap's message, without its usage block.
fn one_line(rendered: &str, subcommand: Option<&str>) -> String {
    let paragraphs = rendered.split("\n\n").map(str::trim);
    let mut parts: Vec<String> = Vec::new();
    let mut command = subcommand.map_or("minke".to_owned(), |name| format!("minke {name}"));
    for paragraph in paragraphs {
        if let Some(usage) = paragraph.strip_prefix("Usage: ") {
            let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
            command = usage
                .get(..words.map(|word| word.len() + 1).sum::<usize>())
                .unwrap_or(usage)
                .trim()
                .to_owned();
        } else if !paragraph.is_empty() && !paragraph.starts_with("For more information") {
            let text = paragraph.trim_start_matches("error: ").trim_start_matches("tip: ");
            parts.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    let problem: String = parts.join("; ").chars().take(PROBLEM_MAX).collect();
    format!("{problem}; see `{command} --help`")
}
