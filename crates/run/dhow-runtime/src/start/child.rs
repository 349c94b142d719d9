//! The new process, from its first instruction to its exec: a list of steps, to be read from top to bottom.
//!
//! It runs on a copy of the caller's memory and shares nothing with it but descriptors. What it is to do was worked out
//! before ([`Plan`](super::plan::Plan)); here it is only done. Each step has a name, and what goes wrong is told with it.

mod credentials;
mod devices;
pub(super) mod failure;
mod foreign;
mod hooks;
pub(super) mod kernel;
mod mounts;
mod namespaces;
mod paths;
mod place;
mod program;
mod root;
mod schedule;
mod streams;

use super::Stdio;
use super::conversation::Channel;
use super::plan::{Container, process::Program};
use crate::cgroup::Entry;
use crate::seccomp::Filter;
use dhow_sys::clone::{Namespaces, Relation, clone};
use failure::{Context, Failure};
use oci_spec::runtime::LinuxNamespaceType;
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What the new process knows, and what it gathers on its way.
pub(super) struct Child<'a> {
    pub(super) program: &'a Program,
    pub(super) container: &'a Container,
    pub(super) channel: Channel,
    pub(super) stdio: &'a Stdio<'a>,
    /// The null device on a read-only mount: stands in for a terminal that is still to be made.
    pub(super) null: Option<BorrowedFd<'a>>,
    pub(super) cgroup: &'a Entry<'a>,
    pub(super) seccomp: Option<&'a Filter>,
    /// Namespaces to join, each held by a descriptor.
    pub(super) join: &'a [(LinuxNamespaceType, OwnedFd)],
    /// What is entered, if anything.
    pub(super) enter: Option<Entered<'a>>,
    /// The root directory of the container.
    pub(super) root: Option<OwnedFd>,
    /// Detached clones of what is bound, in the order of the mounts.
    pub(super) sources: &'a [Option<OwnedFd>],
    /// File systems that become read-only once their contents have been made.
    pub(super) read_only_later: Vec<OwnedFd>,
    /// A procfs that nobody else has a name for.
    pub(super) procfs: Option<OwnedFd>,
    /// The program, found.
    pub(super) path: CString,
}

/// A container that runs.
pub(super) struct Entered<'a> {
    /// The process whose namespaces are entered. None once they have been.
    pub(super) pidfd: Option<BorrowedFd<'a>>,
    /// Which of them.
    pub(super) namespaces: Namespaces,
}

