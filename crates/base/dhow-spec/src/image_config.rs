//! The configuration of an image: what OCI defines, what Docker adds, and whatever else was there.
//!
//! Owns the JSON form in Go's field names. Knows nothing about layers as bytes, and does not judge: that is
//! [`crate::document`]'s. Follows OCI image-spec `config.md` and Docker's image specification 1.3.
//!
//! The type of the `oci-spec` crate is not used here: it lacks Docker's fields (`Healthcheck`, `OnBuild`, `Shell`), so
//! an image that passed through it would lose its health check, and it refuses the `null` that Go writes for an empty
//! list. Here every field that this file does not name is kept in `extra` and written back, and a `null` is read as
//! absent.
//!
//! Fields are written in the order of the specification, with Docker's behind them; empty ones are left out, and maps
//! are sorted, as Go's encoder does.

use crate::digest::Digest;
use crate::platform::Platform;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The configuration document. Its digest is the identifier of the image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Architecture as Go names it; empty in some old images.
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    /// Operating system as Go names it; empty in some old images.
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How containers of this image run unless told otherwise.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RunConfig,
    /// The layers. Read from a document that has none, its kind is empty.
    #[serde(default = "RootFs::absent", deserialize_with = "rootfs")]
    pub rootfs: RootFs,
    /// The steps that made the image, oldest first.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Docker: what was said when the image was imported or committed.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Docker: the container that the image was committed from.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Docker: the version that made the image.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// Every other field, as it was: `container_config`, `parent`, what comes after this was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageConfig {
    /// The platform that the image was built for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().filter(|v| !v.is_empty()),
            os_version: self.os_version.clone().filter(|v| !v.is_empty()),
            os_features: self.os_features.clone(),
        }
    }

    /// Names the platform that the image was built for.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.os = platform.os.clone();
        self.architecture = platform.architecture.clone();
        self.variant = platform.variant.clone();
        self.os_version = platform.os_version.clone();
        self.os_features = platform.os_features.clone();
    }

    /// The bytes to store, as Go's encoder would write them: compact.
    ///
    /// # Panics
    /// Never: there are only string keys and numbers that JSON has.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("string keys and plain values always encode")
    }
}

/// The part of the configuration that containers inherit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// User, or user and group: `name`, `uid`, `name:group`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports that the program listens on: `80/tcp`.
    #[serde(default, with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// Environment, `NAME=value` each.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program. `Some` of an empty list is kept apart from `None`, because `inspect` shows the difference.
    #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments of the entry point, or the program when there is none.
    #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that get a volume of their own.
    #[serde(default, with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the program starts.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "labels", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Windows: the command is one line that needs no more quoting.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// Docker: how to find out whether the program is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker: instructions that run when another image is built on this one.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Docker: the shell of instructions in shell form; empty means the system's default.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Docker: seconds between the stop signal and the kill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Every other field, as it was: `Hostname`, `Tty` and the like.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RunConfig {
    /// The value of an environment variable.
    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    /// Sets an environment variable, in its old place when it has one.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        match self.env.iter_mut().find(|old| old.split('=').next() == Some(name)) {
            Some(old) => *old = pair,
            None => self.env.push(pair),
        }
    }
}

/// A health check. Durations are nanoseconds; 0 means the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `NONE`, `CMD` and arguments, or `CMD-SHELL` and a line for the shell; empty means inherit.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time after which a check counts as failed.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time after the start in which failures do not count.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks within the start period.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row after which the container is unhealthy.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Every other field, as it was.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "null_is_default")]
    pub kind: String,
    /// Digests of the uncompressed layers, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
    /// Every other field, as it was.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs { kind: RootFs::LAYERS.to_owned(), diff_ids: Vec::new(), extra: Map::new() }
    }
}

impl RootFs {
    /// The only kind there is.
    pub const LAYERS: &'static str = "layers";

    fn absent() -> RootFs {
        RootFs { kind: String::new(), ..RootFs::default() }
    }
}

/// One step that made the image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// What was said about it.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The step made no layer.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    /// Every other field, as it was.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// serde calls these by reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Go writes `null` for an empty list, map or pointer, and reads it as one.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn rootfs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RootFs, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(RootFs::absent))
}

/// A list of words; images of before 2015 have one string instead.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        List(Vec<String>),
        One(String),
    }
    Ok(Option::deserialize(deserializer)?.map(|words| match words {
        Words::List(list) => list,
        Words::One(word) => vec![word],
    }))
}

/// Labels; a `null` value is an empty one.
fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels: Option<BTreeMap<String, Option<String>>> = Option::deserialize(deserializer)?;
    Ok(labels.unwrap_or_default().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// Go's `map[string]struct{}`: the keys are the set, the values `{}`.
mod keys {
    use serde::de::IgnoredAny;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(serde::Serialize)]
    struct Nothing {}

    pub(super) fn serialize<S: Serializer>(keys: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(keys.iter().map(|key| (key, Nothing {})))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
        let map: Option<BTreeMap<String, IgnoredAny>> = Option::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}
