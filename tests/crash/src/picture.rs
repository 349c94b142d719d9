//! A picture of a store, taken from outside: which images dhow lists, and which files lie below its data root, down to the
//! name, mode, owner, size, time, attributes and content of each file of each unpacked layer.
//!
//! Two pictures of equal stores are equal; what may differ between two runs (an identity that holds the time of an
//! `import`, the time of a directory that no archive names) is replaced by a word.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, violated};
use crate::process::Dhow;

/// One row of `images`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// The image's digest, or `new` when the archives do not hold it.
    pub(crate) id: String,
}

/// What is in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) images: BTreeSet<Listed>,
    /// The real digests of the images, for commands.
    pub(crate) ids: BTreeSet<String>,
    /// Names below `blobs/<algorithm>/`, whose content was found to have that digest.
    pub(crate) blobs: BTreeSet<String>,
    /// Name below `layers/`, and one line for each file of that tree.
    pub(crate) layers: BTreeMap<String, Vec<String>>,
    /// Names in the data root.
    pub(crate) top: BTreeSet<String>,
    /// Paths below `work/`.
    pub(crate) work: BTreeSet<PathBuf>,
}

/// What a picture has to know of the run it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Lens {
    /// The digests of the images in the input archives.
    pub(crate) known: BTreeSet<String>,
    /// Seconds since the epoch at which the run began: a later modification time is `now`.
    pub(crate) began: i64,
}

/// What `images` lists: needs no recovery, so it is asked right after a crash too.
pub(crate) fn images(dhow: &Dhow, lens: &Lens, when: &str) -> Result<(BTreeSet<Listed>, BTreeSet<String>), Failure> {
    let done = dhow.run("images --no-trunc --digests --format json")?.or_violated(when)?;
    let mut images = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for row in rows(&done.output) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("<none>").to_owned();
        let id = text("ID");
        if !id.starts_with("sha256:") {
            return violated(format!("{when}: a row of `images` has no ID: {row}"));
        }
        let shown = if lens.known.contains(&id) { id.clone() } else { "new".to_owned() };
        images.insert(Listed { name: format!("{}:{}", text("Repository"), text("Tag")), id: shown });
        ids.insert(id);
    }
    Ok((images, ids))
}

/// One document per line, or one array of them.
fn rows(output: &str) -> Vec<Value> {
    match serde_json::from_str(output) {
        Ok(Value::Array(rows)) => rows,
        _ => output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
    }
}

impl Picture {
    /// Takes the whole picture. A blob that is not what its name says is a violation by itself.
    pub(crate) fn take(dhow: &Dhow, lens: &Lens, when: &str) -> Result<Picture, Failure> {
        let (images, ids) = images(dhow, lens, when)?;
        let mut picture = Picture { images, ids, ..Picture::default() };
        let root = dhow.root();
        picture.top = names(&root)?;
        for algorithm in names(&root.join("blobs"))? {
            for name in names(&root.join("blobs").join(&algorithm))? {
                let path = root.join("blobs").join(&algorithm).join(&name);
                let digest = hash(&path).map_err(Failure::io("hash", &path))?;
                if digest != name {
                    return violated(format!("{when}: the content of {} is {digest}", path.display()));
                }
                picture.blobs.insert(name);
            }
        }
        for name in names(&root.join("layers"))? {
            let tree = Tree { root: &root.join("layers").join(&name), began: lens.began }.lines();
            picture.layers.insert(name, tree?);
        }
        let work = root.join("work");
        for name in names(&work)? {
            picture.work.insert(work.join(name));
        }
        Ok(picture)
    }
}

/// The names in a directory; none when it does not exist.
pub(crate) fn names(directory: &Path) -> Result<BTreeSet<String>, Failure> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Failure::Io { what: "list", path: directory.to_owned(), source: error }),
    };
    entries
        .map(|entry| Ok(entry.map_err(Failure::io("list", directory))?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The sha256 of a file, in hex.
pub(crate) fn hash(path: &Path) -> io::Result<String> {
    hash_of(File::open(path)?)
}

/// The sha256 of all that a reader gives, in hex.
pub(crate) fn hash_of(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Tree<'a> {
    root: &'a Path,
    began: i64,
}

impl Tree<'_> {
    fn lines(&self) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        let mut links = HashMap::new();
        let root = Path::new("");
        self.entry(root, &mut links, &mut lines).map_err(Failure::io("look at", self.root))?;
        Ok(lines)
    }

    fn entry(&self, path: &Path, links: &mut HashMap<u64, PathBuf>, lines: &mut Vec<String>) -> io::Result<()> {
        let full = self.root.join(path);
        let metadata = fs::symlink_metadata(&full)?;
        let kind = metadata.file_type();
        let content = if kind.is_file() {
            match links.get(&metadata.ino()) {
                Some(first) => format!("linked to {}", first.display()),
                None => {
                    links.insert(metadata.ino(), path.to_owned());
                    hash(&full)?
                }
            }
        } else if kind.is_symlink() {
            format!("-> {}", fs::read_link(&full)?.display())
        } else if kind.is_block_device() || kind.is_char_device() {
            format!("device {:x}", metadata.rdev())
        } else {
            String::new()
        };
        let size = if kind.is_dir() { 0 } else { metadata.len() };
        lines.push(format!(
            "{} {:o} {}:{} {size} {} {} {content}",
            path.display(),
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            self.time(path, &metadata),
            attributes(&full)?,
        ));
        if kind.is_dir() {
            let mut names: Vec<_> =
                fs::read_dir(&full)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
            names.sort();
            for name in names {
                self.entry(&path.join(name), links, lines)?;
            }
        }
        Ok(())
    }

    fn time(&self, path: &Path, metadata: &Metadata) -> String {
        if path.as_os_str().is_empty() || metadata.mtime() >= self.began {
            return "now".to_owned();
        }
        format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())
    }
}

/// The extended attributes of a file, without following a link.
fn attributes(path: &Path) -> io::Result<String> {
    let mut list = [0_u8; 4096];
    let length = rustix::fs::llistxattr(path, &mut list)?;
    let mut shown = Vec::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = [0_u8; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value)?;
        shown.push(format!("{}={}", String::from_utf8_lossy(name), hex(&value[..length])));
    }
    shown.sort();
    Ok(shown.join(","))
}
