//! A provider in a map: functions are in-process, nothing outlives the process. For tests, and to try the API.

mod log;
mod namespaces;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use model::scale::{REPLICAS_MAX, initial_replicas, min_replicas};
use model::{
    FunctionId, FunctionSpec, FunctionStatus, LogQuery, Namespace, NamespaceSpec, ProviderInfo, SecretId,
    SecretName, SecretValue, Usage, VersionInfo,
};

use self::log::Log;
use self::namespaces::Namespaces;
use crate::{Echo, Endpoint, Invoke, LogStream, Provider, ProviderError, Route, RouteTable};

pub struct Memory {
    handler: Arc<dyn Invoke>,
    state: Mutex<State>,
    routes: Arc<RouteTable>,
}

struct State {
    namespaces: Namespaces,
    functions: BTreeMap<FunctionId, Function>,
}

struct Function {
    spec: FunctionSpec,
    replicas: u32,
    created_at: Timestamp,
    log: Log,
}

impl Memory {
    /// Every function answers as [`crate::echo`] does.
    pub fn new(namespace: Namespace) -> Self {
        Self::with_handler(namespace, Arc::new(Echo))
    }

    /// Every function answers as `handler` does, whatever its image.
    pub fn with_handler(namespace: Namespace, handler: Arc<dyn Invoke>) -> Self {
        let state = State { namespaces: Namespaces::new(namespace), functions: BTreeMap::new() };
        Self { handler, state: Mutex::new(state), routes: Arc::new(RouteTable::new()) }
    }

    /// What a function would read.
    pub fn secret(&self, id: &SecretId) -> Result<SecretValue, ProviderError> {
        self.state().namespaces.secret(id).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn publish(&self, function: &Function) {
        let id = &function.spec.id;
        let endpoint = |n: u32| {
            let replica = format!("{id}-{n}");
            let invoke = function.log.of(replica.clone(), Arc::clone(&self.handler));
            Arc::new(Endpoint::new(replica, Arc::new(invoke)))
        };
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
        let mut state = self.state();
        if state.functions.contains_key(&spec.id) {
            return Err(ProviderError::function_exists(&spec.id));
        }
        state.namespaces.can_hold(&spec)?;
        let (replicas, log) = (initial_replicas(&spec.labels), Log::new(spec.id.clone()));
        let function = Function { spec, replicas, created_at: Timestamp::now(), log };
        self.publish(&function);
        state.functions.insert(function.spec.id.clone(), function);
        Ok(())
    }

    async fn update(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        let mut state = self.state();
        state.namespaces.check(&spec.id.namespace)?;
        state.function(&spec.id)?;
        state.namespaces.can_hold(&spec)?;
        let function = state.function(&spec.id)?;
        function.replicas = min_replicas(&spec.labels).unwrap_or(function.replicas);
        function.spec = spec;
        self.publish(function);
        Ok(())
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), ProviderError> {
        let removed = self.state().functions.remove(id);
        removed.ok_or_else(|| ProviderError::function_not_found(id))?;
        self.routes.retract(id);
        Ok(())
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        let state = self.state();
        state.namespaces.check(namespace)?;
        let inside = state.functions.values().filter(|function| function.spec.id.namespace == *namespace);
        Ok(inside.map(Function::status).collect())
    }

    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        Ok(self.state().function(id)?.status())
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError> {
        if replicas > REPLICAS_MAX {
            return Err(ProviderError::Invalid(format!(
                "{replicas} replicas; at most {REPLICAS_MAX} are allowed"
            )));
        }
        let mut state = self.state();
        let function = state.function(id)?;
        function.replicas = replicas;
        self.publish(function);
        Ok(())
    }

    /// Functions share a process, so that none has a use of its own.
    async fn usage(&self, id: &FunctionId) -> Result<Usage, ProviderError> {
        self.state().function(id)?;
        Err(ProviderError::Unsupported("usage"))
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        Ok(self.state().namespaces.names())
    }

    async fn namespace(&self, name: &Namespace) -> Result<NamespaceSpec, ProviderError> {
        self.state().namespaces.get(name)
    }

    async fn create_namespace(&self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        self.state().namespaces.create(spec)
    }

    async fn update_namespace(&self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        self.state().namespaces.update(spec)
    }

    async fn delete_namespace(&self, name: &Namespace) -> Result<(), ProviderError> {
        let mut state = self.state();
        let functions = state.functions.keys().filter(|id| id.namespace == *name).count();
        state.namespaces.delete(name, functions)
    }

    async fn secrets(&self, namespace: &Namespace) -> Result<Vec<SecretName>, ProviderError> {
        self.state().namespaces.secrets(namespace)
    }

    async fn create_secret(&self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.state().namespaces.create_secret(id, value)
    }

    async fn update_secret(&self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.state().namespaces.update_secret(id, value)
    }

    async fn delete_secret(&self, id: &SecretId) -> Result<(), ProviderError> {
        let mut state = self.state();
        let names = |spec: &FunctionSpec| {
            spec.id.namespace == id.namespace && spec.secrets.contains(id.name.as_str())
        };
        if let Some(function) = state.functions.values().find(|function| names(&function.spec)) {
            return Err(ProviderError::Invalid(format!(
                "secret {id} is used by function {}; remove it there first",
                function.spec.id
            )));
        }
        state.namespaces.delete_secret(id)
    }

    async fn logs(&self, query: LogQuery) -> Result<LogStream, ProviderError> {
        let mut state = self.state();
        let log = &state.function(&query.function)?.log;
        Ok(log.read(query))
    }
}

impl State {
    fn function(&mut self, id: &FunctionId) -> Result<&mut Function, ProviderError> {
        self.functions.get_mut(id).ok_or_else(|| ProviderError::function_not_found(id))
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
