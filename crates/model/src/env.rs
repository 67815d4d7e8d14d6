//! Every environment variable that Minke reads, by name, with its default and its meaning. Where each is resolved: the
//! binary's `config.rs`, once.
//!
//! One table is the source of the constants, of the check for unknown names, and of `docs/reference/env.md`.

/// A variable as the reference shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    /// What holds when it is not set; a phrase where that is no fixed text.
    pub default: &'static str,
    pub meaning: &'static str,
}

/// Rows `NAME = "name", "default", "meaning"`: a constant for each, and all of them as `TABLE`.
macro_rules! variables {
    ($($constant:ident = $name:literal, $default:literal, $meaning:literal;)+) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)+

        /// In the order of the reference.
        pub const TABLE: &[crate::env::Variable] = &[
            $(crate::env::Variable { name: $name, default: $default, meaning: $meaning },)+
        ];
    };
}

/// Minke's own; a variable that begins with `MINKE_` and is not listed here is refused.
pub const MINKE: [&str; TABLE.len()] = names(TABLE);

variables! {
    CONFIG = "MINKE_CONFIG", "`/etc/minke/minke.yaml`, when it is there",
        "Settings file of `minke up`; its keys are the names of the flags.";
    LISTEN = "MINKE_LISTEN", "`127.0.0.1:8080`", "Address of the API and of the functions.";
    METRICS_LISTEN = "MINKE_METRICS_LISTEN", "`127.0.0.1:8082`", "Address of `/metrics`.";
    TLS_LISTEN = "MINKE_TLS_LISTEN", "`127.0.0.1:8443`, with a certificate",
        "Address of the API and of the functions for clients that speak TLS.";
    TLS_CERT = "MINKE_TLS_CERT", "none", "PEM file with the certificate of that address, read anew when it changes.";
    TLS_KEY = "MINKE_TLS_KEY", "none", "PEM file with the certificate's private key.";
    ACME_DOMAIN = "MINKE_ACME_DOMAIN", "none", "Names, comma separated, to order certificates for.";
    ACME_AGREE_TOS = "MINKE_ACME_AGREE_TOS", "`false`",
        "`true` or `1`: you agree to the terms of service of the ACME server.";
    ACME_EMAIL = "MINKE_ACME_EMAIL", "none", "Where the ACME server may write to about certificates.";
    ACME_DIRECTORY = "MINKE_ACME_DIRECTORY", "Let's Encrypt", "Directory URL of the ACME server.";
    ACME_CA = "MINKE_ACME_CA", "the system's", "PEM file with the certificates that a private ACME server is known by.";
    DATA_DIR = "MINKE_DATA_DIR", "`/var/lib/minke`",
        "Folder of everything that is kept: functions, images, the password. Also read by `build`, `image` and, for \
         that password, by the commands that call a gateway.";
    NO_AUTH = "MINKE_NO_AUTH", "`false`", "`true` or `1`: whoever can connect may manage functions.";
    DEMO = "MINKE_DEMO", "`false`", "`true` or `1`: build and deploy the sample function `hello`.";
    PROVIDER = "MINKE_PROVIDER", "`oci`; `remote` when a provider URL is given",
        "Where functions run: `oci`, `memory` or `remote`.";
    PROVIDER_URL = "MINKE_PROVIDER_URL", "none", "The faas-provider server that the provider `remote` drives.";
    WORKERS = "MINKE_WORKERS", "one for each core", "Threads that serve connections.";
    CALLS_MAX = "MINKE_CALLS_MAX", "`10000`, less where descriptors are few",
        "Calls under way at once; more are answered 429.";
    CONNECTIONS_MAX = "MINKE_CONNECTIONS_MAX", "`15000`, less where descriptors are few",
        "Connections of clients at once; more wait to be accepted.";
    MAX_BODY = "MINKE_MAX_BODY", "no bound",
        "Largest body of a call, such as `10Mi`; a larger one is answered 413. The annotation `minke/max-body` beats it.";
    DRAIN_DELAY = "MINKE_DRAIN_DELAY", "`0s`",
        "At shutdown: how long connections are still accepted while `/healthz` already says 503.";
    DRAIN_GRACE = "MINKE_DRAIN_GRACE", "`1s`",
        "At shutdown: how long an idle connection stays open for a request that may be on its way.";
    DRAIN_TIMEOUT = "MINKE_DRAIN_TIMEOUT", "`write_timeout`",
        "At shutdown: how long what is under way may take before it is cut off.";
    LOG = "MINKE_LOG", "`info`", "Filter of the log: `warn`, `debug`, `info,gateway=debug`, …";
    LOG_FORMAT = "MINKE_LOG_FORMAT", "`text`", "Form of the log: `text` or `json`.";
    ACCESS_LOG = "MINKE_ACCESS_LOG", "`off`", "Form of the access log: `off`, `text` or `json`.";
    ACCESS_LOG_FILE = "MINKE_ACCESS_LOG_FILE", "none: standard error", "File that the access log is appended to.";
    INSECURE_REGISTRIES = "MINKE_INSECURE_REGISTRIES", "none",
        "Registries, comma separated, that may be spoken to without TLS. Loopback always may.";
    SECRETS_KEY_FILE = "MINKE_SECRETS_KEY_FILE", "`secrets.key` in the data folder",
        "File of 32 random bytes that secrets are encrypted with; made when it is first needed. Nobody but its owner may \
         read it.";
    LOG_MAX = "MINKE_LOG_MAX", "`10Mi`", "How much is kept of what each function writes, 64Ki to 1Gi.";
}

