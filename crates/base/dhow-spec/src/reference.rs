//! Names of images: `[domain/]path[:tag][@digest]`, as `distribution/reference` defines them.
//!
//! Owns the grammar and Docker's normalisation of what people type (`x` means `docker.io/library/x`), and nothing
//! about whether such an image exists. Written by hand and not as regular expressions: this way it splits without
//! backtracking, because `@` occurs only before the digest, and a `:` that no `/` follows only before the tag.
//!
//! ```text
//! domain    = ( name *( "." name ) / "[" ipv6 "]" ) [ ":" digits ]     name: letters, digits, inner "-"
//! path      = part *( "/" part )                                        at most 255 bytes
//! part      = [a-z0-9]+ *( ( "." / "_" / "__" / "-"+ ) [a-z0-9]+ )
//! tag       = [A-Za-z0-9_] 0*127[A-Za-z0-9_.-]
//! ```

use crate::digest::{Digest, DigestError};
use crate::error_kind::{Classify, Kind};
use std::fmt;
use std::str::FromStr;

/// The domain of a name that names none.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag of a name that has neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";
/// The longest path of a repository, in bytes.
pub const MAX_PATH: usize = 255;

const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
/// Hex characters of a whole SHA-256 identifier.
const ID_LEN: usize = 64;

/// A parsed, normalised name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses what a person typed: `x`, `me/x:1`, `host:5000/x@sha256:…`.
    ///
    /// # Errors
    /// [`ReferenceError`], in the words of the Go package.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if is_identifier(text) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (domain, remainder) = split_domain(text);
        let remote = remainder.split(':').next().unwrap_or_default();
        if remote.to_lowercase() != remote {
            return Err(ReferenceError::PathNotLowercase(remote.to_owned()));
        }
        parse_full(&format!("{domain}/{remainder}"))
    }

    /// The registry: a host name or address, perhaps with a port.
    ///
    /// Empty in one odd case that the grammar allows: a first part with a dot and an underscore (`my_host.x/app`) is
    /// taken for a host, is none by the grammar, and then counts as path.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, such as `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, when there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path: `docker.io/library/debian`.
    pub fn name(&self) -> String {
        if self.domain.is_empty() { self.path.clone() } else { format!("{}/{}", self.domain, self.path) }
    }

    /// Everything, as the ledger stores it: `docker.io/library/debian:12`.
    pub fn canonical(&self) -> String {
        self.with_suffix(self.name())
    }

    /// The name as people know it: without `docker.io/` and `library/`.
    ///
    /// Always the same name again when it is parsed. Here the Go package is not followed: it prints
    /// `docker.io/evil.example/x` as `evil.example/x`, which is an image of somebody else.
    pub fn familiar_name(&self) -> String {
        let first = self.path.split('/').next().unwrap_or_default();
        let looks_like_domain = first != self.path && is_domain_by_looks(first);
        if self.domain != DEFAULT_DOMAIN || looks_like_domain {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') && !is_identifier(rest) => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The familiar name with tag and digest: `debian:12`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// The same reference, with the tag `latest` when it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same reference with another tag.
    ///
    /// # Errors
    /// [`ReferenceError::Tag`] when `tag` is none.
    pub fn with_tag(mut self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        self.tag = Some(tag.to_owned());
        Ok(self)
    }

    /// The same reference with another digest.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Reference {
        self.digest = Some(digest);
        self
    }

    /// The repository alone, without tag and digest.
    #[must_use]
    pub fn without_version(mut self) -> Reference {
        self.tag = None;
        self.digest = None;
        self
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

impl fmt::Display for Reference {
    /// The canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

/// What an image argument may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyReference {
    /// A name.
    Named(Reference),
    /// A whole identifier, with or without `sha256:` in front.
    Digest(Digest),
    /// The first hex characters of an identifier, without `sha256:`. The text is a well-formed name as well: look
    /// for that name first ([`Reference::parse`] on the text), then for identifiers that begin so.
    HexPrefix(String),
}

/// Interprets an image argument: identifier, part of one, or name.
///
/// # Errors
/// [`ReferenceError`] when it can be none of them.
pub fn parse_any(text: &str) -> Result<AnyReference, ReferenceError> {
    if is_identifier(text) {
        return Ok(AnyReference::Digest(Digest::from_sha256_hex(text)?));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        return Ok(AnyReference::Digest(digest));
    }
    match hex_prefix(text) {
        Some(prefix) => Ok(AnyReference::HexPrefix(prefix.to_owned())),
        None => Reference::parse(text).map(AnyReference::Named),
    }
}

/// Whether the text may be the beginning of an identifier: see [`hex_prefix`].
pub fn is_hex_prefix(text: &str) -> bool {
    hex_prefix(text).is_some()
}

/// The hex characters of a shortened identifier: 1 to 63 of them, lower-case, perhaps behind `sha256:`.
pub fn hex_prefix(text: &str) -> Option<&str> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let short = !hex.is_empty() && hex.len() < ID_LEN && hex.bytes().all(is_lower_hex);
    short.then_some(hex)
}

/// Why a text is no reference. The first words are those of the Go package, which scripts and tests look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// It would follow the grammar in lower case.
    #[error("repository name must be lowercase")]
    NotLowercase,
    /// The path has upper-case letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    PathNotLowercase(String),
    /// The path is longer than [`MAX_PATH`].
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// 64 hex characters are an identifier, never a name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// A tag given by itself does not follow the grammar.
    #[error("invalid tag format")]
    Tag,
    /// What stands behind `@` looks like a digest and is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Classify for ReferenceError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            ReferenceError::Format | ReferenceError::NotLowercase | ReferenceError::PathNotLowercase(_) => {
                "Write [HOST[:PORT]/]NAME[:TAG][@DIGEST], with NAME in lower case"
            }
            ReferenceError::TooLong => "Choose a shorter name",
            ReferenceError::Identifier(_) => "Put a host or a namespace in front of the name",
            ReferenceError::Tag => {
                "A tag is up to 128 letters, digits, '_', '.' and '-', and begins with no '.' or '-'"
            }
            ReferenceError::Digest(_) => "Write the digest as sha256: and 64 lower-case hex characters",
        };
        Some(hint.to_owned())
    }
}

