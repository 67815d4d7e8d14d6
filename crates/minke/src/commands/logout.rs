//! `minke logout`: forgets the login for a gateway.

use clap::Args;

use crate::client::Gateway;
use crate::client::logins::Logins;
use crate::error::Failure;
use crate::flags::StackFlags;
use crate::printer;
use crate::stack::Stack;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke logout\n  minke logout --gateway https://example.com")]
pub struct LogoutArgs {
    /// The gateway; else the stack file says, else OPENFAAS_URL, else http://127.0.0.1:8080
    #[arg(short, long, value_name = "URL")]
    gateway: Option<String>,
    #[command(flatten)]
    stack: StackFlags,
}

pub fn run(args: LogoutArgs) -> Result<(), Failure> {
    let stack = Stack::load_for_address(&args.stack)?;
    let stack_gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let gateway = Gateway::resolve_here(args.gateway.as_deref(), stack_gateway)?;
    let mut logins = Logins::load()?;
    if !logins.remove(gateway.as_str()) {
        return Err(Failure::general(format_args!("there is no login for {gateway}")));
    }
    logins.save()?;
    printer::data(format_args!("credentials removed for {gateway}\n"))
}
