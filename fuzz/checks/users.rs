//! What must hold for any bytes in `/etc/passwd` and `/etc/group`. Up to the first NUL it is who is looked for, up to the
//! second one file, then the other.

use super::find::{find, home_of};

/// Panics when somebody is found who is not there, or out of range.
pub(crate) fn check(data: &[u8]) {
    let mut parts = data.splitn(3, |&b| b == 0);
    let Some(Ok(who)) = parts.next().map(std::str::from_utf8) else { return };
    let (passwd, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let more: Vec<String> = who.split(':').skip(2).map(str::to_owned).collect();
    let Ok(found) = find(passwd, group, who, &more) else { return };
    assert_eq!(found.groups.first(), Some(&found.gid));
    assert!(found.groups.iter().chain([&found.uid]).all(|&id| id <= 0x7fff_ffff), "{found:?}");
    let distinct: std::collections::HashSet<_> = found.groups.iter().collect();
    assert_eq!(distinct.len(), found.groups.len());
    assert_eq!(find(passwd, group, who, &more), Ok(found.clone()));
    // A name is in the file; a number is itself.
    let name = who.split(':').next().unwrap_or_default();
    if let Ok(number) = name.parse::<u32>() {
        assert_eq!(found.uid, number);
    } else if found.uid == 0 && !name.is_empty() {
        let zero = |field: Option<&[u8]>| {
            let text = field.and_then(|f| std::str::from_utf8(f).ok()).unwrap_or_default();
            text.parse::<i64>() == Ok(0)
        };
        let root = passwd.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).any(|line| {
            let mut fields = line.split(|&b| b == b':');
            fields.next() == Some(name.as_bytes()) && zero(fields.nth(1))
        });
        assert!(root || name.parse::<i64>() == Ok(0), "{name:?} is root, and nothing says so");
    }
    assert!(home_of(passwd, found.uid).is_none_or(|home| !home.is_empty() && !home.contains('\0')));
}
