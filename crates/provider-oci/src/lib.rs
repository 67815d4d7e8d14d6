//! Functions in containers on this host, with no daemon.
//!
//! The platform's process never makes a container itself: a [launcher] does, a process of the same binary, for which
//! `main` must call [`launcher::main_if_child`] first. What is wished for is on disk before it is done; a keeper for
//! each function makes it so, and makes it so again after a crash of whatever part.

mod client;
pub mod container;
mod delete;
mod deploy;
mod durable;
mod error;
mod health;
mod host;
mod images;
mod keeper;
pub mod launcher;
mod list;
mod logs;
mod namespaces;
mod network;
mod replica;
mod restore;
mod scale;
mod secrets;
mod state;
mod translate;
mod update;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::{
    FunctionId, FunctionSpec, FunctionStatus, LogQuery, Namespace, NamespaceSpec, ProviderInfo, SecretId,
    SecretName, SecretValue, Usage, VersionInfo,
};
use provider::{LogStream, Provider, ProviderError, RouteTable};
use tokio::sync::{RwLock, watch};
use tokio_util::sync::CancellationToken;

pub use error::OciError;
pub use health::PATH_ANNOTATION;
pub use images::{Images, StoreImages};

use health::Probe;
use host::Host;
use keeper::{Keeper, Plan};
use launcher::LauncherConfig;
use logs::{FunctionLog, Logs};
use namespaces::Namespaces;
use secrets::Secrets;
use state::{State, Wish};
use usage::Meter;

/// What the provider is given.
#[derive(Debug, Clone)]
pub struct Config {
    /// Locked by one platform at a time.
    pub data_dir: PathBuf,
    /// Where functions live that name no namespace; it is always there.
    pub namespace: Namespace,
    /// What secrets are encrypted with; made when it is first needed. `secrets.key` in the data directory when not set.
    pub secrets_key_file: Option<PathBuf>,
    /// Kept of what each function writes, bytes.
    pub log_max: u64,
    /// Idle connections kept to one replica.
    pub idle_max: usize,
    /// How long a replica may take to answer its calls, and then to end, before it is killed.
    pub grace: Duration,
    /// What the provider tells of itself.
    pub version: VersionInfo,
}

/// The provider. Its replicas end with [`Oci::shutdown`], and are killed when it is dropped.
#[derive(Clone)]
pub struct Oci {
    inner: Arc<Inner>,
}

struct Inner {
    namespaces: Namespaces,
    logs: Logs,
    version: VersionInfo,
    state: State,
    images: Arc<dyn Images>,
    host: Arc<Host>,
    routes: Arc<RouteTable>,
    functions: Mutex<BTreeMap<FunctionId, Function>>,
    /// Changes of one function happen one after another; waiting for an image holds up no other function.
    turns: Mutex<BTreeMap<FunctionId, Arc<tokio::sync::Mutex<()>>>>,
    /// Held to name a namespace or a secret, and alone to remove one: what is named stays.
    references: RwLock<()>,
    end: CancellationToken,
}

/// A function that exists: its plan, and the keeper that follows it.
struct Function {
    plan: watch::Sender<Plan>,
    end: CancellationToken,
    /// Comes when the keeper publishes no more.
    quiet: CancellationToken,
    log: Arc<FunctionLog>,
    meter: Arc<Meter>,
}

impl Oci {
    /// Removes what an earlier platform left, then brings up what is wished.
    pub async fn connect(config: Config, images: Arc<dyn Images>) -> Result<Oci, OciError> {
        let (data_dir, default) = (config.data_dir.clone(), config.namespace);
        let key_file = config.secrets_key_file.unwrap_or_else(|| data_dir.join("secrets.key"));
        let opened = move || {
            let state = State::open(&data_dir)?;
            let secrets = Secrets::open(data_dir.join("secrets"), key_file)?;
            let namespaces = Namespaces::open(data_dir.join("namespaces"), default)?;
            let wishes = state.load()?;
            let kept = wishes.iter().map(|wish| wish.spec.id.namespace.clone()).chain(secrets.namespaces()?);
            kept.collect::<BTreeSet<_>>().iter().for_each(|name| namespaces.adopt(name));
            let logs = Logs::open(data_dir.join("logs"), config.log_max)?;
            logs.sweep(&wishes.iter().map(|wish| wish.spec.id.clone()).collect())?;
            Ok::<_, OciError>((state, secrets, namespaces, logs, wishes))
        };
        let (state, secrets, namespaces, logs, wishes) = blocking(opened).await??;
        let launcher = LauncherConfig {
            folder: config.data_dir.join("containers"),
            cgroup: format!("minke-{}", state.instance()),
        };
        let host = Host::connect(launcher, config.grace, config.idle_max, Arc::new(secrets)).await?;
        let inner = Inner {
            namespaces,
            logs,
            version: config.version,
            state,
            images,
            host: Arc::new(host),
            routes: Arc::new(RouteTable::new()),
            functions: Mutex::default(),
            turns: Mutex::default(),
            references: RwLock::default(),
            end: CancellationToken::new(),
        };
        let oci = Oci { inner: Arc::new(inner) };
        for wish in wishes {
            restore::restore(&oci.inner, wish).await;
        }
        let host = &oci.inner.host;
        host.images_freed.notify_one();
        let (sweep, end) =
            (restore::sweep_images(Arc::downgrade(&oci.inner), Arc::clone(host)), oci.inner.end.clone());
        host.tasks.spawn(end.run_until_cancelled_owned(sweep));
        Ok(oci)
    }

