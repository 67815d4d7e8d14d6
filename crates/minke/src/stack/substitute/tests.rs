use super::*;

fn env(name: &str) -> Option<String> {
    let value = match name {
        "V" => "value",
        "EMPTY" => "",
        "PATHS" => "a/b/c.tar.gz",
        "MIX" => "hELLO World",
        "UNI" => "äöü",
        "A_1" => "underscored",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn the_table_of_the_contract() {
    let rows = [
        ("${V}", "value"),
        ("${NONE}", ""),
        ("${EMPTY}", ""),
        ("${A_1}", "underscored"),
        ("a${V}b${V}c", "avaluebvaluec"),
        ("${V:-d}", "value"),
        ("${NONE:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${V:=d}", "value"),
        ("${NONE:=d}", "d"),
        ("${V=d}", "value"),
        ("${NONE=d}", "d"),
        ("${EMPTY=d}", "d"),
        ("${V:?d}", "value"),
        ("${NONE:?d}", "d"),
        ("${V:+d}", "value"),
        ("${NONE:+d}", "d"),
        ("${NONE:-}", ""),
        ("${NONE:-ghcr.io/me/fn:0.1}", "ghcr.io/me/fn:0.1"),
        ("${NONE:-${NONE:-x y}}", "x y"),
        ("${NONE:-${V}}", "value"),
        ("${NONE:-a${V}b}", "avalueb"),
        ("${MIX^}", "HELLO World"),
        ("${MIX^^}", "HELLO WORLD"),
        ("${MIX,}", "hELLO World"),
        ("${MIX,,}", "hello world"),
        ("${EMPTY^}", ""),
        ("${#V}", "5"),
        ("${#NONE}", "0"),
        ("${V:1:2}", "al"),
        ("${V:1}", "alue"),
        ("${V:0:99}", "value"),
        ("${V:99}", ""),
        ("${UNI:1:1}", "ö"),
        ("${V: -2}", "value"),
        ("${V:x}", "value"),
        ("${PATHS#*/}", "b/c.tar.gz"),
        ("${PATHS##*/}", "c.tar.gz"),
        ("${PATHS%.*}", "a/b/c.tar"),
        ("${PATHS%%.*}", "a/b/c"),
        ("${PATHS#x}", "a/b/c.tar.gz"),
        ("${V#va?}", "ue"),
        ("${PATHS/b/X}", "a/X/c.tar.gz"),
        ("${PATHS//a/X}", "X/b/c.tXr.gz"),
        ("${PATHS/#a/X}", "X/b/c.tar.gz"),
        ("${PATHS/%gz/X}", "a/b/c.tar.X"),
        ("${PATHS/#b/X}", "a/b/c.tar.gz"),
        ("${PATHS/\\//-}", "a-b/c.tar.gz"),
        ("${PATHS//\\//-}", "a-b-c.tar.gz"),
        ("${V/a*/X}", "value"),
        ("${V/a/}", "vlue"),
        ("${V/a}", "vlue"),
        ("${V/a/${MIX}}", "vhELLO Worldlue"),
        ("$V", "$V"),
        ("$$", "$"),
        ("$$V", "$V"),
        ("$${V}", "${V}"),
        ("$$${V}", "$value"),
        (r"a\\b", r"a\b"),
        (r"a\/b", "a/b"),
        (r"a\nb\d", r"a\nb\d"),
        ("cost: 5$", "cost: 5$"),
        ("{}", "{}"),
        ("a}b", "a}b"),
        ("", ""),
    ];
    for (text, want) in rows {
        assert_eq!(substitute(text, &env).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn mistakes_name_their_line() {
    let rows = [
        ("${V-d}", 1, "missing closing brace after \"${V-d\"; a default is written ${NAME:-default}"),
        ("${V+d}", 1, "missing closing brace after \"${V+d\"; a default is written ${NAME:-default}"),
        ("${V?d}", 1, "missing closing brace after \"${V?d\"; a default is written ${NAME:-default}"),
        ("a\nb\n${V.1}", 3, "missing closing brace after \"${V.1\"; a default is written ${NAME:-default}"),
        (
            "ok\n# see ${V\nmore",
            2,
            "missing closing brace after \"${V\"; a default is written ${NAME:-default}",
        ),
        ("${V:-x", 1, "missing closing brace after \"${V:-x\"; a default is written ${NAME:-default}"),
        ("${#V-1}", 1, "missing closing brace after \"${#V-1\"; a default is written ${NAME:-default}"),
        ("${}", 1, "${ without the name of a variable; write $${ for the text itself"),
        ("\n${ V}", 2, "${ without the name of a variable; write $${ for the text itself"),
    ];
    for (text, line, problem) in rows {
        let want = SubstituteError { line, problem: problem.to_owned() };
        assert_eq!(substitute(text, &env), Err(want), "{text}");
    }
}

#[test]
fn nesting_and_growth_are_bounded() {
    let deep = "${N:-".repeat(100) + &"}".repeat(100);
    assert!(substitute(&deep, &env).is_err());
    let large = |_: &str| Some("x".repeat(100_000));
    assert!(substitute(&"${V}".repeat(100), &large).is_err());
}
