//! The verbs, as far as the harness calls them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Result;
use crate::archives::{self, Incoming};
use crate::fault::{self, Fault};
use crate::ledger::Store;

/// Says what went wrong.
pub(crate) fn complain(error: &dyn std::error::Error) {
    eprintln!("stand-in: {error}");
}

/// Runs one command line; false is exit code 1.
pub(crate) fn run(words: &[String]) -> Result<bool> {
    let mut root = PathBuf::new();
    let mut rest: Vec<&str> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--root" => root = words.next().ok_or("--root wants a value")?.into(),
            "--runroot" => drop(words.next()),
            other => rest.push(other),
        }
    }
    let fault = fault::chosen();
    match rest.as_slice() {
        ["load", "-q", "-i", file] => bring_in(&root, fault, archives::read(file)?),
        ["import", file, name] => bring_in(&root, fault, vec![import(file, name)?]),
        ["tag", from, to] => tag(&root, fault, from, to),
        ["rmi", "-f", names @ ..] | ["rmi", names @ ..] => remove(&root, fault, names),
        ["image", "prune", flags @ ..] => prune(&root, fault, flags.contains(&"-a")),
        ["save", "-o", file, names @ ..] => save(&root, fault, file, names),
        ["images", ..] => list(&root, fault),
        ["image", "inspect", names @ ..] => inspect(&root, fault, names),
        ["system", "check", flags @ ..] => check(&root, fault, flags.contains(&"--repair")),
        other => Err(format!("{other:?}: no such command").into()),
    }
}

fn bring_in(root: &Path, fault: Fault, images: Vec<Incoming>) -> Result<bool> {
    let mut store = Store::write(root, fault)?;
    archives::bring_in(&mut store, images)?;
    store.commit()?;
    Ok(true)
}

fn import(file: &str, name: &str) -> Result<Incoming> {
    let layer = fs::read(file)?;
    let created = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos().to_string();
    let diff_ids = [archives::digest(&layer)];
    let config = json!({"created": created, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
    Ok(Incoming { names: vec![name.to_owned()], config: config.into_bytes(), layers: vec![layer], manifest: None })
}

fn tag(root: &Path, fault: Fault, from: &str, to: &str) -> Result<bool> {
    let mut store = Store::write(root, fault)?;
    let id = store.find(from)?;
    store.names.insert(to.to_owned(), id);
    store.commit()?;
    Ok(true)
}

fn remove(root: &Path, fault: Fault, names: &[&str]) -> Result<bool> {
    let mut store = Store::write(root, fault)?;
    for name in names {
        let id = store.find(name)?;
        store.names.retain(|tag, tagged| if *name == id { *tagged != id } else { tag != name });
        if !store.names.values().any(|tagged| *tagged == id) {
            store.images.remove(&id);
        }
    }
    finish_removal(&store)
}

fn prune(root: &Path, fault: Fault, all: bool) -> Result<bool> {
    let mut store = Store::write(root, fault)?;
    if all {
        store.names.clear();
    }
    let named: BTreeSet<String> = store.names.values().cloned().collect();
    store.images.retain(|id, _| named.contains(id));
    finish_removal(&store)
}

fn finish_removal(store: &Store) -> Result<bool> {
    if store.fault == Fault::FilesFirst {
        store.sweep()?;
    }
    store.commit()?;
    store.sweep()?;
    Ok(true)
}

fn save(root: &Path, fault: Fault, file: &str, names: &[&str]) -> Result<bool> {
    let store = Store::read(root, fault)?;
    let ids = names.iter().map(|name| store.find(name)).collect::<Result<_>>()?;
    archives::save(&store, &ids, Path::new(file))?;
    Ok(true)
}

fn list(root: &Path, fault: Fault) -> Result<bool> {
    let store = Store::read(root, fault)?;
    for (id, image) in &store.images {
        let mut names: Vec<&str> =
            store.names.iter().filter(|(_, tagged)| *tagged == id).map(|(name, _)| name.as_str()).collect();
        if names.is_empty() {
            names.push("<none>:<none>");
        }
        for name in names {
            let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
            println!("{}", json!({"ID": id, "Repository": repository, "Tag": tag, "Digest": image.manifest}));
        }
    }
    Ok(true)
}

fn inspect(root: &Path, fault: Fault, names: &[&str]) -> Result<bool> {
    let store = Store::read(root, fault)?;
    let mut documents = Vec::new();
    for name in names {
        let id = store.find(name)?;
        documents.push(json!({"Id": id, "RootFS": {"Layers": store.images[&id].layers}}));
    }
    println!("{}", Value::Array(documents));
    Ok(true)
}

fn check(root: &Path, fault: Fault, repair: bool) -> Result<bool> {
    let store = Store::write(root, fault)?;
    if repair {
        store.sweep()?;
    }
    Ok(store
        .images
        .values()
        .flat_map(|image| &image.layers)
        .all(|layer| store.root.join("layers").join(layer.replace(':', "-")).is_dir()))
}
