//! The scenarios: data, so that a command of tomorrow is one entry more.
//!
//! `{in}` is the directory of the input archives (images.rs), `{out}` the one that `save` writes to.

/// One command to be killed.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Whether there is no store before the command: it makes one.
    pub(crate) virgin: bool,
    /// Commands that make the store it starts from.
    pub(crate) setup: &'static [&'static str],
    /// The command that is killed.
    pub(crate) command: &'static str,
    /// A command that runs at the same time and is not killed.
    pub(crate) beside: Option<Beside>,
    /// Besides "nothing happened" and "all of it happened": command lists whose result is allowed too.
    pub(crate) also: &'static [&'static [&'static str]],
    /// Whether the command succeeds, and changes nothing, where it has already happened.
    pub(crate) idempotent: bool,
    /// Whether the command makes an image whose identity holds the time.
    pub(crate) dated: bool,
    /// The file below `{out}` that it writes, and how many images that must hold.
    pub(crate) output: Option<(&'static str, usize)>,
}

/// The command beside the killed one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside {
    pub(crate) command: &'static str,
    /// Whether it may lose: the killed command can take away what it names.
    pub(crate) may_fail: bool,
}

const NONE: Scenario = Scenario {
    name: "",
    virgin: false,
    setup: &[],
    command: "",
    beside: None,
    also: &[],
    idempotent: false,
    dated: false,
    output: None,
};

const LOAD_BASE: &str = "load -q -i {in}/base.tar";
const LOAD_APP: &str = "load -q -i {in}/app.tar";
const LOAD_THIRD: &str = "load -q -i {in}/third.tar";
const LOAD_OTHER: &str = "load -q -i {in}/other.tar";
const LOAD_SEVERAL: &str = "load -q -i {in}/several.tar";

/// A command beside that has to succeed.
const fn beside(command: &'static str) -> Option<Beside> {
    Some(Beside { command, may_fail: false })
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "load-first", virgin: true, command: LOAD_BASE, idempotent: true, ..NONE },
    Scenario { name: "load-fresh", command: LOAD_APP, idempotent: true, ..NONE },
    Scenario { name: "load-gzip", setup: &[LOAD_BASE], command: LOAD_OTHER, idempotent: true, ..NONE },
    Scenario { name: "load-shared", setup: &[LOAD_BASE, LOAD_OTHER], command: LOAD_APP, idempotent: true, ..NONE },
    Scenario {
        name: "load-several",
        setup: &[LOAD_OTHER],
        command: LOAD_SEVERAL,
        // Each image whole or absent; they need not come together.
        also: &[&[LOAD_APP], &[LOAD_THIRD]],
        idempotent: true,
        ..NONE
    },
    Scenario {
        // The archive takes a name away from an image that is there.
        name: "load-moves-tag",
        setup: &[LOAD_BASE, "tag base:1 third:1"],
        command: LOAD_THIRD,
        idempotent: true,
        ..NONE
    },
    Scenario { name: "import", setup: &[LOAD_BASE], command: "import {in}/rootfs.tar imported:1", dated: true, ..NONE },
    Scenario {
        name: "tag-new",
        setup: &[LOAD_BASE, LOAD_OTHER],
        command: "tag base:1 again:1",
        idempotent: true,
        ..NONE
    },
    Scenario {
        name: "tag-moving",
        setup: &[LOAD_BASE, LOAD_OTHER],
        command: "tag base:1 other:1",
        idempotent: true,
        ..NONE
    },
    Scenario { name: "rmi-untag", setup: &[LOAD_BASE, "tag base:1 again:1"], command: "rmi again:1", ..NONE },
    Scenario { name: "rmi-last-tag", setup: &[LOAD_BASE, LOAD_OTHER], command: "rmi other:1", ..NONE },
    Scenario { name: "rmi-shared", setup: &[LOAD_BASE, LOAD_APP, LOAD_THIRD], command: "rmi app:1", ..NONE },
    Scenario {
        name: "rmi-several",
        setup: &[LOAD_BASE, LOAD_APP, LOAD_OTHER],
        command: "rmi app:1 other:1",
        also: &[&["rmi app:1"], &["rmi other:1"]],
        ..NONE
    },
    Scenario {
        name: "prune",
        setup: &[LOAD_BASE, LOAD_OTHER, LOAD_APP, "tag base:1 other:1"],
        command: "image prune -f",
        idempotent: true,
        ..NONE
    },
    Scenario {
        name: "prune-all",
        setup: &[LOAD_BASE, LOAD_APP],
        command: "image prune -f -a",
        also: &[&["rmi base:1"], &["rmi app:1"]],
        idempotent: true,
        ..NONE
    },
    Scenario {
        name: "save",
        setup: &[LOAD_APP, LOAD_OTHER],
        command: "save -o {out}/out.tar app:1 other:1",
        idempotent: true,
        output: Some(("out.tar", 2)),
        ..NONE
    },
    Scenario {
        name: "save-over",
        setup: &[LOAD_APP, LOAD_OTHER, "save -o {out}/out.tar other:1 app:1"],
        command: "save -o {out}/out.tar app:1 other:1",
        idempotent: true,
        output: Some(("out.tar", 2)),
        ..NONE
    },
    Scenario {
        name: "load-beside-rmi",
        setup: &[LOAD_BASE],
        command: LOAD_APP,
        beside: beside("rmi base:1"),
        idempotent: true,
        ..NONE
    },
    Scenario { name: "rmi-beside-load", setup: &[LOAD_BASE], command: "rmi base:1", beside: beside(LOAD_APP), ..NONE },
    Scenario { name: "load-beside-load", command: LOAD_APP, beside: beside(LOAD_APP), idempotent: true, ..NONE },
    Scenario { name: "load-beside-other", command: LOAD_APP, beside: beside(LOAD_THIRD), idempotent: true, ..NONE },
    Scenario {
        name: "prune-beside-tag",
        setup: &[LOAD_BASE, LOAD_APP, "tag app:1 base:1"],
        command: "image prune -f",
        beside: beside("tag app:1 kept:1"),
        idempotent: true,
        ..NONE
    },
    Scenario {
        // The tag may come too late for the image that the prune takes away.
        name: "prune-all-beside-tag",
        setup: &[LOAD_BASE, LOAD_OTHER],
        command: "image prune -f -a",
        beside: Some(Beside { command: "tag other:1 kept:1", may_fail: true }),
        also: &[&["rmi base:1"], &["rmi other:1"]],
        idempotent: true,
        ..NONE
    },
    Scenario {
        name: "tag-beside-prune",
        setup: &[LOAD_BASE, LOAD_APP, "tag app:1 base:1"],
        command: "tag app:1 kept:1",
        beside: beside("image prune -f"),
        idempotent: true,
        ..NONE
    },
];

/// Looks one up.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn each_name_is_used_once() {
        let names: BTreeSet<&str> = super::ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), super::ALL.len());
    }
}
