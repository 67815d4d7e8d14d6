//! Runs the real program in a folder of its own, beside a gateway that answers from a list and writes down what it
//! was asked.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A folder to work in, and the environment that the program sees: nothing but what the test says.
pub struct Place {
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), variables: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(args, b"")
    }

    pub fn run_with(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        let mut child =
            self.command(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let input = stdin.to_vec();
        // A program that ends early does not read it all.
        let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("the writer ends");
        let text = |bytes| {
            String::from_utf8(bytes).expect("text").replace(&*self.dir.path().to_string_lossy(), "DIR")
        };
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minke"));
        command.args(args).current_dir(self.dir.path()).env_clear().env("HOME", self.dir.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped());
        command
    }

    /// `minke up` over the provider in memory.
    pub fn platform(&self, flags: &[&str]) -> Platform {
        let data = self.path("data");
        let mut args =
            vec!["up", "--provider", "memory", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let data = data.to_str().expect("a path").to_owned();
        args.extend(["--data-dir", &data]);
        args.extend(flags);
        let mut child =
            self.command(&args).stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let url =
            line.trim().strip_prefix("minke is ready on ").unwrap_or_else(|| panic!("not ready: {line:?}"));
        let lines = (&mut stdout).lines().map(|line| line.expect("text"));
        let mut metrics =
            lines.filter_map(|line| Some(line.trim().strip_prefix("metrics")?.trim().to_owned()));
        let metrics = metrics.next().expect("the address of the metrics");
        Platform { url: url.to_owned(), metrics, data: self.path("data"), child, _stdout: stdout }
    }
}

pub struct Platform {
    pub url: String,
    /// Where its metrics are read.
    pub metrics: String,
    data: PathBuf,
    child: Child,
    // Closing it would be a broken pipe for what still writes.
    _stdout: BufReader<ChildStdout>,
}

impl Platform {
    /// Ctrl-C, until it has ended.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
        assert!(self.child.wait().expect("it ends").success());
    }

    pub fn password(&self) -> String {
        std::fs::read_to_string(self.data.join("auth/basic-auth-password"))
            .expect("a password")
            .trim()
            .to_owned()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// All of it, for a snapshot; the address of the gateway differs every time.
    pub fn show(&self, gateway: &str) -> String {
        let mut text =
            format!("exit {}\n", self.code.map_or("by a signal".to_owned(), |code| code.to_string()));
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                write!(text, "--- {name}\n{stream}").expect("a string takes it");
            }
        }
        text.replace(gateway, "http://GATEWAY")
    }
}

/// One request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    /// In lower case and sorted, as `name: value`.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

/// A gateway that gives the next answer of a list to whoever asks, and 500 when the list is at its end.
pub struct Recorder {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Recorder {
    pub fn answering(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: VecDeque<(u16, String)> =
            answers.iter().map(|(code, body)| (*code, (*body).to_owned())).collect();
        let answers = Arc::new(Mutex::new(answers));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                std::thread::spawn(move || serve(stream, &log, &answers));
            }
        });
        Self { address, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panicked with it").clone()
    }

    /// The request lines alone.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, answers: &Mutex<VecDeque<(u16, String)>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some(asked) = read_request(&mut reader) {
        log.lock().expect("no test panicked with it").push(asked);
        let next = answers.lock().expect("no test panicked with it").pop_front();
        let (code, body) = next.unwrap_or((500, "nothing left to answer".to_owned()));
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nX-Call-Id: call-1\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.push(format!("{}: {value}", name.to_lowercase())),
            None => break,
        }
    }
    headers.sort();
    let mut asked =
        Asked { line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(), headers, body: Vec::new() };
    if asked.header("transfer-encoding") == Some("chunked") {
        asked.body = read_chunks(reader)?;
    } else if let Some(length) = asked.header("content-length").and_then(|length| length.parse().ok()) {
        asked.body = vec![0; length];
        reader.read_exact(&mut asked.body).ok()?;
    }
    Some(asked)
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// Whether a file is for its owner alone.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}
