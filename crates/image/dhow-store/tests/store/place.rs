//! A store in a directory of its own, removed at the end.

use dhow_state::{Access, Places, State};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Place {
    pub(crate) dir: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhow-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        Place { dir }
    }

    pub(crate) fn open(&self) -> State {
        let places = Places { root: self.dir.join("root"), run_root: self.dir.join("run") };
        State::open(&places, Access::ReadWrite).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
