//! The root filesystem's mount as data: a pure function plans it, [`MountPlan::mount`] carries it out.
//!
//! An overlay of many layers can be asked for in several ways, because each older one runs into a limit: mount(2) takes
//! one page of options (128 layers named `sha256-<64 hex>` need two and a half), fsconfig(2) takes strings of 255 bytes,
//! and the parameters that name one layer at a time came late. [`MountMethod`] is that ladder, best first. A plan names
//! the rungs to try; the next one is tried when the kernel does not understand a parameter. The result of each is the
//! same: the fd of a detached mount, which belongs to no path and to no other process.
//!
//! This knows directories and the kernel. It does not know where layers come from or who may mount what.
//! Follows the kernel's `overlayfs.rst`.

mod error;
mod ladder;
mod method;
mod probe;

pub use error::{Attempt, MountPlanError};
pub use method::MountMethod;
pub use probe::{Capabilities, probe};

use std::fmt;
use std::path::{Path, PathBuf};

/// Most lower directories that the kernel stacks (OVL_MAX_STACK).
pub const LAYERS_MAX: usize = 500;

/// A mount that was decided on, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountPlan {
    /// Several directories as one tree.
    Overlay(OverlayPlan),
    /// One directory as it is.
    Bind {
        /// The directory.
        dir: PathBuf,
        /// Whether writing through the mount is refused (`EROFS`).
        read_only: bool,
    },
}

/// An overlay. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayPlan {
    /// The methods to try, in this order; at least one.
    pub methods: Vec<MountMethod>,
    /// The lower directories, top first; at least one, and two when nothing is writable.
    pub lower: Vec<PathBuf>,
    /// Where writes go. None makes the mount read-only.
    pub writable: Option<Writable>,
    /// The options beside the directories.
    pub options: Vec<OverlayOption>,
}

/// The two directories behind a writable overlay, on one file system. Neither may serve two mounts at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writable {
    /// Holds what was written.
    pub upper: PathBuf,
    /// The kernel's scratch place; empty at first.
    pub work: PathBuf,
}

/// One option of an overlay mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverlayOption {
    /// Its name.
    pub key: &'static str,
    /// Its value; none for a flag.
    pub value: Option<&'static str>,
}

/// What every overlay of ours is mounted with, whatever the defaults that this kernel was built with.
///
/// - `index=off`: an upper is private to one container and never exported, and an index would tie it to the inodes of
///   its lowers, which a copied data root does not keep;
/// - `redirect_dir=nofollow`, `metacopy=off`: a layer is foreign input; no attribute in it may point elsewhere. Renaming
///   a lower directory is `EXDEV`, on which mv(1) copies;
/// - `xino=auto`: inode numbers stay unique where layers are on several file systems.
///
/// `volatile` is left out: a container's writes survive a power cut as on a plain file system.
const OPTIONS: [OverlayOption; 4] = [
    OverlayOption { key: "index", value: Some("off") },
    OverlayOption { key: "redirect_dir", value: Some("nofollow") },
    OverlayOption { key: "metacopy", value: Some("off") },
    OverlayOption { key: "xino", value: Some("auto") },
];

impl MountPlan {
    /// Plans the tree that `layers` make, top first, with `writable` on top of it or read-only.
    ///
    /// One layer without a writable directory is bound, as the kernel wants two for an overlay. Whiteouts in it then
    /// show as the devices they are; who cannot rule them out puts an empty directory beneath.
    ///
    /// # Errors
    /// A [`MountPlanError`] for a relative path, for no layer or more than [`LAYERS_MAX`], and when the overlay cannot
    /// be mounted here.
    pub fn new(
        layers: &[PathBuf],
        writable: Option<Writable>,
        capabilities: &Capabilities,
    ) -> Result<MountPlan, MountPlanError> {
        let written = writable.iter().flat_map(|w| [&w.upper, &w.work]);
        if let Some(relative) = layers.iter().chain(written).find(|path| !path.is_absolute()) {
            return Err(MountPlanError::Relative { path: relative.clone() });
        }
        match layers {
            [] => return Err(MountPlanError::NoLayer),
            [dir] if writable.is_none() => return Ok(MountPlan::Bind { dir: dir.clone(), read_only: true }),
            _ if layers.len() > LAYERS_MAX => return Err(MountPlanError::TooManyLayers { count: layers.len() }),
            _ => {}
        }
        let methods: Vec<MountMethod> =
            capabilities.methods.iter().copied().filter(|method| method.takes(layers.len())).collect();
        if methods.is_empty() {
            return Err(MountPlanError::Unsupported { why: capabilities.missing.clone().unwrap_or_default() });
        }
        let mut options = OPTIONS.to_vec();
        if capabilities.user_attributes {
            options.push(OverlayOption { key: "userxattr", value: None });
        }
        Ok(MountPlan::Overlay(OverlayPlan { methods, lower: layers.to_vec(), writable, options }))
    }

