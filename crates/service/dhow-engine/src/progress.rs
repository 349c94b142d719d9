//! What a long use case tells while it runs, and how it is told to stop.

use dhow_spec::Digest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Somebody who watches a use case.
pub trait Progress: Sync {
    /// A layer begins; `total` is the number of bytes that will be reported, where it is known.
    fn layer(&self, id: &Digest, total: Option<u64>) -> Box<dyn LayerProgress + '_>;
    /// Bytes of an archive were written down, in bytes so far.
    fn spooled(&self, _bytes: u64) {}
    /// Everything is there and is being written to the disk.
    fn flushing(&self) {}
}

/// Somebody who watches one layer.
pub trait LayerProgress: Send + Sync {
    /// So many more bytes were read.
    fn advance(&self, bytes: u64);
    /// The layer is done; `text` says how, in a few words.
    fn finish(self: Box<Self>, text: &str);
}

/// Nobody watches.
pub struct Silent;

impl Progress for Silent {
    fn layer(&self, _id: &Digest, _total: Option<u64>) -> Box<dyn LayerProgress + '_> {
        Box::new(Silent)
    }
}

impl LayerProgress for Silent {
    fn advance(&self, _bytes: u64) {}
    fn finish(self: Box<Self>, _text: &str) {}
}

/// A request to stop, set by a signal handler and looked at between chunks of work.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A request that `flag` stands for.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Cancel {
        Cancel(flag)
    }

    /// Whether it was asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
