//! `minke invoke`: calls a function with what stands on standard input; the answer goes to standard output.

mod answer;
mod input;
mod request;

use std::time::Duration;

use clap::Args;
use http::Method;
use model::{FunctionId, Namespace};
use provider::{Call, CallId, Invoke};

use crate::client::{Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, NamespaceFlag, StackFlags, duration, key_value};
use crate::stack::Stack;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  echo hi | minke invoke hello\n  minke invoke hello --method GET < /dev/null\n  \
                        minke invoke resize --content-type image/png --query width=100 < in.png > out.png\n\n\
                        The body alone goes to standard output. A status other than 2xx is told on standard\n\
                        error, with its body, and ends with exit code 1. There is no time limit unless --timeout\n\
                        sets one."
)]
pub struct InvokeArgs {
    /// The function
    #[arg(value_name = "NAME", required_unless_present = "name_flag")]
    name: Option<String>,
    #[arg(long = "name", id = "name_flag", value_name = "NAME", hide = true, conflicts_with = "name")]
    name_flag: Option<String>,
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    namespace: NamespaceFlag,
    #[command(flatten)]
    stack: StackFlags,
    /// Method of the request
    #[arg(short, long, value_name = "METHOD", default_value = "POST", value_parser = method)]
    method: Method,
    /// Content-Type of the request [default: text/plain]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Query parameter; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, allow_hyphen_values = true)]
    query: Vec<(String, String)>,
    /// Header of the request, "Key: value"; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER", allow_hyphen_values = true)]
    headers: Vec<String>,
    /// Have the call done later; the answer is an acceptance
    #[arg(short = 'a', long = "async")]
    later: bool,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

pub fn run(args: InvokeArgs) -> Result<(), Failure> {
    let stack = Stack::load_for_address(&args.stack)?;
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let connection = Connection::new(&args.gateway, gateway, Default::default())?;
    let name = args.name.as_deref().or(args.name_flag.as_deref()).unwrap_or_default();
    let stack_namespace: Option<Namespace> =
        stack.as_ref().and_then(|stack| stack.function(name)?.namespace.clone());
    let (id, _) = args.namespace.function(name, stack_namespace.as_ref().unwrap_or(&connection.namespace))?;
    let request = request::build(&args)?;
    block_on(async {
        let exchange = exchange(&connection, id, request, args.later);
        match args.timeout {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| Err(Failure::general(format_args!("no full answer within {limit:?}")))),
        }
    })
}

async fn exchange(
    connection: &Connection,
    function: FunctionId,
    request: http::Request<()>,
    later: bool,
) -> Result<(), Failure> {
    let body = input::body().await?;
    let call = Call { function, call_id: CallId::random(), request: request.map(|()| body) };
    let response = match later {
        true => connection.remote.enqueue(call).await,
        false => connection.remote.invoke(call).await,
    };
    answer::show(response.map_err(|error| connection.invoke_failure(error))?, later).await
}

fn method(text: &str) -> Result<Method, String> {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let upper = text.to_ascii_uppercase();
    KNOWN
        .contains(&upper.as_str())
        .then(|| upper.parse().ok())
        .flatten()
        .ok_or_else(|| format!("use one of {}", KNOWN.join(", ")))
}
