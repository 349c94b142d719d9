//! What the paths of an archive mean: their components, and the names that stand for deletions.
//!
//! OCI image specification 1.1, `layer.md`, "Whiteouts"; the other `.wh..wh.` names are left-overs of aufs.

/// What an entry is, judged by its path alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// The root of the layer itself.
    Root,
    /// An ordinary file of any kind: the directories above it, and its name.
    File(Vec<&'a [u8]>, &'a [u8]),
    /// The deletion of a name.
    Whiteout(Vec<&'a [u8]>, &'a [u8]),
    /// The directory hides what is below it.
    Opaque(Vec<&'a [u8]>),
    /// Bookkeeping of aufs, which means nothing here.
    Ignored,
}

const WHITEOUT: &[u8] = b".wh.";
const RESERVED: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The components of a path, from the root of the layer: a leading slash, empty components and `.` do not count.
///
/// # Errors
/// Why the path is refused.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let components: Vec<&[u8]> =
        path.split(|&b| b == b'/').filter(|component| !matches!(*component, b"" | b".")).collect();
    if components.contains(&&b".."[..]) {
        return Err("its path leads out of the layer with \"..\"");
    }
    Ok(components)
}

/// What an entry of this path is.
///
/// # Errors
/// Why the path is refused.
pub(super) fn meaning(path: &[u8]) -> Result<Meaning<'_>, &'static str> {
    let mut parents = components(path)?;
    let Some(name) = parents.pop() else { return Ok(Meaning::Root) };
    if parents.iter().any(|c| c.starts_with(RESERVED)) {
        return Ok(Meaning::Ignored);
    }
    if parents.iter().any(|c| c.starts_with(WHITEOUT)) {
        return Err("it lies in a directory whose name is reserved for deletions");
    }
    if name == OPAQUE {
        return Ok(Meaning::Opaque(parents));
    }
    if name.starts_with(RESERVED) {
        return Ok(Meaning::Ignored);
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::File(parents, name)),
        Some(b"" | b"." | b"..") => Err("it deletes no name"),
        Some(deleted) => Ok(Meaning::Whiteout(parents, deleted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_they_should() {
        assert_eq!(meaning(b"./"), Ok(Meaning::Root));
        assert_eq!(meaning(b"/"), Ok(Meaning::Root));
        assert_eq!(meaning(b"/a//./b/"), Ok(Meaning::File(vec![b"a"], b"b")));
        assert_eq!(meaning(b"a/.wh.b"), Ok(Meaning::Whiteout(vec![b"a"], b"b")));
        assert_eq!(meaning(b".wh..wh..opq"), Ok(Meaning::Opaque(vec![])));
        assert_eq!(meaning(b"a/.wh..wh..opq/"), Ok(Meaning::Opaque(vec![b"a"])));
        assert_eq!(meaning(b".wh..wh.plnk/1.2"), Ok(Meaning::Ignored));
        assert_eq!(meaning(b".wh..wh.aufs"), Ok(Meaning::Ignored));
        for bad in [&b".."[..], b"a/../b", b"../a", b".wh.", b".wh..", b".wh...", b".wh.a/b"] {
            assert!(meaning(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
