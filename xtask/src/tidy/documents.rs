//! Rules about the project's own pages: which must exist, and that the map names every crate.

use super::{File, Finding};

const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CHANGELOG.md", "LICENSE", "bench/README.md"];

/// The page that maps the workspace.
const MAP: &str = "ARCHITECTURE.md";

/// That the pages exist and ARCHITECTURE.md names each of `crates`.
pub(crate) fn check(files: &[File], crates: &[String]) -> Vec<Finding> {
    let page = |name: &str| files.iter().find(|file| file.path == name).filter(|file| !file.text.trim().is_empty());
    let mut findings: Vec<Finding> = PAGES
        .iter()
        .filter(|name| page(name).is_none())
        .map(|name| Finding::error(*name, "is missing or empty"))
        .collect();
    if let Some(map) = page(MAP) {
        let unnamed = crates.iter().filter(|name| !map.text.contains(&format!("`{name}`")));
        findings.extend(unnamed.map(|name| Finding::error(MAP, format!("does not name the crate `{name}`"))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_exist_and_the_map_is_whole() {
        let text = |path: &&str| File { path: (*path).into(), text: "the crate `dhow-spec`".into() };
        let mut files: Vec<File> = PAGES.iter().map(text).collect();
        assert_eq!(check(&files, &["dhow-spec".into()]), []);
        assert_eq!(check(&files, &["dhow-spec".into(), "dhow".into()]).len(), 1);
        files.pop();
        assert_eq!(check(&files, &[]), [Finding::error("bench/README.md", "is missing or empty")]);
    }
}
