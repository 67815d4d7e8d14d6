//! Which HTTP a client speaks on a connection without TLS, as its first bytes tell.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::Protocol;

/// What a client of HTTP/2 that asked nobody begins with (RFC 9113, 3.4). No request of HTTP/1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Looks without taking: whoever serves the connection reads it all from the socket, through nothing in between.
pub(super) async fn protocol(stream: &TcpStream) -> io::Result<Protocol> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let look = || {
            let (_, length) = recv(stream, &mut seen, RecvFlags::PEEK)?;
            match begins_with(&seen[..length]) {
                // Asked after it is known how much was there, so that what comes now wakes.
                None if !ready.is_read_closed() => Err(io::ErrorKind::WouldBlock.into()),
                told => Ok(told.unwrap_or(Protocol::Http1)),
            }
        };
        match stream.try_io(Interest::READABLE, look) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            told => return told,
        }
    }
}

/// None while it may be either.
fn begins_with(seen: &[u8]) -> Option<Protocol> {
    match PREFACE.starts_with(seen) {
        true if seen.len() == PREFACE.len() => Some(Protocol::Http2),
        true => None,
        false => Some(Protocol::Http1),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_tell_in_whatever_pieces_they_come() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (pieces, want) in [
            (vec!["GET / HTTP/1.1\r\n"], Protocol::Http1),
            (vec!["P", "OST /"], Protocol::Http1),
            (vec!["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], Protocol::Http2),
            (vec!["P", "RI * HTTP/2.0\r\n", "\r\n", "SM\r\n\r", "\n"], Protocol::Http2),
            (vec!["PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"], Protocol::Http1),
            (vec!["PRI", ""], Protocol::Http1),
            (vec![""], Protocol::Http1),
        ] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.set_nodelay(true).unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let mut told = tokio::spawn(async move {
                let told = protocol(&server).await.unwrap();
                // It must not be closed on a client that still writes.
                (told, server)
            });
            for piece in &pieces {
                assert!(!told.is_finished(), "{pieces:?}");
                match piece.is_empty() {
                    true => client.shutdown().await.unwrap(),
                    false => client.write_all(piece.as_bytes()).await.unwrap(),
                }
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!((&mut told).await.unwrap().0, want, "{pieces:?}");
        }
    }
}
