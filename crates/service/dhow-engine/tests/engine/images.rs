//! Images and the containers that hold them.

use crate::Test;
use crate::place::{IMAGE, Place};
use dhow_engine::container;
use dhow_engine::image::prune::PruneRequest;
use dhow_engine::image::remove::{Removal, RemoveOptions};
use dhow_spec::{Classify as _, Kind};

pub(crate) const TESTS: &[Test] = &[("images::are_held_by_containers", are_held_by_containers)];

fn are_held_by_containers() {
    let place = Place::new();
    let (engine, force) = (&place.engine, RemoveOptions { force: true });
    let id = place.running("one", &["sleep", "1000"]);
    let image = place.inspect(&id).image.unwrap();
    let (short, container) = (image.short().to_owned(), &id[..12]);

    let by_name = engine.remove_image(IMAGE, RemoveOptions::default()).unwrap_err();
    assert_eq!(
        by_name.to_string(),
        format!(
            "conflict: unable to remove repository reference \"busybox\" (must force) - container {container} is using \
             its referenced image {short}"
        )
    );
    assert_eq!(by_name.kind(), Kind::Conflict);
    for options in [RemoveOptions::default(), force] {
        let by_id = engine.remove_image(&image.to_string(), options).unwrap_err().to_string();
        let expected = format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container {container}"
        );
        assert_eq!(by_id, expected);
    }
    container::kill(engine, &id, 9).unwrap();
    let stopped = engine.remove_image(&image.to_string(), RemoveOptions::default()).unwrap_err().to_string();
    let expected = format!(
        "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {container}"
    );
    assert_eq!(stopped, expected);

    // Another name may go, the last one only by force; and the image stays.
    engine.tag(IMAGE, "other").unwrap();
    let untagged = |name: &str| vec![Removal::Untagged(format!("{name}:latest"))];
    assert_eq!(engine.remove_image("other", RemoveOptions::default()).unwrap(), untagged("other"));
    assert_eq!(engine.remove_image(IMAGE, force).unwrap(), untagged("busybox"));
    let all = PruneRequest { all: true, ..PruneRequest::default() };
    assert!(engine.prune_images(&all).unwrap().removed.is_empty());
    place.start(&id);
    container::remove(engine, &id, true).unwrap();
    assert_eq!(engine.prune_images(&PruneRequest::default()).unwrap().removed.len(), 2, "the image and its layer");
    place.is_sound();
}
