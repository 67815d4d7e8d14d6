//! Look up: function to route, from memory; the provider is asked only about functions that the table does not hold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use model::name::DEFAULT_NAMESPACE;
use model::{FunctionId, Namespace};
use provider::{InvokeError, Provider, ProviderError, Route, RouteTable};
use tokio::time::Instant;

use crate::flight::{Flights, NoFlight};
use crate::tasks::Tasks;

/// How long a function that was not found is not asked for again, and how many such names are remembered.
const ABSENT_FOR: Duration = Duration::from_millis(500);
const ABSENT_MAX: usize = 4096;
/// Names asked for at once.
const QUESTIONS_MAX: usize = 64;

type Found = Result<Option<Arc<Route>>, Arc<ProviderError>>;

pub(super) struct Lookup {
    provider: Arc<dyn Provider>,
    routes: Arc<RouteTable>,
    questions: Flights<FunctionId, Found>,
    absent: Mutex<HashMap<FunctionId, Instant>>,
    /// Where functions live when nobody says.
    namespace: Namespace,
}

impl Lookup {
    pub fn new(provider: Arc<dyn Provider>, namespace: Namespace, tasks: Tasks) -> Self {
        let routes = provider.routes();
        let questions = Flights::new(QUESTIONS_MAX, tasks);
        Self { provider, routes, questions, absent: Mutex::default(), namespace }
    }

    pub async fn find(&self, id: &FunctionId) -> Result<Arc<Route>, InvokeError> {
        match self.routes.get(id) {
            Some(route) => Ok(route),
            None => Box::pin(self.search(id)).await,
        }
    }

    /// Clients write the usual default namespace behind a name that is given without one, whatever the platform's own
    /// is. Where there is no function of the full name in memory, the platform's own is meant; the provider is asked
    /// when that is not there either.
    async fn search(&self, id: &FunctionId) -> Result<Arc<Route>, InvokeError> {
        if id.namespace.as_str() != DEFAULT_NAMESPACE || id.namespace == self.namespace {
            return self.ask(id).await;
        }
        let home = FunctionId::new(id.name.clone(), self.namespace.clone());
        if let Some(route) = self.routes.get(&home) {
            return Ok(route);
        }
        match self.ask(id).await {
            Ok(route) => Ok(route),
            asked => self.ask(&home).await.or(asked),
        }
    }

    /// The function has just been made: it may be asked for at once.
    pub fn expect(&self, id: &FunctionId) {
        self.absent().remove(id);
    }

    async fn ask(&self, id: &FunctionId) -> Result<Arc<Route>, InvokeError> {
        if self.absent().get(id).is_some_and(|since| since.elapsed() < ABSENT_FOR) {
            return Err(InvokeError::NotFound(id.clone()));
        }
        let resolve = || {
            let (provider, id) = (Arc::clone(&self.provider), id.clone());
            async move { provider.resolve(&id).await.map_err(Arc::new) }
        };
        match self.questions.join(id, resolve).await {
            Ok(Ok(Some(route))) => Ok(route),
            Ok(Ok(None)) => {
                self.remember_absent(id);
                Err(InvokeError::NotFound(id.clone()))
            }
            Ok(Err(error)) => Err(shared("look the function up", &error)),
            Err(NoFlight::TooMany) => Err(InvokeError::Overloaded),
            Err(NoFlight::Lost) => Err(lost("look the function up")),
        }
    }

    fn remember_absent(&self, id: &FunctionId) {
        let mut absent = self.absent();
        if absent.len() >= ABSENT_MAX {
            absent.retain(|_, since| since.elapsed() < ABSENT_FOR);
        }
        if absent.len() < ABSENT_MAX {
            absent.insert(id.clone(), Instant::now());
        }
    }

    fn absent(&self) -> MutexGuard<'_, HashMap<FunctionId, Instant>> {
        self.absent.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One failure told to each who waited for it.
pub(super) fn shared(operation: &str, error: &Arc<ProviderError>) -> InvokeError {
    let source = Some(error.chain().into());
    InvokeError::Provider(match **error {
        ProviderError::Unavailable { .. } => {
            ProviderError::Unavailable { what: "the provider".into(), source }
        }
        _ => ProviderError::backend(operation, error.chain()),
    })
}

pub(super) fn lost(operation: &str) -> InvokeError {
    InvokeError::Provider(ProviderError::backend(operation, "it was given up"))
}
