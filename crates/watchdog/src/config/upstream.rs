//! The address of the function's own server in mode http.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use http::HeaderValue;
use http::uri::{PathAndQuery, Scheme, Uri};
use tokio::net::TcpStream;

#[derive(Debug, Clone)]
pub struct UpstreamUrl {
    target: Target,
    pub host_header: HeaderValue,
    /// Put before each request target, byte for byte; mostly empty.
    prefix: String,
}

#[derive(Debug, Clone)]
enum Target {
    /// Numbers and `localhost`, which must work without any resolver or `/etc/hosts`.
    Known(Vec<SocketAddr>),
    Named(String, u16),
}

impl UpstreamUrl {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(_) => return Err("only http is spoken to a function"),
            None => return Err("it has no scheme"),
        }
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds credentials");
        }
        if uri.query().is_some() {
            return Err("it holds a query");
        }
        let port =
            match authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
                Some(port) => port.parse().map_err(|_| "its port is not a port number")?,
                None => 80,
            };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let target = match host.parse::<IpAddr>() {
            Ok(address) => Target::Known(vec![SocketAddr::new(address, port)]),
            Err(_) if host.eq_ignore_ascii_case("localhost") => Target::Known(vec![
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            ]),
            Err(_) => Target::Named(host.to_owned(), port),
        };
        // A URI without a path reads as "/"; only a written one counts.
        let written = text.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        Ok(Self {
            target,
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| "its host is not a name")?,
            prefix: if written { uri.path().to_owned() } else { String::new() },
        })
    }

    pub async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = match &self.target {
            Target::Known(addresses) => addresses.clone(),
            Target::Named(host, port) => {
                let name = (host.clone(), *port);
                tokio::task::spawn_blocking(move || name.to_socket_addrs().map(Vec::from_iter))
                    .await
                    .map_err(io::Error::other)??
            }
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the upstream's name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The target to ask the function for; `None` when the joined text is not one.
    pub fn target(&self, asked: Option<&PathAndQuery>) -> Option<Uri> {
        let Some(asked) = asked else { return Some(Uri::from_static("/")) };
        if self.prefix.is_empty() {
            return Some(Uri::from(asked.clone()));
        }
        format!("{}{asked}", self.prefix).parse().ok()
    }
}
