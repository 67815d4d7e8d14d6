//! What clap refuses, in our form: one line and exit code 64. Help goes to stdout and is no failure.

use clap::Error;
use clap::error::ErrorKind;

use crate::error::Failure;
use crate::printer;

/// `None` when the text was asked for.
pub fn into_failure(error: Error) -> Option<Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion => printer::data(error.render()).err(),
        _ => Some(Failure::usage(one_line(&error.render().to_string()))),
    }
}

/// The problem and the tips of clap's message, without its usage block.
fn one_line(rendered: &str) -> String {
    let paragraphs = rendered.split("\n\n").map(str::trim);
    let mut parts: Vec<String> = Vec::new();
    let mut command = "minke";
    for paragraph in paragraphs {
        if let Some(usage) = paragraph.strip_prefix("Usage: ") {
            let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
            command = usage.get(..words.map(|word| word.len() + 1).sum::<usize>()).unwrap_or(usage).trim();
        } else if !paragraph.is_empty() && !paragraph.starts_with("For more information") {
            let text = paragraph.trim_start_matches("error: ").trim_start_matches("tip: ");
            parts.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    format!("{}; see `{command} --help`", parts.join("; "))
}
