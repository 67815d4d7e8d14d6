//! The gateway over real sockets.

mod access;
mod activation;
mod by_hand;
mod conformance;
mod domains;
mod downgrade;
mod drain;
mod exchanges;
mod expectations;
mod golden;
mod h2_wire;
mod http2;
mod limits;
mod metrics;
mod openapi;
mod recorder;
mod refusals;
mod script;
mod slow_clients;
mod smuggling;
mod streaming;
mod support;
mod trace;
mod upgrades;
mod upstream;
mod wire;
