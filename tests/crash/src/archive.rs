//! Verifies what `save` wrote, without dhow: each blob has the digest that its name says, the OCI index and docker's
//! `manifest.json` name the same images, all that they name is there, and each layer has the identity its config gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::failure::{Failure, violated};
use crate::picture::hash_of;

/// Checks the archive and gives the digests of the images in it.
pub(crate) fn verify(path: &Path) -> Result<BTreeSet<String>, Failure> {
    let members = members(path)?;
    let archive = Archive { path, members };
    for (name, bytes) in &archive.members {
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            let real = hash_of(bytes.as_slice()).map_err(Failure::io("hash", path))?;
            if real != digest {
                return violated(format!("{}: {name} has the content of {real}", path.display()));
            }
        }
    }
    let by_index = archive.by_index()?;
    let by_manifest = archive.by_manifest()?;
    if by_index != by_manifest {
        return violated(format!(
            "{}: index.json names {by_index:?}, manifest.json names {by_manifest:?}",
            path.display()
        ));
    }
    Ok(by_index)
}

fn members(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let read = || -> std::io::Result<_> {
        let mut members = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(path)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if bytes.len() as u64 != entry.size() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            members.insert(name, bytes);
        }
        Ok(members)
    };
    read().or_else(|error| violated(format!("{} is no whole archive: {error}", path.display())))
}

struct Archive<'a> {
    path: &'a Path,
    members: BTreeMap<String, Vec<u8>>,
}

impl Archive<'_> {
    fn member(&self, name: &str) -> Result<&[u8], Failure> {
        match self.members.get(name) {
            Some(bytes) => Ok(bytes),
            None => violated(format!("{}: {name} is missing", self.path.display())),
        }
    }

    fn document(&self, name: &str) -> Result<Value, Failure> {
        serde_json::from_slice(self.member(name)?)
            .or_else(|error| violated(format!("{}: {name}: {error}", self.path.display())))
    }

    /// The member that a descriptor names, whose size must be what it says.
    fn described(&self, descriptor: &Value) -> Result<(String, &[u8]), Failure> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let name = format!("blobs/{}", digest.replace(':', "/"));
        let bytes = self.member(&name)?;
        if descriptor["size"].as_u64() != Some(bytes.len() as u64) {
            return violated(format!("{}: {name} has another size than {descriptor}", self.path.display()));
        }
        Ok((name, bytes))
    }

    fn by_index(&self) -> Result<BTreeSet<String>, Failure> {
        self.document("oci-layout")?;
        let index = self.document("index.json")?;
        let mut images = BTreeSet::new();
        for descriptor in list(&index["manifests"]) {
            let (name, _) = self.described(descriptor)?;
            let manifest = self.document(&name)?;
            let (config, _) = self.described(&manifest["config"])?;
            let layers = list(&manifest["layers"])
                .map(|layer| self.described(layer).map(|(name, _)| name))
                .collect::<Result<Vec<_>, _>>()?;
            images.insert(self.image(&config, &layers)?);
        }
        Ok(images)
    }

    fn by_manifest(&self) -> Result<BTreeSet<String>, Failure> {
        let manifest = self.document("manifest.json")?;
        let mut images = BTreeSet::new();
        for image in list(&manifest) {
            let layers: Vec<String> = list(&image["Layers"]).filter_map(Value::as_str).map(str::to_owned).collect();
            images.insert(self.image(image["Config"].as_str().unwrap_or_default(), &layers)?);
        }
        Ok(images)
    }

    /// Config and layers belong together: the digests of the plain layers are those of the config.
    fn image(&self, config: &str, layers: &[String]) -> Result<String, Failure> {
        let document = self.document(config)?;
        let expected: Vec<&str> = list(&document["rootfs"]["diff_ids"]).filter_map(Value::as_str).collect();
        let mut found = Vec::new();
        for name in layers {
            let bytes = self.member(name)?;
            let plain = if bytes.starts_with(&[0x1f, 0x8b]) { hash_of(GzDecoder::new(bytes)) } else { hash_of(bytes) };
            found.push(format!("sha256:{}", plain.map_err(Failure::io("inflate a layer of", self.path))?));
        }
        if found != expected {
            return violated(format!("{}: {config} wants layers {expected:?}, has {found:?}", self.path.display()));
        }
        let digest = hash_of(self.member(config)?).map_err(Failure::io("hash", self.path))?;
        Ok(format!("sha256:{digest}"))
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
