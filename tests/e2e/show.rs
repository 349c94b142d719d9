//! `image inspect` and `image history`.

use serde_json::{Value, json};

use crate::harness::{Layer, Layout, Store};

fn store() -> (Store, String) {
    let store = Store::new();
    let layers = [Layer::new().file("one", "1").tar(), Layer::new().file("two", "22").tar()];
    let mut layout = Layout::new("example.org/app:1", &layers);
    layout.config["author"] = "somebody".into();
    layout.config["config"] = json!({
        "Env": ["A=b"], "Cmd": ["/one"], "WorkingDir": "/srv", "Labels": { "k": "v" }, "ExposedPorts": { "80/tcp": {} },
    });
    layout.config["history"] = json!([
        { "created": "2023-01-01T00:00:00Z", "created_by": "ADD one" },
        { "created": "2023-01-02T00:00:00Z", "created_by": "ENV A=b", "empty_layer": true },
        { "created": "2023-01-03T00:00:00Z", "created_by": "COPY two", "comment": "the second" },
    ]);
    let id = layout.id();
    store.load(&layout.tar()).ok();
    (store, id)
}

#[test]
fn inspect_shows_docker_s_fields() {
    let (store, id) = store();
    let image = store.inspect("example.org/app:1");
    assert_eq!(image["Id"], Value::from(id));
    assert_eq!(image["RepoTags"], json!(["example.org/app:1"]));
    assert_eq!(image["Created"], "2023-11-14T22:13:20Z");
    assert_eq!(image["Author"], "somebody");
    assert_eq!((&image["Os"], &image["Architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(image["Config"]["Env"], json!(["A=b"]));
    assert_eq!(image["Config"]["Labels"], json!({ "k": "v" }));
    assert_eq!(image["RootFS"]["Type"], "layers");
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert!(image["Size"].as_u64().is_some(), "{image}");
}

#[test]
fn inspect_takes_several_images_and_templates() {
    let (store, id) = store();
    store.dhow(&["tag", "example.org/app:1", "other"]).ok();
    let both = store.dhow(&["image", "inspect", "example.org/app:1", "other"]).json();
    assert_eq!(both.as_array().unwrap().len(), 2);
    let format = |template: &str| store.dhow(&["image", "inspect", "-f", template, "other"]).text();
    assert_eq!(format("{{.Id}}"), id);
    assert_eq!(format("{{json .Config.Env}}"), r#"["A=b"]"#);
    assert_eq!(format("{{index .Config.Labels \"k\"}}"), "v");
    assert_eq!(format("{{range .RootFS.Layers}}x{{end}}"), "xx");
    assert_eq!(format("{{len .RootFS.Layers}}"), "2");
    assert_eq!(format("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}"), "k=v");
    let object: Value = serde_json::from_str(&format("json")).unwrap();
    assert!(!object.is_null());
}

#[test]
fn an_absent_image_is_named_and_the_others_are_shown() {
    let (store, _) = store();
    let ran = store.dhow(&["image", "inspect", "absent:1", "example.org/app:1"]).fails(&["absent:1"]);
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    let ran = store.dhow(&["image", "inspect", "absent:1"]).fails(&["no such image", "absent:1"]);
    assert_eq!(ran.stdout.trim(), "[]");
}

#[test]
fn history_is_newest_first_with_sizes() {
    let (store, id) = store();
    let lines = store.dhow(&["history", "example.org/app:1"]).lines();
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(head, ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]);
    assert_eq!(lines.len(), 4);
    assert!(
        lines[1].starts_with(&id[7..19]) && lines[1].contains("COPY two") && lines[1].contains("the second"),
        "{lines:#?}"
    );
    assert!(lines[2].starts_with("<missing>") && lines[2].contains("0B"), "{lines:#?}");
    assert!(lines[3].contains("ADD one"), "{lines:#?}");
    assert_eq!(store.dhow(&["image", "history", "-q", "--no-trunc", "example.org/app:1"]).lines()[0], id);
    let by = store.dhow(&["history", "--format", "{{.CreatedBy}}", "example.org/app:1"]).lines();
    assert_eq!(by, ["COPY two", "ENV A=b", "ADD one"]);
    for line in store.dhow(&["history", "--format", "json", "example.org/app:1"]).lines() {
        let row: Value = serde_json::from_str(&line).unwrap();
        assert!(row["CreatedBy"].is_string() && row["Size"].is_string(), "{row}");
    }
    store.dhow(&["history", "absent"]).fails(&["absent"]);
}
