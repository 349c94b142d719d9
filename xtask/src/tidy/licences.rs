//! What may come into the binary: licences, banned crates, sources. Holds deny.toml's lists with nothing but
//! `cargo metadata`, over all platforms, as cargo-deny does where it is installed.
//!
//! Licence expressions follow SPDX (annex D of SPDX 2.3), with the `/` of older crates as OR.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Finding, lists};

/// All that foreign crates can do wrong.
pub(crate) fn check(metadata: &Value, deny: &str) -> Vec<Finding> {
    let (Some(allowed), Some(banned)) =
        (lists::strings(deny, "licenses", "allow"), lists::strings(deny, "bans", "deny"))
    else {
        return vec![Finding::error("deny.toml", "has no list licenses.allow or bans.deny")];
    };
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let version = package["version"].as_str().unwrap_or_default();
        versions.entry(name).or_default().push(version);
        let place = format!("{name} {version}");
        match package["license"].as_str() {
            Some(expression) if permits(expression, &allowed) => {}
            Some(expression) => {
                findings.push(Finding::error(&place, format!("licence {expression} is not in deny.toml")))
            }
            None => findings.push(Finding::error(&place, "states no licence")),
        }
        if banned.iter().any(|banned| banned == name) {
            findings.push(Finding::error(&place, "is banned by deny.toml"));
        }
        if package["source"].as_str().is_some_and(|source| !is_crates_io(source)) {
            findings.push(Finding::error(&place, "comes from elsewhere than crates.io"));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        findings.push(Finding::signal(*name, format!("is built in several versions: {}", versions.join(", "))));
    }
    findings
}

fn is_crates_io(source: &str) -> bool {
    source == "registry+https://github.com/rust-lang/crates.io-index" || source == "sparse+https://index.crates.io/"
}

/// Whether the expression can be satisfied with the allowed licences alone.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed).is_some_and(|ok| ok && rest.is_empty())
}

/// `both (OR both)*`; AND binds tighter. None: no licence expression.
fn either(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut ok = both(words, allowed)?;
    while let Some(rest) = after(words, "OR") {
        *words = rest;
        ok |= both(words, allowed)?;
    }
    Some(ok)
}

fn both(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut ok = licence(words, allowed)?;
    while let Some(rest) = after(words, "AND") {
        *words = rest;
        ok &= licence(words, allowed)?;
    }
    Some(ok)
}

fn licence(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    if let Some(rest) = after(words, "(") {
        *words = rest;
        let ok = either(words, allowed)?;
        *words = after(words, ")")?;
        return Some(ok);
    }
    let (name, rest) = words.split_first()?;
    *words = rest;
    let mut name = (*name).to_owned();
    if let Some([exception, rest @ ..]) = after(words, "WITH") {
        name = format!("{name} WITH {exception}");
        *words = rest;
    }
    Some(allowed.contains(&name))
}

fn after<'a, 'b>(words: &'b [&'a str], word: &str) -> Option<&'b [&'a str]> {
    words.split_first().filter(|(first, _)| **first == word).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DENY: &str =
        "[licenses]\nallow = [\"MIT\", \"Zlib\", \"Apache-2.0 WITH LLVM-exception\"]\n[bans]\ndeny = [\"evil-sys\"]\n";

    #[test]
    fn expressions() {
        let allowed = lists::strings(DENY, "licenses", "allow").unwrap();
        for good in
            ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Zlib", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(permits(good, &allowed), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "Zlib AND (GPL-2.0 OR LGPL-2.1)",
            "Apache-2.0",
            "",
            "MIT OR",
            "(MIT",
            "MIT MIT",
        ] {
            assert!(!permits(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn each_rule_names_the_crate() {
        let crates_io = "registry+https://github.com/rust-lang/crates.io-index";
        let metadata = json!({ "packages": [
            { "name": "good", "version": "1.0.0", "license": "MIT", "source": crates_io },
            { "name": "good", "version": "2.0.0", "license": "MIT", "source": null },
            { "name": "evil-sys", "version": "1.0.0", "license": "MIT", "source": crates_io },
            { "name": "copyleft", "version": "1.0.0", "license": "GPL-3.0-only", "source": crates_io },
            { "name": "silent", "version": "1.0.0", "license": null, "source": crates_io },
            { "name": "stray", "version": "1.0.0", "license": "MIT", "source": "git+https://example.org/stray" },
        ]});
        let places: Vec<String> = check(&metadata, DENY).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["evil-sys 1.0.0", "copyleft 1.0.0", "silent 1.0.0", "stray 1.0.0", "good"]);
    }

    #[test]
    fn a_deny_file_without_lists_is_an_error() {
        assert_eq!(check(&json!({ "packages": [] }), "[licenses]\n").len(), 1);
    }
}
