//! The errors of this crate: what was tried, on what, and what the kernel said.

use crate::netlink::Failure;
use crate::ports::Port;
use dhow_spec::{Classify, Kind};
use std::io;

/// Why the network is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel refused a request over netlink.
    #[error("cannot {operation} {object}: {failure}")]
    Kernel {
        /// What was tried, as a verb: `create bridge`.
        operation: &'static str,
        /// On what, by name.
        object: String,
        /// The kernel's answer.
        #[source]
        failure: Failure,
    },
    /// A system call failed.
    #[error("cannot {operation} {object}: {source}")]
    System {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what, by name.
        object: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// What is to be changed is not there.
    #[error("{what} {name} does not exist")]
    Missing {
        /// The kind of thing: `link`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value from outside makes no sense.
    #[error("invalid {what} {value:?}: {problem}")]
    Invalid {
        /// The kind of value.
        what: &'static str,
        /// As it was given.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another container has the same port of the same address.
    #[error("Bind for {}:{} failed: port is already allocated", port.address(), port.port())]
    PortTaken {
        /// The port that was to be published.
        port: Port,
    },
    /// The kernel was built without what is needed.
    #[error("this kernel has no {feature}")]
    Unsupported {
        /// What.
        feature: String,
    },
}

impl NetworkError {
    /// For `map_err` behind a netlink request.
    pub(crate) fn kernel(operation: &'static str, object: impl Into<String>) -> impl FnOnce(Failure) -> NetworkError {
        let object = object.into();
        move |failure| NetworkError::Kernel { operation, object, failure }
    }

    /// For `map_err` behind a system call.
    pub(crate) fn system<E: Into<io::Error>>(
        operation: &'static str,
        object: impl Into<String>,
    ) -> impl FnOnce(E) -> NetworkError {
        let object = object.into();
        move |source| NetworkError::System { operation, object, source: source.into() }
    }

    /// `errno`, when the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NetworkError::Kernel { failure, .. } => failure.errno(),
            NetworkError::System { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// The kind of what the kernel says.
fn kind_of(errno: Option<i32>) -> Kind {
    use rustix::io::Errno;
    match errno.map(Errno::from_raw_os_error) {
        Some(Errno::EXIST | Errno::BUSY | Errno::ADDRINUSE) => Kind::Conflict,
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Kind::NotFound,
        Some(Errno::PERM | Errno::ACCESS) => Kind::Denied,
        Some(Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => Kind::Unsupported,
        _ => Kind::Internal,
    }
}

impl Classify for NetworkError {
    fn kind(&self) -> Kind {
        match self {
            NetworkError::Kernel { .. } | NetworkError::System { .. } => kind_of(self.errno()),
            NetworkError::PortTaken { .. } => Kind::Conflict,
            NetworkError::Missing { .. } => Kind::NotFound,
            NetworkError::Invalid { .. } => Kind::Invalid,
            NetworkError::Unsupported { .. } => Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        None
    }
}
