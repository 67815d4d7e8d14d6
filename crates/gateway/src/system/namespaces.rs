//! `/system/namespaces`.

use model::Namespace;

use super::{Reply, json};
use crate::Inner;

pub(super) async fn list(gateway: &Inner) -> Reply {
    let namespaces = gateway.provider.namespaces().await?;
    json(&namespaces.iter().map(Namespace::as_str).collect::<Vec<_>>())
}
