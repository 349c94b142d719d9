//! Users and groups of a root filesystem: which numbers `user[:group]` stands for.
//!
//! The files come from an image, or from a container that runs and is hostile: they are opened inside the root, must be
//! plain files, and are read up to a bound. The parser takes bytes and looks at nothing else. See passwd(5), group(5).
//!
//! Follows `github.com/moby/sys/user`, but for one thing: there a number that is none counts as 0, so that a broken line
//! makes somebody root. Here such a line is no entry.

use super::invalid;
use crate::EngineError;
use oci_spec::runtime::User;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The largest file that is read, in bytes: more than the users of a large domain need.
const MOST: u64 = 16 << 20;
/// The largest number of a user or group that docker takes.
const LAST_ID: i64 = 0x7fff_ffff;
/// `f_type` of procfs.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// Why a user could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// No such name.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// No such name.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    /// A number that is too small or too large.
    #[error("uids and gids must be in range 0-{LAST_ID}")]
    Range,
}

/// Who a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// All groups, the first one included, each once.
    pub groups: Vec<u32>,
}

struct Account<'a> {
    name: &'a [u8],
    uid: i64,
    gid: i64,
    home: &'a [u8],
}

struct Group<'a> {
    name: &'a [u8],
    gid: i64,
    members: &'a [u8],
}

/// Finds `user[:group]` and more groups in the text of `/etc/passwd` and `/etc/group`. The empty user is root.
///
/// # Errors
/// [`UserError`].
pub fn find(passwd: &[u8], group: &[u8], user: &str, more: &[String]) -> Result<Identity, UserError> {
    let mut parts = user.split(':');
    let (user, wanted) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (uid, gid) = (number(user)?, number(wanted)?);
    let account = accounts(passwd).find(|a| match (user, uid) {
        ("", _) => a.uid == 0,
        (_, Some(uid)) => a.uid == uid,
        _ => a.name == user.as_bytes(),
    });
    let mut found = match (&account, uid) {
        (Some(account), _) => Identity { uid: id(account.uid)?, gid: id(account.gid)?, groups: Vec::new() },
        (None, Some(uid)) => Identity { uid: id(uid)?, ..Identity::default() },
        (None, None) if user.is_empty() => Identity::default(),
        (None, None) => return Err(UserError::User(user.to_owned())),
    };
    let mut groups = Vec::new();
    if !wanted.is_empty() {
        found.gid = group_id(group, wanted, gid)?;
    } else if let Some(account) = account.filter(|a| !a.name.is_empty()) {
        for group in self::groups(group).filter(|g| g.members.split(|&b| b == b',').any(|m| m == account.name)) {
            groups.push(id(group.gid)?);
        }
    }
    for name in more {
        groups.push(group_id(group, name, number(name)?)?);
    }
    found.groups.push(found.gid);
    for gid in groups {
        if !found.groups.contains(&gid) {
            found.groups.push(gid);
        }
    }
    Ok(found)
}

/// The home directory of a user, if it has one.
pub fn home_of(passwd: &[u8], uid: u32) -> Option<String> {
    let account = accounts(passwd).find(|a| a.uid == i64::from(uid))?;
    // It becomes a part of the environment, which is JSON before that: text without a NUL.
    let home = std::str::from_utf8(account.home).ok()?;
    (!home.is_empty() && !home.contains('\0')).then(|| home.to_owned())
}

fn group_id(group: &[u8], name: &str, number: Option<i64>) -> Result<u32, UserError> {
    match number {
        Some(gid) => id(gid),
        None => match groups(group).find(|g| g.name == name.as_bytes()) {
            Some(found) => id(found.gid),
            None => Err(UserError::Group(name.to_owned())),
        },
    }
}

/// A number that was typed: nothing where it is a name, an error where it is out of range.
fn number(text: &str) -> Result<Option<i64>, UserError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) => id(number).map(|id| Some(i64::from(id))),
        Err(_) => Err(UserError::Range),
    }
}

fn id(number: i64) -> Result<u32, UserError> {
    u32::try_from(number).ok().filter(|&id| i64::from(id) <= LAST_ID).ok_or(UserError::Range)
}

fn accounts(text: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(text).filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let (uid, gid) = (digits(fields.nth(1)?)?, digits(fields.next()?)?);
        Some(Account { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

fn groups(text: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(text).filter(|line| !line.starts_with(b"#")).filter_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let gid = digits(fields.nth(1)?)?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

fn digits(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Finds `user[:group]` and additional groups in `/etc/passwd` and `/etc/group` of a root (opened inside it), as docker
/// does: numbers need not be there, names must.
///
/// # Errors
/// [`EngineError::Invalid`]: `unable to find user NAME: no matching entries in passwd file`; a file that is too large.
pub fn resolve_user(root: BorrowedFd<'_>, user: Option<&str>, groups: &[String]) -> Result<User, EngineError> {
    let (passwd, group) = (read(root, "etc/passwd")?, read(root, "etc/group")?);
    let found = find(&passwd, &group, user.unwrap_or_default(), groups).map_err(|e| invalid(e.to_string()))?;
    let mut user = User::default();
    user.set_uid(found.uid).set_gid(found.gid).set_additional_gids(Some(found.groups));
    Ok(user)
}

/// The home directory of a user in a root: `HOME` where nothing else sets it.
pub fn home(root: BorrowedFd<'_>, uid: u32) -> Option<String> {
    home_of(&read(root, "etc/passwd").ok()?, uid)
}

/// A file of the root; empty when there is none, or it is no plain file.
fn read(root: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>, EngineError> {
    let failed = |e| EngineError::io("read", format!("/{path} of the container"), e);
    let file = match open(root, path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Vec::new()),
        // As in docker: without the file there are no names.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut text = Vec::new();
    file.take(MOST + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MOST {
        return Err(invalid(format!("/{path} of the container is larger than {} MB", MOST >> 20)));
    }
    Ok(text)
}

/// Opens a plain file inside the root. It is opened as a place first: opening a device node for reading can do things.
fn open(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<File>> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&descriptors()?, place.as_raw_fd().to_string(), flags, Mode::empty())?;
    Ok(Some(File::from(file)))
}

/// `/proc/self/fd`, if it is what it says.
fn descriptors() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
    match rustix::fs::fstatfs(&directory)?.f_type == PROC_SUPER_MAGIC {
        true => Ok(directory),
        false => Err(io::Error::other("/proc/self/fd is not on procfs")),
    }
}
