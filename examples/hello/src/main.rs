//! A function as a small HTTP server behind the watchdog (mode http): it greets, with what it is sent.
//!
//! Made by hand on std alone, so that it starts in about a millisecond and shows how little a function needs.

mod request;

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use request::{Request, RequestError};

const ADDRESS: &str = "127.0.0.1:5000";
const CONNECTIONS_MAX: usize = 256;

fn main() -> io::Result<()> {
    let address = std::env::var("hello_address").unwrap_or_else(|_| ADDRESS.to_owned());
    let listener = TcpListener::bind(address)?;
    let places = Arc::new(Places::default());
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let place = Places::take(&places);
        let serving = move || {
            // A connection that breaks has nobody left to tell.
            let _ = serve(&stream);
            drop(place);
        };
        // Without a thread the connection is closed, and the watchdog says so.
        let _ = thread::Builder::new().stack_size(64 * 1024).spawn(serving);
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        match request::read(&mut reader) {
            Ok(Some(request)) => {
                respond(stream, 200, &body(&request), request.method == "HEAD")?;
                if !request.keep_alive {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(RequestError::Io(error)) => return Err(error),
            Err(RequestError::Refused(status)) => return respond(stream, status, b"", false),
        }
    }
}

fn body(request: &Request) -> Vec<u8> {
    if request.path == "/proc" {
        return process_report().into_bytes();
    }
    if request.body.is_empty() {
        return b"Hello from Minke\n".to_vec();
    }
    [b"Hello, ", request.body.trim_ascii(), b"!\n"].concat()
}

/// Which process and which namespaces answered.
fn process_report() -> String {
    let mut report = format!("pid={}\n", std::process::id());
    for name in ["pid", "mnt", "net"] {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}"));
        let text = link.map_or_else(|error| format!("unknown ({error})"), |link| link.display().to_string());
        report.push_str(&format!("{name}={text}\n"));
    }
    report
}

fn respond(mut stream: &TcpStream, status: u16, body: &[u8], head_only: bool) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        413 => "Payload Too Large",
        _ => "Bad Request",
    };
    let close = if status == 200 { "" } else { "Connection: close\r\n" };
    let mut response = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n{close}\r\n",
        body.len()
    )
    .into_bytes();
    if !head_only {
        response.extend_from_slice(body);
    }
    stream.write_all(&response)
}

#[derive(Default)]
struct Places {
    taken: Mutex<usize>,
    freed: Condvar,
}

struct Place(Arc<Places>);

impl Places {
    fn take(places: &Arc<Self>) -> Place {
        let taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = places
            .freed
            .wait_while(taken, |taken| *taken >= CONNECTIONS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Place(places.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}
