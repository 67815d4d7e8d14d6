//! Answers with the request as it came: `provider::echo` behind HTTP, on port 8080, with no watchdog.
//!
//! It is the function that the conformance suite calls, and a look at what reaches a function.

use std::convert::Infallible;
use std::io;
use std::net::Ipv6Addr;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 8080)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service_fn(|request| async { Ok::<_, Infallible>(provider::echo(request)) });
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    eprintln!("connection ended: {error}");
                }
            });
        }
    })
}
