//! `images`: what there is, filtered.

use crate::Engine;
use crate::error::EngineError;
use dhow_spec::{Digest, Reference};
use dhow_state::{ImageSummary, Read, Timestamp};
use std::collections::BTreeMap;

/// An image as lists show it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: Digest,
    /// Its names, sorted.
    pub names: Vec<ListedName>,
    /// Its manifests, first come first.
    pub manifests: Vec<Digest>,
    /// When it was built, if its configuration says.
    pub created: Option<Timestamp>,
    /// When it came into this store.
    pub loaded: Timestamp,
    /// Bytes of file content in all its layers.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A name of an image.
#[derive(Debug, Clone)]
pub struct ListedName {
    /// The name, with a tag.
    pub reference: Reference,
    /// The manifest that it stands for.
    pub manifest: Digest,
}

impl Listed {
    /// All images, newest first.
    pub(crate) fn all(read: &Read<'_>) -> Result<Vec<Listed>, EngineError> {
        let mut images = read.list_images()?.into_iter().map(Listed::from_summary).collect::<Result<Vec<_>, _>>()?;
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    fn from_summary(summary: ImageSummary) -> Result<Listed, EngineError> {
        let name = |tag: dhow_state::TagRow| {
            Ok(ListedName { reference: Reference::parse(&tag.name)?, manifest: tag.manifest })
        };
        let mut names = summary.tags.into_iter().map(name).collect::<Result<Vec<_>, EngineError>>()?;
        names.sort_by_cached_key(|n| n.reference.familiar());
        Ok(Listed {
            id: summary.image.id,
            names,
            manifests: summary.manifests,
            created: summary.image.created,
            loaded: summary.image.loaded,
            size: summary.image.size,
            labels: summary.image.labels,
        })
    }
}

/// Which images to list. Every part that is there must fit; of several values of one part, one must.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    /// Without names (`true`) or with (`false`).
    pub dangling: Option<bool>,
    /// Labels they have: key, and value if it matters.
    pub labels: Vec<(String, Option<String>)>,
    /// Labels they do not have (`label!=`).
    pub without_labels: Vec<(String, Option<String>)>,
    /// Built before this.
    pub before: Option<Timestamp>,
    /// Built after this.
    pub since: Option<Timestamp>,
    /// Built before this moment (`until=`), whatever image that was.
    pub until: Option<Timestamp>,
    /// Patterns of names, as docker's `reference` filter has them.
    pub references: Vec<String>,
}

impl ImageFilter {
    /// Whether an image passes. Names that do not fit `references` are not its concern, see [`ImageFilter::names`].
    pub fn accepts(&self, image: &Listed) -> bool {
        let labelled = |(key, value): &(String, Option<String>)| match (image.labels.get(key), value) {
            (Some(found), Some(wanted)) => found == wanted,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        };
        let created = image.created.unwrap_or(0);
        self.dangling.is_none_or(|dangling| dangling == image.names.is_empty())
            && self.labels.iter().all(labelled)
            && !self.without_labels.iter().any(labelled)
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created < until)
            && (self.references.is_empty() || image.names.iter().any(|n| self.names(&n.reference)))
    }

    /// Whether a name fits the `reference` patterns.
    pub fn names(&self, name: &Reference) -> bool {
        self.references.is_empty() || self.references.iter().any(|pattern| reference_fits(pattern, name))
    }
}

/// docker's `reference` filter: a pattern fits the familiar name with or without its tag.
fn reference_fits(pattern: &str, name: &Reference) -> bool {
    let (with_tag, without) = (name.familiar(), name.familiar_name());
    path_match(pattern.as_bytes(), with_tag.as_bytes()) || path_match(pattern.as_bytes(), without.as_bytes())
}

/// Go's `path.Match`: `*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are classes, `\` escapes. A malformed pattern
/// fits nothing.
fn path_match(pattern: &[u8], text: &[u8]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        b'*' => {
            let reach = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
            (0..=reach).any(|n| path_match(rest, &text[n..]))
        }
        b'?' => text.split_first().is_some_and(|(b, text)| *b != b'/' && path_match(rest, text)),
        b'[' => {
            let Some((b, text)) = text.split_first() else { return false };
            match class(rest, *b) {
                Some((true, rest)) => path_match(rest, text),
                _ => false,
            }
        }
        b'\\' => match (rest.split_first(), text.split_first()) {
            (Some((a, rest)), Some((b, text))) => a == b && path_match(rest, text),
            _ => false,
        },
        _ => text.split_first().is_some_and(|(b, text)| *b == first && path_match(rest, text)),
    }
}

/// Whether `byte` is in the class that starts behind `[`, and what follows its `]`.
fn class(mut pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let negated = pattern.first() == Some(&b'^');
    if negated {
        pattern = &pattern[1..];
    }
    let mut found = false;
    let mut first = true;
    loop {
        let (&low, rest) = pattern.split_first()?;
        if low == b']' && !first {
            return Some((found != negated, rest));
        }
        first = false;
        let (low, rest) = if low == b'\\' { rest.split_first().map(|(b, r)| (*b, r))? } else { (low, rest) };
        let (high, rest) = match rest.split_first() {
            Some((b'-', after)) if after.first() != Some(&b']') => after.split_first().map(|(b, r)| (*b, r))?,
            _ => (low, rest),
        };
        found |= (low..=high).contains(&byte);
        pattern = rest;
    }
}

impl Engine {
    /// Images that pass a filter, newest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn list_images(&self, filter: &ImageFilter) -> Result<Vec<Listed>, EngineError> {
        let all = self.state.read(Listed::all)?;
        Ok(all.into_iter().filter(|image| filter.accepts(image)).collect())
    }

    /// When the image that `text` stands for was built, for the `before` and `since` filters.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn image_created(&self, text: &str) -> Result<Timestamp, EngineError> {
        self.state.read(|r| Ok(super::resolve::resolve(r, text)?.image.created.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_go_matches_paths() {
        let table = [
            ("busybox", "busybox", true),
            ("busy*", "busybox", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("b?sybox", "busybox", true),
            ("[a-c]usybox", "busybox", true),
            ("[^a-c]usybox", "busybox", false),
            ("[", "x", false),
            ("a\\*", "a*", true),
            ("", "", true),
            ("busybox:*", "busybox:latest", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(path_match(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }
}
