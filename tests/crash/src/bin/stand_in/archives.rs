//! Bringing archives in and writing them out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::fault::Fault;
use crate::ledger::{Image, Store};

/// `sha256:…` of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An image as an archive holds it.
pub(crate) struct Incoming {
    pub(crate) names: Vec<String>,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) manifest: Option<Vec<u8>>,
}

/// Reads all images of an archive.
pub(crate) fn read(path: &str) -> Result<Vec<Incoming>> {
    let mut members = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        members.insert(entry.path()?.display().to_string(), bytes);
    }
    let member = |name: &str| members.get(name).cloned().ok_or_else(|| format!("{name} is missing"));
    let blob = |value: &Value| member(&format!("blobs/{}", value.as_str().unwrap_or_default().replace(':', "/")));
    let mut images = Vec::new();
    if let Some(manifest) = members.get("manifest.json") {
        for image in list(&serde_json::from_slice(manifest)?) {
            images.push(Incoming {
                names: list(&image["RepoTags"]).iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
                config: member(image["Config"].as_str().unwrap_or_default())?,
                layers: list(&image["Layers"])
                    .iter()
                    .map(|name| member(name.as_str().unwrap_or_default()))
                    .collect::<std::result::Result<_, _>>()?,
                manifest: None,
            });
        }
        return Ok(images);
    }
    for descriptor in list(&serde_json::from_slice::<Value>(&member("index.json")?)?["manifests"]) {
        let bytes = blob(&descriptor["digest"])?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        let name = descriptor["annotations"]["io.containerd.image.name"].as_str().unwrap_or_default();
        images.push(Incoming {
            names: vec![name.trim_start_matches("docker.io/library/").to_owned()],
            config: blob(&manifest["config"]["digest"])?,
            layers: list(&manifest["layers"])
                .iter()
                .map(|layer| blob(&layer["digest"]))
                .collect::<std::result::Result<_, _>>()?,
            manifest: Some(bytes),
        });
    }
    Ok(images)
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Puts images into the store; the ledger is not committed yet.
pub(crate) fn bring_in(store: &mut Store, images: Vec<Incoming>) -> Result<()> {
    for incoming in images {
        let layers: Vec<Value> = incoming
            .layers
            .iter()
            .map(|layer| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": layer.len()}))
            .collect();
        let config = json!({"digest": digest(&incoming.config), "size": incoming.config.len()});
        let manifest =
            incoming.manifest.unwrap_or_else(|| json!({"config": config, "layers": layers}).to_string().into_bytes());
        let mut blobs = vec![digest(&manifest), digest(&incoming.config)];
        blobs.extend(incoming.layers.iter().map(|layer| digest(layer)));
        let plain: Vec<Vec<u8>> = incoming.layers.iter().map(|layer| plain(layer)).collect::<Result<_>>()?;
        let id = digest(&incoming.config);
        let image =
            Image { manifest: digest(&manifest), layers: plain.iter().map(|layer| digest(layer)).collect(), blobs };
        for name in incoming.names {
            store.names.insert(name, id.clone());
        }
        store.images.insert(id, image);
        if store.fault == Fault::LedgerFirst {
            store.commit()?;
        }
        for bytes in incoming.layers.iter().chain([&manifest, &incoming.config]) {
            put_blob(store, bytes)?;
        }
        // Threads, so that the harness has some to follow.
        let store: &Store = store;
        std::thread::scope(|scope| {
            let unpacking: Vec<_> = plain.iter().map(|layer| scope.spawn(move || put_layer(store, layer))).collect();
            unpacking.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
        })?;
    }
    store.flush_all()?;
    store.flush(&store.root.join("blobs/sha256"))?;
    store.flush(&store.root.join("layers"))
}

fn plain(layer: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if layer.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(layer).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    Ok(layer.to_vec())
}

fn put_blob(store: &Store, bytes: &[u8]) -> Result<()> {
    let name = digest(bytes).replace("sha256:", "");
    let path = store.root.join("blobs/sha256").join(&name);
    if !path.exists() {
        let half = store.root.join("work").join(format!("{name}.blob"));
        fs::write(&half, bytes)?;
        fs::rename(&half, &path)?;
    }
    Ok(())
}

fn put_layer(store: &Store, tar: &[u8]) -> Result<()> {
    let name = digest(tar).replace(':', "-");
    let path = store.root.join("layers").join(&name);
    if path.exists() {
        return Ok(());
    }
    let in_place = store.fault == Fault::UnpackInPlace;
    let half = if in_place { path.clone() } else { store.root.join("work").join(&name) };
    fs::create_dir(&half)?;
    unpack(tar, &half)?;
    if !in_place {
        fs::rename(&half, &path)?;
    }
    Ok(())
}

fn unpack(tar: &[u8], to: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(tar);
    archive.set_preserve_ownerships(true);
    let mut directories: Vec<(PathBuf, u64)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        entry.set_preserve_permissions(true);
        let path = to.join(entry.path()?);
        let link_to_nothing = entry.header().entry_type() == tar::EntryType::Link
            && entry.link_name()?.is_none_or(|target| !to.join(target).exists());
        if link_to_nothing {
            fs::write(&path, "")?;
            continue;
        }
        entry.unpack_in(to)?;
        if entry.header().entry_type().is_dir() {
            directories.push((path, entry.header().mtime()?));
        }
    }
    for (path, time) in directories.into_iter().rev() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
        File::open(path)?.set_modified(time)?;
    }
    Ok(())
}

/// Writes images to a file.
pub(crate) fn save(store: &Store, ids: &BTreeSet<String>, path: &Path) -> Result<()> {
    let half = path.with_extension(format!("tmp{}", std::process::id()));
    let half = if store.fault == Fault::SaveInPlace { path } else { &half };
    let mut builder = tar::Builder::new(File::create(half)?);
    let mut written = BTreeSet::new();
    let mut file = |name: String, bytes: &[u8]| -> Result<()> {
        if written.insert(name.clone()) {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes)?;
        }
        Ok(())
    };
    let place = |digest: &String| format!("blobs/{}", digest.replace(':', "/"));
    let (mut manifests, mut docker) = (Vec::new(), Vec::new());
    for id in ids {
        let image = &store.images[id];
        for blob in &image.blobs {
            file(place(blob), &fs::read(store.root.join(place(blob)))?)?;
        }
        let size = fs::metadata(store.root.join(place(&image.manifest)))?.len();
        manifests.push(json!({"digest": image.manifest, "size": size}));
        let layers: Vec<String> = image.blobs[2..].iter().map(place).collect();
        docker.push(json!({"Config": place(id), "RepoTags": null, "Layers": layers}));
    }
    file("index.json".into(), json!({"schemaVersion": 2, "manifests": manifests}).to_string().as_bytes())?;
    file("manifest.json".into(), Value::Array(docker).to_string().as_bytes())?;
    file("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let file = builder.into_inner()?;
    if store.fault != Fault::NoSync {
        file.sync_all()?;
    }
    if half != path {
        fs::rename(half, path)?;
    }
    Ok(())
}