/// One thing to do.
type Step = fn(&mut Child<'_>) -> Result<(), Failure>;
/// Things to do, one after the other.
type Steps = [(&'static str, Step)];

/// What happens with the caller's rights and in his user and pid namespace. No process of a container sees us until the end
/// of this, unless it shares the host's pid namespace; so what is the caller's is left behind here.
const BEFORE: &[&Steps] = &[&[
    ("process", namespaces::leave_the_caller),
    ("control group", namespaces::enter_cgroup),
    ("time namespace", namespaces::clocks),
    ("joining namespaces", namespaces::join),
    ("standard streams", streams::files),
    ("descriptors", program::close_the_callers),
]];

/// What happens in the namespaces of the container.
const STEPS: &[&Steps] = &[
    &[("user namespace", namespaces::become_root), ("session", namespaces::session)],
    MAKE_ROOT,
    &[
        ("terminal", streams::terminal),
        ("createRuntime hooks", hooks::create_runtime),
        ("createContainer hooks", hooks::create_container),
    ],
    ENTER_ROOT,
    &[("descriptors", program::close_descriptors)],
    BECOME_THE_USER,
    &[
        ("gate", program::gate),
        ("startContainer hooks", hooks::start_container),
        ("seccomp", credentials::seccomp),
        ("exec", program::execute),
    ],
];

/// The same for who joins the pid namespace of others, up to where he is seen there: whoever has CAP_SYS_PTRACE in it can take
/// over a process that has the caller's rights, or reach the host's files by way of its root directory. So all that takes
/// such rights is done before, by a process that is in that namespace only through its children.
const UNSEEN: &[&Steps] = &[
    &[
        ("process", namespaces::leave_the_caller),
        ("control group", namespaces::enter_cgroup),
        ("time namespace", namespaces::clocks),
        ("joining namespaces", namespaces::join_but_for_pids),
        ("standard streams", streams::files),
        ("namespaces", namespaces::unshare),
    ],
    MAKE_ROOT,
    &[("terminal", streams::make_terminal)],
    ENTER_ROOT,
    &[
        ("joining namespaces", namespaces::join_pids),
        ("descriptors", program::close_descriptors),
        ("rights", credentials::only_what_is_needed_inside),
    ],
];

/// What is left to be done where we are seen.
const SEEN: &[&Steps] = &[
    &[("session", namespaces::session), ("terminal", streams::control_terminal)],
    BECOME_THE_USER,
    &[("gate", program::gate), ("seccomp", credentials::seccomp), ("exec", program::execute)],
];

/// What happens before a running container is entered. Its processes do not see us yet.
const BEFORE_ENTERING: &[&Steps] = &[&[
    ("process", namespaces::leave_the_caller),
    ("oom score", kernel::oom_score),
    ("label", kernel::label),
    ("initial processors", schedule::initial_processors),
    ("control group", namespaces::enter_cgroup),
    ("final processors", schedule::last_processors),
    ("entering namespaces", namespaces::enter),
    ("standard streams", streams::files),
    ("descriptors", program::close_the_callers),
    ("rights", credentials::only_what_is_needed_inside),
]];

/// What happens in it.
const STEPS_INSIDE: &[&Steps] = &[
    &[
        ("session", namespaces::session),
        ("root", root::open),
        ("null device", streams::own_null),
        ("terminal", streams::terminal),
        ("working directory", program::working_directory),
        ("descriptors", program::close_descriptors),
    ],
    BECOME_THE_USER,
    &[("seccomp", credentials::seccomp), ("exec", program::execute)],
];

/// From new namespaces to a root with all that is in it, in a place of its own.
const MAKE_ROOT: &Steps = &[
    ("control group namespace", namespaces::unshare_cgroup),
    ("network", namespaces::loopback),
    ("names", kernel::names),
    ("propagation", root::keep_mounts_in),
    ("root", root::attach),
    ("mounts", mounts::mounts),
    ("devices", devices::devices),
    ("null device", streams::own_null),
];

/// What is hidden in it, and the change to it.
const ENTER_ROOT: &Steps = &[
    ("masked paths", paths::mask),
    ("read-only paths", paths::make_read_only),
    ("kernel parameters", kernel::parameters),
    ("label", kernel::label),
    ("pivot", root::pivot),
    ("working directory", program::working_directory),
    ("root attributes", root::attributes),
];

/// Everything but the program's own rights is given up.
const BECOME_THE_USER: &Steps = &[
    ("scheduling", schedule::scheduling),
    ("limits", credentials::limits),
    ("bounding set", credentials::bounding_set),
    ("user", credentials::user),
    ("no new privileges", credentials::no_new_privileges),
    ("capabilities", credentials::capabilities),
    ("program", program::find),
    ("seccomp", credentials::privileged_seccomp),
];

impl Child<'_> {
    /// Starts the container. Only comes back when something is wrong.
    pub(super) fn start(mut self) -> u8 {
        if !needs_sibling(self.join, self.container) {
            return self.run(&[BEFORE, STEPS]);
        }
        if stays_unseen(self.join, self.container) {
            return self.go_on_in_a_sibling(UNSEEN, Namespaces::empty(), SEEN);
        }
        // Namespaces of pids are for children, and the new user namespace must not be ours yet while we join others. The
        // one of clocks has been made: its clocks are set before anybody is in it.
        let namespaces = self.container.namespaces.unwrap_or(Namespaces::empty()) - Namespaces::TIME;
        self.go_on_in_a_sibling(BEFORE, namespaces, STEPS)
    }

    /// Enters a running container. Only comes back when something is wrong, and in the process that nobody waits for.
    pub(super) fn enter(mut self) -> u8 {
        self.go_on_in_a_sibling(BEFORE_ENTERING, Namespaces::empty(), STEPS_INSIDE)
    }

    fn go_on_in_a_sibling(&mut self, before: &[&Steps], namespaces: Namespaces, steps: &[&Steps]) -> u8 {
        if !self.all_done(before) {
            return 1;
        }
        let relation = Relation { namespaces, cgroup: None, sibling: true };
        let made = clone(&relation, || self.run(&[steps]));
        let told = made
            .context(|| "cannot make the process".to_owned())
            .and_then(|sibling| self.channel.tell_sibling(sibling.pid).context(|| "cannot tell its pid".to_owned()));
        match told {
            Ok(()) => 0,
            Err(failure) => {
                self.channel.complain("clone", &failure);
                1
            }
        }
    }

    fn run(&mut self, parts: &[&[&Steps]]) -> u8 {
        for steps in parts {
            if !self.all_done(steps) {
                return 1;
            }
        }
        unreachable!("the last step is the exec, which comes back with an error if at all")
    }

    fn all_done(&mut self, steps: &[&Steps]) -> bool {
        for (name, step) in steps.iter().copied().flatten() {
            if let Err(failure) = step(self) {
                self.channel.complain(name, &failure);
                return false;
            }
        }
        true
    }
}

/// Whether the container's first process must be made by another new process, in between.
pub(super) fn needs_sibling(join: &[(LinuxNamespaceType, OwnedFd)], container: &Container) -> bool {
    let joins = |kind| join.iter().any(|(joined, _)| *joined == kind);
    container.clocks.is_some()
        || joins(LinuxNamespaceType::Pid)
        || joins(LinuxNamespaceType::User)
        || (container.maps_users() && !join.is_empty())
}

/// Whether that one does almost everything, and the first process only the rest. With a user namespace there is no need to:
/// nobody but who has the same rights may look into it. Hooks are told a pid that lives on, so with them there must be one early.
pub(super) fn stays_unseen(join: &[(LinuxNamespaceType, OwnedFd)], container: &Container) -> bool {
    let joins = |kind| join.iter().any(|(joined, _)| *joined == kind);
    joins(LinuxNamespaceType::Pid) && !container.in_user_namespace && !container.hooks.are_early()
}
