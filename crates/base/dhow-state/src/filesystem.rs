//! Which file systems can hold a store: a pure decision on the magic number of `statfs(2)`.
//!
//! SQLite's write-ahead log shares memory between processes through a mapped file, and overlayfs keeps device nodes
//! and `trusted.` attributes in its layers. Network file systems fail at one or both, some of them silently.

/// The name of the file system when it cannot hold a store.
///
/// FUSE passes: some local file systems are served that way, and those that cannot do what we need say so.
pub(crate) fn refused(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x517b => "SMB",
        0x0102_1997 => "9p",
        0x5346_414f => "AFS",
        0x6b41_4653 => "kAFS",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn network_file_systems_are_named_and_local_ones_pass() {
        assert_eq!(refused(0x6969), Some("NFS"));
        assert_eq!(refused(0xff53_4d42), Some("CIFS"));
        assert_eq!(refused(0x0102_1997), Some("9p"));
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs, bcachefs, FUSE.
        let local = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e];
        for magic in local.into_iter().chain([0x6573_5546]) {
            assert_eq!(refused(magic), None, "{magic:x}");
        }
    }
}
