//! The description of the API that the gateway serves. `tests/it/openapi.rs` writes it.

/// OpenAPI 3.1. It tells nothing that the project's pages do not tell, so nobody is asked for credentials.
pub(crate) const DOCUMENT: &str = include_str!("../../../docs/reference/openapi.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::Method;
    use serde_json::Value;

    use super::DOCUMENT;
    use crate::router::{Route, System, route};

    /// Every route, by the name that the document calls it.
    macro_rules! operations {
        ($($pattern:pat => $name:literal,)+) => {
            const ALL: &[&str] = &[$($name),+];

            /// Not to be compiled when a route has no name here.
            fn operation(route: &Route<'_>) -> Option<&'static str> {
                match route {
                    $($pattern => Some($name),)+
                    Route::Moved(_) | Route::MethodNotAllowed(_) | Route::NotFound => None,
                }
            }
        };
    }

    operations! {
        Route::Invoke { .. } => "invoke",
        Route::Ui => "ui",
        Route::Home => "home",
        Route::Health => "health",
        Route::OpenApi => "openapi",
        Route::System(System::List) => "listFunctions",
        Route::System(System::Deploy) => "createFunction",
        Route::System(System::Update) => "updateFunction",
        Route::System(System::Delete) => "deleteFunction",
        Route::System(System::Get(_)) => "getFunction",
        Route::System(System::Scale(_)) => "scaleFunction",
        Route::System(System::ListSecrets) => "listSecrets",
        Route::System(System::CreateSecret) => "createSecret",
        Route::System(System::UpdateSecret) => "updateSecret",
        Route::System(System::DeleteSecret) => "deleteSecret",
        Route::System(System::Logs) => "logs",
        Route::System(System::Info) => "info",
        Route::System(System::Namespaces) => "listNamespaces",
        Route::System(System::CreateNamespace(_)) => "createNamespace",
        Route::System(System::Namespace(_)) => "getNamespace",
        Route::System(System::UpdateNamespace(_)) => "updateNamespace",
        Route::System(System::DeleteNamespace(_)) => "deleteNamespace",
        Route::System(System::Alert) => "alert",
        Route::System(System::Telemetry) => "telemetry",
    }

    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

    #[test]
    fn each_route_is_in_the_document_and_each_operation_is_routed() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut told = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let sample = path.replace("{path}", "a/b").replace(['{', '}'], "");
            for method in METHODS {
                let found = route(&Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &sample);
                let Some(operation_id) = item.get(method).map(|operation| &operation["operationId"]) else {
                    assert!(matches!(found, Route::MethodNotAllowed(_)), "{method} {path} is {found:?}");
                    continue;
                };
                let name = operation(&found).unwrap_or_else(|| panic!("{method} {path} is {found:?}"));
                // An operation has a name of its own in each path and method.
                let operation_id = operation_id.as_str().unwrap();
                let base = operation_id.split('-').next().unwrap();
                assert_eq!(base, name, "{method} {path}");
                told.insert(name);
            }
        }
        assert_eq!(told, ALL.iter().copied().collect());
    }
}
