//! Platforms: what an image was built for and what a machine runs, `os[(version)]/architecture[/variant]`.
//!
//! Owns the spelling (many names for one architecture) and the order in which a machine prefers images. Knows nothing
//! about the machine beyond what this binary was compiled for. Follows OCI image-spec `image-index.md#platform` and
//! the specifiers of `containerd/platforms`.

use crate::error_kind::{Classify, Kind};
use std::fmt;
use std::str::FromStr;

/// A platform. Compare with [`Platform::rank`], not with `==`, which tells `arm64` from `arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Platform {
    /// Operating system as Go names it: `linux`.
    pub os: String,
    /// Architecture as Go names it: `amd64`.
    pub architecture: String,
    /// Variant of the architecture: `v7`.
    pub variant: Option<String>,
    /// Version of the operating system; Windows only, in practice.
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    pub os_features: Vec<String>,
}

impl Platform {
    /// A platform of these parts, spelled canonically.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let (architecture, variant) = normalize_architecture(architecture, variant.unwrap_or_default());
        Platform {
            os: normalize_os(os),
            architecture,
            variant: Some(variant).filter(|v| !v.is_empty()),
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// The platform that this binary was compiled for.
    pub fn host() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" if cfg!(target_feature = "v7") => ("arm", Some("v7")),
            "arm" => ("arm", Some("v6")),
            "x86" => ("386", None),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "powerpc64" => ("ppc64", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Platform {
            os: normalize_os(std::env::consts::OS),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// The platform that an index entry names, if it names one.
    pub fn of_descriptor(descriptor: &oci_spec::image::Descriptor) -> Option<Platform> {
        let named = descriptor.platform().as_ref()?;
        Some(Platform {
            os: named.os().to_string(),
            architecture: named.architecture().to_string(),
            variant: named.variant().clone().filter(|v| !v.is_empty()),
            os_version: named.os_version().clone().filter(|v| !v.is_empty()),
            os_features: named.os_features().clone().unwrap_or_default(),
        })
    }

    /// The same platform, spelled canonically: `x86_64` becomes `amd64`, `armhf` becomes `arm/v7`.
    #[must_use]
    pub fn normalized(&self) -> Platform {
        let mut os_features = self.os_features.clone();
        os_features.sort();
        os_features.dedup();
        Platform {
            os_version: self.os_version.clone(),
            os_features,
            ..Platform::new(&self.os, &self.architecture, self.variant.as_deref())
        }
    }

    /// How well an image for `image` suits a machine of this platform: 0 is its own, more is further away (an older
    /// variant, a 32-bit relative), `None` does not run.
    pub fn rank(&self, image: &Platform) -> Option<usize> {
        let (machine, image) = (self.normalized(), image.normalized());
        let same_os = machine.os == image.os && suits_os_version(&machine, &image);
        if !same_os || !image.os_features.iter().all(|f| machine.os_features.contains(f)) {
            return None;
        }
        let variant = image.variant.unwrap_or_default();
        machine.accepted().iter().position(|(a, v)| *a == image.architecture && *v == variant)
    }

    /// Whether an image for `image` runs on a machine of this platform.
    pub fn runs(&self, image: &Platform) -> bool {
        self.rank(image).is_some()
    }

    /// The position of the image that suits this platform best; the first of equals.
    pub fn best<'a>(&self, images: impl IntoIterator<Item = &'a Platform>) -> Option<usize> {
        let ranked = images.into_iter().enumerate().filter_map(|(at, image)| Some((self.rank(image)?, at)));
        ranked.min().map(|(_, at)| at)
    }

    /// Architectures and variants (normalised) that this machine (normalised) runs, best first.
    fn accepted(&self) -> Vec<(String, String)> {
        let variant = self.variant.as_deref().unwrap_or_default();
        let own = |variant: String| (self.architecture.clone(), variant);
        match self.architecture.as_str() {
            "amd64" => {
                let level = variant_number(variant).unwrap_or(1).min(NEWEST_AMD64);
                let older = (1..level).rev().map(|level| if level == 1 { String::new() } else { format!("v{level}") });
                let i386 = ("386".to_owned(), String::new());
                [variant.to_owned()].into_iter().chain(older).map(own).chain([i386]).collect()
            }
            "arm" => arm_down_from(variant).into_iter().map(own).collect(),
            "arm64" => {
                let arm = arm_down_from("v8").into_iter().map(|variant| ("arm".to_owned(), variant));
                arm64_down_from(variant).into_iter().map(own).chain(arm).collect()
            }
            _ => vec![own(variant.to_owned())],
        }
    }

    /// The version and features in parentheses, or nothing.
    fn os_options(&self) -> String {
        let mut features: Vec<&str> = self.os_features.iter().map(String::as_str).filter(|f| !f.is_empty()).collect();
        features.sort_unstable();
        features.dedup();
        let version = escape(self.os_version.as_deref().unwrap_or_default());
        let features: String = features.into_iter().map(|f| format!("+{}", escape(f))).collect();
        if version.is_empty() && features.is_empty() { String::new() } else { format!("({version}{features})") }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os.is_empty() {
            return f.write_str("unknown");
        }
        write!(f, "{}{}", self.os, self.os_options())?;
        let parts = [self.architecture.as_str(), self.variant.as_deref().unwrap_or_default()];
        parts.into_iter().filter(|part| !part.is_empty()).try_for_each(|part| write!(f, "/{part}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Parses `os`, `architecture`, `os/architecture` or `os/architecture/variant`; what is left out is the host's.
    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let invalid = |part: &str| PlatformError::Part { platform: text.to_owned(), part: part.to_owned() };
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let (first, options) = match parts[0].split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(|| invalid(parts[0]))?),
            None => (parts[0], ""),
        };
        if !is_os(first) || !parts[1..].iter().all(|part| is_part(part)) {
            let wrong = parts[1..].iter().find(|part| is_os(first) && !is_part(part)).unwrap_or(&parts[0]);
            return Err(invalid(wrong));
        }
        let mut platform = match parts[..] {
            [_] => parse_one(first, parts[0]).ok_or_else(|| PlatformError::Unknown(text.to_owned()))?,
            [_, architecture] => Platform::new(first, architecture, None).plain_arm(),
            [_, architecture, variant] => {
                let mut platform = Platform::new(first, architecture, Some(variant));
                if platform.architecture == "arm64" && platform.variant.is_none() {
                    platform.variant = Some("v8".to_owned()); // kept, because it was typed
                }
                platform
            }
            _ => return Err(PlatformError::TooManyParts(text.to_owned())),
        };
        let mut options = options.split('+').map(unescape);
        let version = options.next().flatten().ok_or_else(|| invalid(parts[0]))?;
        platform.os_version = Some(version).filter(|v| !v.is_empty());
        for feature in options {
            platform.os_features.push(feature.filter(|f| !f.is_empty()).ok_or_else(|| invalid(parts[0]))?);
        }
        Ok(platform)
    }
}

impl Platform {
    /// `arm` without a variant is v7, and is then written without it.
    fn plain_arm(mut self) -> Platform {
        if self.architecture == "arm" && self.variant.as_deref() == Some("v7") {
            self.variant = None;
        }
        self
    }
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A part has characters that no part may have, or none at all.
    #[error("invalid platform {platform:?}: {part:?} is no operating system, architecture or variant")]
    Part {
        /// The whole text.
        platform: String,
        /// The part that is wrong.
        part: String,
    },
    /// More than operating system, architecture and variant.
    #[error("invalid platform {0:?}: it has more than three parts")]
    TooManyParts(String),
    /// One word that is neither a known operating system nor a known architecture.
    #[error("invalid platform {0:?}: unknown operating system or architecture")]
    Unknown(String),
}

impl Classify for PlatformError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        Some("Write OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7".to_owned())
    }
}

