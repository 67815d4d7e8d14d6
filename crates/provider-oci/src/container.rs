//! What one container is to be: the launcher's input, checked before it crosses to the launcher.
//!
//! Not a function: functions, replicas and images are translated to this by the provider.

use std::path::PathBuf;

use model::spec::{
    CPU_LIMIT_MAX, CPU_LIMIT_MIN, LIST_MAX, MEMORY_LIMIT_MAX, MEMORY_LIMIT_MIN, check_secret_name,
};
use serde::{Deserialize, Serialize};

/// `execve(2)` refuses a single string of more than 32 pages.
const STRING_BYTES_MAX: usize = 128 * 1024 - 1;
/// Arguments and environment together; `execve(2)` allows a quarter of the stack limit, 2 MiB by default.
const STRINGS_BYTES_MAX: usize = 1024 * 1024;
const LAYERS_MAX: usize = 128;
const ID_BYTES_MAX: usize = 160;
/// `sethostname(2)`: 64 bytes.
const HOSTNAME_BYTES_MAX: usize = 64;
/// All secrets of one container together: they live in memory.
pub const SECRETS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One container, as the launcher needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Names the cgroup and the folders: lower-case letters, digits, `-` and `.`, at most 160 bytes.
    pub id: String,
    /// Unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Created when the image lacks it.
    pub cwd: String,
    /// As in an image's config: empty, `user`, `uid`, `user:group`, `uid:gid`.
    pub user: String,
    pub hostname: String,
    /// A read-only root with a writable `/tmp` of bounded size.
    pub read_only: bool,
    /// Their bytes are told apart, so that nothing that shows a spec shows them.
    #[serde(default)]
    pub secrets: Vec<SecretFile>,
    pub limits: Limits,
}

/// A file below `/var/openfaas/secrets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    pub name: String,
    pub bytes: u64,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    /// Thousandths of one core.
    pub cpu_millis: Option<u64>,
    pub pids_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory_bytes: None, cpu_millis: None, pids_max: 512 }
    }
}

/// Why a container cannot be what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerSpecError {
    #[error("container id {0:?} must be 1 to 160 lower-case letters, digits, '-' or '.'")]
    Id(String),
    #[error("image has {0} layers, the most is {LAYERS_MAX}")]
    Layers(usize),
    #[error("image names no command, set one with the image's ENTRYPOINT or CMD")]
    NoCommand,
    #[error("{0} holds a NUL byte")]
    Nul(&'static str),
    #[error("environment variable name {0:?} is empty or holds '='")]
    EnvName(String),
    #[error("an argument or environment variable is longer than 128 KiB")]
    StringTooLong,
    #[error("arguments and environment together are larger than 1 MiB")]
    StringsTooLong,
    #[error("working directory {0:?} must be an absolute path without '..'")]
    Cwd(String),
    #[error("hostname {0:?} must be 1 to 64 bytes")]
    Hostname(String),
    #[error("memory limit of {0} bytes is below the least possible, 6Mi")]
    Memory(u64),
    #[error("cpu limit of {0}m is below the least possible, 10m")]
    Cpu(u64),
    #[error("memory limit of {0} bytes is above the most possible, 8Ei; leave it out for no limit")]
    MemoryTooLarge(u64),
    #[error("cpu limit of {0}m is above the most possible, 10000 cores; leave it out for no limit")]
    CpuTooLarge(u64),
    #[error("process limit must be at least 1")]
    Pids,
    #[error("secret name {0:?} is not valid; use lower-case letters, digits, '-' and '.'")]
    SecretName(String),
    #[error(
        "{count} secrets of {bytes} bytes together are too many, the most is {LIST_MAX} of {SECRETS_BYTES_MAX}"
    )]
    Secrets { count: usize, bytes: u64 },
}

