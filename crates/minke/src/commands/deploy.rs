//! `minke deploy`: one function from flags, or those of a stack file.

mod send;
mod spec;

use std::time::Duration;

use clap::{ArgAction, Args};
use model::Namespace;

use crate::client::{ConnectOptions, Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, NamespaceFlag, StackFlags, boolean, duration, key_value};
use crate::stack::Stack;

pub use self::spec::Wish;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke deploy --image ghcr.io/openfaas/figlet:latest --name figlet\n  \
                        minke deploy --image hello --name hello --env greeting=hi --memory-limit 64Mi\n  \
                        minke deploy --yaml stack.yaml --filter 'api-*'\n\n\
                        With --image and --name, a stack file that lies in the folder is left alone. Without them\n\
                        the functions of the stack file are deployed, in its order; all are tried, and the exit\n\
                        code is 1 when any of them failed.")]
pub struct DeployArgs {
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    namespace: NamespaceFlag,
    #[command(flatten)]
    stack: StackFlags,
    /// Image of the function
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Name of the function
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Accepted for scripts; building is `minke build`
    #[arg(long, value_name = "DIR", hide = true)]
    handler: Option<String>,
    /// Accepted for scripts; building is `minke build`
    #[arg(long, value_name = "LANG", hide = true)]
    lang: Option<String>,
    /// Process that the watchdog in the image starts
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    fprocess: Option<String>,
    #[command(flatten)]
    extra: ExtraFlags,
    /// Update the function when it is there already
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", action = ArgAction::Set, value_parser = boolean, hide_default_value = true)]
    update: bool,
    /// Remove the function first; needs --update=false
    #[arg(long)]
    replace: bool,
    /// Tag of images that name none; only latest for now
    #[arg(long, value_name = "TAG", default_value = "latest", hide_possible_values = true, value_parser = ["latest", "default", ""])]
    tag: String,
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", action = ArgAction::Set, value_parser = boolean)]
    read_template: bool,
    #[arg(long, hide = true, value_name = "NETWORK")]
    network: Option<String>,
    /// How long to wait for each answer, and with --wait for each function
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    timeout: Duration,
    /// Wait until every function has a replica that takes calls
    #[arg(long)]
    wait: bool,
}

/// What can be added to a function, whether it comes from flags or from a stack file.
#[derive(Debug, Default, Args)]
pub struct ExtraFlags {
    /// Environment variable; the value may be empty; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    pub env: Vec<(String, String)>,
    /// Label; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    pub label: Vec<(String, String)>,
    /// Annotation; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    pub annotation: Vec<(String, String)>,
    /// Placement rule; may be given several times
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub constraint: Vec<String>,
    /// Secret that the function may read; may be given several times
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// CPU to reserve: 100m, 0.5
    #[arg(long, value_name = "CPU", allow_hyphen_values = true)]
    pub cpu_request: Option<String>,
    /// Most CPU: 100m, 0.5
    #[arg(long, value_name = "CPU", allow_hyphen_values = true)]
    pub cpu_limit: Option<String>,
    /// Memory to reserve: 64Mi
    #[arg(long, value_name = "MEMORY", allow_hyphen_values = true)]
    pub memory_request: Option<String>,
    /// Most memory: 128Mi
    #[arg(long, value_name = "MEMORY", allow_hyphen_values = true)]
    pub memory_limit: Option<String>,
    /// Make the function's root file system read-only; /tmp stays writable
    #[arg(long)]
    pub readonly: bool,
}

pub fn run(args: DeployArgs) -> Result<(), Failure> {
    if args.replace && args.update {
        return Err(Failure::usage(
            "--replace and --update exclude each other; write --replace --update=false to remove and deploy anew",
        ));
    }
    let from_flags =
        args.image.is_some() || args.name.is_some() || args.fprocess.is_some() || args.handler.is_some();
    if from_flags && args.stack.file.is_some() {
        return Err(Failure::usage(
            "give either --yaml or the function by --image and --name; --filter chooses functions of a stack file",
        ));
    }
    let stack = if from_flags { Stack::load_for_address(&args.stack)? } else { Stack::load(&args.stack)? };
    let namespace = args.namespace.get()?;
    let wishes = match (&stack, from_flags) {
        (_, true) => vec![of_flags(&args, namespace)?],
        (Some(stack), false) => spec::of_stack(stack, namespace, &args.extra)?,
        (None, false) => {
            return Err(Failure::usage(
                "say what to deploy: --image and --name, or a stack file with --yaml (stack.yaml is not here)",
            ));
        }
    };
    if wishes.is_empty() {
        return Err(Failure::usage("the stack file has no functions"));
    }
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let options = ConnectOptions { timeout: args.timeout, ..args.namespace.options(None) };
    let connection = Connection::new(&args.gateway, gateway, options)?;
    connection.warn_without_tls();
    let order = match (args.replace, args.update) {
        (true, _) => send::Order::Replace,
        (false, true) => send::Order::UpdateOrCreate,
        (false, false) => send::Order::Create,
    };
    block_on(send::all(&connection, wishes, order, args.wait.then_some(args.timeout)))
}

fn of_flags(args: &DeployArgs, namespace: Option<Namespace>) -> Result<Wish, Failure> {
    let (Some(image), Some(name)) = (&args.image, &args.name) else {
        let missing = if args.image.is_none() { "--image" } else { "--name" };
        return Err(Failure::usage(format_args!(
            "{missing} is missing; a function is deployed with both --image and --name, or from a stack file"
        )));
    };
    spec::of_flags(name, image, args.fprocess.as_deref(), namespace, &args.extra)
}
