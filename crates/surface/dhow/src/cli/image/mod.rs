//! Commands about images, one verb per file.

pub(super) mod history;
pub(super) mod import;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod load;
pub(super) mod prune;
pub(super) mod remove;
pub(super) mod save;
pub(super) mod tag;

use super::Failure;
use crate::output::progress::{LayerBar, Progress as Bars};
use dhow_engine::{LayerProgress, Progress};
use dhow_spec::{Digest, Platform};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value of `--platform`, if there is one.
fn platform(text: Option<&str>) -> Result<Option<Platform>, Failure> {
    let parse = |text: &str| text.parse().map_err(|e| Failure::error(format!("{e}")));
    text.filter(|t| !t.is_empty()).map(parse).transpose()
}

/// Bars for what takes long, where somebody watches.
struct Watch {
    bars: Bars,
    /// The line that is no layer's: reading the archive, or writing to the disk.
    other: Mutex<Option<LayerBar>>,
}

impl Watch {
    fn new(terminal: bool) -> Watch {
        Watch { bars: Bars::new(terminal), other: Mutex::new(None) }
    }

    fn other(&self) -> MutexGuard<'_, Option<LayerBar>> {
        self.other.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Watch {
    fn layer(&self, id: &Digest, total: Option<u64>) -> Box<dyn LayerProgress + '_> {
        if let Some(reading) = self.other().take() {
            reading.finish("Read");
        }
        Box::new(Bar(self.bars.layer(id.short(), total)))
    }

    fn spooled(&self, bytes: u64) {
        self.other().get_or_insert_with(|| self.bars.line("archive", "Reading", None)).reach(bytes);
    }

    fn flushing(&self) {
        // Dropped unfinished at the end, so that the line vanishes.
        *self.other() = Some(self.bars.line("disk", "Writing to disk", None));
    }
}

struct Bar(LayerBar);

impl LayerProgress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn finish(self: Box<Self>, text: &str) {
        self.0.finish(text);
    }
}
