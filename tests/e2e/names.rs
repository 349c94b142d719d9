//! `tag`, `rmi`, `image prune`: names come, move and go, and bytes go with the last of them.

use crate::harness::{Layer, Layout, Store};

fn store_with(name: &str) -> (Store, String) {
    let store = Store::new();
    let layout = Layout::new(name, &[Layer::new().file("file", name).tar()]);
    let id = layout.id();
    store.load(&layout.tar()).ok();
    (store, id)
}

#[test]
fn a_tag_is_another_name_of_the_same_image() {
    let (store, id) = store_with("one:first");
    assert_eq!(store.dhow(&["tag", "one:first", "example.org:5000/two"]).text(), "");
    store.dhow(&["image", "tag", &id[7..19], "docker.io/library/three"]).ok();
    assert_eq!(store.tags(), ["example.org:5000/two:latest", "one:first", "three:latest"]);
    assert_eq!(store.id("docker.io/three"), id);
}

#[test]
fn references_are_docker_s() {
    let (store, id) = store_with("one:first");
    for wrong in ["UPPER", "a//b", "a:", "a:b:c", "a-/b", "a/b:.x", &"a".repeat(256), &format!("x@{id}")] {
        store.dhow(&["tag", "one:first", wrong]).fails(&[]);
    }
    // 64 hexadecimal digits name an image, nothing else.
    store.dhow(&["tag", "one:first", &id[7..]]).fails(&[]);
    assert_eq!(store.tags(), ["one:first"]);
    store.dhow(&["tag", "absent", "two"]).fails(&["absent"]);
}

#[test]
fn rmi_takes_names_away_and_with_the_last_the_image() {
    let (store, id) = store_with("one:first");
    store.dhow(&["tag", "one:first", "two:first"]).ok();
    assert_eq!(store.dhow(&["rmi", "two:first"]).text(), "Untagged: two:first");
    let said = store.dhow(&["rmi", "one:first"]).lines();
    assert_eq!(said[0], "Untagged: one:first");
    assert!(said.contains(&format!("Deleted: {id}")), "{said:?}");
    store.assert_empty();
}

#[test]
fn an_id_with_several_names_is_removed_by_force_only() {
    let (store, id) = store_with("one:first");
    store.dhow(&["tag", "one:first", "example.org/two:first"]).ok();
    let short = &id[7..19];
    store.dhow(&["rmi", short]).fails(&[short, "-f"]);
    assert_eq!(store.tags().len(), 2);
    let said = store.dhow(&["rmi", "-f", short]).text();
    assert!(said.contains("Untagged: one:first") && said.contains("Untagged: example.org/two:first"), "{said}");
    store.assert_empty();
}

#[test]
fn rmi_goes_on_after_an_absent_image_and_fails_at_the_end() {
    let (store, _) = store_with("one:first");
    let ran = store.dhow(&["rmi", "absent:first", "one:first"]).fails(&["absent:first"]);
    assert!(ran.stdout.contains("Untagged: one:first"), "{ran}");
    store.assert_empty();
    // docker: with force, an image that is not there is no error.
    store.dhow(&["rmi", "--force", "absent:first"]).ok();
}

#[test]
fn prune_takes_what_has_no_name_and_with_all_everything() {
    let (store, id) = store_with("one:first");
    store.dhow(&["tag", "one:first", "keep:first"]).ok();
    store.load(&Layout::new("one:first", &[Layer::new().file("other", "other").tar()]).tar()).ok();
    let said = store.dhow(&["image", "prune", "--force"]).text();
    assert!(said.contains("Total reclaimed space: 0B"), "nothing is dangling: {said}");
    store.dhow(&["rmi", "keep:first"]).ok();
    assert!(!store.ids().contains(&id));
    store.load(&Layout::new("one:first", &[Layer::new().file("third", "third").tar()]).tar()).ok();
    let said = store.dhow(&["image", "prune", "--force"]).text();
    assert!(said.contains("Deleted Images:") && said.contains("deleted: sha256:"), "{said}");
    assert_eq!(store.tags(), ["one:first"]);
    store.dhow(&["image", "prune", "--all", "--force"]).ok();
    store.assert_empty();
}

#[test]
fn prune_asks_first_and_takes_filters() {
    let (store, _) = store_with("one:first");
    let ran = store.dhow_with_input(&["image", "prune", "--all"], b"n\n");
    assert!(ran.stdout.contains("[y/N]"), "{ran}");
    assert_eq!(store.tags(), ["one:first"]);
    store.dhow(&["image", "prune", "--all", "--force", "--filter", "label=absent"]).ok();
    assert_eq!(store.tags(), ["one:first"]);
    store.dhow_with_input(&["image", "prune", "--all"], b"y\n").ok();
    store.assert_empty();
}

#[test]
fn a_prefix_of_an_id_must_fit_one_image() {
    let store = Store::new();
    let mut ids = Vec::new();
    // More images than there are first digits: two share one.
    for n in 0..17 {
        let layout = Layout::new(&format!("many:{n}"), &[Layer::new().file("n", n.to_string()).tar()]);
        ids.push(layout.id());
        store.load(&layout.tar()).ok();
    }
    let twice =
        ids.iter().map(|id| &id[7..8]).find(|digit| ids.iter().filter(|id| id[7..].starts_with(*digit)).count() > 1);
    store.dhow(&["image", "inspect", twice.unwrap()]).fails(&[twice.unwrap()]);
    assert_eq!(store.id(&ids[3][7..23]), ids[3]);
    assert_eq!(store.id(&ids[3]), ids[3]);
}