/// The variables of the OpenFaaS contract that the gateway and the command line read; names as users know them.
pub mod openfaas {
    variables! {
        READ_TIMEOUT = "read_timeout", "`60s`",
            "How long the head of a request may take, idle time between two requests included; also the body of a \
             management request, and each silence of a call's body.";
        WRITE_TIMEOUT = "write_timeout", "`60s`",
            "How long a client may take nothing of its answer; also how long a shutdown waits for what is under way.";
        UPSTREAM_TIMEOUT = "upstream_timeout", "`60s`",
            "How long a function may take to the head of its answer, each silence of its body, and the wait of a call \
             for the first replica.";
        FUNCTIONS_PROVIDER_URL = "functions_provider_url", "none",
            "Where a foreign provider is; choosing it chooses the provider `remote`.";
        BASIC_AUTH = "basic_auth", "`true`", "`false` is the same wish as `--no-auth`; nothing else turns auth off.";
        SECRET_MOUNT_PATH = "secret_mount_path", "`auth` in the data folder",
            "Folder with `basic-auth-user` and `basic-auth-password`, which must be there; also sent to a foreign \
             provider.";
        FUNCTION_NAMESPACE = "function_namespace", "`openfaas-fn`", "Namespace of the functions.";
        SCALE_FROM_ZERO = "scale_from_zero", "`true`",
            "Whether a call wakes a function that has no replica; anything but `true` is no.";
        MAX_IDLE_CONNS = "max_idle_conns", "`1024`, less where descriptors are few",
            "Idle connections kept to one replica, or to a foreign provider.";
        MAX_IDLE_CONNS_PER_HOST = "max_idle_conns_per_host", "that of `max_idle_conns`",
            "The same; the smaller one holds.";
        WRITE_REQUEST_URI = "write_request_uri", "none",
            "Anything, nothing as well: the access log is `text` where nobody says what it is to be.";
        OPENFAAS_URL = "OPENFAAS_URL", "`http://127.0.0.1:8080`",
            "The command line's: where the gateway is, unless `--gateway` or a stack file says.";
        OPENFAAS_CONFIG = "OPENFAAS_CONFIG", "`~/.openfaas`", "The command line's: folder that holds `config.yml`.";
        CI = "CI", "none",
            "The command line's: `true` or `1`, as build services set it, moves that folder to `./.openfaas`.";
    }
}

