//! The bodies of management requests: what is taken can be told again, and then means the same.

use std::fmt::Debug;

use model::Namespace;
use model::wire::{DeleteFunctionRequest, FunctionDeployment, ScaleServiceRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::decode;

/// The first byte chooses the request, the rest is its body.
pub fn wire(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind % 3 {
        0 => deployment(body),
        1 => drop(same_again::<ScaleServiceRequest>(body)),
        _ => drop(same_again::<DeleteFunctionRequest>(body)),
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
