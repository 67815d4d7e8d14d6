//! A replica that speaks HTTP/2.

use std::pin::Pin;

use http::Response;
use http::uri::Authority;

use super::{Client, SendError};
use crate::{Body, Call, Invoke, InvokeError};

/// A replica that speaks HTTP/2 without TLS, over whatever its client dials.
pub struct Http2Replica {
    client: Client,
    authority: Authority,
}

impl Http2Replica {
    /// `authority` is what the function sees as `:authority`; the caller's own travels as `X-Forwarded-Host`.
    pub fn new(client: Client, authority: Authority) -> Self {
        Self { client, authority }
    }
}

type Invoking<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, InvokeError>> + Send + 'a>>;

impl Invoke for Http2Replica {
    /// Written out, because the future that the attribute makes keeps room for the call beside all that becomes of it.
    fn invoke<'a, 'async_trait>(&'a self, call: Call) -> Invoking<'async_trait>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        let Call { function, call_id, request } = call;
        Box::pin(async move {
            match self.client.send(&self.authority, request).await {
                Ok(response) => Ok(response),
                Err(SendError::Connect { source, request }) => {
                    let call = Box::new(Call { function: function.clone(), call_id, request: *request });
                    Err(InvokeError::Connect { function, call: Some(call), source })
                }
                Err(SendError::RequestBody(source)) => Err(InvokeError::Request(source)),
                Err(SendError::Upstream(source)) => Err(InvokeError::Upstream(source.into())),
                Err(SendError::Unsupported(why)) => Err(InvokeError::Upstream(why.into())),
            }
        })
    }
}
