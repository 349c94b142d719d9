//! `dhow import`: a root filesystem becomes an image of one layer.

use std::fs;

use crate::harness::{Layer, Stacked, Store, Tree, gzip, made, path, reference, zstd};

#[test]
fn a_real_root_filesystem_is_the_tree_that_tar_makes() {
    let store = Store::new();
    let rootfs = made("base.tar");
    let id = store.dhow(&["import", path(&rootfs), "debian:import"]).text();
    assert_eq!(store.id("debian:import"), id);
    let expected = reference(&[rootfs]);
    let expected = Tree::of(&expected.join("root"));
    assert!(expected.len() > 3000, "{} entries are no Debian", expected.len());
    Tree::of(&Stacked::new(&store.layers("debian:import")).path()).assert_same(&expected);
    store.assert_sound();
}

#[test]
fn changes_and_a_message_become_configuration_and_history() {
    let store = Store::new();
    let rootfs = store.folder().file("rootfs.tar", Layer::new().file("hello", "hello").tar());
    let changes = ["CMD [\"/hello\", \"you\"]", "ENV A=one B=\"two words\"", "EXPOSE 80", "WORKDIR /srv", "USER 5:6"];
    let mut args = vec!["import", "-m", "from a test"];
    for change in
        changes.iter().chain(&["LABEL by=test", "VOLUME /data", "ENTRYPOINT [\"/bin/sh\"]", "STOPSIGNAL SIGINT"])
    {
        args.extend(["--change", change]);
    }
    args.extend([path(&rootfs), "hello:1"]);
    store.dhow(&args).ok();
    let image = store.inspect("hello:1");
    let config = &image["Config"];
    assert_eq!(config["Cmd"], serde_json::json!(["/hello", "you"]), "{image}");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/bin/sh"]));
    let env = config["Env"].as_array().unwrap();
    assert!(env.contains(&"A=one".into()) && env.contains(&"B=two words".into()), "{image}");
    assert!(config["ExposedPorts"].get("80/tcp").is_some(), "{image}");
    assert_eq!(config["WorkingDir"], "/srv");
    assert_eq!(config["User"], "5:6");
    assert_eq!(config["Labels"]["by"], "test");
    assert_eq!(config["StopSignal"], "SIGINT");
    assert!(config["Volumes"].get("/data").is_some(), "{image}");
    assert_eq!(image["Comment"], "from a test");
    let history = store.dhow(&["history", "--no-trunc", "--format", "{{.Comment}}", "hello:1"]).text();
    assert_eq!(history, "from a test");
}

#[test]
fn stdin_and_compression() {
    let rootfs = Layer::new().file("hello", "hello").tar();
    for input in [rootfs.clone(), gzip(&rootfs), zstd(&rootfs)] {
        let store = Store::new();
        store.dhow_with_input(&["import", "-", "hello:1"], &input).ok();
        let layer = &store.layers("hello:1")[0];
        assert_eq!(fs::read_to_string(layer.join("hello")).unwrap(), "hello");
        store.assert_sound();
    }
}

#[test]
fn a_name_is_optional_and_the_platform_may_be_chosen() {
    let store = Store::new();
    let rootfs = store.folder().file("rootfs.tar", Layer::new().file("hello", "hello").tar());
    let id = store.dhow(&["import", "--platform", "linux/arm64", path(&rootfs)]).text();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(store.inspect(&id)["Architecture"], "arm64");
    assert_eq!(store.tags(), ["<none>:<none>"]);
}

#[test]
fn a_wrong_change_is_named_and_nothing_is_imported() {
    let store = Store::new();
    let rootfs = store.folder().file("rootfs.tar", Layer::new().file("hello", "hello").tar());
    store.dhow(&["import", "--change", "RUN make", path(&rootfs), "hello:1"]).fails(&["run"]);
    store.dhow(&["import", "--change", "NONSENSE x", path(&rootfs), "hello:1"]).fails(&["nonsense"]);
    store.dhow(&["import", path(&rootfs), "UPPER:1"]).fails(&["lowercase"]);
    store.dhow(&["import", "/nowhere/rootfs.tar", "hello:1"]).fails(&["/nowhere/rootfs.tar"]);
    store.assert_empty();
}
