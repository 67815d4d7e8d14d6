//! The provider over a temporary data directory, with the echo function in its store.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use image::{PullOptions, Store};
use model::{FunctionId, FunctionSpec, FunctionStatus, Namespace, VersionInfo};
use provider::{Body, Call, CallId, Invoke, InvokeError, Provider};
use provider_oci::{Config, Oci, OciError, StoreImages};

use crate::echo;

pub struct Platform {
    pub folder: tempfile::TempDir,
    pub oci: Oci,
}

impl Platform {
    pub async fn new() -> Platform {
        let folder = tempfile::tempdir().unwrap();
        let oci = connect(folder.path()).await.unwrap();
        Platform { folder, oci }
    }

    /// Stops it, and starts it over the same folder.
    pub async fn again(self) -> Platform {
        self.oci.shutdown().await;
        drop(self.oci);
        let oci = connect(self.folder.path()).await.unwrap();
        Platform { folder: self.folder, oci }
    }

    pub async fn deployed(&self, spec: FunctionSpec) -> FunctionId {
        let id = spec.id.clone();
        self.oci.deploy(spec).await.unwrap();
        self.until(&id, |status| status.available > 0).await;
        id
    }

    pub async fn until(&self, id: &FunctionId, reached: impl Fn(&FunctionStatus) -> bool) {
        let mut routes = self.oci.routes().subscribe(id).unwrap();
        loop {
            let status = self.oci.get(id).await.unwrap();
            if reached(&status) {
                return;
            }
            let next = tokio::time::timeout(Duration::from_secs(30), routes.changed()).await;
            next.unwrap_or_else(|_| panic!("waited 30 s: {status:?}")).unwrap();
        }
    }

    pub async fn call(&self, id: &FunctionId) -> Result<Response<Body>, InvokeError> {
        let call =
            Call { function: id.clone(), call_id: CallId::random(), request: Request::new(Body::Empty) };
        Direct(self.oci.clone()).invoke(call).await
    }
}

/// The images are imported once, for all tests.
pub fn store() -> Store {
    static STORE: OnceLock<(tempfile::TempDir, Store)> = OnceLock::new();
    let (_, store) = STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        echo::import(&store);
        (folder, store)
    });
    store.clone()
}

pub async fn connect(folder: &Path) -> Result<Oci, OciError> {
    let images = StoreImages { store: store(), pull: PullOptions::default() };
    Oci::connect(config(folder), Arc::new(images)).await
}

pub fn config(folder: &Path) -> Config {
    Config {
        data_dir: folder.to_owned(),
        namespace: Namespace::default(),
        secrets_key_file: None,
        log_max: 10 << 20,
        idle_max: 128,
        grace: Duration::from_secs(5),
        version: version(),
    }
}

pub fn version() -> VersionInfo {
    VersionInfo { release: "1.2.3".to_owned(), sha: "abc".to_owned(), commit_message: None }
}

pub fn spec(name: &str, image: &str) -> FunctionSpec {
    let id = FunctionId::parse(name, &Namespace::default()).unwrap();
    FunctionSpec::new(id, image.parse().unwrap())
}

/// The shortest way from a call to a replica.
pub struct Direct(pub Oci);

#[async_trait]
impl Invoke for Direct {
    async fn invoke(&self, mut call: Call) -> Result<Response<Body>, InvokeError> {
        let id = call.function.clone();
        let mut routes = self.0.routes().subscribe(&id).ok_or_else(|| InvokeError::NotFound(id.clone()))?;
        loop {
            let route = routes.wait_for(|route| !route.endpoints.is_empty()).await;
            let endpoint = Arc::clone(&route.map_err(|_| InvokeError::NotFound(id.clone()))?.endpoints[0]);
            let _in_flight = endpoint.begin();
            match endpoint.invoke(call).await {
                // Its route was read just before it was to go.
                Err(InvokeError::Connect { call: Some(unsent), .. }) => call = *unsent,
                outcome => return outcome,
            }
        }
    }
}
