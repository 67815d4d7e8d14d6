//! Which certificates are ordered, and from whom.

use std::path::PathBuf;

use clap::Args;
use model::env;

use super::ConfigError;
use super::file::File;
use super::sources::{Reader, Sources};

const DIRECTORY_DEFAULT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Each is a certificate of its own, and ACME servers count.
const DOMAINS_MAX: usize = 100;

const DIRECTORY: Reader<String> = (directory, "an address like https://acme.example.com/directory");
const EMAIL: Reader<String> = (email, "an e-mail address");

#[derive(Debug, Default, Args)]
pub struct AcmeFlags {
    /// Name to order a certificate for from the ACME server; can be given again
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub acme_domain: Vec<String>,
    /// You agree to the terms of service of the ACME server
    #[arg(long)]
    pub acme_agree_tos: bool,
    /// Where the ACME server may write to about certificates
    #[arg(long, value_name = "ADDRESS")]
    pub acme_email: Option<String>,
    /// Directory of the ACME server [default: Let's Encrypt]
    #[arg(long, value_name = "URL")]
    pub acme_directory: Option<String>,
    /// PEM file with the certificates that a private ACME server is known by
    #[arg(long, value_name = "FILE")]
    pub acme_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// In lower case, each once; at least one.
    pub domains: Vec<String>,
    pub email: Option<String>,
    pub directory: String,
    /// None trusts what the system trusts.
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcmeSettingsError {
    #[error("{flag} is for the ACME server; give --acme-domain too")]
    NoDomain { flag: &'static str },
    #[error(
        "--acme-domain: {name:?} is not a name like api.example.com; an ACME server is asked for no other"
    )]
    Domain { name: String },
    #[error("--acme-domain: there are more than {DOMAINS_MAX} names")]
    TooMany,
    #[error(
        "read the terms of service of the ACME server, and say with --acme-agree-tos that you agree to them \
         (Let's Encrypt: https://letsencrypt.org/repository/)"
    )]
    Terms,
}

/// None when nothing is to be ordered.
pub(super) fn resolve(
    sources: &Sources<'_>,
    flags: AcmeFlags,
    file: &mut File,
) -> Result<Option<AcmeSettings>, ConfigError> {
    let (directory, email) = (flags.acme_directory, flags.acme_email);
    let directory = sources.parsed(
        directory,
        env::ACME_DIRECTORY,
        file.acme_directory.take(),
        "acme-directory",
        DIRECTORY,
    )?;
    let email = sources.parsed(email, env::ACME_EMAIL, file.acme_email.take(), "acme-email", EMAIL)?;
    let ca = flags.acme_ca.or_else(|| sources.variable(env::ACME_CA).map(PathBuf::from));
    let ca = ca.or(file.acme_ca.take());
    let agreed = sources.switch(flags.acme_agree_tos, env::ACME_AGREE_TOS, file.acme_agree_tos)?;
    let named = match (flags.acme_domain, sources.variable(env::ACME_DOMAIN)) {
        (flags, _) if !flags.is_empty() => flags,
        (_, Some(list)) => list.split(',').map(str::to_owned).collect(),
        _ => std::mem::take(&mut file.acme_domain),
    };
    let domains = domains(named)?;
    if domains.is_empty() {
        let unused = [
            (directory.is_some(), "--acme-directory"),
            (email.is_some(), "--acme-email"),
            (ca.is_some(), "--acme-ca"),
            (agreed, "--acme-agree-tos"),
        ];
        return match unused.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(AcmeSettingsError::NoDomain { flag }.into()),
            None => Ok(None),
        };
    }
    if !agreed {
        return Err(AcmeSettingsError::Terms.into());
    }
    let directory = directory.unwrap_or_else(|| DIRECTORY_DEFAULT.to_owned());
    Ok(Some(AcmeSettings { domains, email, directory, ca }))
}

fn domains(named: Vec<String>) -> Result<Vec<String>, AcmeSettingsError> {
    let mut domains = Vec::new();
    for name in named.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        let lower = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(known);
        // The last label of an address is a number; that of a name is none.
        let numeric = lower.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        // Files are called after the names.
        if lower.len() > 240 || !lower.contains('.') || numeric || !lower.split('.').all(is_label) {
            return Err(AcmeSettingsError::Domain { name: name.chars().take(253).collect() });
        }
        if !domains.contains(&lower) {
            domains.push(lower);
        }
    }
    if domains.len() > DOMAINS_MAX { Err(AcmeSettingsError::TooMany) } else { Ok(domains) }
}

/// What comes back must be the server's, so there is no other way to it than TLS.
fn directory(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let usable = uri.scheme_str() == Some("https") && !authority.host().is_empty();
    (usable && !authority.as_str().contains('@')).then(|| text.to_owned())
}

fn email(text: &str) -> Option<String> {
    let (user, host) = text.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"@,?<>\"".contains(&b))
    };
    (plain(user) && plain(host)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
