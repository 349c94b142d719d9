//! The resource limits (getrlimit(2)) that a container and its supervisor have when nobody asks for others.
//!
//! Docker's containers have those of its daemon; here they would be those of whatever shell the command was typed in, and
//! a supervisor would be killed by `ulimit -f` or `ulimit -t` of that. So:
//!
//! | limit                                | soft                                | hard                          |
//! |--------------------------------------|-------------------------------------|-------------------------------|
//! | CPU, FSIZE, DATA, AS, NPROC          | unlimited                           | unlimited                     |
//! | NOFILE                               | the hard one, at most 1 048 576     | at least 1 048 576            |
//! | all others (CORE, STACK, MEMLOCK, ..) | the caller's                        | the caller's                  |
//!
//! Raising a hard limit takes CAP_SYS_RESOURCE in the host's user namespace; without it each soft limit is as high as the
//! hard one allows. What `process.rlimits` of the spec says comes later, and counts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files: enough for anybody, and little enough for those programs that try to close all there may be.
const FILES: u64 = 1_048_576;

/// Lifts the limits of the calling process as said above, as far as it is allowed to.
pub fn lift() {
    for resource in [Resource::Cpu, Resource::Fsize, Resource::Data, Resource::As, Resource::Nproc] {
        raise(resource, None, None);
    }
    let hard = getrlimit(Resource::Nofile).maximum.map(|hard| hard.max(FILES));
    raise(Resource::Nofile, Some(FILES), hard);
}

/// None is unlimited.
fn raise(resource: Resource, soft: Option<u64>, hard: Option<u64>) {
    let present = getrlimit(resource);
    let lower = |a: Option<u64>, b: Option<u64>| a.zip(b).map_or(a.or(b), |(a, b)| Some(a.min(b)));
    for maximum in [hard, present.maximum] {
        let wanted = Rlimit { current: lower(soft, maximum), maximum };
        if wanted == present || setrlimit(resource, wanted).is_ok() {
            return;
        }
    }
}
