//! From a file to a [`Stack`]: substitution, YAML, and everything that can be wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use model::{FunctionName, Namespace};
use serde::de::DeserializeOwned;

use super::schema::{Document, EnvironmentFile, Function, Resources, TextMap};
use super::substitute::substitute;
use super::unknown::unknown_keys;
use super::{FILE_MAX, Stack, StackFunction, StackResources};
use crate::error::Failure;
use crate::files;

/// The only version there has ever been.
const VERSION: &str = "1.0";
/// Most functions in one file.
const FUNCTIONS_MAX: usize = 1000;

pub fn load(path: PathBuf, envsubst: bool) -> Result<Stack, Failure> {
    if path.to_str().is_some_and(|text| text.starts_with("http://") || text.starts_with("https://")) {
        return Err(Failure::usage("a stack file cannot be read from a URL yet; download it first"));
    }
    let text = files::read_text(&path, FILE_MAX)
        .map_err(|error| Failure::usage(format_args!("failed to read {}: {error}", path.display())))?;
    let text = match envsubst {
        true => substitute(&text, &|name| std::env::var(name).ok()).map_err(|error| {
            Failure::usage(format_args!("{}, line {}: {}", path.display(), error.line, error.problem))
        })?,
        false => text,
    };
    read(path, &text)
}

/// The variables of the files that a function names, later files over earlier ones.
pub fn environment_files(
    stack: &Stack,
    function: &StackFunction,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut environment = BTreeMap::new();
    for file in &function.environment_files {
        let path = stack.resolve(file);
        let text = files::read_text(&path, FILE_MAX).map_err(|error| {
            Failure::usage(format_args!("{}: failed to read {}: {error}", function.place, path.display()))
        })?;
        let file: EnvironmentFile = from_yaml(&path, &text)?;
        environment.extend(texts(file.environment));
    }
    Ok(environment)
}

fn read(path: PathBuf, text: &str) -> Result<Stack, Failure> {
    let document: Document = from_yaml(&path, text)?;
    let at = |line: u64| format!("{}, line {line}", path.display());
    if let Some(version) = document.version.filter(|version| version.value != VERSION) {
        return Err(Failure::usage(format_args!(
            "{}: version {:?} is not known; write version: {VERSION}",
            at(version.referenced.line()),
            version.value
        )));
    }
    let provider = document.provider.and_then(|provider| Some((provider.name?, provider.gateway)));
    let (name, gateway) = provider.ok_or_else(|| {
        let path = path.display();
        Failure::usage(format_args!("{path}: provider.name is missing; write provider: {{name: openfaas}}"))
    })?;
    if name.value != "openfaas" {
        return Err(Failure::usage(format_args!(
            "{}: provider.name {:?} is not supported; write openfaas",
            at(name.referenced.line()),
            name.value
        )));
    }
    let entries = document.functions.map(|functions| functions.0).unwrap_or_default();
    if entries.len() > FUNCTIONS_MAX {
        let (path, count) = (path.display(), entries.len());
        return Err(Failure::usage(format_args!(
            "{path}: {count} functions; at most {FUNCTIONS_MAX} fit one file"
        )));
    }
    let mut functions = Vec::with_capacity(entries.len());
    let mut names = HashSet::new();
    for (name, body) in entries {
        let place = at(name.referenced.line());
        let function = into_function(&name.value, body.unwrap_or_default(), &place)
            .map_err(|problem| Failure::usage(format_args!("{place}: {problem}")))?;
        if !names.insert(function.name.clone()) {
            return Err(Failure::usage(format_args!("{place}: function {} is there twice", function.name)));
        }
        functions.push(function);
    }
    let warnings = unknown_keys(text).into_iter().map(|unknown| {
        let hint = unknown.hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
        format!("{}: unknown key {} is ignored{hint}", at(unknown.line), unknown.key)
    });
    let warnings = warnings.collect();
    Ok(Stack { gateway: gateway.filter(|gateway| !gateway.is_empty()), functions, warnings, path })
}