    /// Lets every replica answer its calls and ends it. What is wished for stays, for the next start.
    pub async fn shutdown(&self) {
        self.inner.end.cancel();
        self.inner.host.tasks.close();
        self.inner.host.tasks.wait().await;
        self.inner.host.close().await;
    }

    /// Lets `change` finish even if whoever asked for it is gone, one change of a function at a time.
    async fn change<F, Change>(&self, id: &FunctionId, change: Change) -> Result<(), ProviderError>
    where
        F: Future<Output = Result<(), ProviderError>> + Send + 'static,
        Change: FnOnce(Arc<Inner>) -> F + Send + 'static,
    {
        let id = id.clone();
        self.finish(|inner| async move {
            let change = async {
                if inner.end.is_cancelled() {
                    return Err(ProviderError::Unavailable { what: "the platform".to_owned(), source: None });
                }
                change(Arc::clone(&inner)).await
            };
            inner.in_turn(&id, change).await
        })
        .await
    }

    /// Lets `change` finish even if whoever asked for it is gone.
    async fn finish<F, Change>(&self, change: Change) -> Result<(), ProviderError>
    where
        F: Future<Output = Result<(), ProviderError>> + Send + 'static,
        Change: FnOnce(Arc<Inner>) -> F,
    {
        let changed = tokio::spawn(change(Arc::clone(&self.inner)));
        changed.await.unwrap_or_else(|error| Err(ProviderError::backend("finish the change", error)))
    }
}

impl Inner {
    fn functions(&self) -> MutexGuard<'_, BTreeMap<FunctionId, Function>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After every other change of the function that is under way.
    async fn in_turn<T>(&self, id: &FunctionId, change: impl Future<Output = T>) -> T {
        let turn = self.turn(id);
        let changed = {
            let _turn = turn.lock().await;
            change.await
        };
        self.end_turn(id, turn);
        changed
    }

    fn turn(&self, id: &FunctionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(id.clone()).or_default())
    }

    /// Forgets the lock of a function that nobody else waits for: names come and go.
    fn end_turn(&self, id: &FunctionId, turn: Arc<tokio::sync::Mutex<()>>) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's and ours.
        if Arc::strong_count(&turn) == 2 {
            turns.remove(id);
        }
    }

    fn check_namespace(&self, namespace: &Namespace) -> Result<(), ProviderError> {
        if self.namespaces.contains(namespace) {
            return Ok(());
        }
        Err(ProviderError::Invalid(format!("namespace {namespace} does not exist; create it first")))
    }

    /// What a function names must be there, and stay until the function is noted: see `references`.
    async fn check_references(&self, spec: &FunctionSpec) -> Result<(), ProviderError> {
        self.check_namespace(&spec.id.namespace)?;
        secrets::manage::check(self, spec).await
    }

    /// A function that names the secret.
    fn user_of(&self, secret: &SecretId) -> Option<FunctionId> {
        let functions = self.functions();
        let mut own = functions.iter().filter(|(id, _)| id.namespace == secret.namespace);
        let names =
            |function: &Function| function.plan.borrow().wish.spec.secrets.contains(secret.name.as_str());
        own.find(|(_, function)| names(function)).map(|(id, _)| id.clone())
    }

    /// Whether this host can carry so many replicas of a function beside those of the others. Fewer than there are
    /// wished for already always can be.
    fn check_room(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError> {
        let (mut others, mut own) = (0, 0);
        for (other, function) in &*self.functions() {
            let wished = function.plan.borrow().wish.replicas;
            if other == id { own = wished } else { others += u64::from(wished) }
        }
        let max = self.host.replicas_max;
        if replicas <= own || others + u64::from(replicas) <= max {
            return Ok(());
        }
        Err(ProviderError::Invalid(format!(
            "{replicas} replicas of {id} are too many beside {others} of other functions: this host carries at most \
             {max} with the platform's limit of open files; raise it (LimitNOFILE in systemd) or scale down"
        )))
    }

    /// The plan of a function that exists.
    fn plan(&self, id: &FunctionId) -> Result<Plan, ProviderError> {
        self.check_namespace(&id.namespace)?;
        let functions = self.functions();
        let function = functions.get(id).ok_or_else(|| ProviderError::function_not_found(id))?;
        Ok(function.plan.borrow().clone())
    }

    /// All that can be said against a spec, before anything is changed.
    async fn prepare(&self, spec: &FunctionSpec) -> Result<image::Image, ProviderError> {
        let spec = spec.clone().validate().map_err(|error| ProviderError::Invalid(error.to_string()))?;
        self.check_references(&spec).await?;
        Probe::of(&spec).map_err(ProviderError::Invalid)?;
        let image = self.images.find(&spec.image).await.map_err(error::image)?;
        translate::container(&spec.id.to_string(), &spec, &image)
            .map_err(|error| ProviderError::Invalid(error.to_string()))?;
        Ok(image)
    }

    /// Makes the wish durable.
    async fn save(self: &Arc<Self>, wish: &Wish) -> Result<(), ProviderError> {
        let (inner, wish) = (Arc::clone(self), wish.clone());
        let name = wish.spec.id.to_string();
        let saved = blocking(move || inner.state.save(&wish)).await;
        saved
            .and_then(|saved| Ok(saved?))
            .map_err(|error| ProviderError::backend(format!("save {name}"), error))
    }

    /// Returns what ends with the function.
    fn keep(&self, plan: Plan) -> CancellationToken {
        let id = plan.wish.spec.id.clone();
        let end = self.end.child_token();
        self.routes.publish(keeper::route(&plan.wish, Vec::new()));
        let (plan, follow) = watch::channel(plan);
        let quiet = CancellationToken::new();
        let log = self.logs.of(&id);
        let (host, routes) = (Arc::clone(&self.host), Arc::clone(&self.routes));
        let keeper = Keeper::new(host, routes, Arc::clone(&log), follow, end.clone());
        self.host.tasks.spawn(keeper.run(quiet.clone().drop_guard()));
        self.functions().insert(id, Function { plan, end: end.clone(), quiet, log, meter: Arc::default() });
        end
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, OciError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| OciError::Stopped)
}

