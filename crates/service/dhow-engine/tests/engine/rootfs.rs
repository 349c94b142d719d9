//! Directories of the host as root filesystems.

use crate::Test;
use crate::place::{Place, request};
use dhow_engine::container::request::{CreateRequest, RootSource};
use std::path::Path;

pub(crate) const TESTS: &[Test] = &[
    ("rootfs::a_directory_is_bound", a_directory_is_bound),
    ("rootfs::a_directory_is_a_lower_layer", a_directory_is_a_lower_layer),
    ("rootfs::the_hosts_root_stays_as_it_is", the_hosts_root_stays_as_it_is),
];

fn of(path: &Path, overlay: bool, command: &[&str]) -> CreateRequest {
    CreateRequest { root: RootSource::Directory { path: path.to_owned(), overlay }, ..request("", command) }
}

fn directory(place: &Place) -> std::path::PathBuf {
    let root = place.path("host");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/usr/bin/busybox", root.join("bin/sh")).unwrap();
    root
}

fn a_directory_is_bound() {
    let place = Place::new();
    let root = directory(&place);
    assert_eq!(
        place.run(&of(&root, false, &["/bin/sh", "-c", "echo x > /file; echo here"])),
        (Some(0), "here\n".into())
    );
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "x\n");
}

fn a_directory_is_a_lower_layer() {
    let place = Place::new();
    let root = directory(&place);
    let (code, _) = place.run(&of(&root, true, &["/bin/sh", "-c", "echo x > /file && rm -r /bin/sh"]));
    assert!(code.is_some());
    assert!(!root.join("file").exists() && root.join("bin/sh").exists());
}

fn the_hosts_root_stays_as_it_is() {
    let place = Place::new();
    let mark = format!("/dhow-test-{}", std::process::id());
    let hidden = place.path("root").join("ledger.db");
    let script = format!(
        "echo x > {mark} && cat {mark} && test -x /usr/bin/env && echo usr; test -e {} || echo hidden; test -w /etc && echo writable",
        hidden.display()
    );
    let mut wanted = of(Path::new("/"), true, &["/bin/sh", "-c", &script]);
    wanted.config.env = vec!["PATH=/usr/bin:/bin".to_owned()];
    let (code, output) = place.run(&wanted);
    assert_eq!((code, output.as_str()), (Some(0), "x\nusr\nhidden\nwritable\n"));
    assert!(!Path::new(&mark).exists());
    assert!(hidden.exists());
}
