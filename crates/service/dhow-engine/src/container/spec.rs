//! From a container's configuration to the OCI spec that its supervisor starts: pure, but for reading users in the root.

use super::request::{Config, CreateRequest, HostConfig};
use super::view::Container;
use crate::EngineError;
use dhow_spec::ImageConfig;
use oci_spec::runtime::{Process, Spec, User};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// What is in force: the request over the image's configuration, checked for what makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// With the image's values where the request had none.
    pub config: Config,
    /// Checked.
    pub host: HostConfig,
    /// Program and arguments.
    pub command: Vec<String>,
    /// What could not be had as asked for.
    pub warnings: Vec<String>,
}

/// Puts a request on top of the image's configuration.
///
/// # Errors
/// [`EngineError::Invalid`] names the option that makes no sense or contradicts another.
pub fn merge(request: &CreateRequest, image: Option<&ImageConfig>) -> Result<Merged, EngineError> {
    let _ = (request, image);
    unimplemented!()
}

/// Files that dhow makes for a container and mounts into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// For `/etc/hostname`; none: left as the image has it.
    pub hostname: Option<PathBuf>,
    /// For `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// For `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// This program, for `--init`: mounted as `/sbin/docker-init` and called with `init --`.
    pub init: Option<PathBuf>,
}

/// Makes the spec. Namespaces to join are left out of `linux.namespaces`, the caller brings them as descriptors.
///
/// # Errors
/// [`EngineError::Invalid`].
pub fn build(container: &Container, user: &User, files: &Files) -> Result<Spec, EngineError> {
    let _ = (container, user, files);
    unimplemented!()
}

/// Finds `user[:group]` and additional groups in `/etc/passwd` and `/etc/group` of a root (opened inside it), as docker
/// does: numbers need not be there, names must.
///
/// # Errors
/// `unable to find user NAME: no matching entries in passwd file`.
pub fn resolve_user(root: BorrowedFd<'_>, user: Option<&str>, groups: &[String]) -> Result<User, EngineError> {
    let _ = (root, user, groups);
    unimplemented!()
}

/// The home directory of a user in a root: `HOME` where nothing else sets it.
pub fn home(root: BorrowedFd<'_>, uid: u32) -> Option<String> {
    let _ = (root, uid);
    unimplemented!()
}

/// The process of an `exec`, from the process of the container that it runs in.
///
/// # Errors
/// [`EngineError::Invalid`].
pub fn exec_process(base: &Process, request: &super::ExecRequest, user: Option<User>) -> Result<Process, EngineError> {
    let _ = (base, request, user);
    unimplemented!()
}