#[async_trait]
impl Provider for Oci {
    async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        Ok(ProviderInfo {
            name: "minke-oci".to_owned(),
            orchestration: "oci".to_owned(),
            version: self.inner.version.clone(),
        })
    }

    async fn health(&self) -> Result<(), ProviderError> {
        match self.inner.host.launcher().await {
            Ok(_) => Ok(()),
            Err(error) => Err(ProviderError::Unavailable {
                what: "the launcher".to_owned(),
                source: Some(error.into()),
            }),
        }
    }

    fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(&self.inner.routes)
    }

    async fn deploy(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.change(&spec.id.clone(), |inner| deploy::deploy(inner, spec)).await
    }

    async fn update(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.change(&spec.id.clone(), |inner| update::update(inner, spec)).await
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), ProviderError> {
        let function = id.clone();
        self.change(id, |inner| delete::delete(inner, function)).await
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        list::list(&self.inner, namespace)
    }

    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        list::get(&self.inner, id)
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError> {
        let function = id.clone();
        self.change(id, move |inner| scale::scale(inner, function, replicas)).await
    }

    async fn usage(&self, id: &FunctionId) -> Result<Usage, ProviderError> {
        usage::usage(&self.inner, id).await
    }

    async fn logs(&self, query: LogQuery) -> Result<LogStream, ProviderError> {
        let id = &query.function;
        self.inner.plan(id)?;
        let log = self.inner.functions().get(id).map(|function| Arc::clone(&function.log));
        let log = log.ok_or_else(|| ProviderError::function_not_found(id))?;
        logs::read(log, query, self.inner.end.clone()).await
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        Ok(self.inner.namespaces.list())
    }

    async fn namespace(&self, name: &Namespace) -> Result<NamespaceSpec, ProviderError> {
        namespaces::manage::get(&self.inner, name)
    }

    async fn create_namespace(&self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        self.finish(|inner| async move { namespaces::manage::create(&inner, spec).await }).await
    }

    async fn update_namespace(&self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        self.finish(|inner| async move { namespaces::manage::update(&inner, spec).await }).await
    }

    async fn delete_namespace(&self, name: &Namespace) -> Result<(), ProviderError> {
        let name = name.clone();
        self.finish(|inner| async move { namespaces::manage::delete(&inner, name).await }).await
    }

    async fn secrets(&self, namespace: &Namespace) -> Result<Vec<SecretName>, ProviderError> {
        secrets::manage::list(&self.inner, namespace).await
    }

    async fn create_secret(&self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.finish(|inner| async move { secrets::manage::create(&inner, id, value).await }).await
    }

    async fn update_secret(&self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.finish(|inner| async move { secrets::manage::update(&inner, id, value).await }).await
    }

    async fn delete_secret(&self, id: &SecretId) -> Result<(), ProviderError> {
        let id = id.clone();
        self.finish(|inner| async move { secrets::manage::delete(&inner, id).await }).await
    }
}
