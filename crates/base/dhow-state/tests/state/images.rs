//! Images, manifests, tags: what goes in comes out.

use crate::store::{Sample, Scratch, bring_blob};
use dhow_spec::{Classify as _, Digest, Kind};
use dhow_state::{Durability, ImageRow, ManifestRow, State, StateError};

#[test]
fn an_image_comes_back_as_it_went_in() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    sample.load(&state).unwrap();
    state
        .read(|r| {
            assert_eq!(r.image(&sample.id())?, Some(sample.image()));
            assert_eq!(r.manifests_of(&sample.id())?, [sample.manifest_row()]);
            assert_eq!(r.tag(&sample.name)?, Some(sample.tag()));
            assert_eq!(r.tags_of(&sample.id())?, [sample.tag()]);
            assert_eq!(r.images_using_layer(&sample.layers[0])?, [sample.id()]);
            assert_eq!(r.layers_all()?.len(), 2);
            let usage = r.usage()?;
            assert_eq!((usage.images, usage.blobs, usage.layers), (1, (2, 18), (2, 14)));
            Ok::<_, StateError>(())
        })
        .unwrap();
}

#[test]
fn lists_have_everything_in_order() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let mut ids: Vec<Digest> = (0..20).map(|n| Sample::new(n).id()).collect();
    (0..20).for_each(|n| Sample::new(n).load(&state).unwrap());
    state.write(Durability::Crash, |w| w.delete_tag("docker.io/library/sample:3").map(drop)).unwrap();
    ids.sort();
    let list = state.read(|r| r.list_images()).unwrap();
    assert_eq!(list.iter().map(|i| i.image.id.clone()).collect::<Vec<_>>(), ids);
    for n in 0..20 {
        let sample = Sample::new(n);
        let found = list.iter().find(|i| i.image.id == sample.id()).unwrap();
        assert_eq!(found.tags, if n == 3 { vec![] } else { vec![sample.tag()] });
        assert_eq!(found.manifests, [sample.manifest_row().digest]);
        assert_eq!(found.image.clone().with_layers(sample.layers.to_vec()), sample.image());
    }
}

#[test]
fn prefixes_are_taken_literally() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    Sample::new(11).load(&state).unwrap();
    let by_hex = |prefix: &str| state.read(|r| r.images_by_hex_prefix(prefix)).unwrap();
    let id = sample.id();
    assert_eq!(by_hex(&id.hex()[..6]), std::slice::from_ref(&id));
    assert_eq!(by_hex(id.hex()), [id]);
    assert_eq!(by_hex("").len(), 2);
    assert!(by_hex("%").is_empty() && by_hex("_").is_empty() && by_hex("ABC").is_empty());
    let by_name = |prefix: &str| state.read(|r| r.tags_with_prefix(prefix)).unwrap().len();
    assert_eq!((by_name("docker.io/library/sample:"), by_name("docker.io/library/sample:11")), (2, 1));
    assert_eq!((by_name("docker.io/library/sample_"), by_name("docker.io/%")), (0, 0));
}

#[test]
fn a_tag_moves_and_says_where_from() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let (old, new) = (Sample::new(1), Sample::new(2));
    old.load(&state).unwrap();
    new.load(&state).unwrap();
    let moved = dhow_state::TagRow { name: old.name.clone(), ..new.tag() };
    assert_eq!(state.write(Durability::Crash, |w| w.set_tag(&moved)).unwrap(), Some(old.tag()));
    assert_eq!(state.read(|r| r.tags_of(&new.id())).unwrap().len(), 2);
    let stranger = dhow_state::TagRow { manifest: old.tag().manifest, ..moved.clone() };
    let error = state.write(Durability::Crash, |w| w.set_tag(&stranger)).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(state.write(Durability::Crash, |w| w.delete_tag(&old.name)).unwrap(), Some(moved));
    assert_eq!(state.write(Durability::Crash, |w| w.delete_tag(&old.name)).unwrap(), None);
}

#[test]
fn what_is_not_there_or_not_flushed_belongs_to_no_image() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    let missing = state.write(Durability::Crash, |w| sample.record(w)).unwrap_err();
    assert!(matches!(missing, StateError::Missing { .. }));

    let operation = state.begin("load", 1).unwrap();
    sample.bring(&state, &operation).unwrap();
    let unflushed = operation.commit(Durability::PowerCut, |w| sample.record(w)).unwrap_err();
    assert!(matches!(unflushed, StateError::NotFlushed { .. }));

    // Flushed too early: something came after it.
    let operation = state.begin("load", 1).unwrap();
    operation.sync_published().unwrap();
    sample.bring(&state, &operation).unwrap();
    assert!(operation.commit(Durability::PowerCut, |w| sample.record(w)).is_err());
    assert_eq!(state.read(|r| r.usage()).unwrap(), Default::default());
}

/// A second manifest of the same image.
fn another_manifest(state: &State, of: &ImageRow, bytes: &[u8]) -> ManifestRow {
    let operation = state.begin("load", 1).unwrap();
    bring_blob(&operation, bytes).unwrap();
    operation.lease_blob(&of.id).unwrap().unwrap();
    operation.sync_published().unwrap();
    let row = ManifestRow {
        digest: Digest::of(bytes),
        image: of.id.clone(),
        media_type: "x".to_owned(),
        size: bytes.len() as u64,
        blobs: vec![of.id.clone()],
    };
    operation.commit(Durability::PowerCut, |w| w.put_image(of, &row)).unwrap();
    row
}

#[test]
fn unused_manifests_go_but_never_the_last() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    let second = another_manifest(&state, &sample.image(), b"another manifest");
    let drop_unused = || state.write(Durability::Crash, |w| w.delete_unused_manifests(&sample.id())).unwrap();
    assert_eq!(drop_unused(), std::slice::from_ref(&second.digest), "the tagged one stays");

    let second = another_manifest(&state, &sample.image(), b"another manifest");
    assert_eq!(state.read(|r| r.manifest(&second.digest)).unwrap(), Some(second.clone()));
    state.write(Durability::Crash, |w| w.delete_tag(&sample.name).map(drop)).unwrap();
    assert_eq!(drop_unused(), [sample.manifest_row().digest], "without tags the newest stays");
    assert_eq!(drop_unused(), []);
    assert_eq!(state.read(|r| r.manifests_of(&sample.id())).unwrap(), [second]);
}
