//! What every provider promises, as checks that run over any of them: in a map, in containers, behind a URL.
//!
//! A check panics with what it saw. It makes functions of its own and removes them, so that checks can share a subject.

mod delete;
mod deploy;
mod invoke;
mod list;
mod logs;
mod namespaces;
mod scale;
mod secrets;
mod update;
mod usage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use model::{FunctionId, FunctionName, FunctionSpec, FunctionStatus, ImageRef, Namespace};

use crate::{Body, Call, CallId, Invoke, Provider};

/// A provider to hold to its promises, and a way to call its functions.
#[derive(Clone)]
pub struct Subject {
    pub provider: Arc<dyn Provider>,
    pub invoke: Arc<dyn Invoke>,
    pub namespace: Namespace,
    /// An image that answers as [`crate::echo`] does.
    pub image: ImageRef,
    /// An image that is nowhere to be had; providers that never look at images have none.
    pub missing_image: Option<ImageRef>,
    /// Longest that a replica may take to come up.
    pub patience: Duration,
}

pub struct Check {
    pub name: &'static str,
    pub run: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Every check, in the order of a function's life.
pub fn checks() -> Vec<Check> {
    [
        deploy::checks(),
        update::checks(),
        list::checks(),
        scale::checks(),
        invoke::checks(),
        logs::checks(),
        usage::checks(),
        secrets::checks(),
        namespaces::checks(),
        delete::checks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One list per file: a check cannot be written and forgotten.
macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        pub(super) fn checks() -> Vec<super::Check> {
            vec![$(super::Check {
                name: concat!(module_path!(), "::", stringify!($name)),
                run: |subject| Box::pin($name(subject)),
            }),+]
        }
    };
}
use suite;

impl Subject {
    pub fn id(&self, name: &str) -> FunctionId {
        FunctionId::new(FunctionName::parse(name).expect("a name of ours"), self.namespace.clone())
    }

    fn spec(&self, name: &str) -> FunctionSpec {
        FunctionSpec::new(self.id(name), self.image.clone())
    }

    /// Deploys and waits until it takes calls.
    async fn deployed(&self, spec: FunctionSpec) -> FunctionId {
        let id = spec.id.clone();
        self.provider.deploy(spec).await.expect("deploy");
        self.until(&id, "a replica takes calls", |status| status.available > 0).await;
        id
    }

    async fn until(
        &self,
        id: &FunctionId,
        what: &str,
        reached: impl Fn(&FunctionStatus) -> bool,
    ) -> FunctionStatus {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let status = self.provider.get(id).await.expect("status of a deployed function");
            if reached(&status) {
                return status;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited {:?} until {what}: {status:?}",
                self.patience
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn call(&self, id: &FunctionId, request: Request<Body>) -> Response<Bytes> {
        let call = Call { function: id.clone(), call_id: CallId::random(), request };
        let response = self.invoke.invoke(call).await.expect("an answer");
        let (head, body) = response.into_parts();
        Response::from_parts(head, body.collect().await.expect("a whole body").to_bytes())
    }

    async fn remove(&self, id: &FunctionId) {
        self.provider.delete(id).await.expect("delete");
    }
}
