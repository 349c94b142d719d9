//! What must hold for any bytes that are read as an image document or a change. The first byte chooses the parser, the
//! rest is its input.

use dhow_spec::document::{self, Root};
use dhow_spec::{ImageConfig, change, duration, media_type};

/// Panics when the parsers contradict themselves.
pub(crate) fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice {
        b'm' => manifest(rest),
        b'i' => index(rest),
        b'c' => config(rest),
        b'a' => archive(rest),
        b'd' => changes(rest),
        b't' => {
            let _ = std::str::from_utf8(rest).map(duration::parse);
        }
        _ => {}
    }
}

fn manifest(bytes: &[u8]) {
    let Ok(parsed) = document::manifest(bytes) else { return };
    for descriptor in parsed.layers().iter().chain([parsed.config()]) {
        document::digest(descriptor).expect("digests were checked");
    }
    assert_eq!(document::root(bytes, None).ok(), Some(Root::Manifest(parsed)), "no document is two things");
    assert!(document::index(bytes).is_err());
    let _ = document::root(bytes, Some(media_type::DOCKER_MANIFEST));
}

fn index(bytes: &[u8]) {
    let _ = document::layout_index(bytes);
    let _ = document::root(bytes, Some(media_type::OCI_INDEX));
    let Ok(parsed) = document::index(bytes) else { return };
    for descriptor in parsed.manifests() {
        document::digest(descriptor).expect("digests were checked");
        if let Some(platform) = dhow_spec::Platform::of_descriptor(descriptor) {
            assert_eq!(platform.rank(&platform), Some(0));
        }
    }
    assert!(document::manifest(bytes).is_err());
}

fn config(bytes: &[u8]) {
    let Ok(parsed) = document::config(bytes) else { return };
    let written = parsed.to_bytes();
    assert_eq!(document::config(&written).expect("what is written is read"), parsed);
    assert_eq!(parsed.platform().rank(&parsed.platform()), Some(0));
}

fn archive(bytes: &[u8]) {
    let _ = document::layout_version(bytes);
    let Ok(images) = document::archive_manifest(bytes) else { return };
    for path in images.iter().flat_map(|image| image.layers.iter().chain([&image.config])) {
        assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."));
    }
}

fn changes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(changes) = change::parse(&[text]) else { return };
    let mut config = ImageConfig { os: "linux".to_owned(), ..ImageConfig::default() };
    let before = config.clone();
    match change::apply(&mut config, &changes) {
        Ok(()) => assert!(config.config.working_dir.is_empty() || config.config.working_dir.starts_with('/')),
        Err(_) => assert_eq!(config, before),
    }
}
