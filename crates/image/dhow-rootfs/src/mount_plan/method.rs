//! The ladder: the ways to hand a stack of directories to the kernel, and what fits each.

use dhow_sys::mount::{CLASSIC_DATA_MAX, STRING_MAX};

/// A way to mount an overlay. The order is that of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MountMethod {
    /// Each directory by an fd (`lowerdir+` with FSCONFIG_SET_FD): no path is looked up twice. Linux 6.13.
    Fds,
    /// Each directory by a string (`lowerdir+`): the path, or a path through its fd when that is long. Linux 6.7.
    Strings,
    /// All in one string of 255 bytes (`lowerdir`), as names of one or two letters relative to a working directory of
    /// symbolic links. Linux 5.2.
    OneString,
    /// mount(2) with a page of options and the same names, in a mount namespace that lasts for the call. Any Linux;
    /// dearer than the others, as the namespace is a copy of all mounts.
    Page,
}

/// What the names of one or two letters are made of: these pass through every escape, in options and in
/// `/proc/self/mountinfo`, unharmed.
const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Room in the page for the options beside the lower directories.
const OTHER_OPTIONS: usize = 512;

impl MountMethod {
    /// All methods, best first.
    pub const ALL: [MountMethod; 4] =
        [MountMethod::Fds, MountMethod::Strings, MountMethod::OneString, MountMethod::Page];

    /// Its name, as `dhow info` shows it.
    pub fn name(self) -> &'static str {
        match self {
            MountMethod::Fds => "fsconfig-fd",
            MountMethod::Strings => "fsconfig-each",
            MountMethod::OneString => "fsconfig-string",
            MountMethod::Page => "mount-page",
        }
    }

    /// Whether a stack of so many lower directories can be told this way.
    pub fn takes(self, layers: usize) -> bool {
        match self {
            MountMethod::Fds | MountMethod::Strings => true,
            MountMethod::OneString => joined_length(layers) <= STRING_MAX,
            MountMethod::Page => joined_length(layers) <= CLASSIC_DATA_MAX - OTHER_OPTIONS,
        }
    }
}

/// The short name of the n-th directory: 62 of one letter, then 3,844 of two.
pub(super) fn short_name(n: usize) -> String {
    let letter = |n: usize| char::from(LETTERS[n % LETTERS.len()]);
    match n.checked_sub(LETTERS.len()) {
        None => letter(n).into(),
        Some(rest) => [letter(rest / LETTERS.len()), letter(rest)].iter().collect(),
    }
}

/// Length of the first `layers` short names with colons between.
fn joined_length(layers: usize) -> usize {
    let two = layers.saturating_sub(LETTERS.len());
    (layers * 2 + two).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn short_names_differ_and_their_length_is_known() {
        let names: Vec<String> = (0..500).map(short_name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 500);
        for count in [1, 62, 63, 106, 128, 500] {
            assert_eq!(names[..count].join(":").len(), joined_length(count), "{count}");
        }
    }

    #[test]
    fn limits() {
        assert!(MountMethod::OneString.takes(106) && !MountMethod::OneString.takes(107));
        assert!(MountMethod::ALL.iter().filter(|method| method.takes(500)).count() == 3);
    }
}
