//! The specs that flags and a stack file ask for, and which of the two wins where they meet (contract 3):
//! environment: file < environment files < flags; labels and annotations: file < flags; secrets: both, flags first;
//! constraints: the file's in place of the flags'; namespace and resources: flags over file; read-only: either.

use model::wire::{FunctionDeployment, FunctionResources};
use model::{FunctionSpec, Namespace};

use super::ExtraFlags;
use crate::error::Failure;
use crate::stack::{Stack, StackFunction, StackResources, environment_files};

/// A function that shall be deployed.
#[derive(Debug)]
pub struct Wish {
    pub spec: FunctionSpec,
    /// Whether somebody named the namespace; else the gateway chooses, and nothing shows one.
    pub with_namespace: bool,
}

pub fn of_flags(
    name: &str,
    image: &str,
    fprocess: Option<&str>,
    namespace: Option<Namespace>,
    flags: &ExtraFlags,
) -> Result<Wish, Failure> {
    let deployment = FunctionDeployment {
        service: Some(name.to_owned()),
        image: Some(image.to_owned()),
        env_process: fprocess.map(str::to_owned),
        env_vars: Some(flags.env.iter().cloned().collect()),
        constraints: Some(flags.constraint.clone()),
        secrets: Some(flags.secret.clone()),
        labels: Some(flags.label.iter().cloned().collect()),
        annotations: Some(flags.annotation.iter().cloned().collect()),
        limits: Some(resources(&Default::default(), &flags.memory_limit, &flags.cpu_limit)),
        requests: Some(resources(&Default::default(), &flags.memory_request, &flags.cpu_request)),
        read_only_root_filesystem: Some(flags.readonly),
        namespace: None,
    };
    into_wish(deployment, namespace).map_err(Failure::usage)
}

pub fn of_stack(stack: &Stack, flag: Option<Namespace>, flags: &ExtraFlags) -> Result<Vec<Wish>, Failure> {
    stack.functions.iter().map(|function| of_function(stack, function, flag.clone(), flags)).collect()
}

fn of_function(
    stack: &Stack,
    function: &StackFunction,
    flag: Option<Namespace>,
    flags: &ExtraFlags,
) -> Result<Wish, Failure> {
    let mut env = function.environment.clone();
    env.extend(environment_files(stack, function)?);
    env.extend(flags.env.iter().cloned());
    let mut labels = function.labels.clone();
    labels.extend(flags.label.iter().cloned());
    let mut annotations = function.annotations.clone();
    annotations.extend(flags.annotation.iter().cloned());
    let secrets = flags.secret.iter().chain(&function.secrets).cloned().collect();
    let constraints = match function.constraints.is_empty() {
        true => flags.constraint.clone(),
        false => function.constraints.clone(),
    };
    let deployment = FunctionDeployment {
        service: Some(function.name.to_string()),
        image: Some(function.image.clone()),
        env_process: function.fprocess.clone(),
        env_vars: Some(env),
        constraints: Some(constraints),
        secrets: Some(secrets),
        labels: Some(labels),
        annotations: Some(annotations),
        limits: Some(resources(&function.limits, &flags.memory_limit, &flags.cpu_limit)),
        requests: Some(resources(&function.requests, &flags.memory_request, &flags.cpu_request)),
        read_only_root_filesystem: Some(function.read_only_root || flags.readonly),
        namespace: None,
    };
    into_wish(deployment, flag.or_else(|| function.namespace.clone())).map_err(|error| {
        Failure::usage(format_args!("{}: function {}: {error}", function.place, function.name))
    })
}

fn into_wish(deployment: FunctionDeployment, namespace: Option<Namespace>) -> Result<Wish, model::SpecError> {
    let with_namespace = namespace.is_some();
    let spec = deployment.into_spec(&namespace.unwrap_or_default())?;
    Ok(Wish { spec, with_namespace })
}

fn resources(file: &StackResources, memory: &Option<String>, cpu: &Option<String>) -> FunctionResources {
    FunctionResources {
        memory: memory.clone().or_else(|| file.memory.clone()),
        cpu: cpu.clone().or_else(|| file.cpu.clone()),
        ..FunctionResources::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::flags::StackFlags;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        stack: StackFlags,
        #[command(flatten)]
        extra: ExtraFlags,
    }

    #[test]
    fn file_and_flags_merge_by_the_contract() {
        let dir = tempfile::tempdir().expect("a folder");
        let stack = "provider: {name: openfaas}\nfunctions:\n  f:\n    image: i\n    environment: {a: file, b: file, c: file}\n    \
                     environment_file: [one.yml, two.yml]\n    labels: {x: file, y: file}\n    annotations: {n: file}\n    \
                     secrets: [s1, s2]\n    constraints: [\"zone=a\"]\n    limits: {memory: 64Mi, cpu: 100m}\n    \
                     namespace: dev\n    readonly_root_filesystem: true\n";
        std::fs::write(dir.path().join("stack.yaml"), stack).expect("a file");
        std::fs::write(dir.path().join("one.yml"), "environment: {b: one, c: one}\n").expect("a file");
        std::fs::write(dir.path().join("two.yml"), "environment: {c: two}\n").expect("a file");
        let file = dir.path().join("stack.yaml").display().to_string();
        let flags = [
            "x",
            "-f",
            &file,
            "-e",
            "d=flag",
            "-e",
            "a=flag",
            "-l",
            "y=flag",
            "--annotation",
            "n=flag",
            "--secret",
            "s2",
            "--secret",
            "s3",
            "--constraint",
            "zone=b",
            "--memory-limit",
            "128Mi",
        ];
        let flags = Flags::parse_from(flags);
        let stack = Stack::load(&flags.stack).expect("a stack").expect("a stack");
        let wish = &of_stack(&stack, None, &flags.extra).expect("wishes")[0];
        let join = |map: &std::collections::BTreeMap<String, String>| {
            map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(join(&wish.spec.env), "a=flag b=one c=two d=flag");
        assert_eq!(join(&wish.spec.labels), "x=file y=flag");
        assert_eq!(join(&wish.spec.annotations), "n=flag");
        assert_eq!(wish.spec.secrets.iter().cloned().collect::<Vec<_>>(), ["s1", "s2", "s3"]);
        assert_eq!(wish.spec.constraints, ["zone=a"]);
        assert_eq!(wish.spec.limits.memory.map(|m| m.to_string()).as_deref(), Some("128Mi"));
        assert_eq!(wish.spec.limits.cpu.map(|c| c.to_string()).as_deref(), Some("100m"));
        assert_eq!(wish.spec.id.namespace.as_str(), "dev");
        assert!(wish.spec.read_only_root && wish.with_namespace);
        let other = Namespace::parse("prod").ok();
        let wish = &of_stack(&stack, other, &flags.extra).expect("wishes")[0];
        assert_eq!(wish.spec.id.namespace.as_str(), "prod");
    }
}