impl ContainerSpec {
    /// Everything that can be said without looking at the image's files.
    pub fn check(&self) -> Result<(), ContainerSpecError> {
        use ContainerSpecError as E;
        if !id_is_valid(&self.id) {
            return Err(E::Id(self.id.clone()));
        }
        if self.layers.is_empty() || self.layers.len() > LAYERS_MAX {
            return Err(E::Layers(self.layers.len()));
        }
        if self.args.first().is_none_or(String::is_empty) {
            return Err(E::NoCommand);
        }
        self.check_strings()?;
        if !self.cwd.starts_with('/') || self.cwd.split('/').any(|part| part == "..") {
            return Err(E::Cwd(self.cwd.clone()));
        }
        if self.hostname.is_empty() || self.hostname.len() > HOSTNAME_BYTES_MAX {
            return Err(E::Hostname(self.hostname.clone()));
        }
        self.check_secrets()?;
        self.limits.check()
    }

    fn check_secrets(&self) -> Result<(), ContainerSpecError> {
        let (count, bytes) = (self.secrets.len(), secret_bytes(&self.secrets));
        if count > LIST_MAX || bytes > SECRETS_BYTES_MAX {
            return Err(ContainerSpecError::Secrets { count, bytes });
        }
        let invalid = self.secrets.iter().find(|secret| check_secret_name(&secret.name).is_err());
        match invalid {
            Some(secret) => Err(ContainerSpecError::SecretName(secret.name.clone())),
            None => Ok(()),
        }
    }

    fn check_strings(&self) -> Result<(), ContainerSpecError> {
        use ContainerSpecError as E;
        for (what, text) in
            [("working directory", &self.cwd), ("user", &self.user), ("hostname", &self.hostname)]
        {
            if text.contains('\0') {
                return Err(E::Nul(what));
            }
            if text.len() > 4096 {
                return Err(E::StringTooLong);
            }
        }
        if self.args.iter().any(|arg| arg.contains('\0')) {
            return Err(E::Nul("argument"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains('=') {
                return Err(E::EnvName(name.clone()));
            }
            if name.contains('\0') || value.contains('\0') {
                return Err(E::Nul("environment variable"));
            }
        }
        let args = self.args.iter().map(|arg| arg.len() + 1);
        let env = self.env.iter().map(|(name, value)| name.len() + value.len() + 2);
        let mut total = 0;
        for bytes in args.chain(env) {
            if bytes > STRING_BYTES_MAX {
                return Err(E::StringTooLong);
            }
            total += bytes + size_of::<usize>();
        }
        if total > STRINGS_BYTES_MAX { Err(E::StringsTooLong) } else { Ok(()) }
    }
}

impl Limits {
    fn check(&self) -> Result<(), ContainerSpecError> {
        use ContainerSpecError as E;
        match *self {
            Limits { memory_bytes: Some(bytes), .. } if bytes < MEMORY_LIMIT_MIN => Err(E::Memory(bytes)),
            Limits { memory_bytes: Some(bytes), .. } if bytes > MEMORY_LIMIT_MAX => {
                Err(E::MemoryTooLarge(bytes))
            }
            Limits { cpu_millis: Some(millis), .. } if millis < CPU_LIMIT_MIN => Err(E::Cpu(millis)),
            Limits { cpu_millis: Some(millis), .. } if millis > CPU_LIMIT_MAX => Err(E::CpuTooLarge(millis)),
            Limits { pids_max: 0, .. } => Err(E::Pids),
            _ => Ok(()),
        }
    }
}

fn secret_bytes(secrets: &[SecretFile]) -> u64 {
    secrets.iter().fold(0, |sum, secret| sum.saturating_add(secret.bytes))
}

fn id_is_valid(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && !id.starts_with('.')
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Killed by the kernel at its memory limit.
    OutOfMemory,
    /// The launcher is gone, and the container with it.
    Lost,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(signal) => write!(f, "killed by signal {signal}"),
            Exit::OutOfMemory => f.write_str("killed at its memory limit"),
            Exit::Lost => f.write_str("lost with the launcher"),
        }
    }
}
