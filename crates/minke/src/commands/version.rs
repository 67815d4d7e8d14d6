//! `minke version`: of this program, and of the gateway and the provider behind it.

use std::time::Duration;

use clap::Args;
use model::PlatformInfo;
use serde::Serialize;

use crate::client::{ConnectOptions, Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, StackFlags};
use crate::printer;
use crate::stack::Stack;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: &str = env!("BUILD_COMMIT");
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke version\n  minke version --short-version\n\n\
                        Nobody but the gateway is asked. Without a gateway the answer is this program's version.")]
pub struct VersionArgs {
    #[command(flatten)]
    gateway: GatewayFlags,
    #[command(flatten)]
    stack: StackFlags,
    /// This program's version alone
    #[arg(long)]
    short_version: bool,
    /// All versions as JSON; fails without a gateway
    #[arg(short, long)]
    json: bool,
    /// Accepted for scripts; nothing is ever looked up on the Internet
    #[arg(long, hide = true)]
    warn_update: bool,
}

pub fn run(args: VersionArgs) -> Result<(), Failure> {
    if args.short_version {
        return printer::data(format_args!("{VERSION}\n"));
    }
    let stack = Stack::load_for_address(&args.stack)?;
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let options = ConnectOptions { timeout: TIMEOUT, ..Default::default() };
    let connection = Connection::new(&args.gateway, gateway, options)?;
    let platform =
        block_on(async { connection.remote.platform().await.map_err(|error| connection.failure(error)) });
    if args.json {
        return printer::json(&Versions::new(&connection, platform?));
    }
    printer::data(format_args!("CLI:\n  commit:  {COMMIT}\n  version: {VERSION}\n"))?;
    match platform {
        Ok(platform) => printer::data(remote_part(&connection, &platform)),
        Err(failure) => {
            printer::warn(failure);
            Ok(())
        }
    }
}

fn remote_part(connection: &Connection, platform: &PlatformInfo) -> String {
    let (gateway, provider) = (&platform.version, &platform.provider);
    // The space after the provider's version is in the output that scripts know.
    format!(
        "\nGateway\n uri:     {}\n version: {}\n sha:     {}\n\n\nProvider\n name:          {}\n orchestration: {}\n \
         version:       {} \n sha:           {}\n",
        connection.gateway,
        gateway.release,
        gateway.sha,
        provider.name,
        provider.orchestration,
        provider.version.release,
        provider.version.sha,
    )
}

#[derive(Debug, Serialize)]
struct Versions {
    cli: Cli,
    gateway: Gateway,
    provider: Provider,
}

#[derive(Debug, Serialize)]
struct Cli {
    commit: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Gateway {
    uri: String,
    version: String,
    sha: String,
}

#[derive(Debug, Serialize)]
struct Provider {
    name: String,
    orchestration: String,
    version: String,
    sha: String,
}

impl Versions {
    fn new(connection: &Connection, platform: PlatformInfo) -> Self {
        let PlatformInfo { provider, version, .. } = platform;
        Self {
            cli: Cli { commit: COMMIT, version: VERSION },
            gateway: Gateway {
                uri: connection.gateway.to_string(),
                version: version.release,
                sha: version.sha,
            },
            provider: Provider {
                name: provider.name,
                orchestration: provider.orchestration,
                version: provider.version.release,
                sha: provider.version.sha,
            },
        }
    }
}
