//! The bodies of management requests: what is taken can be told again, and then means the same.

use std::fmt::Debug;

use model::Namespace;
use model::scale::alert::replicas;
use model::wire::{
    AlertRequest, DeleteFunctionRequest, FunctionDeployment, FunctionNamespace, ScaleServiceRequest, Secret,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::decode;

/// The first byte chooses the request, the rest is its body.
pub fn wire(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind % 6 {
        0 => deployment(body),
        1 => drop(same_again::<ScaleServiceRequest>(body)),
        2 => drop(same_again::<DeleteFunctionRequest>(body)),
        3 => secret(body),
        4 => namespace(body),
        _ => alert(body),
    }
}

/// Its name is no path, and what it holds is not shown.
fn secret(body: &[u8]) {
    let Some(secret) = same_again::<Secret>(body) else { return };
    let shown = format!("{secret:?}");
    for value in [&secret.value, &secret.raw_value].into_iter().flatten().filter(|value| value.len() > 16) {
        let named = [&secret.name, &secret.namespace].into_iter().flatten().any(|name| name.contains(value));
        assert!(named || !shown.contains(value.as_str()), "{shown}");
    }
    if let Ok(name) = secret.parse_name() {
        let name = name.as_str();
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']), "{name:?}");
    }
    let (text, raw) =
        (secret.value.clone().unwrap_or_default(), secret.raw_value.clone().unwrap_or_default());
    if let Ok(value) = secret.into_value() {
        assert!(!raw.is_empty() || value.as_bytes() == text.as_bytes());
    }
}

/// One that is taken bears the marks that make it one for functions.
fn namespace(body: &[u8]) {
    let Some(namespace) = same_again::<FunctionNamespace>(body) else { return };
    let Ok(spec) = namespace.into_spec() else { return };
    assert_eq!(spec.labels.get("openfaas").map(String::as_str), Some("1"), "{spec:?}");
    let told = FunctionNamespace::from(spec.clone());
    assert_eq!(told.into_spec().expect("our own words"), spec);
}

/// Whatever labels say, the count stays within the bounds of a function.
fn alert(body: &[u8]) {
    let Some(request) = same_again::<AlertRequest>(body) else { return };
    for labels in request.alerts.into_iter().flatten().filter_map(|alert| alert.labels) {
        for now in [0, 1, 7, u32::MAX] {
            for firing in [true, false] {
                let wished = replicas(&labels, now, firing);
                assert!(
                    wished <= model::scale::REPLICAS_MAX || wished == now,
                    "{now} to {wished}: {labels:?}"
                );
            }
        }
    }
}

fn deployment(body: &[u8]) {
    let Some(deployment) = same_again::<FunctionDeployment>(body) else { return };
    let default = Namespace::default();
    let Ok(spec) = deployment.into_spec(&default) else { return };
    let told = FunctionDeployment::from(spec.clone());
    let text = serde_json::to_vec(&told).expect("JSON");
    let read = decode::<FunctionDeployment>(&text).expect("our own words");
    assert_eq!(read.into_spec(&default).expect("our own spec"), spec);
    check_environment(spec.env.iter());
}

/// What would end a variable early, or begin another, is not let through.
fn check_environment<'a>(variables: impl Iterator<Item = (&'a String, &'a String)>) {
    for (name, value) in variables {
        assert!(!name.is_empty() && !name.contains(['=', '\0']), "{name:?}");
        assert!(!value.contains('\0'), "{value:?}");
    }
}

fn same_again<T>(body: &[u8]) -> Option<T>
where
    T: DeserializeOwned + Serialize + PartialEq + Debug,
{
    let read = decode::<T>(body).ok()?;
    let text = serde_json::to_vec(&read).expect("JSON");
    let again = decode::<T>(&text).expect("our own words");
    assert_eq!(serde_json::to_vec(&again).expect("JSON"), text);
    Some(read)
}
