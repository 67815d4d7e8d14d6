//! One place that takes calls: a replica behind HTTP, or anything else that can be invoked.

use std::fmt;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    closed: AtomicBool,
}

/// One call that an endpoint is answering; ends when dropped, so it is kept as long as the answer streams.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Endpoint {
    pub fn new(replica: impl Into<String>, invoke: Arc<dyn Invoke>) -> Self {
        Self { replica: replica.into(), invoke, in_flight: Arc::default(), closed: AtomicBool::new(false) }
    }

    pub fn replica(&self) -> &str {
        &self.replica
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Counts a call from here on.
    pub fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight(Arc::clone(&self.in_flight))
    }

    /// Takes no further call. When [`in_flight`](Self::in_flight) is zero after that, none is or will be under way:
    /// a call that has begun unseen by it sees that it is closed, since all of this has one order.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// To be called after [`begin`](Self::begin). One that is closed gives the call back, unsent, to go elsewhere.
    pub fn invoke(&self, call: Call) -> Invoking<'_> {
        if self.closed.load(Ordering::SeqCst) {
            let source = io::Error::new(io::ErrorKind::ConnectionRefused, "the replica is to go");
            let (function, call) = (call.function.clone(), Some(Box::new(call)));
            return Box::pin(ready(Err(InvokeError::Connect { function, call, source })));
        }
        self.invoke.invoke(call)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::{CallId, Echo};

    #[tokio::test]
    async fn one_that_is_closed_gives_the_call_back() {
        let endpoint = Endpoint::new("a", Arc::new(Echo));
        let function = model::FunctionId::parse("f", &model::Namespace::default()).unwrap();
        let call =
            Call { function, call_id: CallId::random(), request: Request::new(Body::Full("x".into())) };
        let begun = endpoint.begin();
        endpoint.close();
        let Err(InvokeError::Connect { call: Some(call), .. }) = endpoint.invoke(call).await else {
            panic!("the call is taken");
        };
        assert!(matches!(call.request.into_body(), Body::Full(body) if body == "x"));
        assert_eq!(endpoint.in_flight(), 1);
        drop(begun);
        assert_eq!(endpoint.in_flight(), 0);
    }
}
