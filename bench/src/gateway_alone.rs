//! Minke's gateway by itself: the code that the platform runs, before a server that somebody else started.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gateway::{Gateway, Listeners};
use http::HeaderValue;
use model::{FunctionId, FunctionName, FunctionSpec, ImageRef, Namespace};
use provider::http1::{self, Client};
use provider::{Endpoint, HttpReplica, Memory, Provider, Route};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves `hello`, one of so many functions, on `listen` until SIGTERM.
pub fn run(listen: SocketAddr, upstream: SocketAddr, functions: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let gateway = Gateway::new(provider(upstream, functions).await?, gateway::Config::default());
        let api = TcpListener::bind(listen).await.with_context(|| format!("failed to listen on {listen}"))?;
        let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut stop = signal(SignalKind::terminate())?;
        let stopped = async move {
            stop.recv().await;
        };
        Ok(gateway.serve(Listeners { api, tls: None, metrics }, stopped, Duration::from_secs(1)).await?)
    })
}

/// A provider in memory, whose function `hello` is led to `upstream`.
async fn provider(upstream: SocketAddr, functions: usize) -> anyhow::Result<Arc<dyn Provider>> {
    let id = FunctionId::new(FunctionName::parse("hello")?, Namespace::default());
    let memory = Memory::new(Namespace::default());
    let spec = FunctionSpec::new(id, ImageRef::parse("minke/hello:latest")?);
    memory.deploy(spec.clone()).await?;
    for number in 1..functions {
        let id = FunctionId::new(FunctionName::parse(&format!("f{number}"))?, Namespace::default());
        memory.deploy(FunctionSpec::new(id, spec.image.clone())).await?;
    }
    let client = Client::new(Arc::new(upstream), http1::Config::default());
    let replica = HttpReplica::new(client, HeaderValue::from_str(&upstream.to_string())?);
    memory.routes().publish(Route::new(&spec, 1, [Arc::new(Endpoint::new("native", Arc::new(replica)))]));
    Ok(Arc::new(memory))
}