/// One word: an operating system on the host's architecture, or an architecture under the host's system.
fn parse_one(name: &str, whole: &str) -> Option<Platform> {
    let host = Platform::host();
    let os = normalize_os(name);
    if KNOWN_OS.contains(&os.as_str()) {
        let variant = host.variant.filter(|_| host.architecture == "arm");
        return Some(Platform { os, variant, architecture: host.architecture, ..Platform::default() }.plain_arm());
    }
    let platform = Platform::new(&host.os, whole, None).plain_arm();
    KNOWN_ARCHITECTURES.contains(&platform.architecture.as_str()).then_some(platform)
}

const KNOWN_OS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

const KNOWN_ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Levels above this do not exist; a bound, because variants are foreign text.
const NEWEST_AMD64: u32 = 9;

fn normalize_os(os: &str) -> String {
    match os.to_lowercase().as_str() {
        "" => normalize_os(std::env::consts::OS),
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn normalize_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

/// 7 of `v7`.
fn variant_number(variant: &str) -> Option<u32> {
    number(variant.strip_prefix('v')?)
}

/// A number without leading zeros or a sign: `v09` is not `v9`.
fn number(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

fn arm_down_from(variant: &str) -> Vec<String> {
    match variant_number(variant) {
        Some(newest @ 6..=9) => (5..=newest).rev().map(|n| format!("v{n}")).collect(),
        _ => vec![variant.to_owned()],
    }
}

/// v9.2 runs v9.2 to v9, and what v8.7 runs: each v9.N contains v8.(N+5), of which v8.9 is the last.
fn arm64_down_from(variant: &str) -> Vec<String> {
    let version = if variant.is_empty() { "8" } else { variant.strip_prefix('v').unwrap_or_default() };
    let (major, minor) = match version.split_once('.') {
        Some((major, minor)) => (major, number(minor)),
        None => (version, Some(0)),
    };
    let v8 = |newest: u32| (0..=newest).rev().map(|n| if n == 0 { String::new() } else { format!("v8.{n}") });
    let v9 = |newest: u32| (0..=newest).rev().map(|n| if n == 0 { "v9".to_owned() } else { format!("v9.{n}") });
    match (major, minor) {
        ("8", Some(minor @ 0..=9)) => v8(minor).collect(),
        ("9", Some(minor @ 0..=7)) => v9(minor).chain(v8((minor + 5).min(9))).collect(),
        _ => vec![variant.to_owned()],
    }
}

/// Windows images run where major, minor and build are equal; elsewhere the version says nothing.
fn suits_os_version(machine: &Platform, image: &Platform) -> bool {
    let build = |platform: &Platform| {
        let version = platform.os_version.clone().unwrap_or_default();
        version.split('.').take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    let unsaid = machine.os_version.is_none() || image.os_version.is_none();
    machine.os != "windows" || unsaid || build(machine) == build(image)
}

fn is_os(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_part(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Percent-encodes whatever may not stand in a version or a feature, so that what is printed can be parsed.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'_' | b'-' | b'.' => escaped.push(char::from(b)),
            b if b.is_ascii_alphanumeric() => escaped.push(char::from(b)),
            b => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    escaped
}

/// The text behind percent-encoding; `None` when it has characters that must be encoded or is encoded wrongly.
fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%');
    text.bytes().all(plain).then(|| String::from_utf8(bytes).ok()).flatten()
}
