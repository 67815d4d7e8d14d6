//! `minke describe`: all that is known of one function.

use clap::Args;
use model::wire::FunctionStatusResponse;
use model::{FunctionId, FunctionStatus, Resources};
use provider::Provider;
use serde::Serialize;

use crate::client::{Connection, block_on};
use crate::error::Failure;
use crate::flags::{GatewayFlags, NamespaceFlag, StackFlags};
use crate::printer;
use crate::stack::Stack;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke describe hello\n  minke describe hello --json")]
pub struct DescribeArgs {
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
    /// Show empty sections too
    #[arg(short, long)]
    verbose: bool,
    /// Everything as JSON
    #[arg(short, long)]
    json: bool,
}

pub fn run(args: DescribeArgs) -> Result<(), Failure> {
    let stack = Stack::load_for_address(&args.stack)?;
    let gateway = stack.as_ref().and_then(|stack| stack.gateway.as_deref());
    let name = args.name.or(args.name_flag).unwrap_or_default();
    let connection = Connection::new(&args.gateway, gateway, args.namespace.options(Some(&name)))?;
    let (id, with_namespace) = args.namespace.function(&name, &connection.namespace)?;
    let status = block_on(status(&connection, &id))?;
    let described = Described {
        word: if status.available > 0 { "Ready" } else { "Not Ready" },
        invocations: status.invocations,
        url: connection.function_url("function", &id, with_namespace),
        async_url: connection.function_url("async-function", &id, with_namespace),
        status: status.clone().into(),
    };
    match args.json {
        true => printer::json(&described),
        false => printer::data(sections(&described, &status, args.verbose)),
    }
}

/// The API's answer and what we add; field names as scripts know them.
#[derive(Debug, Serialize)]
struct Described {
    #[serde(flatten)]
    status: FunctionStatusResponse,
    #[serde(rename = "Status")]
    word: &'static str,
    #[serde(rename = "InvocationCount")]
    invocations: u64,
    #[serde(rename = "URL")]
    url: String,
    #[serde(rename = "AsyncURL")]
    async_url: String,
}

async fn status(connection: &Connection, id: &FunctionId) -> Result<FunctionStatus, Failure> {
    let failure = |error| connection.failure(error);
    let mut status = connection.remote.get_with_usage(id).await.map_err(failure)?;
    if status.invocations == 0 {
        // Gateways in the field count in the list alone.
        let list = connection.remote.list(&id.namespace).await.map_err(failure)?;
        status.invocations = list.iter().find(|f| f.spec.id.name == id.name).map_or(0, |f| f.invocations);
    }
    Ok(status)
}

fn sections(described: &Described, status: &FunctionStatus, verbose: bool) -> String {
    let spec = &status.spec;
    let mut page = Page { text: String::new(), verbose };
    page.field("Name", spec.id.name.as_str());
    page.field("Status", described.word);
    page.field("Replicas", &status.replicas.to_string());
    page.field("Available Replicas", &status.available.to_string());
    page.field("Invocations", &described.invocations.to_string());
    page.field("Image", &spec.image.familiar());
    page.field("Function Process", spec.env_process.as_deref().unwrap_or("<default>"));
    page.field("URL", &described.url);
    page.field("Async URL", &described.async_url);
    let pairs = |(key, value): (&String, &String)| format!(" {key}: {value}");
    page.section("Labels", spec.labels.iter().map(pairs).collect());
    page.section("Annotations", spec.annotations.iter().map(pairs).collect());
    page.section("Constraints", spec.constraints.iter().map(|item| format!(" - {item}")).collect());
    page.section("Environment", spec.env.iter().map(pairs).collect());
    page.section("Secrets", spec.secrets.iter().map(|item| format!(" - {item}")).collect());
    page.section("Requests", resources(&spec.requests));
    page.section("Limits", resources(&spec.limits));
    let usage = status.usage.map(|usage| {
        vec![
            format!("  RAM:  {:.2} MB", usage.memory_bytes / (1024.0 * 1024.0)),
            format!("  CPU:  {:.0} Mi", usage.cpu_milli),
        ]
    });
    page.section("Usage", usage.unwrap_or_default());
    page.text
}

fn resources(resources: &Resources) -> Vec<String> {
    let cpu = resources.cpu.map(|cpu| format!(" CPU: {cpu}"));
    let memory = resources.memory.map(|memory| format!(" Memory: {memory}"));
    cpu.into_iter().chain(memory).collect()
}

struct Page {
    text: String,
    verbose: bool,
}

impl Page {
    fn field(&mut self, name: &str, value: &str) {
        self.text += &format!("{:<20}{value}\n", format!("{name}:"));
    }

    fn section(&mut self, name: &str, lines: Vec<String>) {
        match lines.is_empty() {
            true if self.verbose => self.field(name, " <none>"),
            true => {}
            false => self.text += &format!("{name}:\n{}\n", lines.join("\n")),
        }
    }
}
