//! Commands about containers, one verb per file.
//!
//! What docker's daemon answers comes from the engine; what its client says and how it exits is here.

mod connect;
mod document;
mod filter;
mod networks;
pub(super) mod pattern;

pub(super) mod attach;
pub(super) mod create;
pub(super) mod exec;
pub(super) mod flags;
pub(super) mod inspect;
pub(super) mod kill;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod pause;
pub(super) mod port;
pub(super) mod remove;
pub(super) mod rename;
pub(super) mod restart;
pub(super) mod run;
pub(super) mod start;
pub(super) mod stop;
pub(super) mod top;
pub(super) mod wait;

use super::{Ended, Failure};
use dhow_engine::EngineError;
use std::ffi::OsString;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

/// How many containers are worked on at once, as in docker.
const PARALLEL: usize = 50;

/// Does `work` on each of these containers, several at once, and prints what it returns in the order of the command
/// line. Failures are told as they come; the exit code is 1 if there was one that counts, `spared` ones do not.
fn each(
    names: &[OsString],
    spared: impl Fn(&EngineError) -> bool,
    work: impl Fn(&str) -> Result<String, EngineError> + Sync,
) -> Ended {
    let names: Vec<String> = names.iter().map(|n| super::global::text(n)).collect();
    if let [name] = names.as_slice() {
        return told(work(name), &spared);
    }
    let next = AtomicUsize::new(0);
    let mut code = 0;
    std::thread::scope(|scope| {
        let (done, results) = channel();
        for _ in 0..names.len().min(PARALLEL) {
            let (names, next, work, done) = (&names, &next, &work, done.clone());
            scope.spawn(move || {
                while let Some((at, name)) = take(names, next) {
                    // Nobody listens any more when standard output is gone.
                    if done.send((at, work(name))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut waiting: Vec<Option<Result<String, EngineError>>> = names.iter().map(|_| None).collect();
        let mut shown = 0;
        for (at, result) in results {
            waiting[at] = Some(result);
            while let Some(result) = waiting.get_mut(shown).and_then(Option::take) {
                code = code.max(told(result, &spared)?);
                shown += 1;
            }
        }
        Ok(code)
    })
}

fn take<'n>(names: &'n [String], next: &AtomicUsize) -> Option<(usize, &'n str)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    names.get(at).map(|name| (at, name.as_str()))
}

fn told(result: Result<String, EngineError>, spared: impl Fn(&EngineError) -> bool) -> Ended {
    match result {
        Ok(line) => {
            writeln!(std::io::stdout(), "{line}")?;
            Ok(0)
        }
        Err(error) => {
            let spare = spared(&error);
            Failure::from(error).report();
            Ok(u8::from(!spare))
        }
    }
}

/// The first `most` characters, the last of them an ellipsis when some were left out.
fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}
