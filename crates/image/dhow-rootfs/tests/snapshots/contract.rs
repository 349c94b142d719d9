//! The lifecycle: who may do what, when, and what is left afterwards.

use crate::bench::{Bench, assert_same, path_of, read, read_path};
use crate::model::{Kind, Layer, Tree};
use dhow_rootfs::snapshots::{SnapshotError, Stack};
use dhow_spec::error_kind::{Classify, Kind as ErrorKind};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

fn layers() -> Vec<Layer> {
    vec![
        Layer::new()
            .directory("d", 0o755)
            .file("d/a", "1")
            .file("d/b", "2")
            .directory("gone", 0o755)
            .file("gone/x", "3"),
        Layer::new().directory("d", 0o755).file("d/c", "4").file("top", "5"),
    ]
}

pub(crate) fn a_view_is_read_only(bench: &Bench) {
    for stack in [bench.stack(&layers()), bench.stack(&layers()[..0])] {
        let view = bench.snapshots.view("v", &stack).unwrap();
        let (mount, again) = (view.mount().unwrap(), view.mount().unwrap());
        assert_same(&read(&mount), &read(&again), "second mount");
        let root = path_of(&mount);
        let refused =
            |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        refused(fs::write(root.join("new"), ""));
        refused(fs::create_dir(root.join("new")));
        refused(fs::set_permissions(&root, fs::Permissions::from_mode(0o700)));
        if !stack.is_empty() {
            refused(fs::remove_file(root.join("d/a")));
            refused(fs::write(root.join("d/a"), "x"));
        }
        drop((mount, again));
        bench.snapshots.release(view).unwrap();
        assert_eq!(bench.ids(), [""; 0]);
    }
}

pub(crate) fn writes_reach_neither_parents_nor_siblings(bench: &Bench) {
    let stack = bench.stack(&layers());
    let before: Vec<Tree> = stack.top_first().map(read_path).collect();
    let one = bench.snapshots.prepare("one", &stack).unwrap();
    let two = bench.snapshots.prepare("two", &stack).unwrap();
    let (first, second) = (one.mount().unwrap(), two.mount().unwrap());
    let sibling = read(&second);
    let root = path_of(&first);
    fs::write(root.join("d/a"), "changed").unwrap();
    fs::write(root.join("new"), "new").unwrap();
    fs::remove_dir_all(root.join("gone")).unwrap();
    fs::set_permissions(root.join("d/b"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_same(&read(&second), &sibling, "sibling");
    for (layer, before) in stack.top_first().zip(&before) {
        assert_same(&read_path(layer), before, "layer");
    }
}

pub(crate) fn what_is_committed_can_be_stacked_on(bench: &Bench) {
    let stack = bench.stack(&layers());
    let active = bench.snapshots.prepare("a", &stack).unwrap();
    let mount = active.mount().unwrap();
    fs::write(path_of(&mount).join("d/a"), "first").unwrap();
    fs::write(path_of(&mount).join("new"), "first").unwrap();
    let written = read(&mount);
    drop(mount);
    let to = bench.dir.join("committed");
    let committed = bench.snapshots.commit(active, &to).unwrap();
    assert_eq!(committed.dir(), to);
    assert_eq!(bench.ids(), [""; 0]);
    assert_same(&read(&bench.snapshots.view("v", committed.stack()).unwrap().mount().unwrap()), &written, "committed");

    let next = bench.snapshots.prepare("b", committed.stack()).unwrap();
    let mount = next.mount().unwrap();
    fs::write(path_of(&mount).join("new"), "second").unwrap();
    fs::remove_file(path_of(&mount).join("top")).unwrap();
    let written = read(&mount);
    drop(mount);
    let committed = bench.snapshots.commit(next, &bench.dir.join("committed-2")).unwrap();
    let shown = read(&bench.snapshots.view("w", committed.stack()).unwrap().mount().unwrap());
    assert_same(&shown, &written, "second commit");
    assert_eq!(shown.items["new"].kind, Kind::File("second".into()));
    assert_eq!(shown.items["d/a"].kind, Kind::File("first".into()));
    assert!(!shown.items.contains_key("top"));
}

pub(crate) fn commit_keeps_deletions(bench: &Bench) {
    let active = bench.snapshots.prepare("a", &bench.stack(&layers())).unwrap();
    let mount = active.mount().unwrap();
    let root = path_of(&mount);
    fs::remove_file(root.join("d/a")).unwrap();
    fs::remove_dir_all(root.join("gone")).unwrap();
    fs::create_dir(root.join("gone")).unwrap();
    fs::write(root.join("gone/y"), "new").unwrap();
    fs::remove_file(root.join("top")).unwrap();
    fs::create_dir(root.join("top")).unwrap();
    let written = read(&mount);
    drop(mount);
    let committed = bench.snapshots.commit(active, &bench.dir.join("committed")).unwrap();
    let stack = committed.stack().clone();
    // One more layer above, as a container has.
    let active = bench.snapshots.prepare("b", &stack).unwrap();
    let shown = read(&active.mount().unwrap());
    assert_same(&shown, &written, "committed");
    let names: Vec<&str> = shown.items.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "d", "d/b", "d/c", "gone", "gone/y", "top"]);
}

