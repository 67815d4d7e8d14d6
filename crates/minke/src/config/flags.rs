//! The settings as flags.

use std::path::PathBuf;

use clap::Args;

use super::ProviderKind;
use super::acme::AcmeFlags;
use super::tls::TlsFlags;

/// The flags of `minke up`; each can also be a variable or a line of the file.
#[derive(Debug, Default, Args)]
pub struct Flags {
    /// Address of the API and of the functions [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address of /metrics, for Prometheus [default: 127.0.0.1:8082]
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
    /// Where everything is kept: functions, images, the password [default: /var/lib/minke]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Let everyone who can connect manage functions
    #[arg(long)]
    pub no_auth: bool,
    /// Build and deploy the sample function `hello`
    #[arg(long)]
    pub demo: bool,
    /// Where functions run [default: oci, or remote when a provider URL is given]
    #[arg(long, value_enum)]
    pub provider: Option<ProviderKind>,
    /// The faas-provider server that the provider `remote` drives
    #[arg(long, value_name = "URL")]
    pub provider_url: Option<String>,
    /// File of the key that secrets are encrypted with [default: secrets.key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub secrets_key_file: Option<PathBuf>,
    /// How much is kept of what each function writes [default: 10Mi]
    #[arg(long, value_name = "BYTES")]
    pub log_max: Option<String>,
    /// A line for each call and each management request: off, text or json [default: off]
    #[arg(long, value_name = "FORM")]
    pub access_log: Option<String>,
    /// Where these lines are appended [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub access_log_file: Option<PathBuf>,
    /// Settings file [default: /etc/minke/minke.yaml, when it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub tls: TlsFlags,
    #[command(flatten)]
    pub acme: AcmeFlags,
}