/// What `fwatchdog` reads inside a function's container; names as images in the field set them.
pub mod watchdog {
    variables! {
        MODE = "mode", "`streaming`", "How the function is run: `http`, `streaming` or `serializing`.";
        FPROCESS = "fprocess", "required",
            "Command line of the function, split at each single space; no shell, no quotes.";
        FUNCTION_PROCESS = "function_process", "none", "The same; wins over `fprocess`.";
        UPSTREAM_URL = "upstream_url", "required in mode `http`",
            "Where the function's own server listens, such as `http://127.0.0.1:5000`.";
        HTTP_UPSTREAM_URL = "http_upstream_url", "none", "The same; wins over `upstream_url`.";
        PORT = "port", "`8080`", "Port of the watchdog; 0 is any free one.";
        READ_TIMEOUT = "read_timeout", "`30s`", "For one whole request, and for idle connections; 0 is no limit.";
        WRITE_TIMEOUT = "write_timeout", "`30s`",
            "From the end of a request's header to the end of its answer, and for the drain at shutdown; 0 is refused.";
        EXEC_TIMEOUT = "exec_timeout", "`30s`", "For one call; 0 is no limit. `X-Timeout` can shorten it.";
        HEALTHCHECK_INTERVAL = "healthcheck_interval", "`0s`",
            "How long calls are still taken after SIGTERM while health already says no.";
        CONTENT_TYPE = "content_type", "`application/octet-stream`",
            "Content-Type of answers in the modes `streaming` and `serializing`.";
        SUPPRESS_LOCK = "suppress_lock", "`false`", "Write no lock file.";
        BUFFER_HTTP = "buffer_http", "`false`",
            "Mode `http`: read a request of unknown length whole, and pass it on with its length.";
        HTTP_BUFFER_REQ_BODY = "http_buffer_req_body", "`false`", "The same.";
        MAX_INFLIGHT = "max_inflight", "`0`", "Most calls at once; more are answered 429. 0 is no limit.";
        PREFIX_LOGS = "prefix_logs", "`true`", "Put time and stream before each line of the function.";
        LOG_BUFFER_SIZE = "log_buffer_size", "`65536`",
            "Longest line of the function in bytes; a longer one is cut in pieces. -1 is 16 MiB.";
        LOG_CALLID = "log_callid", "`false`", "Mode `http`: put the call id into access lines.";
        LOG_CALL_ID = "log_call_id", "`false`", "The same, under the name that documentation in the field gives it.";
        READY_PATH = "ready_path", "none", "Path of the function that `/_/ready` asks.";
        JWT_AUTH = "jwt_auth", "`false`", "Not supported yet: a function that asks for it does not start.";
        TMPDIR = "TMPDIR", "`/tmp`", "Folder of the lock file.";
        UPSTREAM_START_TIMEOUT = "upstream_start_timeout", "`10s`",
            "Ours: how long early calls wait for the function's own server to open its port.";
    }
}

/// What OpenTelemetry names for every program; read by `minke up`.
pub mod otel {
    variables! {
        ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "none: no traces",
            "Where a collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`; traces are posted to \
             `v1/traces` below it.";
        TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "none",
            "The whole address that traces are posted to; wins over the one above.";
        HEADERS = "OTEL_EXPORTER_OTLP_HEADERS", "none",
            "Headers for the collector: `name=value,name=value`, values percent-encoded.";
        TRACES_HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "none", "The same; wins over the one above.";
        PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "`http/protobuf`", "No other value is taken.";
        TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "`http/protobuf`", "No other value is taken.";
        SERVICE_NAME = "OTEL_SERVICE_NAME", "`minke`", "What traces call this platform.";
        RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES", "none",
            "More that is said of it: `name=value,name=value`.";
        SAMPLER = "OTEL_TRACES_SAMPLER", "`parentbased_always_on`",
            "Which calls are traced: `always_on`, `always_off`, `traceidratio`, or one of them behind `parentbased_`, \
             which lets a caller's `traceparent` decide first.";
        SAMPLER_ARG = "OTEL_TRACES_SAMPLER_ARG", "`1`", "The share that `traceidratio` takes, 0 to 1.";
        TRACES_EXPORTER = "OTEL_TRACES_EXPORTER", "`otlp`", "`none`: no traces.";
        SDK_DISABLED = "OTEL_SDK_DISABLED", "`false`", "`true`: no traces.";
    }
}

/// What every program of a Unix reads.
pub mod common {
    variables! {
        HOME = "HOME", "from the user database", "Folder of `.openfaas` and `.docker`.";
        DOCKER_CONFIG = "DOCKER_CONFIG", "`~/.docker`", "Folder of the `config.json` with registry credentials.";
        LISTEN_FDNAMES = "LISTEN_FDNAMES", "`api:metrics`",
            "Names of the sockets that `minke up` is started with (`LISTEN_FDS`, `LISTEN_PID`: sd_listen_fds(3)).";
        NO_COLOR = "NO_COLOR", "none", "Anything: the log on a terminal has no colour.";
    }
}

const fn names<const N: usize>(table: &[Variable]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = table[at].name;
        at += 1;
    }
    names
}
