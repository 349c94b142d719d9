//! How much an archive may ask for. Every limit that is passed is an error which names the limit and the entry.

/// Limits on one archive. The defaults hold every image that we know of, many times over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one extended header (PAX records, GNU long name).
    pub extended_header: u64,
    /// Bytes of one path or link target.
    pub path: usize,
    /// Components of one path.
    pub depth: usize,
    /// Members of the archive, extended headers counted as well.
    pub entries: u64,
    /// Directories made for the archive, those included that it only goes through. Each takes some 200 bytes of memory
    /// while the layer is unpacked.
    pub directories: usize,
    /// Bytes of one extended attribute's value. The kernel's own limit is 65,536.
    pub xattr: usize,
    /// Runs of data in one sparse file.
    pub sparse_runs: usize,
    /// Bytes that must stay free on the file system that is unpacked to.
    pub keep_free: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            extended_header: 1 << 20,
            path: 16 << 10,
            depth: 4096,
            entries: 8_000_000,
            directories: 1_000_000,
            xattr: 64 << 10,
            sparse_runs: 256 << 10,
            keep_free: 64 << 20,
        }
    }
}
