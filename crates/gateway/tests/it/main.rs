//! The gateway over real sockets.

mod activation;
mod conformance;
mod domains;
mod drain;
mod exchanges;
mod http2;
mod metrics;
mod recorder;
mod refusals;
mod script;
mod slow_clients;
mod smuggling;
mod streaming;
mod support;
mod upstream;
mod wire;
