//! What podman, skopeo and umoci write is loaded, what `save` writes they read, with the same digests everywhere.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Podman, Ran, Store, made, path, run};

const NAMES: [&str; 6] = ["base", "python", "node", "nginx", "postgres", "redis"];

fn skopeo(store: &Store, args: &[&str]) -> Ran {
    run(Command::new("skopeo").arg("--insecure-policy").args(args).env("TMPDIR", store.folder().path()))
}

/// The manifest that skopeo sees at a place.
#[track_caller]
fn manifest(store: &Store, place: &str) -> Value {
    skopeo(store, &["inspect", "--raw", place]).json()
}

#[test]
fn skopeo_s_oci_archives_come_in_and_go_out_with_the_same_digests() {
    for file in ["python.oci.tar", "python.zstd.tar"] {
        let store = Store::new();
        let archive = made(file);
        store.dhow(&["load", "-i", path(&archive)]).ok();
        let tag = store.tags().remove(0);
        let written = manifest(&store, &format!("oci-archive:{}", path(&archive)));
        assert_eq!(Value::from(store.id(&tag)), written["config"]["digest"], "{file}");
        let out = store.folder().join("out.tar");
        store.dhow(&["save", "-o", path(&out), &tag]).ok();
        let read = manifest(&store, &format!("oci-archive:{}", path(&out)));
        assert_eq!(read["config"]["digest"], written["config"]["digest"], "{file}");
        assert_eq!(read["layers"], written["layers"], "{file}");
        store.assert_sound();
    }
}

#[test]
fn skopeo_s_docker_archives_come_in_and_go_out() {
    let store = Store::new();
    let archive = made("nginx.docker.tar");
    store.dhow(&["load", "-i", path(&archive)]).ok();
    let image = "example.org/nginx:made";
    let out = store.folder().join("out.tar");
    store.dhow(&["save", "-o", path(&out), image]).ok();
    let written = manifest(&store, &format!("docker-archive:{}", path(&archive)));
    let read = manifest(&store, &format!("docker-archive:{}:{image}", path(&out)));
    assert_eq!(Value::from(store.id(image)), written["config"]["digest"]);
    assert_eq!(read["config"]["digest"], written["config"]["digest"]);
    let from_archive = skopeo(&store, &["inspect", "--config", &format!("docker-archive:{}", path(&out))]).json();
    assert_eq!(from_archive["rootfs"]["diff_ids"], store.inspect(image)["RootFS"]["Layers"]);
    // Not only the documents: every byte is read and verified.
    let copy = format!("dir:{}", path(&store.folder().join("copy")));
    skopeo(&store, &["copy", &format!("docker-archive:{}:{image}", path(&out)), &copy]).ok();
}

#[test]
fn umoci_s_layout_comes_in_whole_and_what_goes_out_is_unpacked_by_umoci() {
    let store = Store::new();
    let layout = made("oci");
    let archive = store.folder().join("layout.tar");
    run(Command::new("tar").arg("-C").arg(&layout).arg("-cf").arg(&archive).arg(".")).ok();
    store.dhow(&["load", "-i", path(&archive)]).ok();
    let ids = store.ids();
    for name in NAMES {
        let written = manifest(&store, &format!("oci:{}:{name}", path(&layout)));
        assert!(ids.contains(&written["config"]["digest"].as_str().unwrap().to_owned()), "{name} in {ids:?}");
    }
    assert_eq!(ids.len(), NAMES.len());
    store.assert_sound();

    let id = manifest(&store, &format!("oci:{}:nginx", path(&layout)))["config"]["digest"].as_str().unwrap().to_owned();
    store.dhow(&["tag", &id, "nginx:out"]).ok();
    let (out, extracted, bundle) =
        (store.folder().join("out.tar"), store.folder().join("out"), store.folder().join("bundle"));
    store.dhow(&["save", "-o", path(&out), "nginx:out"]).ok();
    std::fs::create_dir(&extracted).unwrap();
    run(Command::new("tar").arg("-C").arg(&extracted).arg("-xf").arg(&out)).ok();
    let tags = run(Command::new("umoci").args(["list", "--layout", path(&extracted)])).lines();
    let image = format!("{}:{}", path(&extracted), tags[0]);
    run(Command::new("umoci").args(["unpack", "--image", &image, path(&bundle)])).ok();
    assert_eq!(std::fs::read_to_string(bundle.join("rootfs/srv/app/name")).unwrap(), "nginx\n");
}

