//! Networks of a test's store, and what the kernel says of them.

use serde_json::Value;
use std::process::Command;

use super::command::run;
use super::host::ip;
use super::store::Store;

/// One value of a network.
#[track_caller]
pub(crate) fn shown(store: &Store, network: &str, template: &str) -> String {
    store.dhow(&["network", "inspect", "-f", template, network]).text()
}

#[track_caller]
pub(crate) fn create(store: &Store, words: &str) -> String {
    store.dhow(&[&["network", "create"], words.split(' ').collect::<Vec<_>>().as_slice()].concat()).text()
}

/// The bridge of a network that was not given another.
pub(crate) fn bridge(id: &str) -> String {
    format!("dh-{}", &id[..12])
}

/// What the kernel says of links, addresses or routes.
#[track_caller]
pub(crate) fn kernel(words: &str) -> Vec<Value> {
    let text = ip(&["-j"].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text).unwrap() }
}

pub(crate) fn links() -> Vec<String> {
    kernel("link").iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}

/// How many wires lead to containers.
pub(crate) fn wires() -> usize {
    links().iter().filter(|name| name.starts_with("dv")).count()
}

pub(crate) fn table() -> String {
    run(Command::new("nft").args(["list", "ruleset"])).ok().stdout
}

/// Whether a container gets an answer from an address; what it asks first may be lost, as anywhere.
pub(crate) fn reaches(store: &Store, container: &str, address: &str) -> bool {
    let ping = ["exec", container, "busybox", "ping", "-c", "1", "-W", "2", address];
    (0..5).any(|_| store.dhow(&ping).code == Some(0))
}

/// That it gets none.
pub(crate) fn misses(store: &Store, container: &str, address: &str) -> bool {
    let ping = ["exec", container, "busybox", "ping", "-c", "2", "-W", "1", address];
    store.dhow(&ping).code != Some(0)
}

pub(crate) fn sleeper(store: &Store, name: &str, network: &[&str]) {
    let words = [&["run", "-d", "--name", name], network, &["box", "sleep", "1000"]].concat();
    store.dhow(&words).ok();
}

/// Its address on its only network.
pub(crate) fn address(store: &Store, name: &str) -> String {
    let networks = store.dhow(&["container", "inspect", "-f", "{{json .NetworkSettings.Networks}}", name]).json();
    let one = networks.as_object().and_then(|networks| networks.values().next().cloned()).unwrap_or_default();
    one["IPAddress"].as_str().unwrap_or_default().to_owned()
}
