//! The real images that tests/fixtures/make makes from Debian packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A file of them, by its name there ("python.oci.tar"). Made on the first call on this machine, which takes minutes.
pub(crate) fn made(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/make");
        let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{}: {}", script.display(), output.status);
        let said = String::from_utf8(output.stdout).unwrap();
        PathBuf::from(said.lines().last().expect("its last line is the folder"))
    });
    let path = folder.join(name);
    assert!(path.exists(), "{} was not made", path.display());
    path
}
