//! Random stacks: the kernel, the copy and the model must agree.

use crate::bench::Bench;
use crate::model::{Kind, Layer, Tree};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fs;

/// One step of making a layer. The numbers choose among the paths there are.
#[derive(Debug, Clone)]
enum Step {
    Directory(usize, u8),
    Opaque(usize, u8),
    File(usize, u8),
    Symlink(usize, u8),
    Link(usize, u8),
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (any::<usize>(), 0..4u8);
    prop_oneof![
        3 => place().prop_map(|(at, name)| Step::Directory(at, name)),
        1 => place().prop_map(|(at, name)| Step::Opaque(at, name)),
        3 => place().prop_map(|(at, name)| Step::File(at, name)),
        1 => place().prop_map(|(at, name)| Step::Symlink(at, name)),
        1 => place().prop_map(|(at, name)| Step::Link(at, name)),
        2 => any::<usize>().prop_map(Step::Delete),
    ]
}

/// Makes layers of the steps that are possible: a layer says each name once, names parents first, and deletes only what
/// is there.
fn layers(steps: &[Vec<Step>]) -> Vec<Layer> {
    let mut below = Tree::default();
    steps
        .iter()
        .map(|steps| {
            let mut made = Making { layer: Layer::new(), here: Tree::of(&[Layer::new()]), below: below.clone() };
            steps.iter().for_each(|step| made.step(step));
            below.apply(&made.layer);
            made.layer
        })
        .collect()
}

struct Making {
    layer: Layer,
    /// What the layer says itself; whiteouts as files, so that their names are taken.
    here: Tree,
    below: Tree,
}

impl Making {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Directory(at, name) => self.put(at, name, Kind::Directory),
            Step::File(at, name) => self.put(at, name, Kind::File(vec![b'x'; at % 7])),
            Step::Symlink(at, name) => self.put(at, name, Kind::Symlink("target".into())),
            Step::Opaque(at, name) => {
                let Some(path) = self.free(at, name) else { return };
                self.note(&path, Kind::Directory);
                self.layer = std::mem::take(&mut self.layer).directory(&path, 0o750).opaque(&path);
                self.below.apply(&Layer::default().whiteout(&path));
            }
            Step::Link(at, name) => {
                let files = self.names(|kind| matches!(kind, Kind::File(content) if content != b"whiteout"));
                let (Some(path), false) = (self.free(at, name), files.is_empty()) else { return };
                self.note(&path, Kind::File(Vec::new()));
                self.layer = std::mem::take(&mut self.layer).link(&path, &files[at % files.len()]);
            }
            Step::Delete(at) => {
                // Of the names below whose parents this layer has as directories.
                let directories = self.names(|kind| *kind == Kind::Directory);
                let there: Vec<String> = self
                    .below
                    .items
                    .keys()
                    .filter(|path| !path.is_empty() && !self.here.items.contains_key(*path))
                    .filter(|path| directories.contains(&parent(path)))
                    .cloned()
                    .collect();
                if there.is_empty() {
                    return;
                }
                let path = &there[at % there.len()];
                self.note(path, Kind::File("whiteout".into()));
                self.layer = std::mem::take(&mut self.layer).whiteout(path);
            }
        }
    }

    fn put(&mut self, at: usize, name: u8, kind: Kind) {
        let Some(path) = self.free(at, name) else { return };
        self.note(&path, kind.clone());
        self.layer = std::mem::take(&mut self.layer).put(&path, kind, [0o755, 0o700, 0o644, 0o600][at % 4]);
    }

    /// A name that the layer does not have yet, in a directory that it has.
    fn free(&self, at: usize, name: u8) -> Option<String> {
        let directories = self.names(|kind| *kind == Kind::Directory);
        let directory = &directories[at % directories.len()];
        let name = char::from(b'a' + name);
        let path = if directory.is_empty() { name.to_string() } else { format!("{directory}/{name}") };
        (!self.here.items.contains_key(&path)).then_some(path)
    }

    fn note(&mut self, path: &str, kind: Kind) {
        let directory = kind == Kind::Directory;
        self.here.apply(&Layer::default().put(path, kind, 0));
        if !directory || !self.below.items.get(path).is_some_and(|item| item.kind == Kind::Directory) {
            self.below.apply(&Layer::default().whiteout(path));
        }
    }

    fn names(&self, wanted: impl Fn(&Kind) -> bool) -> Vec<String> {
        self.here.items.iter().filter(|(_, item)| wanted(&item.kind)).map(|(path, _)| path.clone()).collect()
    }
}

fn parent(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_owned())
}

pub(crate) fn random_stacks(bench: &Bench) {
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let stacks = prop::collection::vec(prop::collection::vec(step(), 0..14), 1..6);
    let result = TestRunner::new(config).run(&stacks, |steps| {
        let layers = layers(&steps);
        let checked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.shows_what_the_model_says(&layers)));
        let _ = fs::remove_dir_all(&bench.dir);
        fs::create_dir_all(&bench.dir).unwrap();
        checked.map_err(|_| TestCaseError::fail(format!("{layers:#?}")))
    });
    result.unwrap();
}
