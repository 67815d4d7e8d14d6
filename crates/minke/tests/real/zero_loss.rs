//! What callers must not notice: a change of the replica count, and a successor of the gateway itself.

use std::net::TcpListener;
use std::os::fd::AsRawFd;

use provider::Provider;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::load::Load;
use crate::platform::{Platform, build_sample, data_dir, deploy, until_available};

const CONNECTIONS: usize = 32;
const REQUESTS: u64 = 50_000;
/// Room for what every step of a test takes, in requests.
const SCALES: u64 = 10;
const SUCCESSORS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn scaling_up_and_down_loses_no_request() {
    let dir = data_dir();
    let image = build_sample(dir.path(), "hello");
    let platform = Platform::start(dir.path());
    let client = platform.client();
    let id = deploy(&client, "hello", &image).await;
    let load = Load::start(&platform.address, "/function/hello", CONNECTIONS, REQUESTS);
    for step in 0..SCALES {
        load.until(REQUESTS * step / SCALES).await;
        for replicas in [5, 1] {
            client.scale(&id, replicas).await.unwrap();
            until_available(&client, &id, replicas).await;
        }
    }
    assert!(load.answered() > 0);
    let lost = load.lost().await;
    assert!(lost.is_empty(), "{} of {REQUESTS} are lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    assert!(platform.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_takes_over_and_no_request_is_lost() {
    let dir = data_dir();
    let image = build_sample(dir.path(), "hello");
    let back = Platform::start_with(dir.path(), &["--no-auth"]);
    deploy(&back.client_without_auth(), "hello", &image).await;

    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    // For the children, each of which gets it under this very number.
    fcntl_setfd(&socket, FdFlags::empty()).unwrap();
    let number = socket.as_raw_fd().to_string();
    let front = data_dir();
    let inherited =
        [("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", number.as_str()), ("LISTEN_FDNAMES", "api")];
    let url = back.url();
    let start = || Platform::start_as(front.path(), &["--no-auth", "--provider-url", &url], &inherited);
    let mut gateway = start();
    assert_eq!(gateway.address, address);
    let load = Load::start(&address, "/function/hello", CONNECTIONS, REQUESTS);
    for step in 1..=SUCCESSORS {
        load.until(REQUESTS * step / (SUCCESSORS + 1)).await;
        let successor = start();
        assert!(std::mem::replace(&mut gateway, successor).terminate().success());
    }
    let lost = load.lost().await;
    assert!(lost.is_empty(), "{} of {REQUESTS} are lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    assert!(gateway.terminate().success());
    assert!(back.stop().success());
}
