//! Commands about networks, one verb per file.

mod natural;
mod pools;

pub(super) mod connect;
pub(super) mod create;
pub(super) mod disconnect;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod prune;
pub(super) mod reload;
pub(super) mod remove;

use super::Failure;
use std::collections::BTreeMap;

/// `key=value` pairs; a key alone has an empty value, and of two the later counts.
fn pairs(texts: &[String], flag: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.trim().is_empty() {
            return Err(Failure::usage(format!("invalid argument {text:?} for {flag:?} flag: the key is missing")));
        }
        pairs.insert(key.to_owned(), value.to_owned());
    }
    Ok(pairs)
}

/// `-f key=value`, of the keys that a command knows.
fn filters(texts: &[String], known: &[&str]) -> Result<Vec<(String, String)>, Failure> {
    let mut filters = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!(
                "invalid argument {text:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
            )));
        };
        // `label!=x` comes as the key `label!`.
        let key = key.trim().to_lowercase();
        if !known.contains(&key.as_str()) {
            return Err(Failure::error(format!("invalid filter '{key}'"))
                .with_hint(format!("known here are: {}", known.join(", "))));
        }
        filters.push((key, value.trim().to_owned()));
    }
    Ok(filters)
}
