//! `dhow images` and `dhow image ls`: columns, filters and formats.

use serde_json::Value;

use crate::harness::{Layer, Layout, Store};

/// Three images: two named ones, made in this order, and one that lost its name.
fn store() -> (Store, [String; 3]) {
    let store = Store::new();
    let mut ids = Vec::new();
    for (name, created, label) in [
        ("example.org/web:1.0", "2021-01-01T00:00:00Z", "web"),
        ("db:2", "2022-01-01T00:00:00Z", "db"),
        ("db:2", "2023-01-01T00:00:00Z", "db"),
    ] {
        let mut layout = Layout::new(name, &[Layer::new().file("file", created).tar()]);
        layout.config["created"] = created.into();
        layout.config["config"]["Labels"] = serde_json::json!({ "role": label });
        ids.push(layout.id());
        store.load(&layout.tar()).ok();
    }
    (store, ids.try_into().unwrap())
}

#[test]
fn the_table_has_docker_s_columns_newest_first() {
    let (store, ids) = store();
    let lines = store.dhow(&["images"]).lines();
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&lines[0]).join(" "), "REPOSITORY TAG IMAGE ID CREATED SIZE");
    let rows: Vec<Vec<String>> = lines[1..].iter().map(words).collect();
    assert_eq!(rows.len(), 3, "{lines:#?}");
    assert_eq!(rows[0][..3], ["db", "2", &ids[2][7..19]]);
    assert_eq!(rows[1][..3], ["<none>", "<none>", &ids[1][7..19]]);
    assert_eq!(rows[2][..3], ["example.org/web", "1.0", &ids[0][7..19]]);
    assert!(lines[1].contains("years ago"), "{lines:#?}");
    assert_eq!(store.dhow(&["image", "ls"]).lines(), lines);
    assert_eq!(store.dhow(&["image", "list"]).lines(), lines);
}

#[test]
fn an_empty_store_shows_the_head_alone() {
    let store = Store::new();
    assert_eq!(store.dhow(&["images"]).lines().len(), 1);
    assert_eq!(store.dhow(&["images", "--quiet"]).text(), "");
}

#[test]
fn quiet_long_ids_and_digests() {
    let (store, ids) = store();
    assert_eq!(store.dhow(&["images", "-q"]).lines()[0], ids[2][7..19]);
    assert_eq!(store.dhow(&["images", "-q", "--no-trunc"]).lines()[0], ids[2]);
    assert!(store.dhow(&["images", "--digests"]).lines()[0].contains("DIGEST"));
}

#[test]
fn filters_and_a_pattern() {
    let (store, ids) = store();
    let listed = |args: &[&str]| store.dhow(&[&["images", "-q", "--no-trunc"], args].concat()).lines();
    let none: [&str; 0] = [];
    assert_eq!(listed(&["db"]), [&ids[2][..]]);
    assert_eq!(listed(&["db:2"]), [&ids[2][..]]);
    assert_eq!(listed(&["db:3"]), none);
    assert_eq!(listed(&["example.org/*"]), [&ids[0][..]]);
    assert_eq!(listed(&["--filter", "dangling=true"]), [&ids[1][..]]);
    assert_eq!(listed(&["-f", "dangling=false"]).len(), 2);
    assert_eq!(listed(&["-f", "label=role=web"]), [&ids[0][..]]);
    assert_eq!(listed(&["-f", "label=role"]).len(), 3);
    assert_eq!(listed(&["-f", "label=absent"]), none);
    assert_eq!(listed(&["-f", "reference=*/web:1.*"]), [&ids[0][..]]);
    assert_eq!(listed(&["-f", "before=db:2"]), [&ids[1][..], &ids[0]]);
    assert_eq!(listed(&["-f", "since=example.org/web:1.0"]), [&ids[2][..], &ids[1]]);
    store.dhow(&["images", "-f", "nonsense=1"]).fails(&["nonsense"]);
    store.dhow(&["images", "-f", "dangling"]).fails(&[]);
}

#[test]
fn json_is_one_object_a_line() {
    let (store, ids) = store();
    for line in store.dhow(&["images", "--no-trunc", "--format", "json"]).lines() {
        let row: Value = serde_json::from_str(&line).unwrap();
        for key in
            ["Containers", "CreatedAt", "CreatedSince", "Digest", "ID", "Repository", "SharedSize", "Size", "Tag"]
        {
            assert!(row[key].is_string(), "{key} in {row}");
        }
        assert!(ids.contains(&row["ID"].as_str().unwrap().to_owned()));
    }
}

#[test]
fn go_templates() {
    let (store, ids) = store();
    let format = |template: &str| store.dhow(&["images", "--no-trunc", "--format", template, "db"]).text();
    assert_eq!(format("{{.ID}}"), ids[2]);
    assert_eq!(format("{{.Repository}}:{{.Tag}}"), "db:2");
    assert_eq!(format("{{json .Tag}}"), "\"2\"");
    assert_eq!(format("{{upper .Repository}} {{len .Tag}}"), "DB 1");
    assert_eq!(format("{{if eq .Tag \"2\"}}two{{else}}other{{end}}"), "two");
    assert_eq!(format("{{printf \"%s-%s\" .Repository .Tag}}"), "db-2");
    let table = store.dhow(&["images", "--format", "table {{.Repository}}\t{{.Tag}}", "db"]).lines();
    assert_eq!(table[0].split_whitespace().collect::<Vec<_>>(), ["REPOSITORY", "TAG"]);
    assert_eq!(table[1].split_whitespace().collect::<Vec<_>>(), ["db", "2"]);
    store.dhow(&["images", "--format", "{{.Repository"]).fails(&["template"]);
    store.dhow(&["images", "--format", "{{.Absent}}"]).fails(&["Absent"]);
}
