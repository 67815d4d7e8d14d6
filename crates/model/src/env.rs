//! Every environment variable that Minke reads, by name. Where each is resolved: the binary's `config.rs`, once.

/// Minke's own; a variable that begins with `MINKE_` and is not listed here is refused.
pub const MINKE: [&str; 11] = [
    CONFIG,
    LISTEN,
    METRICS_LISTEN,
    DATA_DIR,
    NO_AUTH,
    DEMO,
    PROVIDER,
    PROVIDER_URL,
    LOG,
    LOG_FORMAT,
    INSECURE_REGISTRIES,
];

pub const CONFIG: &str = "MINKE_CONFIG";
pub const LISTEN: &str = "MINKE_LISTEN";
pub const METRICS_LISTEN: &str = "MINKE_METRICS_LISTEN";
pub const DATA_DIR: &str = "MINKE_DATA_DIR";
pub const NO_AUTH: &str = "MINKE_NO_AUTH";
pub const DEMO: &str = "MINKE_DEMO";
pub const PROVIDER: &str = "MINKE_PROVIDER";
pub const PROVIDER_URL: &str = "MINKE_PROVIDER_URL";
/// A `tracing` filter: `info`, `minke=debug`, …
pub const LOG: &str = "MINKE_LOG";
/// `text` or `json`.
pub const LOG_FORMAT: &str = "MINKE_LOG_FORMAT";
/// Registries, comma separated, that may be spoken to without TLS.
pub const INSECURE_REGISTRIES: &str = "MINKE_INSECURE_REGISTRIES";

/// The gateway's variables of the OpenFaaS contract, section 5; names as users know them.
pub mod openfaas {
    pub const READ_TIMEOUT: &str = "read_timeout";
    pub const WRITE_TIMEOUT: &str = "write_timeout";
    pub const UPSTREAM_TIMEOUT: &str = "upstream_timeout";
    /// Where a foreign provider is; choosing it chooses the provider `remote`.
    pub const FUNCTIONS_PROVIDER_URL: &str = "functions_provider_url";
    pub const BASIC_AUTH: &str = "basic_auth";
    /// Folder with `basic-auth-user` and `basic-auth-password`.
    pub const SECRET_MOUNT_PATH: &str = "secret_mount_path";
    pub const FUNCTION_NAMESPACE: &str = "function_namespace";
    pub const SCALE_FROM_ZERO: &str = "scale_from_zero";
    pub const MAX_IDLE_CONNS_PER_HOST: &str = "max_idle_conns_per_host";
    /// The client's: where the gateway is.
    pub const OPENFAAS_URL: &str = "OPENFAAS_URL";
    /// The client's: folder that holds `config.yml`.
    pub const OPENFAAS_CONFIG: &str = "OPENFAAS_CONFIG";
    /// The client's: set by build services; moves the config folder to `./.openfaas`.
    pub const CI: &str = "CI";
}

/// What `fwatchdog` reads inside a function's container; names as images in the field set them.
pub mod watchdog {
    pub const MODE: &str = "mode";
    pub const FPROCESS: &str = "fprocess";
    /// Wins over `fprocess`.
    pub const FUNCTION_PROCESS: &str = "function_process";
    pub const UPSTREAM_URL: &str = "upstream_url";
    /// Wins over `upstream_url`.
    pub const HTTP_UPSTREAM_URL: &str = "http_upstream_url";
    pub const PORT: &str = "port";
    pub const READ_TIMEOUT: &str = "read_timeout";
    pub const WRITE_TIMEOUT: &str = "write_timeout";
    pub const EXEC_TIMEOUT: &str = "exec_timeout";
    /// How long calls are still served after SIGTERM while health already says no.
    pub const HEALTHCHECK_INTERVAL: &str = "healthcheck_interval";
    pub const CONTENT_TYPE: &str = "content_type";
    pub const SUPPRESS_LOCK: &str = "suppress_lock";
    pub const BUFFER_HTTP: &str = "buffer_http";
    pub const HTTP_BUFFER_REQ_BODY: &str = "http_buffer_req_body";
    pub const MAX_INFLIGHT: &str = "max_inflight";
    pub const PREFIX_LOGS: &str = "prefix_logs";
    pub const LOG_BUFFER_SIZE: &str = "log_buffer_size";
    pub const LOG_CALLID: &str = "log_callid";
    /// The name that documentation in the field gives to `log_callid`.
    pub const LOG_CALL_ID: &str = "log_call_id";
    pub const READY_PATH: &str = "ready_path";
    pub const JWT_AUTH: &str = "jwt_auth";
    /// Folder of the lock file.
    pub const TMPDIR: &str = "TMPDIR";
    /// Ours: how long early calls wait for the function's own server to open its port.
    pub const UPSTREAM_START_TIMEOUT: &str = "upstream_start_timeout";
}
