//! Images without a platform: build, list, remove.

use crate::support::Place;

const STACK: &str = "provider: {name: openfaas}\nfunctions:\n  one:\n    lang: dockerfile\n    handler: ./one\n    image: me/one:1\n  \
                     other:\n    image: me/other:1\n    skip_build: true\n";

fn place() -> Place {
    let place = Place::new();
    let data = place.path("data").display().to_string();
    let place = place.with("MINKE_DATA_DIR", data);
    place.file(
        "one/Dockerfile",
        "FROM scratch\nARG WHO=nobody\nCOPY --from=minke/fwatchdog /fwatchdog /usr/bin/fwatchdog\nCOPY file.txt /\n\
         ENV who=$WHO\nCMD [\"/usr/bin/fwatchdog\"]\n",
    );
    place.file("one/file.txt", "text");
    place
}

#[test]
fn a_stack_is_built_listed_and_removed() {
    let place = place();
    let outcome = place.file("stack.yaml", STACK).run(&["build", "-b", "WHO=me"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let seconds = |line: &str, start: &str| line.starts_with(start) && line.ends_with("s");
    assert_eq!(
        lines[..3],
        [
            "Skipping build of: other.",
            "[0] > Building one.",
            "Building: me/one:1 with dockerfile template. Please wait.."
        ]
    );
    assert_eq!(lines[3], "Image: me/one:1 built.");
    assert!(lines[4].starts_with("[0] < Building one done in ") && lines[4].ends_with("s."), "{lines:?}");
    assert_eq!(lines[5..7], ["[0] Worker done.", ""]);
    assert!(seconds(lines[7], "Total build time: "), "{lines:?}");
    assert_eq!(place.run(&["image", "list", "-q"]).stdout, "me/one:1\n");
    let table = place.run(&["image", "ls"]).stdout;
    assert!(table.starts_with("Image ") && table.contains(" MB "), "{table}");
    let outcome = place.run(&["image", "remove", "me/one:1"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "Removed: me/one:1\n"));
    assert_eq!(place.run(&["image", "list", "-q"]).stdout, "");
    assert_eq!(place.run(&["image", "rm", "me/one:1"]).code, Some(1));
}

#[test]
fn flags_build_too_and_a_failure_leaves_nothing() {
    let place = place();
    let flags = ["build", "--image", "x", "--handler", "one", "--lang", "dockerfile", "--quiet"];
    let outcome = place.run(&flags);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome:?}");
    place.file("one/Dockerfile", "FROM scratch\nRUN make\n");
    let outcome = place.run(&["build", "--image", "y", "--handler", "one", "--quiet"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("RUN is not supported yet (Dockerfile line 2): make"), "{outcome:?}");
    assert_eq!(place.run(&["image", "list", "-q"]).stdout, "x:latest\n");
}
