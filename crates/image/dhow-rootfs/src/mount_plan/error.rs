//! Why a mount could not be planned or made.

use dhow_spec::error_kind::{Classify, Kind, kind_of_io};
use dhow_sys::mount::MountError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Every failure of planning or making a root filesystem's mount.
#[derive(Debug, thiserror::Error)]
pub enum MountPlanError {
    /// A directory was named by a path that depends on the working directory.
    #[error("cannot mount {path:?}: the path is not absolute")]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// There is nothing to mount.
    #[error("cannot mount a stack without layers")]
    NoLayer,
    /// The stack is higher than the kernel can do.
    #[error("cannot stack {count} layers: the kernel allows {}", super::LAYERS_MAX)]
    TooManyLayers {
        /// Their number.
        count: usize,
    },
    /// This kernel, or this process, cannot mount an overlay at all.
    #[error("cannot mount an overlay here: {why}")]
    Unsupported {
        /// What is missing.
        why: String,
    },
    /// A layer's directory cannot be opened.
    #[error("cannot open layer directory {path:?}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel refused every way that was tried.
    #[error("cannot mount the root filesystem: {}", joined(.0))]
    Refused(Vec<Attempt>),
}

/// One way that was tried, and how it ended.
#[derive(Debug)]
pub struct Attempt {
    /// The name of the method; `bind` for a bind mount.
    pub method: &'static str,
    /// What the kernel said.
    pub error: MountError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.error)
    }
}

fn joined(attempts: &[Attempt]) -> String {
    attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("; ")
}

impl Classify for MountPlanError {
    fn kind(&self) -> Kind {
        use io::ErrorKind as E;
        match self {
            MountPlanError::Relative { .. } | MountPlanError::NoLayer => Kind::Internal,
            MountPlanError::TooManyLayers { .. } | MountPlanError::Unsupported { .. } => Kind::Unsupported,
            MountPlanError::Directory { source, .. } => kind_of_io(source),
            MountPlanError::Refused(attempts) => match attempts.first().map(|attempt| &attempt.error.source) {
                // EINVAL and ENODEV are how the kernel says that a file system cannot be part of an overlay.
                Some(e) if e.kind() == E::InvalidInput || e.raw_os_error() == Some(NODEV) => Kind::Unsupported,
                Some(e) => kind_of_io(e),
                None => Kind::Internal,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            MountPlanError::Unsupported { .. } => Some("load the kernel module `overlay`, and run as root".into()),
            MountPlanError::Refused(_) if self.kind() == Kind::Unsupported => {
                Some("keep the data root on ext4, xfs or btrfs; the kernel's log may say more".into())
            }
            _ if self.kind() == Kind::Denied => Some("run as root: mounting needs privileges".into()),
            _ => None,
        }
    }
}

const NODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();
