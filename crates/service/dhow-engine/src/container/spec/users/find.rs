//! The text of passwd(5) and group(5): which numbers `user[:group]` stands for. Takes bytes, and looks at nothing else.
//!
//! Follows `github.com/moby/sys/user`, but for one thing: there a number that is none counts as 0, so that a broken line
//! makes somebody root. Here such a line is no entry.

/// The largest number of a user or group that docker takes.
const LAST_ID: i64 = 0x7fff_ffff;

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
