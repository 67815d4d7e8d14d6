//! The conformance suite over `Memory`, with nothing in between.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Response;
use model::{ImageRef, Namespace};
use provider::conformance::{Subject, checks};
use provider::{Body, Call, Invoke, InvokeError, Memory, Provider};

/// The shortest call path there is: the first endpoint of the route.
struct Direct(Arc<Memory>);

#[async_trait]
impl Invoke for Direct {
    async fn invoke(&self, call: Call) -> Result<Response<Body>, InvokeError> {
        let route = self.0.routes().get(&call.function);
        let endpoint = route.as_ref().and_then(|route| route.endpoints.first());
        match endpoint {
            Some(endpoint) => endpoint.invoke(call).await,
            None => Err(InvokeError::NoEndpoints(call.function)),
        }
    }
}

#[tokio::test]
async fn memory_keeps_every_promise() {
    let memory = Arc::new(Memory::new(Namespace::default()));
    let subject = Subject {
        provider: memory.clone(),
        invoke: Arc::new(Direct(memory)),
        namespace: Namespace::default(),
        image: ImageRef::parse("minke/echo:latest").expect("reference"),
        missing_image: None,
        patience: Duration::from_secs(1),
    };
    for check in checks() {
        println!("{}", check.name);
        (check.run)(subject.clone()).await;
    }
    let left = subject.provider.list(&subject.namespace).await.expect("list");
    assert!(left.is_empty(), "the checks left {left:?}");
}