fn into_function(name: &str, body: Function, place: &str) -> Result<StackFunction, String> {
    let name = FunctionName::parse(name).map_err(|error| error.to_string())?;
    let stated = |text: Option<String>| text.filter(|text| !text.is_empty());
    let namespace = stated(body.namespace).map(|text| Namespace::parse(&text)).transpose();
    Ok(StackFunction {
        namespace: namespace.map_err(|error| format!("function {name}: {error}"))?,
        place: place.to_owned(),
        lang: body.lang.unwrap_or_default(),
        handler: body.handler.unwrap_or_default(),
        image: stated(body.image).ok_or_else(|| format!("function {name} has no image"))?,
        fprocess: stated(body.fprocess),
        skip_build: body.skip_build.unwrap_or(false),
        environment: texts(body.environment),
        environment_files: body.environment_file.unwrap_or_default(),
        secrets: body.secrets.unwrap_or_default(),
        labels: texts(body.labels),
        annotations: texts(body.annotations),
        constraints: body.constraints.unwrap_or_default(),
        limits: resources(body.limits),
        requests: resources(body.requests),
        read_only_root: body.readonly_root_filesystem.unwrap_or(false),
        build_args: texts(body.build_args),
        name,
    })
}

fn resources(wire: Option<Resources>) -> StackResources {
    let wire = wire.unwrap_or_default();
    StackResources { memory: wire.memory, cpu: wire.cpu }
}

fn texts(map: Option<TextMap>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}

fn from_yaml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Failure> {
    serde_saphyr::from_str(text).map_err(|error| {
        let path = path.display();
        let problem = error.without_snippet().to_string();
        // The place comes first in our messages, last in the parser's.
        let problem = problem.split(" at line ").next().unwrap_or_default().trim();
        let problem =
            match problem.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(',').next()) {
                Some(key) => format!("{key} is there twice"),
                None => problem.to_owned(),
            };
        let problem = plain_words(&problem);
        match error.location() {
            Some(at) => Failure::usage(format_args!("{path}, line {}: {problem}", at.line())),
            None => Failure::usage(format_args!("{path}: {problem}")),
        }
    })
}

/// The parser speaks to programmers of what users never see.
fn plain_words(problem: &str) -> &str {
    match problem {
        "expected mapping start" => "a mapping (key: value) belongs here",
        "expected sequence start" => "a list (- item) belongs here",
        "expected string scalar" => "plain text belongs here",
        "invalid boolean" => "write true or false",
        "recursive references require weak recursion types" => {
            "an alias refers to what it is itself a part of"
        }
        problem if problem.starts_with("multiple YAML documents") => "there is more than one YAML document",
        problem => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Stack, String> {
        read(PathBuf::from("stack.yaml"), text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn scalars_stay_as_written_and_order_is_kept() {
        let stack = check(
            "version: 1.0\nprovider: {name: openfaas, gateway: http://gw:1}\nfunctions:\n  zed:\n    image: z\n    \
             environment: {a: true, b: 5, c: 1.10, d: yes, e: null, f: ~, g: \"x y\"}\n  abc:\n    image: a\n",
        );
        let stack = stack.expect("a stack");
        let names: Vec<_> = stack.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["zed", "abc"]);
        assert_eq!(stack.gateway.as_deref(), Some("http://gw:1"));
        let environment: Vec<_> =
            stack.functions[0].environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(environment, ["a=true", "b=5", "c=1.10", "d=yes", "e=", "f=", "g=x y"]);
    }

    #[test]
    fn anchors_and_merges_work() {
        let stack = check(
            "provider: {name: openfaas}\nx-common: &common\n  image: base:1\n  labels: {team: a}\nfunctions:\n  \
             one:\n    <<: *common\n  two:\n    <<: *common\n    image: other:2\n",
        )
        .expect("a stack");
        assert_eq!(stack.functions[0].image, "base:1");
        assert_eq!(stack.functions[1].image, "other:2");
        assert_eq!(stack.functions[1].labels.get("team").map(String::as_str), Some("a"));
        assert_eq!(stack.warnings, Vec::<String>::new());
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "provider: {name: openfaas}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let list = vec![format!("*a{}", n - 1); 10].join(", ");
            text += &format!("a{n}: &a{n} [{list}]\n");
        }
        assert!(check(&text).is_err());
    }
}
