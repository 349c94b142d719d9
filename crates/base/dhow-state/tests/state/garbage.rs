//! Collection: what goes, what stays, and who protects it.

use crate::store::{Sample, Scratch, bring_blob, names};
use dhow_spec::Digest;
use dhow_state::{ContentKind, Durability, Garbage, State};

fn collect(state: &State) -> Vec<Garbage> {
    let operation = state.begin("prune", 1).unwrap();
    let id = operation.id();
    operation.commit(Durability::Crash, |w| w.collect_garbage(id)).unwrap()
}

#[test]
fn what_no_image_needs_goes_with_its_files() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let (stays, goes) = (Sample::new(1), Sample::new(2));
    stays.load(&state).unwrap();
    goes.load(&state).unwrap();
    assert_eq!(collect(&state), []);
    state.write(Durability::Crash, |w| w.delete_image(&goes.id()).map(drop)).unwrap();
    let mut garbage: Vec<_> = collect(&state).into_iter().map(|g| (g.kind, g.digest, g.size)).collect();
    garbage.sort();
    let [config, manifest] = goes.blobs();
    let mut expected = vec![
        (ContentKind::Blob, config, 8),
        (ContentKind::Blob, manifest, 10),
        (ContentKind::Layer, goes.layers[1].clone(), 7),
    ];
    expected.sort();
    assert_eq!(garbage, expected, "the layer that both have stays");
    assert!(stays.paths(&state).iter().all(|p| p.exists()));
    assert!(goes.paths(&state).iter().filter(|p| p.exists()).count() == 1);
    assert_eq!(names(&state.root().join("work")), [""; 0]);
}

#[test]
fn a_lease_protects_until_its_operation_ends() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    let save = state.begin("save", 1).unwrap();
    save.lease_blob(&sample.id()).unwrap().unwrap();
    save.lease_layer(&sample.layers[1]).unwrap().unwrap();
    sample.remove(&state).unwrap();
    assert!(state.blob_path(&sample.id()).exists() && state.layer_path(&sample.layers[1]).exists());
    assert!(!state.layer_path(&sample.layers[0]).exists(), "nobody leased that one");
    drop(save);
    assert_eq!(state.read(|r| r.usage()).unwrap(), Default::default(), "what only the lease protected goes with it");
    assert!(!state.blob_path(&sample.id()).exists() && !state.layer_path(&sample.layers[1]).exists());
}

#[test]
fn a_commit_gives_back_its_leases_too() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    let save = state.begin("save", 1).unwrap();
    save.lease_blob(&sample.id()).unwrap().unwrap();
    sample.remove(&state).unwrap();
    save.commit(Durability::Crash, |_| Ok::<_, dhow_state::StateError>(())).unwrap();
    assert_eq!(state.read(|r| r.usage()).unwrap(), Default::default());
    assert!(!state.blob_path(&sample.id()).exists());
}

#[test]
fn ones_own_leases_protect_nothing() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let operation = state.begin("load", 1).unwrap();
    bring_blob(&operation, b"of no use in the end").unwrap();
    let id = operation.id();
    let garbage = operation.commit(Durability::Crash, |w| w.collect_garbage(id)).unwrap();
    assert_eq!(garbage.len(), 1);
    assert!(!state.blob_path(&Digest::of(b"of no use in the end")).exists());
}

#[test]
fn what_was_published_anew_before_the_sweep_stays() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    let remove = state.begin("remove", 1).unwrap();
    let id = remove.id();
    // The rows go, the files are still there: so it looks between the commit and the sweep.
    state
        .write(Durability::Crash, |w| {
            w.delete_image(&sample.id())?;
            w.collect_garbage(id)
        })
        .unwrap();
    assert!(state.read(|r| r.blob(&sample.id())).unwrap().is_none());
    sample.load(&state).unwrap();
    drop(remove);
    assert!(sample.paths(&state).iter().all(|p| p.exists()));
    let report = state.check(&Default::default(), 0).unwrap();
    assert_eq!(report.findings, []);
}
