//! What is mounted: `-v`, `--mount`, `--tmpfs`, `--rootfs`.

use super::fault::{Fault, Flag};
use super::{Surroundings, value};
use dhow_engine::container::request::{Bind, RootSource};
use dhow_engine::container::spec::size;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PROPAGATION: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Binds in the order in which they were given, and tmpfs.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) binds: Vec<Bind>,
    pub(super) tmpfs: BTreeMap<String, String>,
}

/// All of them.
pub(super) fn all(
    volumes: &[String],
    mounts: &[String],
    tmpfs: &[String],
    around: &Surroundings<'_>,
) -> Result<Mounts, Fault> {
    let mut all = Mounts::default();
    for (at, text) in volumes.iter().enumerate() {
        // Said twice in the same words it is meant once.
        if !volumes[..at].contains(text) {
            all.binds.push(volume(text, around.directory)?);
        }
    }
    for text in tmpfs {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        all.tmpfs.insert(target.to_owned(), options.to_owned());
    }
    for text in mounts {
        match mount(text, around.directory)? {
            Mounted::Bind(bind) => all.binds.push(bind),
            Mounted::Tmpfs(target, options) => {
                if all.tmpfs.insert(target.clone(), options).is_some() {
                    return Err(Fault::Whole(format!("Duplicate mount point: {target}")));
                }
            }
        }
    }
    Ok(all)
}

/// A path of ours, absolute. Only what begins with a dot is relative: docker takes anything else for a name.
fn absolute(path: &str, directory: &Path) -> PathBuf {
    match path.starts_with('.') {
        true => {
            let mut whole = PathBuf::new();
            for part in directory.join(path).components() {
                match part {
                    std::path::Component::ParentDir => {
                        whole.pop();
                    }
                    std::path::Component::CurDir => {}
                    part => whole.push(part),
                }
            }
            whole
        }
        false => PathBuf::from(path),
    }
}

/// `SOURCE:TARGET[:OPTIONS]`.
fn volume(text: &str, directory: &Path) -> Result<Bind, Fault> {
    let whole = |message: String| Fault::Whole(message);
    let parts: Vec<&str> = text.split(':').collect();
    if text.is_empty() {
        return Err(whole("invalid empty volume spec".to_owned()));
    }
    if parts.contains(&"") {
        return Err(whole(format!("invalid spec: {text}: empty section between colons")));
    }
    let (source, target, options) = match parts[..] {
        [_] => return Err(volumes_later(text)),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(whole(format!("invalid spec: {text}: too many colons"))),
    };
    if options.is_empty() && is_options(target) {
        return Err(whole(format!("invalid volume specification: '{text}'")));
    }
    let source = absolute(source, directory);
    if !source.is_absolute() {
        return Err(name_or_nothing(&source.display().to_string(), text));
    }
    let shown = format!("{}:{}", source.display(), parts[1..].join(":"));
    if !is_options(options) {
        return Err(whole(format!("invalid mode: {options}")));
    }
    check_target(target).map_err(|problem| {
        whole(format!("invalid volume specification: '{shown}': invalid mount config for type \"bind\": {problem}"))
    })?;
    let has = |option: &str| options.split(',').any(|o| o == option);
    Ok(Bind {
        source,
        target: target.to_owned(),
        read_only: has("ro"),
        propagation: PROPAGATION.into_iter().find(|p| has(p)).map(str::to_owned),
        non_recursive: false,
        create_source: true,
    })
}

/// Whether a text is docker's options of a volume, each kind at most once. Labels (`z`), copying and consistency have no
/// effect: there is no SELinux here, and a bind is not copied.
fn is_options(text: &str) -> bool {
    let mut seen = [false; 5];
    let mut once = |kind: usize| !std::mem::replace(&mut seen[kind], true);
    text.is_empty()
        || text.split(',').all(|option| match option {
            "ro" | "rw" => once(0),
            "z" | "Z" => once(1),
            option if PROPAGATION.contains(&option) => once(2),
            "nocopy" => once(3),
            "consistent" | "cached" | "delegated" => once(4),
            _ => false,
        })
}