/// Splits a typed name into domain and the rest, filling in Docker's defaults.
fn split_domain(text: &str) -> (&str, String) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_DOMAIN, format!("{OFFICIAL}{text}"));
    };
    let (domain, rest) = match first {
        LEGACY_DOMAIN => (DEFAULT_DOMAIN, rest),
        _ if is_domain_by_looks(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        return (domain, format!("{OFFICIAL}{rest}"));
    }
    (domain, rest.to_owned())
}

/// Whether the first of several parts is taken for a domain. Upper case cannot be a path, so it counts as one.
fn is_domain_by_looks(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first
}

fn parse_full(text: &str) -> Result<Reference, ReferenceError> {
    let Some(parts) = Parts::split(text) else {
        let lower = text.to_lowercase();
        let only_case = lower != text && Parts::split(&lower).is_some();
        return Err(if only_case { ReferenceError::NotLowercase } else { ReferenceError::Format });
    };
    if parts.path.len() > MAX_PATH {
        return Err(ReferenceError::TooLong);
    }
    Ok(Reference {
        domain: parts.domain.to_owned(),
        path: parts.path.to_owned(),
        tag: parts.tag.map(str::to_owned),
        digest: parts.digest.map(str::parse).transpose()?,
    })
}

/// The pieces of a text that follows the grammar.
struct Parts<'a> {
    domain: &'a str,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Option<Parts<'a>> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (domain, path) = match name.split_once('/') {
            Some((domain, path)) if is_domain(domain) => (domain, path),
            _ => ("", name),
        };
        let valid = is_path(path) && tag.is_none_or(is_tag) && digest.is_none_or(looks_like_digest);
        valid.then_some(Parts { domain, path, tag, digest })
    }
}

fn is_domain(text: &str) -> bool {
    let port = if let Some(bracketed) = text.strip_prefix('[') {
        match bracketed.split_once(']') {
            Some((ipv6, port)) if is_ipv6(ipv6) => port,
            _ => return false,
        }
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        if !host.split('.').all(is_host_part) {
            return false;
        }
        port
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    port.is_empty() || port.strip_prefix(':').is_some_and(digits)
}

fn is_ipv6(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
}

fn is_host_part(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_part)
}

/// Runs of `[a-z0-9]` with one separator between each two: `.`, `_`, `__` or any number of `-`.
fn is_path_part(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    if !text.bytes().all(|b| word(b) || matches!(b, b'.' | b'_' | b'-')) {
        return false;
    }
    let ends_in_words = text.bytes().next().is_some_and(word) && text.bytes().next_back().is_some_and(word);
    let mut separators = text.split(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase());
    ends_in_words && separators.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// The reference grammar's own, looser idea of a digest; what passes is then parsed as one.
fn looks_like_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let part = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(part) && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_identifier(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(is_lower_hex)
}

fn is_lower_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}
