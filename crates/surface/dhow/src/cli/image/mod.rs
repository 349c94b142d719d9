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

/// The value of `--platform`, if there is one.
fn platform(text: Option<&str>) -> Result<Option<Platform>, Failure> {
    let parse = |text: &str| text.parse().map_err(|e| Failure::error(format!("{e}")));
    text.filter(|t| !t.is_empty()).map(parse).transpose()
}

/// Bars for layers, where somebody watches.
struct Watch(Bars);

impl Progress for Watch {
    fn layer(&self, id: &Digest, total: Option<u64>) -> Box<dyn LayerProgress + '_> {
        Box::new(Bar(self.0.layer(id.short(), total)))
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