fn check_target(target: &str) -> Result<(), String> {
    if !target.starts_with('/') {
        return Err(format!("invalid mount path: '{target}' mount path must be absolute"));
    }
    match Path::new(target).components().any(|c| matches!(c, std::path::Component::Normal(_))) {
        true => Ok(()),
        false => Err("invalid specification: destination can't be '/'".to_owned()),
    }
}

fn volumes_later(text: &str) -> Fault {
    Fault::Later(
        format!("--volume {text}: dhow cannot do volumes yet"),
        "bind a directory instead, for example: -v /srv/data:/data",
    )
}

/// What is no path is the name of a volume, if it can be one.
fn name_or_nothing(name: &str, text: &str) -> Fault {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && name.len() > 1 && letters.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return volumes_later(text);
    }
    Fault::Whole(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    ))
}

enum Mounted {
    Bind(Bind),
    Tmpfs(String, String),
}

/// What the keys of `--mount` say.
#[derive(Default)]
struct Keys {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<String>,
    recursive: Option<String>,
    create_source: bool,
    size: Option<u64>,
    mode: Option<u32>,
    /// The first key of a kind: `bind`, `volume`, `tmpfs`, `image`.
    kinds: Vec<&'static str>,
}

/// `type=bind,source=...,target=...`.
fn mount(text: &str, directory: &Path) -> Result<Mounted, Fault> {
    let flag = Flag::new("--mount");
    let keys = flag.take(text, keys)?;
    let kind = keys.kind.as_deref().unwrap_or("volume");
    if let Some(other) = keys.kinds.iter().find(|other| **other != kind) {
        return Err(flag.fault(text, format!("cannot mix '{other}-*' options with mount type '{kind}'")));
    }
    let Some(target) = keys.target.clone() else { return Err(flag.fault(text, "target is required")) };
    let wrong = |problem: String| Fault::Whole(format!("invalid mount config for type {kind:?}: {problem}"));
    check_target(&target).map_err(wrong)?;
    match kind {
        "bind" => bind(&keys, target, directory, text).map_err(|fault| match fault {
            Fault::Whole(problem) => wrong(problem),
            fault => fault,
        }),
        "tmpfs" if keys.source.is_some() => Err(wrong("field Source must not be specified".to_owned())),
        "tmpfs" => Ok(Mounted::Tmpfs(target, tmpfs(&keys))),
        "volume" => Err(volumes_later(text)),
        "image" | "cluster" | "npipe" => {
            Err(Fault::Later(format!("--mount {text}: dhow cannot mount of type {kind} yet"), ""))
        }
        _ => Err(wrong("mount type unknown".to_owned())),
    }
}

fn keys(text: &str) -> Result<Keys, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("value is empty".to_owned());
    }
    let mut keys = Keys::default();
    for field in value::csv(text)? {
        let (key, value) = field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        let trimmed = key.trim();
        if trimmed != key {
            return Err(format!("invalid option '{trimmed}' in '{field}': option should not have whitespace"));
        }
        if let Some(value) = value {
            if value.trim().is_empty() {
                return Err(format!("invalid value for '{key}': value is empty"));
            }
            if value.trim() != value {
                return Err(format!("invalid value for '{key}' in '{field}': value should not have whitespace"));
            }
        }
        keys.set(&key.to_ascii_lowercase(), value, &field)?;
    }
    Ok(keys)
}

