//! Rules between crates: the order of the folders, and which crate may bring which heavy dependency.
//!
//! Looks only at direct dependencies, of all kinds (normal, build, dev), as `cargo metadata` lists them.

use serde_json::Value;

use super::{File, Finding};

/// Folders of `crates/` in dependency order, each with the ones it may use.
const FOLDERS: &[(&str, &[&str])] = &[
    ("base", &["base"]),
    ("image", &["base", "image"]),
    ("run", &["base", "run"]),
    ("service", &["base", "image", "run", "service"]),
    ("surface", &["base", "image", "run", "service", "surface"]),
];

/// Heavy dependencies, and the places (a crate, or a folder of `crates/`) that may have them.
const FENCES: &[(&str, &[&str])] = &[
    ("rusqlite", &["dhow-state"]),
    ("clap", &["surface"]),
    ("indicatif", &["surface"]),
    // The core is synchronous; an async runtime comes with the first crate that serves a protocol.
    ("tokio", &[]),
];

/// The only crate with unsafe code.
const UNSAFE: &str = "dhow-sys";

/// The names of the workspace's crates.
pub(crate) fn names(metadata: &Value) -> Vec<String> {
    members(metadata).iter().map(|member| member.name.clone()).collect()
}

/// Everything that crates can do wrong to each other.
pub(crate) fn check(metadata: &Value, files: &[File]) -> Vec<Finding> {
    let members = members(metadata);
    let mut findings = Vec::new();
    for member in &members {
        findings.extend(order(member, &members));
        findings.extend(fences(member));
    }
    findings.extend(lints(files));
    findings
}

struct Member {
    name: String,
    /// The folder of `crates/` it is in; none for xtask and the test programs.
    folder: Option<String>,
    dependencies: Vec<String>,
}

fn members(metadata: &Value) -> Vec<Member> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = packages.iter().filter(|package| package["source"].is_null());
    ours.map(|package| {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        Member {
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            folder: folder_of(manifest).map(str::to_owned),
            dependencies: dependencies.iter().filter_map(|d| d["name"].as_str()).map(str::to_owned).collect(),
        }
    })
    .collect()
}

/// `…/crates/<folder>/<crate>/Cargo.toml` -> `<folder>`
fn folder_of(manifest: &str) -> Option<&str> {
    let mut parts = manifest.rsplit('/').skip(2);
    let folder = parts.next()?;
    (parts.next()? == "crates").then_some(folder)
}

fn order(member: &Member, members: &[Member]) -> Vec<Finding> {
    let Some(folder) = &member.folder else { return Vec::new() };
    let Some((_, may_use)) = FOLDERS.iter().find(|(name, _)| name == folder) else {
        return vec![Finding::error(
            &member.name,
            format!("lies in crates/{folder}, which is no folder of the architecture"),
        )];
    };
    let mut findings = Vec::new();
    for dependency in &member.dependencies {
        let Some(used) = members.iter().find(|other| &other.name == dependency) else { continue };
        match &used.folder {
            Some(used) if may_use.contains(&used.as_str()) => {}
            Some(used) => {
                findings.push(Finding::error(&member.name, format!("{folder}/ must not use {used}/ ({dependency})")));
            }
            None => {
                findings.push(Finding::error(&member.name, format!("must not use {dependency}, a developer's tool")))
            }
        }
    }
    findings
}

fn fences(member: &Member) -> Vec<Finding> {
    let inside = |places: &[&str]| {
        places.contains(&member.name.as_str()) || member.folder.as_deref().is_some_and(|f| places.contains(&f))
    };
    FENCES
        .iter()
        .filter(|(heavy, places)| member.dependencies.iter().any(|d| d == heavy) && !inside(places))
        .map(|(heavy, places)| match places {
            [] => Finding::error(&member.name, format!("brings {heavy}, which nothing may yet")),
            _ => Finding::error(&member.name, format!("brings {heavy}, which is fenced into {}", places.join(", "))),
        })
        .collect()
}