#[test]
fn podman_reads_what_save_writes() {
    let (store, podman) = (Store::new(), Podman::new());
    let mut args = vec!["save".to_owned(), "-o".into(), path(&store.folder().join("out.tar")).into()];
    for name in ["base", "nginx"] {
        store.dhow(&["load", "-i", path(&made(&format!("{name}.oci.tar")))]).ok();
        args.push(format!("example.org/{name}:made"));
    }
    store.dhow(&args).ok();
    podman.run(&["load", "-i", &args[2]]).ok();
    for name in &args[3..] {
        let id = podman.run(&["image", "inspect", "--format", "{{.Id}}", name]).text();
        assert_eq!(format!("sha256:{id}"), store.id(name), "{name}");
    }
}

#[test]
fn what_podman_saves_is_loaded() {
    let podman = Podman::new();
    for name in ["base", "nginx"] {
        podman.run(&["load", "-q", "-i", path(&made(&format!("{name}.oci.tar")))]).ok();
    }
    let names = ["example.org/base:made", "example.org/nginx:made"];
    for (file, args) in [
        ("docker.tar", &["--format", "docker-archive", names[1]][..]),
        ("oci.tar", &["--format", "oci-archive", names[1]]),
        ("both.tar", &["--multi-image-archive", names[0], names[1]]),
    ] {
        let (store, out) = (Store::new(), podman.folder().join(file));
        podman.run(&[&["save", "-q", "-o", path(&out)], args].concat()).ok();
        store.dhow(&["load", "-i", path(&out)]).ok();
        let expected: Vec<&str> = names.into_iter().filter(|name| args.contains(name)).collect();
        assert_eq!(store.tags(), expected, "{file}");
        for name in expected {
            let id = podman.run(&["image", "inspect", "--format", "{{.Id}}", name]).text();
            assert_eq!(store.id(name), format!("sha256:{id}"), "{file}");
        }
        store.assert_sound();
    }
}

#[test]
fn a_container_of_podman_s_runs_what_dhow_imported_and_saved() {
    // The far end of the road: files, modes and configuration survive import, save, load and a start elsewhere.
    let (store, podman) = (Store::new(), Podman::new());
    let (rootfs, out) = (made("base.tar"), store.folder().join("out.tar"));
    store
        .dhow(&["import", "-c", "CMD [\"/bin/cat\", \"/etc/hostname\"]", path(&rootfs), "example.org/imported:1"])
        .ok();
    store.dhow(&["save", "-o", path(&out), "example.org/imported:1"]).ok();
    podman.run(&["load", "-q", "-i", path(&out)]).ok();
    let made = podman.run(&["create", "example.org/imported:1"]).text();
    let mounted = podman.run(&["export", &made]).ok();
    assert!(mounted.bytes.len() > 50_000_000, "the whole root filesystem: {} bytes", mounted.bytes.len());
}

#[test]
fn the_layers_of_a_base_are_shared_by_what_stands_on_it() {
    let store = Store::new();
    for name in NAMES {
        store.dhow(&["load", "-i", path(&made(&format!("{name}.oci.tar")))]).ok();
    }
    let base = store.layers("example.org/base:made");
    for name in &NAMES[1..] {
        assert_eq!(store.layers(&format!("example.org/{name}:made"))[..base.len()], base[..], "{name}");
    }
    for name in NAMES {
        store.dhow(&["rmi", &format!("example.org/{name}:made")]).ok();
    }
    store.assert_empty();
}
