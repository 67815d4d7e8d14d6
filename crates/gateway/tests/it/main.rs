//! The gateway over real sockets.

mod activation;
mod conformance;
mod domains;
mod drain;
mod exchanges;
mod metrics;
mod refusals;
mod slow_clients;
mod streaming;
mod support;
mod upstream;
