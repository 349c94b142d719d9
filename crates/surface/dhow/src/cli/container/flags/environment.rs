//! Variables and labels, from flags and from files.

use super::fault::{Fault, Flag};
use super::{Surroundings, pairs};
use crate::cli::Failure;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The variables of `-e` and `--env-file`, for `exec`: files first. A bare name takes its value from the environment, and
/// where there is none it is kept for `-e`, as a wish that the variable go.
///
/// # Errors
/// In docker's words, exit status 125.
pub(in crate::cli) fn environment(
    list: &[String],
    files: &[String],
    around: &Surroundings<'_>,
) -> Result<Vec<String>, Failure> {
    variables(list, files, around).map_err(|fault| fault.failure("exec"))
}

pub(super) fn variables(list: &[String], files: &[String], around: &Surroundings<'_>) -> Result<Vec<String>, Fault> {
    let mut variables = from_files(files, around, Some(around.env))?;
    for text in list {
        if text.is_empty() || text.starts_with('=') {
            return Err(Flag::new("-e, --env").fault(text, format!("invalid environment variable: {text}")));
        }
        variables.push(match text.contains('=') {
            true => text.clone(),
            false => match (around.env)(text) {
                Some(value) => format!("{text}={value}"),
                None => text.clone(),
            },
        });
    }
    Ok(variables)
}

/// The labels of `-l` and `--label-file`: files first.
pub(super) fn labels(
    list: &[String],
    files: &[String],
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, String>, Fault> {
    for text in list {
        let key = text.split('=').next().unwrap_or_default().trim_start_matches([' ', '\t']);
        let flag = Flag::new("-l, --label");
        if key.is_empty() {
            return Err(flag.fault(text, format!("invalid label '{text}': empty name")));
        }
        if key.contains([' ', '\t']) {
            return Err(flag.fault(text, format!("label '{key}' contains whitespaces")));
        }
    }
    let mut labels = pairs(&from_files(files, around, None)?);
    labels.extend(pairs(list));
    Ok(labels)
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

fn from_files(files: &[String], around: &Surroundings<'_>, lookup: Option<Lookup<'_>>) -> Result<Vec<String>, Fault> {
    let mut lines = Vec::new();
    for file in files {
        let path = around.directory.join(file);
        let bytes = (around.read)(&path).map_err(|e| Fault::Whole(opening(file, &e)))?;
        let parsed = parse(&bytes, lookup);
        lines.extend(parsed.map_err(|problem| Fault::Whole(format!("invalid env file ({file}): {problem}")))?);
    }
    Ok(lines)
}

/// The lines of a file of variables: empty ones and comments are left out, and a bare name that the environment does not
/// have.
fn parse(bytes: &[u8], lookup: Option<Lookup<'_>>) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| {
            let shown: Vec<String> = line.iter().map(ToString::to_string).collect();
            format!("invalid utf8 bytes at line {}: [{}]", number + 1, shown.join(" "))
        })?;
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name.is_empty() {
            return Err(format!("no variable name on line '{text}'"));
        }
        if name.contains([' ', '\t']) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        match value {
            Some(_) => lines.push(text.to_owned()),
            None => lines.extend(lookup.and_then(|lookup| lookup(name)).map(|value| format!("{name}={value}"))),
        }
    }
    Ok(lines)
}

/// An error in the words of Go's `os.PathError`.
pub(super) fn opening(path: impl AsRef<Path>, error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    format!("open {}: {}{}", path.as_ref().display(), first.map(String::from).unwrap_or_default(), letters.as_str())
}
