//! `minke scale`: wish for a number of replicas.

use clap::Args;
use provider::Provider;

use crate::client::{Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, NamespaceFlag, StackFlags};
use crate::printer;
use crate::stack::Stack;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke scale hello --replicas 3\n  minke scale hello --replicas 0\n\n\
                        A function with 0 replicas is started again by the next call to it.")]
pub struct ScaleArgs {
    /// The function
    #[arg(value_name = "NAME")]
    name: String,
    /// How many replicas there shall be
    #[arg(short, long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    replicas: u32,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    namespace: NamespaceFlag,
    #[command(flatten)]
    stack: StackFlags,
}

pub fn run(args: ScaleArgs) -> Result<(), Failure> {
    let stack = Stack::load_for_address(&args.stack)?;
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let connection = Connection::new(&args.gateway, gateway, args.namespace.options(Some(&args.name)))?;
    let (id, with_namespace) = args.namespace.function(&args.name, &connection.namespace)?;
    block_on(async {
        connection.remote.scale(&id, args.replicas).await.map_err(|error| connection.failure(error))
    })?;
    let name = if with_namespace { id.to_string() } else { id.name.to_string() };
    printer::data(format_args!("Scaled: {name} to {} replicas.\n", args.replicas))
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "write a whole number, 0 or more".to_owned())
}
