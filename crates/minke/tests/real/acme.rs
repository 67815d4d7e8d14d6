//! Certificates from a real ACME server: Pebble, which `make test` builds, and leaves this out, by name, where it is not
//! to be had.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::{FunctionSpec, ImageRef};
use provider::Provider;

use crate::platform::{PATIENCE, Platform, curl, data_dir, id, root};

const NAME: &str = "api.minke.example";
const OTHER: &str = "other.minke.example";
/// Pebble is told to issue none for it.
const BLOCKED: &str = "blocked.minke.example";
/// Pebble is told that there is no such name.
const GONE: &str = "gone.minke.example";
const VALIDITY: u64 = 90 * 24 * 3600;

#[tokio::test(flavor = "multi_thread")]
async fn ordered_served_and_kept_across_restarts() {
    let dir = data_dir();
    let pebble = Pebble::start(dir.path(), VALIDITY);
    let first = pebble.platform(dir.path(), NAME);
    let client = first.client();
    client.deploy(FunctionSpec::new(id("hello"), ImageRef::parse("minke/hello:1").unwrap())).await.unwrap();
    assert!(pebble.until_served(NAME, "/function/hello").contains("200"));
    assert_eq!((pebble.count("POST /order-plz"), pebble.count("POST /sign-me-up")), (1, 1));
    assert!(!pebble.log_of_minke(dir.path()).contains("panicked"));
    private(&dir.path().join("data/acme"));
    let serial = pebble.serial(NAME);
    assert!(first.terminate().success());

    // The second run shows what the first was given at its first handshake.
    let second = pebble.platform(dir.path(), NAME);
    assert_eq!(pebble.serial(NAME), serial);
    assert!(second.terminate().success());
    assert_eq!(pebble.count("POST /order-plz"), 1);

    // One more name is one more order, of the same account, and each is shown its own.
    let third = pebble.platform(dir.path(), &format!("{NAME},{OTHER}"));
    pebble.until_served(OTHER, "/healthz");
    assert_ne!(pebble.serial(OTHER), serial);
    assert_eq!(pebble.serial(NAME), serial);
    assert_eq!((pebble.count("POST /order-plz"), pebble.count("POST /sign-me-up")), (2, 1));
    assert!(third.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_before_it_expires() {
    let dir = data_dir();
    let pebble = Pebble::start(dir.path(), 20);
    let platform = pebble.platform(dir.path(), NAME);
    pebble.until_served(NAME, "/healthz");
    let serial = pebble.serial(NAME);
    until("a new certificate", || (pebble.serial(NAME) != serial).then_some(()));
    assert!(pebble.served(NAME, "/healthz").is_some());
    assert!(platform.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgot_the_account_is_given_a_new_one() {
    let dir = data_dir();
    let pebble = Pebble::start(dir.path(), VALIDITY);
    let platform = pebble.platform(dir.path(), NAME);
    pebble.until_served(NAME, "/healthz");
    assert!(platform.terminate().success());
    let pebble = pebble.restart(dir.path());
    let platform = pebble.platform(dir.path(), &format!("{NAME},{OTHER}"));
    pebble.until_served(OTHER, "/healthz");
    assert!(!pebble.log_of_minke(dir.path()).contains("ERROR"));
    assert!(pebble.log_of_minke(dir.path()).contains("does not know the account any more"));
    assert!(platform.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_and_tried_later() {
    let dir = data_dir();
    let pebble = Pebble::start(dir.path(), VALIDITY);
    let platform = pebble.platform(dir.path(), &format!("{BLOCKED},{GONE},{NAME}"));
    // The platform serves, and the other name gets its certificate.
    assert!(curl(&["-i", &format!("{}/healthz", platform.url())]).contains("200 OK"));
    pebble.until_served(NAME, "/healthz");
    let told = until("both failures", || {
        let log = pebble.log_of_minke(dir.path());
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains("ERROR no certificate")).map(str::to_owned).collect();
        (lines.len() == 2).then_some(lines)
    });
    let line = |name: &str| told.iter().find(|line| line.contains(name)).unwrap();
    assert!(line(BLOCKED).contains("the ACME server refused"), "{told:?}");
    assert!(line(GONE).contains("port 80 of the name must lead to --listen"), "{told:?}");
    for line in &told {
        let wait: u64 =
            line.split("retry_seconds=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((115..=150).contains(&wait), "{line}");
    }
    assert!(pebble.served(BLOCKED, "/healthz").is_none(), "there is no certificate to show");
    until("the reason in the log", || {
        pebble.log_of_minke(dir.path()).contains("a client is turned away").then_some(())
    });
    assert!(pebble.served(NAME, "/healthz").is_some());
    assert!(platform.terminate().success());
}

struct Pebble {
    child: Child,
    folder: PathBuf,
    acme: u16,
    management: u16,
    /// Of the platform.
    plain: u16,
    tls: u16,
}

impl Pebble {
    fn start(dir: &Path, validity: u64) -> Self {
        Self::start_on(dir, validity, ports())
    }

    fn start_on(dir: &Path, validity: u64, ports: [u16; 4]) -> Self {
        let program = root().join(".tools/bin/pebble");
        assert!(program.exists(), "pebble is not built; `make test` does it");
        let folder = dir.join("pebble");
        fs::create_dir(&folder).unwrap();
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let [acme, management, plain, tls] = ports;
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{acme}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("cert.pem"),
            "privateKey": folder.join("key.pem"),
            "httpPort": plain,
            "tlsPort": tls,
            "domainBlocklist": [BLOCKED],
            "retryAfter": { "authz": 1, "order": 1 },
            "profiles": { "default": { "description": "the only one", "validityPeriod": validity } },
        }});
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(program)
            .args(["-config", folder.join("config.json").to_str().unwrap(), "-dnsserver", &names()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pebble = Self { child, folder, acme, management, plain, tls };
        until("pebble", || pebble.root_certificate());
        pebble
    }

    fn platform(&self, dir: &Path, names: &str) -> Platform {
        let (plain, tls) = (format!("127.0.0.1:{}", self.plain), format!("127.0.0.1:{}", self.tls));
        let directory = format!("https://localhost:{}/dir", self.acme);
        let ca = self.folder.join("cert.pem");
        let more = ["--listen", &plain, "--tls-listen", &tls, "--acme-domain", names, "--acme-agree-tos"];
        let acme =
            ["--acme-directory", &directory, "--acme-ca", ca.to_str().unwrap(), "--provider", "memory"];
        Platform::start_with(&dir.join("data"), &[&more[..], &acme].concat())
    }

    /// All that it knew is lost.
    fn restart(self, dir: &Path) -> Self {
        let ports = [self.acme, self.management, self.plain, self.tls];
        drop(self);
        fs::remove_dir_all(dir.join("pebble")).unwrap();
        Self::start_on(dir, VALIDITY, ports)
    }

    /// What certificates of the server are known by.
    fn root_certificate(&self) -> Option<()> {
        let url = format!("https://localhost:{}/roots/0", self.management);
        let output = Command::new("curl")
            .args(["-sSf", "--max-time", "5", "--cacert"])
            .arg(self.folder.join("cert.pem"))
            .arg(url)
            .output()
            .unwrap();
        output.status.success().then(|| fs::write(self.folder.join("root.pem"), output.stdout).unwrap())
    }

    /// The answer to a client that trusts the server and asks by name; none when it turns away.
    fn served(&self, name: &str, path: &str) -> Option<String> {
        let output = Command::new("curl")
            .args(["-sSi", "--max-time", "10", "--resolve", &format!("{name}:{}:127.0.0.1", self.tls)])
            .arg("--cacert")
            .arg(self.folder.join("root.pem"))
            .arg(format!("https://{name}:{}{path}", self.tls))
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn until_served(&self, name: &str, path: &str) -> String {
        until(name, || self.served(name, path))
    }

    /// Which certificate it is.
    fn serial(&self, name: &str) -> String {
        let output = Command::new("curl")
            .args(["-sSk", "-o", "/dev/null", "-w", "%{certs}", "--max-time", "10", "--resolve"])
            .arg(format!("{name}:{}:127.0.0.1", self.tls))
            .arg(format!("https://{name}:{}/healthz", self.tls))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let serial = text.lines().find(|line| line.starts_with("Serial Number:"));
        serial.unwrap_or_else(|| panic!("no certificate: {text}")).to_owned()
    }

    fn count(&self, part: &str) -> usize {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        log.lines().filter(|line| line.contains(part)).count()
    }

    fn log_of_minke(&self, dir: &Path) -> String {
        fs::read_to_string(dir.join("data.log")).unwrap_or_default()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
            let data = self.folder.parent().unwrap();
            eprintln!("{}", self.log_of_minke(data));
        }
    }
}

/// Nobody but the owner reads what is in it.
fn private(folder: &Path) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{folder:?}");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            private(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }
}

/// Free a moment ago, all at once so that they differ.
fn ports<const N: usize>() -> [u16; N] {
    let sockets: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.each_ref().map(|socket| socket.local_addr().unwrap().port())
}

/// A server for names: each leads to this machine, but for one. Its thread ends with the test's process.
fn names() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    address
}

/// RFC 1035, section 4: a header, the question again, and one address.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    let mut name = Vec::new();
    while *query.get(end)? != 0 {
        let label = query.get(end + 1..end + 1 + query[end] as usize)?;
        name.push(String::from_utf8_lossy(label).to_lowercase());
        end += 1 + label.len();
    }
    let question = query.get(12..end + 5)?;
    let gone = name.join(".") == GONE;
    let is_address = question.get(question.len() - 4..question.len() - 2)? == [0, 1];
    let found = u8::from(is_address && !gone);
    let mut answer = query[..2].to_vec();
    answer.extend([0x84, if gone { 3 } else { 0 }, 0, 1, 0, found, 0, 0, 0, 0]);
    answer.extend(question);
    if found == 1 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