pub(crate) fn commit_goes_to_no_place_in_use(bench: &Bench) {
    let active = bench.snapshots.prepare("a", &bench.stack(&layers())).unwrap();
    let to = bench.dir.join("taken");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("file"), "precious").unwrap();
    assert!(bench.snapshots.commit(active, &to).is_err());
    assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "precious");
    assert_eq!(bench.ids(), ["a"]);
}

pub(crate) fn discard_leaves_nothing(bench: &Bench) {
    let active = bench.snapshots.prepare("a", &bench.stack(&layers())).unwrap();
    let mount = active.mount().unwrap();
    fs::write(path_of(&mount).join("new"), "1").unwrap();
    fs::remove_dir_all(path_of(&mount).join("gone")).unwrap();
    drop(mount);
    bench.snapshots.discard(active).unwrap();
    assert_eq!(bench.ids(), [""; 0]);
}

pub(crate) fn a_dropped_active_is_resumed(bench: &Bench) {
    let stack = bench.stack(&layers());
    let active = bench.snapshots.prepare("a", &stack).unwrap();
    fs::write(path_of(&active.mount().unwrap()).join("kept"), "1").unwrap();
    drop(active);
    let active = bench.snapshots.resume("a", &stack).unwrap();
    assert_eq!((active.id(), active.stack()), ("a", &stack));
    let mount = active.mount().unwrap();
    assert_eq!(fs::read_to_string(path_of(&mount).join("kept")).unwrap(), "1");
    assert_eq!(fs::read_to_string(path_of(&mount).join("d/a")).unwrap(), "1");
}

pub(crate) fn the_second_mount_is_refused(bench: &Bench) {
    let stack = bench.stack(&layers());
    let active = bench.snapshots.prepare("a", &stack).unwrap();
    let same = bench.snapshots.resume("a", &stack).unwrap();
    let mount = active.mount().unwrap();
    let in_use = |error: SnapshotError| {
        assert!(matches!(&error, SnapshotError::InUse { id } if id == "a"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Conflict);
    };
    in_use(active.mount().unwrap_err());
    in_use(same.mount().unwrap_err());
    in_use(bench.snapshots.discard(same).unwrap_err());
    let same = bench.snapshots.resume("a", &stack).unwrap();
    in_use(bench.snapshots.commit(same, &bench.dir.join("c")).unwrap_err());
    assert!(path_of(&mount).join("d/a").exists());
    drop((mount, active));
    bench.snapshots.resume("a", &stack).unwrap().mount().unwrap();
}

pub(crate) fn a_claim_is_handed_over(bench: &Bench) {
    let stack = bench.stack(&layers());
    let active = bench.snapshots.prepare("a", &stack).unwrap();
    assert!(active.claim().is_none());
    let mount = active.mount().unwrap();
    let claim = active.claim().unwrap().try_clone_to_owned().unwrap();
    drop(active);
    let again = bench.snapshots.resume("a", &stack).unwrap();
    assert!(again.mount().is_err());
    drop((mount, claim));
    again.mount().unwrap();
}

pub(crate) fn ids_are_checked(bench: &Bench) {
    let stack = bench.stack(&layers());
    let long = "x".repeat(129);
    for id in ["", ".", "..", ".hidden", "a/b", "/a", "a b", "-a", "ä", long.as_str()] {
        let error = bench.snapshots.prepare(id, &stack).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{id:?}: {error}");
        assert_eq!(bench.snapshots.resume(id, &stack).unwrap_err().kind(), ErrorKind::Invalid, "{id:?}");
    }
    assert_eq!(bench.snapshots.resume("a", &stack).unwrap_err().kind(), ErrorKind::NotFound);
    let _active = bench.snapshots.prepare("a", &stack).unwrap();
    let error = bench.snapshots.prepare("a", &stack).unwrap_err();
    assert!(matches!(error, SnapshotError::Exists { .. }), "{error}");
    assert_eq!(bench.ids(), ["a"]);
}

pub(crate) fn a_failed_prepare_leaves_nothing(bench: &Bench) {
    bench.snapshots.discard(bench.snapshots.prepare("first", &bench.stack(&layers())).unwrap()).unwrap();
    let missing = Stack::from_bottom([bench.dir.join("nowhere")]);
    assert_eq!(bench.snapshots.prepare("a", &missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bench.snapshots.view("a", &missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bench.ids(), [""; 0]);
}
