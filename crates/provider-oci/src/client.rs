//! One replica, spoken to in its protocol.

use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, StatusCode};
use model::Protocol;
use provider::{Body, Http2Replica, HttpReplica, Invoke, http1, http2};
use tokio::runtime::Handle;

use crate::network::ReplicaDial;

/// What a function sees as its own host.
const HOST_SEEN: &str = "127.0.0.1:8080";

pub enum Client {
    Http1(http1::Client),
    Http2(http2::Client),
}

impl Client {
    /// To be called on the platform's own runtime, which its connections live on.
    pub fn new(protocol: Protocol, dial: ReplicaDial, idle_max: usize) -> Self {
        let dial = Arc::new(dial);
        match protocol {
            Protocol::Http1 => {
                Self::Http1(http1::Client::new(dial, http1::Config { idle_max, ..http1::Config::default() }))
            }
            Protocol::H2c => {
                Self::Http2(http2::Client::new(dial, http2::Config::default(), Handle::current()))
            }
        }
    }

    /// What it answers a GET with, if it does.
    pub async fn get(&self, path: &str) -> Option<StatusCode> {
        let request = Request::builder().uri(path).header(HOST, HOST_SEEN).body(Body::Empty).ok()?;
        let response = match self {
            Self::Http1(client) => client.send(request).await.ok()?,
            Self::Http2(client) => client.send(&authority(), request).await.ok()?,
        };
        Some(response.status())
    }

    pub fn into_invoke(self) -> Arc<dyn Invoke> {
        match self {
            Self::Http1(client) => Arc::new(HttpReplica::new(client, HeaderValue::from_static(HOST_SEEN))),
            Self::Http2(client) => Arc::new(Http2Replica::new(client, authority())),
        }
    }
}

fn authority() -> Authority {
    Authority::from_static(HOST_SEEN)
}
