//! `minke login`: checks a password with the gateway and keeps it where `faas-cli` looks too.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use provider::{Credentials, Provider, ProviderError};

use crate::client::logins::{LoginKind, Logins};
use crate::client::{ConnectOptions, Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, StackFlags, duration};
use crate::printer;
use crate::stack::Stack;

/// Longest password that is read.
const PASSWORD_MAX: u64 = 4096;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke login --password-stdin < password.txt\n  \
                        minke login --gateway https://example.com --username admin --password-stdin\n\n\
                        The login is kept in ~/.openfaas/config.yml, or in the folder that OPENFAAS_CONFIG names.\n\
                        On the machine of `minke up`, whoever can read DATA_DIR/auth/basic-auth-password (root)\n\
                        needs no login for http://127.0.0.1:8080.")]
pub struct LoginArgs {
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    stack: StackFlags,
    /// User name
    #[arg(short, long, value_name = "NAME", default_value = "admin")]
    username: String,
    /// Password; others can see it in the process list and the shell's history
    #[arg(
        short,
        long,
        value_name = "PASSWORD",
        allow_hyphen_values = true,
        conflicts_with = "password_stdin"
    )]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(short = 's', long)]
    password_stdin: bool,
    /// How long to wait for the gateway
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,
}

pub fn run(args: LoginArgs) -> Result<(), Failure> {
    if args.username.is_empty() || args.username.contains(':') {
        return Err(Failure::usage("--username cannot be empty and cannot hold a colon"));
    }
    if args.gateway.token.is_some() {
        return Err(Failure::usage("--token needs no login; give it to the command itself"));
    }
    let password = password(&args)?;
    let stack = Stack::load_for_address(&args.stack)?;
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    // A file that cannot be kept is told before the password travels.
    let mut logins = Logins::load()?;
    let credentials = Credentials::Basic { user: args.username.clone(), password: password.clone() };
    let options =
        ConnectOptions { timeout: args.timeout, credentials: Some(credentials), ..Default::default() };
    let connection = Connection::new(&args.gateway, gateway, options)?;
    connection.warn_without_tls();
    printer::data("Calling the OpenFaaS server to validate the credentials...\n")?;
    block_on(async {
        match connection.remote.list(&connection.namespace).await {
            Ok(_) => Ok(()),
            Err(ProviderError::Denied(_)) => {
                Err(Failure::general("Unable to login, either username or password is incorrect"))
            }
            Err(error) => Err(connection.failure(error)),
        }
    })?;
    let token = STANDARD.encode(format!("{}:{password}", args.username));
    logins.put(connection.gateway.as_str(), LoginKind::Basic, token);
    logins.save()?;
    printer::data(format_args!("credentials saved for {} {}\n", args.username, connection.gateway))
}

fn password(args: &LoginArgs) -> Result<String, Failure> {
    let text = match &args.password {
        Some(password) => password.clone(),
        None if args.password_stdin => {
            if std::io::stdin().is_terminal() {
                printer::tell("type the password, then press Enter and Ctrl-D; it will be seen");
            }
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .take(PASSWORD_MAX + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::general(format_args!("failed to read the password: {error}")))?;
            if bytes.len() as u64 > PASSWORD_MAX {
                return Err(Failure::usage(format_args!("the password is longer than {PASSWORD_MAX} bytes")));
            }
            String::from_utf8(bytes).map_err(|_| Failure::usage("the password is not UTF-8 text"))?
        }
        None => return Err(Failure::usage("give the password with --password-stdin")),
    };
    match text.trim() {
        "" => Err(Failure::usage("the password is empty; give it with --password-stdin")),
        password => {
            if args.password.is_some() {
                printer::warn("a password on the command line can be seen by others; use --password-stdin");
            }
            Ok(password.to_owned())
        }
    }
}
