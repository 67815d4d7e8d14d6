//! What is to be secured, with whose certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use model::env;

use super::file::File;
use super::sources::{ADDRESS, Sources};
use super::{AcmeSettings, ConfigError, LISTEN_DEFAULT};
use crate::tls::CertificateFiles;

const PORT_DEFAULT: u16 = 8443;

#[derive(Debug, Default, Args)]
pub struct TlsFlags {
    /// Address of the API and of the functions for TLS [default: 127.0.0.1:8443, with a certificate]
    #[arg(long, value_name = "ADDR")]
    pub tls_listen: Option<String>,
    /// PEM file with the certificate; read anew when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    pub listen: SocketAddr,
    pub files: Option<CertificateFiles>,
    pub acme: Option<AcmeSettings>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsSettingsError {
    #[error("--tls-cert and --tls-key belong together; give {missing} too")]
    Half { missing: &'static str },
    #[error("{flag} is for TLS; give --tls-cert and --tls-key, or --acme-domain, too")]
    NoCertificate { flag: &'static str },
}

/// None when nothing is to be secured.
pub(super) fn resolve(
    sources: &Sources<'_>,
    flags: TlsFlags,
    acme: Option<AcmeSettings>,
    file: &mut File,
) -> Result<Option<TlsSettings>, ConfigError> {
    let path = |flag: Option<PathBuf>, variable: &str, file: Option<PathBuf>| {
        flag.or_else(|| sources.variable(variable).map(PathBuf::from)).or(file)
    };
    let listen =
        sources.parsed(flags.tls_listen, env::TLS_LISTEN, file.tls_listen.take(), "tls-listen", ADDRESS)?;
    let files = match (
        path(flags.tls_cert, env::TLS_CERT, file.tls_cert.take()),
        path(flags.tls_key, env::TLS_KEY, file.tls_key.take()),
    ) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(TlsSettingsError::Half { missing: "--tls-key" }.into()),
        (None, Some(_)) => return Err(TlsSettingsError::Half { missing: "--tls-cert" }.into()),
    };
    if files.is_none() && acme.is_none() {
        return match listen {
            Some(_) => Err(TlsSettingsError::NoCertificate { flag: "--tls-listen" }.into()),
            None => Ok(None),
        };
    }
    let default = SocketAddr::new(LISTEN_DEFAULT.ip(), PORT_DEFAULT);
    Ok(Some(TlsSettings { listen: listen.unwrap_or(default), files, acme }))
}

#[cfg(test)]
mod tests;
