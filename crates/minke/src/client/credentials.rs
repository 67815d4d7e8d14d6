//! Who we are at a gateway: `--token`, else what `login` saved, else the local platform's own password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use provider::Credentials;

use super::address::Gateway;
use super::local;
use super::logins::{Login, LoginKind, Logins};
use crate::error::Failure;

pub fn find(token: Option<&str>, gateway: &Gateway) -> Result<Option<Credentials>, Failure> {
    if let Some(token) = token {
        return match token.trim() {
            "" => Err(Failure::usage("--token is empty; leave it out to use the saved login")),
            token => Ok(Some(Credentials::Bearer(token.to_owned()))),
        };
    }
    let logins = Logins::load()?;
    if let Some(login) = logins.find(gateway.as_str()) {
        return from_login(login).map(Some);
    }
    Ok(if gateway.is_local_default() { local::credentials() } else { None })
}

fn from_login(login: &Login) -> Result<Credentials, Failure> {
    let broken = || {
        Failure::usage(format_args!(
            "the saved login for {gateway} cannot be read; run: minke login --gateway {gateway}",
            gateway = login.gateway
        ))
    };
    match login.kind {
        LoginKind::OAuth2 if login.token.is_empty() => Err(broken()),
        LoginKind::OAuth2 => Ok(Credentials::Bearer(login.token.clone())),
        LoginKind::Basic => {
            let bytes = STANDARD.decode(login.token.trim()).map_err(|_| broken())?;
            let text = String::from_utf8(bytes).map_err(|_| broken())?;
            let (user, password) = text.split_once(':').ok_or_else(broken)?;
            Ok(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
        }
    }
}
