//! `minke list`: the functions of a namespace. The columns are those that scripts parse (contract 8).

use clap::{Args, ValueEnum};
use model::wire::FunctionStatusResponse;
use model::{FunctionStatus, Namespace};
use provider::Provider;

use crate::client::{Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, NamespaceFlag, StackFlags};
use crate::printer;
use crate::stack::Stack;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke list\n  minke list --verbose --sort invocations\n  minke list --quiet"
)]
pub struct ListArgs {
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    namespace: NamespaceFlag,
    #[command(flatten)]
    stack: StackFlags,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// Also the image and the time of creation
    #[arg(short, long)]
    verbose: bool,
    /// The functions as the API tells them
    #[arg(short, long)]
    json: bool,
    /// Order of the rows
    #[arg(long, value_enum, default_value_t = Sort::Name)]
    sort: Sort,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    Name,
    /// Most called first
    Invocations,
    /// Newest first
    Creation,
}

pub fn run(args: ListArgs) -> Result<(), Failure> {
    let stack = Stack::load_for_address(&args.stack)?;
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let connection = Connection::new(&args.gateway, gateway, args.namespace.options(None))?;
    let namespace = args.namespace.get()?.unwrap_or_else(|| connection.namespace.clone());
    let mut functions = block_on(functions(&connection, &namespace))?;
    match args.sort {
        Sort::Name => functions.sort_by(|a, b| a.spec.id.name.cmp(&b.spec.id.name)),
        Sort::Invocations => functions.sort_by_key(|f| std::cmp::Reverse(f.invocations)),
        Sort::Creation => functions.sort_by_key(|f| std::cmp::Reverse(f.created_at)),
    }
    if args.json {
        let wire: Vec<FunctionStatusResponse> = functions.into_iter().map(Into::into).collect();
        return printer::json(&wire);
    }
    printer::data(match (args.quiet, args.verbose) {
        (true, _) => functions.iter().map(|f| format!("{}\n", f.spec.id.name)).collect(),
        (false, true) => wide(&functions),
        (false, false) => narrow(&functions),
    })
}

async fn functions(connection: &Connection, namespace: &Namespace) -> Result<Vec<FunctionStatus>, Failure> {
    connection.remote.list(namespace).await.map_err(|error| connection.failure(error))
}

fn narrow(functions: &[FunctionStatus]) -> String {
    let mut table = format!("{:<30}\t{:<15}\t{:<5}\n", "Function", "Invocations", "Replicas");
    for f in functions {
        table += &format!("{:<30}\t{:<15}\t{:<5}\n", f.spec.id.name.as_str(), f.invocations, f.replicas);
    }
    table
}

fn wide(functions: &[FunctionStatus]) -> String {
    let images: Vec<String> = functions.iter().map(|f| f.spec.image.familiar()).collect();
    let width = images.iter().map(String::len).max().unwrap_or_default().max(40);
    let mut table = format!(
        "{:<30}\t{:<width$}\t{:<15}\t{:<5}\t{:<5}\n",
        "Function", "Image", "Invocations", "Replicas", "CreatedAt"
    );
    for (f, image) in functions.iter().zip(&images) {
        // Go's form of a time, which prints no fraction when there is none.
        let created = f.created_at.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC");
        let name = f.spec.id.name.as_str();
        table +=
            &format!("{name:<30}\t{image:<width$}\t{:<15}\t{:<5}\t\t{created}\n", f.invocations, f.replicas);
    }
    table
}
