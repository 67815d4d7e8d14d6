//! `/system/telemetry`: what is told to others, which is nothing, and what there is to tell.

use std::collections::HashSet;

use model::wire::{TelemetryData, TelemetryResponse};

use super::{Reply, json};
use crate::Inner;

pub(super) fn telemetry(gateway: &Inner) -> Reply {
    let routes = gateway.provider.routes().snapshot();
    let namespaces: HashSet<_> = routes.iter().map(|route| &route.id.namespace).collect();
    let data = TelemetryData {
        total_fns: routes.len(),
        total_namespaces: namespaces.len(),
        total_replicas: routes.iter().map(|route| route.desired as usize).sum(),
    };
    let release = &gateway.config.version.release;
    json(&TelemetryResponse { s: release.clone(), v: release.clone(), sent: false, data })
}
