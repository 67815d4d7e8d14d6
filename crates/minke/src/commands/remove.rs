//! `minke remove`: one function by name, or those of a stack file.

use clap::Args;
use model::{FunctionId, Namespace};
use provider::{Provider, ProviderError};

use crate::client::{Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, NamespaceFlag, StackFlags};
use crate::printer;
use crate::stack::Stack;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke remove hello\n  minke remove --yaml stack.yaml\n  \
                        minke remove --yaml stack.yaml --filter 'test-*'")]
pub struct RemoveArgs {
    /// The function; without it, the functions of the stack file
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    namespace: NamespaceFlag,
    #[command(flatten)]
    stack: StackFlags,
}

/// A function to remove, and whether somebody named its namespace.
type Target = (FunctionId, bool);

pub fn run(args: RemoveArgs) -> Result<(), Failure> {
    let stack = match &args.name {
        Some(_) => Stack::load_for_address(&args.stack)?,
        None => Stack::load(&args.stack)?,
    };
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let connection = Connection::new(&args.gateway, gateway, args.namespace.options(args.name.as_deref()))?;
    let targets: Vec<Target> = match (&args.name, &stack) {
        (Some(name), _) => vec![args.namespace.function(name, &connection.namespace)?],
        (None, Some(stack)) => of_stack(stack, args.namespace.get()?, &connection.namespace),
        (None, None) => {
            return Err(Failure::usage("say which function to remove, or give a stack file with --yaml"));
        }
    };
    if targets.is_empty() {
        return Err(Failure::usage("the stack file has no functions"));
    }
    block_on(remove(&connection, &targets))
}

fn of_stack(stack: &Stack, flag: Option<Namespace>, fallback: &Namespace) -> Vec<Target> {
    let target = |function: &crate::stack::StackFunction| {
        let stated = flag.clone().or_else(|| function.namespace.clone());
        let with_namespace = stated.is_some();
        (FunctionId::new(function.name.clone(), stated.unwrap_or_else(|| fallback.clone())), with_namespace)
    };
    stack.functions.iter().map(target).collect()
}

/// Tries all of them, whatever happens to one.
async fn remove(connection: &Connection, targets: &[Target]) -> Result<(), Failure> {
    let mut failures = 0;
    for (id, with_namespace) in targets {
        let namespace = if *with_namespace { id.namespace.as_str() } else { "" };
        printer::data(format_args!("Deleting: {}.{namespace}\n", id.name))?;
        match connection.remote.delete(id).await {
            Ok(()) => printer::data("Removing old function.\n")?,
            Err(error) => {
                failures += 1;
                match error {
                    ProviderError::NotFound { .. } => {
                        printer::tell(format_args!("No existing function to remove: {}", id.name));
                    }
                    error => printer::tell(connection.failure(error)),
                }
            }
        }
    }
    if failures == 0 { Ok(()) } else { Err(Failure::told()) }
}
