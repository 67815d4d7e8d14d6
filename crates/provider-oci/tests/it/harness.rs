//! Runs tests one after another, with the words and the filter of the standard test harness.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

pub type Test = (&'static str, fn());

pub fn run(groups: &[&[Test]]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let exact = args.iter().any(|arg| arg == "--exact");
    let wanted = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|f| if exact { *f == name } else { name.contains(f.as_str()) })
    };
    let all: Vec<Test> = groups.concat();
    let tests: Vec<Test> = all.iter().copied().filter(|(name, _)| wanted(name)).collect();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", tests.len());
    let mut failed = 0;
    for (name, test) in &tests {
        let ok = catch_unwind(AssertUnwindSafe(test)).is_ok();
        failed += usize::from(!ok);
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out",
        tests.len() - failed,
        all.len() - tests.len()
    );
    ExitCode::from(u8::from(failed > 0))
}
