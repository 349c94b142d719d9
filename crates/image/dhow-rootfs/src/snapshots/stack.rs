//! Layers on top of each other.

use super::SnapshotError;
use crate::below::OPAQUE;
use dhow_sys::tree::{self, Target, Tree};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The directories of layers, by absolute paths. The one added last is on top and hides what is beneath.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Bottom first.
    layers: Vec<PathBuf>,
}

impl Stack {
    /// A stack of these layers, the bottom one first, as an image's configuration lists them.
    pub fn from_bottom<P: Into<PathBuf>>(layers: impl IntoIterator<Item = P>) -> Stack {
        Stack { layers: layers.into_iter().map(Into::into).collect() }
    }

    /// This stack with one more layer on top.
    #[must_use]
    pub fn with(&self, layer: impl Into<PathBuf>) -> Stack {
        let mut layers = self.layers.clone();
        layers.push(layer.into());
        Stack { layers }
    }

    /// The layers, top first, as the kernel lists them.
    pub fn top_first(&self) -> impl Iterator<Item = &Path> {
        self.layers.iter().rev().map(PathBuf::as_path)
    }

    /// How many layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layers that can be seen, top first: none beneath one whose root hides what is below. The kernel honours that
    /// mark on every directory but a layer's root.
    pub(super) fn visible(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut visible = Vec::new();
        for layer in self.top_first() {
            let root = Tree::open(layer).map_err(SnapshotError::io("open layer", layer))?;
            let mark = tree::get_xattr(Target::Fd(root.as_fd()), OsStr::new(OPAQUE))
                .map_err(SnapshotError::io("read attributes of layer", layer))?;
            visible.push(layer.to_owned());
            if mark.as_deref() == Some(b"y") {
                break;
            }
        }
        Ok(visible)
    }
}
