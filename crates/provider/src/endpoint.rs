//! One place that takes calls: a replica behind HTTP, or anything else that can be invoked.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use http::header::HOST;
use http::{HeaderValue, Response};

use crate::http1::{Client, SendError};
use crate::{Body, Call, Invoke, InvokeError};

/// A replica in a [`crate::Route`], with the count of calls that it is answering.
pub struct Endpoint {
    replica: String,
    invoke: Arc<dyn Invoke>,
    in_flight: Arc<AtomicUsize>,
}

/// One call that an endpoint is answering; ends when dropped, so it is kept as long as the answer streams.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Endpoint {
    pub fn new(replica: impl Into<String>, invoke: Arc<dyn Invoke>) -> Self {
        Self { replica: replica.into(), invoke, in_flight: Arc::default() }
    }

    pub fn replica(&self) -> &str {
        &self.replica
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a call from here on.
    pub fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }

    pub fn invoke(&self, call: Call) -> impl Future<Output = Result<Response<Body>, InvokeError>> + Send {
        self.invoke.invoke(call)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("replica", &self.replica)
            .field("in_flight", &self.in_flight())
            .finish()
    }
}

type Invoking<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, InvokeError>> + Send + 'a>>;

/// A replica that speaks HTTP/1.1, over whatever its client dials.
pub struct HttpReplica {
    client: Client,
    host: HeaderValue,
}

impl HttpReplica {
    /// `host` is what the function sees as `Host`; the caller's own travels as `X-Forwarded-Host`.
    pub fn new(client: Client, host: HeaderValue) -> Self {
        Self { client, host }
    }
}

impl Invoke for HttpReplica {
    /// Written out, because the future that the attribute makes keeps room for the call beside all that becomes of it,
    /// and is allocated for each.
    fn invoke<'a, 'async_trait>(&'a self, call: Call) -> Invoking<'async_trait>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        let Call { function, call_id, mut request } = call;
        request.headers_mut().insert(HOST, self.host.clone());
        let answered = |sent| match sent {
            Ok(response) => Ok(response),
            Err(SendError::Connect { source, request }) => {
                let call = Box::new(Call { function: function.clone(), call_id, request: *request });
                Err(InvokeError::Connect { function, call: Some(call), source })
            }
            Err(SendError::RequestBody(source)) => Err(InvokeError::Request(source)),
            Err(SendError::Upstream(source)) => Err(InvokeError::Upstream(source.into())),
            Err(error) => Err(InvokeError::Upstream(error.to_string().into())),
        };
        Box::pin(self.client.send(request).map(answered))
    }
}