/// That every crate takes the workspace's lints, and that these forbid unsafe code, but for the one crate.
fn lints(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let section = |name: &str| section(&file.text, name);
        let own = file.path == "Cargo.toml";
        if own && !section("[workspace.lints.rust]").contains("unsafe_code = \"forbid\"") {
            findings.push(Finding::error(&file.path, "the workspace's lints do not forbid unsafe code"));
        }
        // Those two are workspaces of their own.
        let apart = ["fuzz/", "patches/"].iter().any(|folder| file.path.starts_with(folder));
        let exempt = own || apart || file.path.ends_with(&format!("/{UNSAFE}/Cargo.toml"));
        if !exempt && !section("[lints]").contains("workspace = true") {
            findings.push(Finding::error(
                &file.path,
                format!("does not take the workspace's lints; only {UNSAFE} may not"),
            ));
        }
    }
    findings
}

/// The lines of a TOML table, up to the next one.
fn section<'a>(text: &'a str, head: &str) -> &'a str {
    let Some(start) = text.find(&format!("{head}\n")).map(|at| at + head.len() + 1) else { return "" };
    let end = text[start..].find("\n[").map_or(text.len(), |at| start + at);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(folder: &str, name: &str, dependencies: &[&str]) -> Value {
        let manifest = format!("/src/{folder}/{name}/Cargo.toml");
        let dependencies: Vec<Value> = dependencies.iter().map(|name| json!({ "name": name })).collect();
        json!({ "name": name, "source": null, "manifest_path": manifest, "dependencies": dependencies })
    }

    fn check_packages(packages: &[Value]) -> Vec<String> {
        let findings = check(&json!({ "packages": packages }), &[]);
        findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.what)).collect()
    }

    #[test]
    fn lower_folders_may_be_used() {
        let packages = [
            package("crates/base", "dhow-spec", &[]),
            package("crates/image", "dhow-store", &["dhow-spec", "dhow-rootfs"]),
            package("crates/image", "dhow-rootfs", &["dhow-spec"]),
            package("crates/service", "dhow-engine", &["dhow-store", "dhow-runtime"]),
            package("crates/run", "dhow-runtime", &["dhow-spec"]),
        ];
        assert_eq!(check_packages(&packages), Vec::<String>::new());
    }

    #[test]
    fn image_and_run_never_see_each_other() {
        let packages =
            [package("crates/image", "dhow-store", &["dhow-runtime"]), package("crates/run", "dhow-runtime", &[])];
        assert_eq!(check_packages(&packages), ["dhow-store: image/ must not use run/ (dhow-runtime)"]);
    }

    #[test]
    fn higher_folders_and_tools_may_not_be_used() {
        let packages = [
            package("crates/base", "dhow-spec", &["dhow-engine", "xtask"]),
            package("crates/service", "dhow-engine", &[]),
            package("tree", "xtask", &["dhow-engine"]),
        ];
        let expected = [
            "dhow-spec: base/ must not use service/ (dhow-engine)",
            "dhow-spec: must not use xtask, a developer's tool",
        ];
        assert_eq!(check_packages(&packages), expected);
    }

    #[test]
    fn heavy_dependencies_stay_behind_their_fence() {
        let packages = [
            package("crates/base", "dhow-state", &["rusqlite"]),
            package("crates/surface", "dhow", &["clap", "indicatif"]),
            package("crates/service", "dhow-engine", &["rusqlite", "tokio"]),
        ];
        let expected = [
            "dhow-engine: brings rusqlite, which is fenced into dhow-state",
            "dhow-engine: brings tokio, which nothing may yet",
        ];
        assert_eq!(check_packages(&packages), expected);
    }

    #[test]
    fn lints_are_taken_from_the_workspace() {
        let toml = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [
            toml("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"),
            toml("crates/base/dhow-sys/Cargo.toml", "[package]\n"),
            toml("crates/base/dhow-spec/Cargo.toml", "[lints]\nworkspace = true\n\n[dependencies]\n"),
        ];
        assert_eq!(lints(&files), []);
        let bad = [toml("Cargo.toml", "[workspace]\n"), toml("xtask/Cargo.toml", "[lints]\n\n[x]\nworkspace = true\n")];
        assert_eq!(lints(&bad).len(), 2);
    }
}
