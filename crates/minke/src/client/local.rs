//! The password that the platform on this machine made for itself: who can read the file needs no login.

use std::path::{Path, PathBuf};

use model::env;
use provider::Credentials;

use crate::files::read_text;
use crate::flags::DATA_DIR;

/// A password file holds one line.
const SECRET_MAX: u64 = 4096;

pub fn credentials() -> Option<Credentials> {
    let data_dir = std::env::var_os(env::DATA_DIR).filter(|dir| !dir.is_empty());
    credentials_in(&data_dir.map_or_else(|| PathBuf::from(DATA_DIR), PathBuf::from))
}

fn credentials_in(data_dir: &Path) -> Option<Credentials> {
    let read = |name: &str| {
        let text = read_text(&data_dir.join("auth").join(name), SECRET_MAX).ok()?;
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        (!text.is_empty()).then_some(text)
    };
    Some(Credentials::Basic { user: read("basic-auth-user")?, password: read("basic-auth-password")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_needed() {
        let dir = tempfile::tempdir().expect("a folder");
        let auth = dir.path().join("auth");
        assert!(credentials_in(dir.path()).is_none());
        std::fs::create_dir(&auth).expect("a folder");
        std::fs::write(auth.join("basic-auth-user"), "admin\n").expect("a file");
        assert!(credentials_in(dir.path()).is_none());
        std::fs::write(auth.join("basic-auth-password"), "p w\n").expect("a file");
        match credentials_in(dir.path()) {
            Some(Credentials::Basic { user, password }) => {
                assert_eq!((user.as_str(), password.as_str()), ("admin", "p w"))
            }
            other => panic!("{other:?}"),
        }
    }
}
