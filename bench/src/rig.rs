//! What is measured: servers, the proxies before them, and the platform, all started here.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::http_client;
use crate::machine::{Of, Resident, resident};
use crate::process::{Process, find};
use crate::wrk::Wrk;

/// One way to a function.
pub struct Subject {
    pub name: &'static str,
    pub url: String,
}

/// In the order of [`Rig::subjects`]; which is compared with which.
pub const DIRECT: usize = 0;
pub const NGINX: usize = 1;
pub const GATEWAY: usize = 2;
pub const WATCHDOG: usize = 3;
pub const NGINX_WATCHDOG: usize = 4;
pub const PLATFORM: usize = 5;
pub const NAMES: [&str; 6] = [
    "direct to the server",
    "nginx → the server",
    "Minke's gateway → the server",
    "direct to the watchdog",
    "nginx → the watchdog",
    "`minke up` → the watchdog, in a container",
];

/// Fields are dropped in this order: the proxies before what they stand before.
pub struct Rig {
    nginx: Process,
    gateway: Process,
    _crowded: [Process; 2],
    minke: Process,
    watchdog: Process,
    _hello: Process,
    addresses: Addresses,
    pub wrk: Wrk,
    _folder: tempfile::TempDir,
}

struct Addresses {
    hello: SocketAddr,
    watchdog: SocketAddr,
    nginx: [SocketAddr; 2],
    gateway: SocketAddr,
    crowded: [SocketAddr; 2],
    minke: SocketAddr,
}

impl Rig {
    pub fn start(minke: &Path, programs: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mb").tempdir().context("failed to create a folder")?;
        let at = folder.path();
        // The server behind the watchdog is another one: the watchdog starts and owns it.
        let [hello_at, behind, watchdog_at, nginx_hello, nginx_watchdog, gateway_at, thousand_at, many_at] =
            free_ports()?;

        let mut command = Command::new(programs.join("hello").canonicalize()?);
        command.env_clear().env("hello_address", hello_at.to_string()).stdout(Stdio::null());
        let hello = Process::start("hello", at, &mut command)?.listens(hello_at)?;

        let mut command = Command::new(programs.join("fwatchdog").canonicalize()?);
        command.env_clear().stdout(Stdio::null()).envs([
            ("mode", "http".to_owned()),
            ("fprocess", programs.join("hello").canonicalize()?.display().to_string()),
            ("upstream_url", format!("http://{behind}")),
            ("hello_address", behind.to_string()),
            ("port", watchdog_at.port().to_string()),
            ("TMPDIR", at.display().to_string()),
        ]);
        let watchdog = Process::start("fwatchdog", at, &mut command)?.listens(watchdog_at)?;

        let config = at.join("nginx.conf");
        let proxies = [(nginx_hello, hello_at), (nginx_watchdog, watchdog_at)];
        fs::write(&config, nginx_config(at, proxies))?;
        let mut command = Command::new(find("nginx").context("nginx is gone")?);
        command.arg("-p").arg(at).arg("-c").arg(&config).stdout(Stdio::null());
        let nginx = Process::start("nginx", at, &mut command)?.listens(nginx_hello)?;

        let gateway = gateway_of(at, gateway_at, hello_at, 1)?;
        let crowded =
            [gateway_of(at, thousand_at, hello_at, 1_000)?, gateway_of(at, many_at, hello_at, 10_000)?];

        eprintln!("starting {} with the sample", minke.display());
        let mut command = Command::new(minke);
        command.args([
            "up",
            "--demo",
            "--no-auth",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ]);
        command.arg("--data-dir").arg(at.join("data")).stdout(Stdio::piped());
        let mut minke = Process::start("minke", at, &mut command)?;
        let minke_at = minke.says("minke is ready on http://")?.parse()?;

        let addresses = Addresses {
            hello: hello_at,
            watchdog: watchdog_at,
            nginx: [nginx_hello, nginx_watchdog],
            gateway: gateway_at,
            crowded: [thousand_at, many_at],
            minke: minke_at,
        };
        let wrk = Wrk::new(at);
        let rig = Self {
            nginx,
            gateway,
            _crowded: crowded,
            minke,
            watchdog,
            _hello: hello,
            addresses,
            wrk,
            _folder: folder,
        };
        rig.all_answer()?;
        Ok(rig)
    }

    pub fn subjects(&self) -> [Subject; 6] {
        let Addresses { hello, watchdog, nginx, gateway, minke, .. } = self.addresses;
        let urls = [
            format!("http://{hello}/"),
            format!("http://{}/", nginx[0]),
            format!("http://{gateway}/function/hello"),
            format!("http://{watchdog}/"),
            format!("http://{}/", nginx[1]),
            format!("http://{minke}/function/hello"),
        ];
        let mut names = NAMES.into_iter();
        urls.map(|url| Subject { name: names.next().unwrap_or_default(), url })
    }

    pub fn gateway(&self) -> SocketAddr {
        self.addresses.gateway
    }

    /// Gateways with 1, 1,000 and 10,000 functions, by what they have.
    pub fn by_functions(&self) -> [(usize, String); 3] {
        let [thousand, many] = self.addresses.crowded;
        [(1, self.addresses.gateway), (1_000, thousand), (10_000, many)]
            .map(|(functions, at)| (functions, format!("http://{at}/function/hello")))
    }

    pub fn gateway_memory(&self) -> Resident {
        resident("Minke's gateway alone", self.gateway.id(), Of::All)
    }

    pub fn platform(&self) -> SocketAddr {
        self.addresses.minke
    }

    /// Resident memory of each process and of what it started, in the order that the table tells them.
    pub fn memory(&self) -> Vec<Resident> {
        vec![
            resident("nginx, master and workers", self.nginx.id(), Of::All),
            resident("Minke's gateway alone", self.gateway.id(), Of::All),
            resident("`minke up`, with its launcher", self.minke.id(), Of::Own),
            resident("its container: fwatchdog and the server", self.minke.id(), Of::Others),
            resident("fwatchdog and the server, natively", self.watchdog.id(), Of::All),
        ]
    }

    /// That what is measured is an answer of the function, and the same on every way.
    fn all_answer(&self) -> anyhow::Result<()> {
        for subject in self.subjects() {
            let answer = http_client::request("POST", &subject.url, "hello")?;
            if (answer.status, answer.body.as_str()) != (200, "Hello, hello!\n") {
                bail!("{} answered {}: {}", subject.name, answer.status, answer.body);
            }
        }
        Ok(())
    }
}

fn gateway_of(
    folder: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    functions: usize,
) -> anyhow::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["gateway", &listen.to_string(), &upstream.to_string(), &functions.to_string()]);
    command.stdout(Stdio::null());
    Process::start(&format!("gateway-{functions}"), folder, &mut command)?.listens(listen)
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?);
    }
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

/// nginx as one would set it up for this: a worker a core, connections kept on both sides, no log.
fn nginx_config(folder: &Path, proxies: [(SocketAddr, SocketAddr); 2]) -> String {
    let folder = folder.display();
    let mut servers = String::new();
    for (number, (listen, upstream)) in proxies.into_iter().enumerate() {
        servers.push_str(&format!(
            "  upstream u{number} {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen {listen} reuseport;
    location / {{
      proxy_pass http://u{number};
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      client_max_body_size 0;
      proxy_request_buffering off;
    }}
  }}
"
        ));
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 100000000;
{temporary}{servers}}}
"
    )
}
