//! A provider in a map: functions are in-process, nothing outlives the process. For tests, and to try the API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use model::scale::{REPLICAS_MAX, initial_replicas, min_replicas};
use model::{FunctionId, FunctionSpec, FunctionStatus, Namespace, ProviderInfo, VersionInfo};

use crate::{Echo, Endpoint, Invoke, Provider, ProviderError, Route, RouteTable};

pub struct Memory {
    namespace: Namespace,
    handler: Arc<dyn Invoke>,
    functions: Mutex<BTreeMap<FunctionId, Function>>,
    routes: Arc<RouteTable>,
}

struct Function {
    spec: FunctionSpec,
    replicas: u32,
    created_at: Timestamp,
}

impl Memory {
    /// Every function answers as [`crate::echo`] does.
    pub fn new(namespace: Namespace) -> Self {
        Self::with_handler(namespace, Arc::new(Echo))
    }

    /// Every function answers as `handler` does, whatever its image.
    pub fn with_handler(namespace: Namespace, handler: Arc<dyn Invoke>) -> Self {
        Self { namespace, handler, functions: Mutex::default(), routes: Arc::new(RouteTable::new()) }
    }

    fn functions(&self) -> MutexGuard<'_, BTreeMap<FunctionId, Function>> {
        self.functions.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn check_namespace(&self, namespace: &Namespace) -> Result<(), ProviderError> {
        if *namespace == self.namespace {
            return Ok(());
        }
        Err(ProviderError::Invalid(format!(
            "namespace {namespace} does not exist; functions live in {}",
            self.namespace
        )))
    }

    fn publish(&self, function: &Function) {
        let id = &function.spec.id;
        let endpoint = |n: u32| Arc::new(Endpoint::new(format!("{id}-{n}"), Arc::clone(&self.handler)));
        let endpoints: Vec<_> = (0..function.replicas).map(endpoint).collect();
        self.routes.publish(Route::new(&function.spec, function.replicas, endpoints));
    }
}

#[async_trait]
impl Provider for Memory {
    async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Ok(ProviderInfo {
            name: "minke-memory".into(),
            orchestration: "memory".into(),
            version: VersionInfo { release, sha: "unknown".into(), commit_message: None },
        })
    }

    fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(&self.routes)
    }

    async fn deploy(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.check_namespace(&spec.id.namespace)?;
        let mut functions = self.functions();
        if functions.contains_key(&spec.id) {
            return Err(ProviderError::function_exists(&spec.id));
        }
        let replicas = initial_replicas(&spec.labels);
        let function = Function { spec, replicas, created_at: Timestamp::now() };
        self.publish(&function);
        functions.insert(function.spec.id.clone(), function);
        Ok(())
    }

    async fn update(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.check_namespace(&spec.id.namespace)?;
        let mut functions = self.functions();
        let function =
            functions.get_mut(&spec.id).ok_or_else(|| ProviderError::function_not_found(&spec.id))?;
        function.replicas = min_replicas(&spec.labels).unwrap_or(function.replicas);
        function.spec = spec;
        self.publish(function);
        Ok(())
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), ProviderError> {
        self.functions().remove(id).ok_or_else(|| ProviderError::function_not_found(id))?;
        self.routes.retract(id);
        Ok(())
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        self.check_namespace(namespace)?;
        Ok(self.functions().values().map(Function::status).collect())
    }

    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        self.functions().get(id).map(Function::status).ok_or_else(|| ProviderError::function_not_found(id))
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError> {
        if replicas > REPLICAS_MAX {
            return Err(ProviderError::Invalid(format!(
                "{replicas} replicas; at most {REPLICAS_MAX} are allowed"
            )));
        }
        let mut functions = self.functions();
        let function = functions.get_mut(id).ok_or_else(|| ProviderError::function_not_found(id))?;
        function.replicas = replicas;
        self.publish(function);
        Ok(())
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        Ok(vec![self.namespace.clone()])
    }
}

impl Function {
    fn status(&self) -> FunctionStatus {
        FunctionStatus {
            spec: self.spec.clone(),
            replicas: self.replicas,
            available: self.replicas,
            created_at: self.created_at,
            invocations: 0,
            usage: None,
        }
    }
}
