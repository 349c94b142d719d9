//! One case: a spec, what is expected inside, and who is known to differ; run with every runtime.

use crate::bundle::{Bundle, Group, spec};
use crate::runtimes::{self, Runtime};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// A difference that is known: it may be there or not, as versions differ.
struct Known {
    runtime: &'static str,
    /// The beginning of the name of the check, or of the error for a container that does not start.
    what: &'static str,
}

/// To be changed, then [`run`](Case::run).
pub(crate) struct Case {
    name: String,
    pub(crate) bundle: Bundle,
    group: Group,
    pub(crate) spec: Value,
    pub(crate) expected: Value,
    known: Vec<Known>,
}

/// What one runtime made of a case.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Checks that failed, with what was found.
    failures: Vec<String>,
    /// Whether the checking program came to its end.
    checked: bool,
    /// What the runtime itself had to say.
    pub(crate) errors: String,
    pub(crate) status: Option<i32>,
}

/// A case named after the test it is in. None without root.
pub(crate) fn case() -> Option<Case> {
    let name = std::thread::current().name().expect("the harness names threads after tests").to_owned();
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {name}: it needs root");
        return None;
    }
    let group = Group::new(&name);
    let spec = spec(&group.path());
    Some(Case { bundle: Bundle::new(&name), group, spec, name, expected: json!({}), known: vec![] })
}

impl Case {
    /// Replaces a value of the spec.
    pub(crate) fn set(&mut self, pointer: &str, value: Value) -> &mut Case {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.spec.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    /// Adds to a list of the spec.
    pub(crate) fn add(&mut self, pointer: &str, value: Value) -> &mut Case {
        self.spec.pointer_mut(pointer).unwrap().as_array_mut().unwrap().push(value);
        self
    }

    /// Leaves a kind of namespace out.
    pub(crate) fn share(&mut self, kind: &str) -> &mut Case {
        self.spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != kind);
        self
    }

    /// Expects this of a check (`dhow-oci-check` has the list).
    pub(crate) fn expect(&mut self, check: &str, value: Value) -> &mut Case {
        self.expected[check] = value;
        self
    }

    /// This runtime is known to differ: the specification leaves it open, or it has a fault; `_why` says which.
    pub(crate) fn differs(&mut self, runtime: &'static str, what: &'static str, _why: &str) -> &mut Case {
        self.known.push(Known { runtime, what });
        self
    }

    /// Runs it with one.
    fn outcome(&self, runtime: &Runtime) -> Outcome {
        self.bundle.write(&self.spec, &self.expected);
        let id = format!("{}-{}", self.group.path().replace('/', "-").trim_matches('-'), runtime.name);
        let output = runtime.run(&self.bundle.path(), &id);
        let text = String::from_utf8_lossy(&output.stdout);
        Outcome {
            failures: text.lines().filter_map(|l| l.strip_prefix("FAILED ")).map(str::to_owned).collect(),
            checked: text.lines().any(|l| l.starts_with("CHECKED ")),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code(),
        }
    }

    fn knows(&self, runtime: &str, failure: &str) -> bool {
        self.known.iter().any(|known| known.runtime == runtime && failure.starts_with(known.what))
    }

    /// Every runtime must do as expected, but for what is known to differ.
    pub(crate) fn run(&self) {
        self.run_and(|_, _| vec![]);
    }

    /// The same, with a look at what there is on the host afterwards, which may find more differences: `name: what`.
    pub(crate) fn run_and(&self, mut look: impl FnMut(&Runtime, &Path) -> Vec<String>) {
        let mut wrong = Vec::new();
        let mut failed_with: Vec<BTreeSet<String>> = Vec::new();
        for runtime in runtimes::all() {
            let mut outcome = self.outcome(runtime);
            if !outcome.checked {
                outcome.failures.push(format!("start: {}", outcome.errors));
            }
            outcome.failures.extend(look(runtime, &self.bundle.root()));
            let name = |failure: &String| failure.split(": ").next().unwrap_or_default().to_owned();
            failed_with.push(outcome.failures.iter().map(name).collect());
            outcome.failures.retain(|failure| !self.knows(runtime.name, failure));
            wrong.extend(outcome.failures.iter().map(|failure| format!("{}: {failure}", runtime.name)));
        }
        let everybody = failed_with.iter().skip(1).fold(failed_with[0].clone(), |all, these| &all & these);
        let hint = match everybody.is_empty() || failed_with.len() < 2 {
            true => String::new(),
            false => format!("\nA case that fails with everybody is a wrong case: {everybody:?}"),
        };
        assert!(wrong.is_empty(), "{}:\n{}{hint}", self.name, wrong.join("\n"));
    }

    /// Every runtime must refuse it, with an error that has this in it when it is ours.
    pub(crate) fn is_refused(&self, text: &str) {
        for runtime in runtimes::all() {
            let outcome = self.outcome(runtime);
            if self.knows(runtime.name, "refused") {
                continue;
            }
            assert!(!outcome.checked && outcome.status != Some(0), "{} ran it: {outcome:?}", runtime.name);
            if runtime.name == "dhow" {
                assert!(outcome.errors.contains(text), "{}", outcome.errors);
            }
        }
    }
}

/// The namespace of the test itself.
pub(crate) fn ours(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}
