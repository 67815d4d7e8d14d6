//! Sends the wishes, one after another, in the way that scripts know: update first, create when there is nothing
//! to update.

use std::time::Duration;

use http::{Method, StatusCode};
use model::{FunctionId, FunctionSpec};
use provider::{DeployAnswer, Provider, ProviderError};

use super::Wish;
use crate::client::Connection;
use crate::error::Failure;
use crate::printer;

/// How often `--wait` looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
pub enum Order {
    UpdateOrCreate,
    Create,
    Replace,
}

/// Tries all of them; fails at the end when any failed.
pub async fn all(
    connection: &Connection,
    wishes: Vec<Wish>,
    order: Order,
    wait: Option<Duration>,
) -> Result<(), Failure> {
    let mut failed: Vec<(String, Option<u16>)> = Vec::new();
    let mut deployed: Vec<FunctionId> = Vec::new();
    for wish in wishes {
        let (id, with_namespace) = (wish.spec.id.clone(), wish.with_namespace);
        printer::data(format_args!("Deploying: {}.\n", id.name))?;
        let answer = match send(connection, wish.spec, order).await {
            Ok(answer) => answer,
            Err(failure) => {
                printer::tell(failure);
                failed.push((id.name.to_string(), None));
                continue;
            }
        };
        if !matches!(answer.status, 200..=202) {
            tell_refusal(connection, &answer);
            failed.push((id.name.to_string(), Some(answer.status)));
            continue;
        }
        if answer.status == 200 && matches!(order, Order::UpdateOrCreate) {
            printer::data(format_args!("Function {} already exists, attempting rolling-update.\n", id.name))?;
        }
        let (status, url) =
            (status_text(answer.status), connection.function_url("function", &id, with_namespace));
        printer::data(format_args!("\nDeployed. {status}.\nURL: {url}\n\n"))?;
        deployed.push(id);
    }
    for (name, status) in &failed {
        let code = status.map(|status| format!(" with status code: {status}")).unwrap_or_default();
        printer::tell(format_args!("Function '{name}' failed to deploy{code}"));
    }
    let mut late = false;
    if let Some(limit) = wait {
        for id in &deployed {
            late |= !became_ready(connection, id, limit).await?;
        }
    }
    if failed.is_empty() && !late { Ok(()) } else { Err(Failure::told()) }
}

async fn send(connection: &Connection, spec: FunctionSpec, order: Order) -> Result<DeployAnswer, Failure> {
    let remote = &connection.remote;
    let failure = |error| connection.failure(error);
    match order {
        Order::UpdateOrCreate => {
            let answer = remote.deploy_answer(Method::PUT, spec.clone()).await.map_err(failure)?;
            if answer.status != 404 {
                return Ok(answer);
            }
        }
        Order::Create => {}
        Order::Replace => match remote.delete(&spec.id).await {
            Ok(()) => printer::data("Removing old function.\n")?,
            Err(ProviderError::NotFound { .. }) => {}
            Err(error) => return Err(failure(error)),
        },
    }
    remote.deploy_answer(Method::POST, spec).await.map_err(failure)
}

fn tell_refusal(connection: &Connection, answer: &DeployAnswer) {
    match answer.status {
        401 => printer::tell(connection.failure(ProviderError::Denied(String::new()))),
        status => printer::tell(format_args!("Unexpected status: {status}, message: {}", answer.message)),
    }
}

/// Whether a replica takes calls within `limit`.
async fn became_ready(connection: &Connection, id: &FunctionId, limit: Duration) -> Result<bool, Failure> {
    let looking = async {
        loop {
            let status = connection.remote.get(id).await.map_err(|error| connection.failure(error))?;
            if status.available > 0 {
                return Ok::<_, Failure>(true);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let ready = tokio::time::timeout(limit, looking).await.unwrap_or(Ok(false))?;
    match ready {
        true => printer::data(format_args!("Function {} is ready\n", id.name))?,
        false => printer::tell(format_args!(
            "Function {} is not ready after {limit:?}; `minke describe {}` shows its state",
            id.name, id.name
        )),
    }
    Ok(ready)
}

fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("{status} {}", reason.unwrap_or_default())
}