impl Keys {
    fn set(&mut self, key: &str, value: Option<&str>, field: &str) -> Result<(), String> {
        let alone = matches!(key, "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive" | "bind-create-src");
        if value.is_none() && !alone {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
        let text = value.unwrap_or_default();
        let wrong = || format!("invalid value for {key}: {text}");
        for kind in ["bind", "volume", "tmpfs", "image"] {
            if key.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-')) && !self.kinds.contains(&kind) {
                self.kinds.push(kind);
            }
        }
        match key {
            "type" => self.kind = Some(text.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(text.to_owned()),
            "target" | "dst" | "destination" => self.target = Some(text.to_owned()),
            "readonly" | "ro" => self.read_only = switch(key, value)?,
            "consistency" => {}
            "bind-propagation" => self.propagation = Some(text.to_ascii_lowercase()),
            "bind-nonrecursive" => {
                self.recursive = switch(key, value)?.then(|| "disabled".to_owned());
            }
            "bind-recursive" => match text {
                "enabled" | "disabled" | "writable" | "readonly" => self.recursive = Some(text.to_owned()),
                _ => {
                    return Err(format!(
                        "{} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
                        wrong()
                    ));
                }
            },
            "bind-create-src" => self.create_source = switch(key, value)?,
            "tmpfs-size" => self.size = Some(size::binary(text).map_err(|_| wrong())?),
            "tmpfs-mode" => self.mode = Some(u32::from_str_radix(text, 8).map_err(|_| wrong())?),
            "volume-subpath" | "volume-nocopy" | "volume-label" | "volume-driver" | "volume-opt" | "image-subpath" => {}
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        Ok(())
    }
}

fn switch(key: &str, value: Option<&str>) -> Result<bool, String> {
    let Some(text) = value else { return Ok(true) };
    value::switch(text).ok_or_else(|| format!("invalid value for {key}: {text}"))
}

fn bind(keys: &Keys, target: String, directory: &Path, text: &str) -> Result<Mounted, Fault> {
    let Some(source) = &keys.source else { return Err(Fault::Whole("field Source must not be empty".to_owned())) };
    let source = absolute(source, directory);
    if !source.is_absolute() {
        let source = source.display();
        return Err(Fault::Whole(format!("invalid mount path: '{source}' mount path must be absolute")));
    }
    if let Some(other) = keys.propagation.as_ref().filter(|p| !PROPAGATION.contains(&p.as_str())) {
        return Err(Fault::Whole(format!("invalid propagation mode: {other}")));
    }
    let refused = |reason: &str| Err(Flag::new("--mount").fault(text, reason));
    match keys.recursive.as_deref() {
        Some("writable") if !keys.read_only => {
            return refused("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
        }
        Some("readonly") if !keys.read_only => {
            return refused("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
        }
        Some("readonly") if keys.propagation.as_deref() != Some("rprivate") => {
            return refused(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
            );
        }
        Some("writable") => {
            return Err(Fault::Later(
                "--mount: dhow cannot leave mounts below a read-only one writable".to_owned(),
                "take bind-recursive=disabled, and mount what is below by a flag of its own",
            ));
        }
        _ => {}
    }
    Ok(Mounted::Bind(Bind {
        source,
        read_only: keys.read_only,
        propagation: keys.propagation.clone(),
        non_recursive: keys.recursive.as_deref() == Some("disabled"),
        create_source: keys.create_source,
        target,
    }))
}

/// Options as `--tmpfs` has them.
fn tmpfs(keys: &Keys) -> String {
    let mut options = Vec::new();
    if keys.read_only {
        options.push("ro".to_owned());
    }
    options.extend(keys.mode.filter(|&mode| mode != 0).map(|mode| format!("mode={mode:o}")));
    options.extend(keys.size.filter(|&size| size != 0).map(|size| format!("size={size}")));
    options.join(",")
}

/// `PATH[:O]`.
pub(super) fn root(text: &str, directory: &Path) -> Result<RootSource, Fault> {
    let (path, overlay) = match text.rsplit_once(':') {
        Some((path, "O")) => (path, true),
        _ => (text, false),
    };
    if path.is_empty() {
        return Err(Flag::new("--rootfs").fault(text, "a directory is needed, as PATH or PATH:O"));
    }
    Ok(RootSource::Directory { path: directory.join(path), overlay })
}
