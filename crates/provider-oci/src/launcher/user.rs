//! Who an image says its process is: `USER` of an image's config, looked up in the image's own files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// More than any distribution ships; a hostile image cannot make us read for long.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const GROUPS_MAX: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("user {0:?} is not in the image's /etc/passwd, use a number or add the user to the image")]
    NoUser(String),
    #[error("group {0:?} is not in the image's /etc/group, use a number or add the group to the image")]
    NoGroup(String),
}

struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// Resolves `user` (`""`, `name`, `uid`, `name:group`, `uid:gid`) within the image at `root`.
pub fn resolve(root: &OwnedFd, user: &str) -> Result<Ids, UserError> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let account = lines(root, "etc/passwd")
        .filter_map(|line| account(&line))
        .find(|account| account.name == user || number == Some(account.uid));
    let account = match (account, number) {
        (Some(account), _) => account,
        (None, Some(uid)) => Account { name: String::new(), uid, gid: 0, home: "/".to_owned() },
        (None, None) => return Err(UserError::NoUser(user.to_owned())),
    };
    let mut groups = Vec::new();
    let gid = match group.filter(|group| !group.is_empty()) {
        Some(group) => gid(root, group)?,
        None => {
            groups = supplementary(root, &account.name);
            account.gid
        }
    };
    Ok(Ids { uid: account.uid, gid, groups, home: account.home })
}

fn gid(root: &OwnedFd, group: &str) -> Result<u32, UserError> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let named = |line: String| {
        let mut fields = line.split(':');
        (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
    };
    lines(root, "etc/group").find_map(named).ok_or_else(|| UserError::NoGroup(group.to_owned()))
}

fn supplementary(root: &OwnedFd, name: &str) -> Vec<u32> {
    if name.is_empty() {
        return Vec::new();
    }
    let belongs = |line: String| {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == name).then_some(gid)
    };
    lines(root, "etc/group").filter_map(belongs).take(GROUPS_MAX).collect()
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<_> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    let home = if home.starts_with('/') { home } else { "/" };
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
    })
}

/// A regular file's lines; none when the image lacks the file. Links are followed within the image only.
fn lines(root: &OwnedFd, path: &str) -> impl Iterator<Item = String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve).ok().map(File::from);
    let file = file.filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()));
    let reader = file.map(|file| BufReader::new(file.take(FILE_BYTES_MAX)));
    reader
        .into_iter()
        .flat_map(|reader| reader.split(b'\n').map_while(Result::ok))
        .filter_map(|line| String::from_utf8(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad line\napp:x:1000:1001:App:/home/app:/bin/sh\n";
        std::fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(dir.path().join("etc/group"), "root:x:0:\nwheel:x:10:app,root\napp:x:1001:\n")
            .unwrap();
        let root = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        (dir, root)
    }

    #[test]
    fn users_resolve_by_name_and_number() {
        let (_dir, root) = image();
        let check = |user: &str, uid: u32, gid: u32, groups: &[u32], home: &str| {
            let expected = Ids { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(resolve(&root, user).unwrap(), expected, "{user}");
        };
        check("", 0, 0, &[10], "/root");
        check("app", 1000, 1001, &[10], "/home/app");
        check("1000", 1000, 1001, &[10], "/home/app");
        check("app:wheel", 1000, 10, &[], "/home/app");
        check("7:8", 7, 8, &[], "/");
        check("12000", 12000, 0, &[], "/");
    }

    #[test]
    fn unknown_names_are_refused() {
        let (_dir, root) = image();
        assert!(matches!(resolve(&root, "nobody"), Err(UserError::NoUser(_))));
        assert!(matches!(resolve(&root, "app:nogroup"), Err(UserError::NoGroup(_))));
        assert!(matches!(resolve(&root, "-1"), Err(UserError::NoUser(_))));
    }

    #[test]
    fn a_link_out_of_the_image_is_followed_within_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("etc/passwd")).unwrap();
        std::fs::write(dir.path().join("etc/hostname"), "inside:x:5:6::/:/bin/sh\n").unwrap();
        let root = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert_eq!(resolve(&root, "inside").unwrap().uid, 5);
    }
}
