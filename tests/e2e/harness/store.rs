//! A store of a test's own, and dhow called on it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::command::{Ran, run, run_with_input};
use super::folder::Folder;

/// Data root and run root in a temporary folder.
pub(crate) struct Store {
    folder: Folder,
    root: PathBuf,
}

impl Store {
    pub(crate) fn new() -> Store {
        super::host::private();
        let folder = Folder::new("store");
        let root = folder.join("root");
        Store { folder, root }
    }

    /// With the data root elsewhere, on a disk that the test made.
    pub(crate) fn with_root(root: &Path) -> Store {
        super::host::private();
        Store { folder: Folder::new("store"), root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A place for the test's files beside the store.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// dhow on this store.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(binary());
        command.env_remove("DHOW_ROOT").env_remove("DHOW_RUNROOT").env("LC_ALL", "C");
        command.arg("--root").arg(&self.root).arg("--runroot").arg(self.folder.join("run")).args(args);
        command
    }

    /// Runs dhow on this store to its end.
    pub(crate) fn dhow<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        run(&mut self.command(args))
    }

    pub(crate) fn dhow_with_input<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Ran {
        run_with_input(&mut self.command(args), input)
    }

    /// Loads an archive that the test has in memory, as a file.
    pub(crate) fn load(&self, archive: &[u8]) -> Ran {
        let file = self.folder.file("archive.tar", archive);
        self.dhow(&["load", "--input", path(&file)])
    }

    /// The full id of an image.
    #[track_caller]
    pub(crate) fn id(&self, image: &str) -> String {
        self.dhow(&["image", "inspect", "--format", "{{.Id}}", image]).text()
    }

    /// What `image inspect` says of one image.
    #[track_caller]
    pub(crate) fn inspect(&self, image: &str) -> Value {
        self.dhow(&["image", "inspect", image]).json()[0].take()
    }

    /// Names and tags in the store, sorted.
    #[track_caller]
    pub(crate) fn tags(&self) -> Vec<String> {
        let mut tags = self.dhow(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).lines();
        tags.sort();
        tags
    }

    /// Full ids of all images, sorted, each once.
    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids = self.dhow(&["images", "--all", "--quiet", "--no-trunc"]).lines();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Directories of the image's layers, bottom first: by diff id, or by chain id for one that is not whole.
    #[track_caller]
    pub(crate) fn layers(&self, image: &str) -> Vec<PathBuf> {
        let inspected = self.inspect(image);
        let diff_ids = inspected["RootFS"]["Layers"].as_array().unwrap_or_else(|| panic!("no layers: {inspected}"));
        let mut chain: Option<String> = None;
        let mut layers = Vec::new();
        for diff_id in diff_ids {
            let diff_id = diff_id.as_str().unwrap().to_owned();
            let id = chain.map_or(diff_id.clone(), |below| super::digest(format!("{below} {diff_id}").as_bytes()));
            let places = [&diff_id, &id].map(|id| self.root.join("layers").join(id.replace(':', "-")));
            let found = places.iter().find(|place| place.is_dir());
            layers.push(found.unwrap_or_else(|| panic!("neither of {places:?} is there")).clone());
            chain = Some(id);
        }
        layers
    }

    /// The directories of this store's control groups, one in each hierarchy.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let id = self.dhow(&["info", "--format", "{{.ID}}"]).stdout.trim().to_owned();
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = names(root).into_iter().map(|name| root.join(name)).chain([root.to_owned()]);
        hierarchies.map(|hierarchy| hierarchy.join("dhow").join(&id)).filter(|group| group.is_dir()).collect()
    }

    /// Nothing is left in the store: no image, blob, layer or half-made thing.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.ids(), Vec::<String>::new());
        for kind in ["blobs/sha256", "layers", "work"] {
            assert_eq!(names(&self.root.join(kind)), Vec::<String>::new(), "left in {kind}/");
        }
        self.assert_sound();
    }

    /// What is in the store is whole: dhow itself finds nothing, no work is left, each blob is what its name says.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        self.dhow(&["system", "check"]).ok();
        assert_eq!(names(&self.root.join("work")), Vec::<String>::new(), "left in work/");
        for name in names(&self.root.join("blobs/sha256")) {
            let found = super::digest(&fs::read(self.root.join("blobs/sha256").join(&name)).unwrap());
            assert_eq!(found, format!("sha256:{name}"), "a blob is not what its name says");
        }
    }
}

impl Drop for Store {
    /// A test that failed leaves no process behind, and one that did not has no duty to tidy up.
    fn drop(&mut self) {
        if !self.root.join("containers").is_dir() {
            return;
        }
        let ids = self.dhow(&["ps", "-aq", "--no-trunc"]);
        let ids: Vec<&str> = ids.stdout.lines().collect();
        if !ids.is_empty() {
            self.dhow(&[&["rm", "-f"], ids.as_slice()].concat());
        }
        // The groups of the store itself stay for its next container; there is none.
        for group in self.groups() {
            for part in [group.join("supervisors"), group] {
                // Somebody may be in it yet, in a failed test.
                let _ = fs::remove_dir(part);
            }
        }
    }
}

/// What is in a folder, sorted; nothing when there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A path of the tests' own, which is always text.
pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The dhow under test.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        assert!(rustix::process::geteuid().is_root(), "these tests run as root: cargo xtask test");
        if let Some(given) = std::env::var_os("DHOW") {
            return PathBuf::from(given);
        }
        // target/<tuple>/<profile>/deps/e2e-<hash>
        let own = std::env::current_exe().unwrap();
        let target = own.ancestors().nth(3).expect("test programs lie in target/<tuple>/<profile>/deps");
        let found =
            ["release", "debug"].iter().map(|profile| target.join(profile).join("dhow")).find(|path| path.is_file());
        found.expect("no dhow in the target folder; build it, or name it: DHOW=/path/to/dhow")
    })
}