    /// Whether writing through the mount is refused.
    pub fn is_read_only(&self) -> bool {
        match self {
            MountPlan::Overlay(plan) => plan.writable.is_none(),
            MountPlan::Bind { read_only, .. } => *read_only,
        }
    }
}

impl fmt::Display for MountPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = if self.is_read_only() { "read-only" } else { "read-write" };
        match self {
            MountPlan::Bind { dir, .. } => write!(f, "bind {access} {}", dir.display()),
            MountPlan::Overlay(plan) => {
                let methods: Vec<&str> = plan.methods.iter().map(|method| method.name()).collect();
                write!(f, "overlay {access} by {}", methods.join(", else "))?;
                for option in &plan.options {
                    write!(f, "\n  {option}")?;
                }
                if let Some(Writable { upper, work }) = &plan.writable {
                    write!(f, "\n  upper {}\n  work {}", upper.display(), work.display())?;
                }
                plan.lower.iter().try_for_each(|dir| write!(f, "\n  lower {}", dir.display()))
            }
        }
    }
}

impl fmt::Display for OverlayOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(self.key),
        }
    }
}

impl Writable {
    /// The pair `fs` and `work` in one directory.
    pub fn in_directory(dir: &Path) -> Writable {
        Writable { upper: dir.join("fs"), work: dir.join("work") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(count: usize) -> Vec<PathBuf> {
        (0..count).map(|n| PathBuf::from(format!("/layers/sha256-{n:064x}"))).collect()
    }

    fn everything() -> Capabilities {
        Capabilities { methods: MountMethod::ALL.to_vec(), user_attributes: false, missing: None }
    }

    fn methods(plan: &MountPlan) -> &[MountMethod] {
        match plan {
            MountPlan::Overlay(plan) => &plan.methods,
            MountPlan::Bind { .. } => &[],
        }
    }

    #[test]
    fn plan_reads_as_what_will_happen() {
        let writable = Writable::in_directory(Path::new("/c/1"));
        let plan = MountPlan::new(&["/l/b".into(), "/l/a".into()], Some(writable), &everything()).unwrap();
        assert_eq!(
            plan.to_string(),
            "overlay read-write by fsconfig-fd, else fsconfig-each, else fsconfig-string, else mount-page\n  \
             index=off\n  redirect_dir=nofollow\n  metacopy=off\n  xino=auto\n  \
             upper /c/1/fs\n  work /c/1/work\n  lower /l/b\n  lower /l/a"
        );
    }

    #[test]
    fn one_layer_without_writes_is_bound() {
        let plan = MountPlan::new(&layers(1), None, &everything()).unwrap();
        assert_eq!(plan, MountPlan::Bind { dir: layers(1).remove(0), read_only: true });
        let plan = MountPlan::new(&layers(1), Some(Writable::in_directory(Path::new("/c"))), &everything()).unwrap();
        assert!(!plan.is_read_only());
    }

    #[test]
    fn one_string_is_left_out_when_it_would_be_too_long() {
        let short = MountPlan::new(&layers(106), None, &everything()).unwrap();
        assert!(methods(&short).contains(&MountMethod::OneString));
        let long = MountPlan::new(&layers(107), None, &everything()).unwrap();
        assert!(!methods(&long).contains(&MountMethod::OneString));
        assert!(methods(&MountPlan::new(&layers(500), None, &everything()).unwrap()).contains(&MountMethod::Page));
    }

    #[test]
    fn impossible_plans_are_refused() {
        let fails =
            |layers: &[PathBuf], capabilities: &Capabilities| MountPlan::new(layers, None, capabilities).is_err();
        assert!(fails(&[], &everything()));
        assert!(fails(&layers(501), &everything()));
        assert!(fails(&["a".into(), "/b".into()], &everything()));
        let none = Capabilities { methods: Vec::new(), user_attributes: false, missing: Some("no overlay".into()) };
        assert!(fails(&layers(2), &none));
    }

    #[test]
    fn user_attributes_are_asked_for_outside_the_first_user_namespace() {
        let capabilities = Capabilities { user_attributes: true, ..everything() };
        let plan = MountPlan::new(&layers(2), None, &capabilities).unwrap();
        assert!(plan.to_string().contains("\n  userxattr\n"));
    }
}
