//! Documents that are accepted, and those that are refused with their name and fault.

use dhow_spec::document::{self, Document, DocumentError, Fault, MAX_SIZE, Root};
use dhow_spec::{Classify, Digest, Kind, media_type};
use proptest::prelude::*;
use serde_json::{Value, json};

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content.as_bytes()).to_string(), "size": content.len()})
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_CONFIG, "config"),
        "layers": [descriptor(media_type::OCI_LAYER_GZIP, "a"), descriptor(media_type::OCI_LAYER_ZSTD, "b")],
    })
}

fn index() -> Value {
    let mut entry = descriptor(media_type::OCI_MANIFEST, "manifest");
    entry["platform"] = json!({"os": "linux", "architecture": "arm", "variant": "v7"});
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry], "annotations": {"a": "b"}})
}

fn with(mut document: Value, field: &str, value: Value) -> Vec<u8> {
    document[field] = value;
    document.to_string().into_bytes()
}

fn without(mut document: Value, field: &str) -> Vec<u8> {
    document.as_object_mut().expect("these documents are objects").remove(field);
    document.to_string().into_bytes()
}

fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// The message without the document's name, which is checked here.
fn fault<T>(outcome: Result<T, DocumentError>, content: &[u8], document: &str) -> String {
    let error = outcome.err().expect("it must be refused");
    let message = error.to_string();
    let named = format!("{document} {}: ", Digest::of(content));
    message.strip_prefix(&named).unwrap_or_else(|| panic!("{message} does not begin with {named}")).to_owned()
}

#[test]
fn manifests() {
    let parsed = document::manifest(&bytes(&manifest())).unwrap();
    assert_eq!(document::digest(parsed.config()).unwrap(), Digest::of(b"config"));
    assert_eq!(parsed.layers().len(), 2);
    let inferred = document::manifest(&without(manifest(), "mediaType")).unwrap();
    assert_eq!(inferred.media_type().as_ref().unwrap().as_ref(), media_type::OCI_MANIFEST);
    let docker = with(manifest(), "config", descriptor(media_type::DOCKER_CONFIG, "config"));
    let docker = without(serde_json::from_slice(&docker).unwrap(), "mediaType");
    let docker = document::manifest(&docker).unwrap();
    assert_eq!(docker.media_type().as_ref().unwrap().as_ref(), media_type::DOCKER_MANIFEST);
    assert_eq!(document::manifest(&with(manifest(), "layers", Value::Null)).unwrap().layers().len(), 0);
    let nulls = with(manifest(), "annotations", Value::Null);
    assert!(document::manifest(&with(serde_json::from_slice(&nulls).unwrap(), "manifests", Value::Null)).is_ok());
}

#[test]
fn indexes() {
    let parsed = document::index(&bytes(&index())).unwrap();
    let platform = dhow_spec::Platform::of_descriptor(&parsed.manifests()[0]).unwrap();
    assert_eq!(platform.to_string(), "linux/arm/v7");
    assert!(document::layout_index(&without(index(), "mediaType")).is_ok());
    assert!(document::index(&with(index(), "manifests", Value::Null)).unwrap().manifests().is_empty());
    assert!(document::index(&with(index(), "mediaType", json!(media_type::DOCKER_INDEX))).is_ok());
}

#[test]
fn either_is_told_by_what_it_is() {
    let kind = |content: &[u8], declared| match document::root(content, declared).unwrap() {
        Root::Manifest(_) => "manifest",
        Root::Index(_) => "index",
    };
    let (one, many) = (bytes(&manifest()), bytes(&index()));
    let (bare_one, bare_many) = (without(manifest(), "mediaType"), without(index(), "mediaType"));
    assert_eq!((kind(&one, None), kind(&many, None)), ("manifest", "index"));
    assert_eq!((kind(&bare_one, None), kind(&bare_many, None)), ("manifest", "index"));
    assert_eq!(kind(&bare_many, Some(media_type::OCI_INDEX)), "index");
    assert_eq!(kind(&one, Some(media_type::OCI_MANIFEST)), "manifest");
    let lied = fault(document::root(&one, Some(media_type::OCI_INDEX)), &one, "manifest");
    assert!(lied.starts_with("its media type is"), "{lied}");
    let bare_lie = document::root(&bare_one, Some(media_type::OCI_INDEX));
    assert!(fault(bare_lie, &bare_one, "index").contains("at once"));
}

#[test]
fn two_documents_in_one_are_refused() {
    for (field, value) in [("manifests", json!([])), ("fsLayers", json!([]))] {
        let both = with(manifest(), field, value);
        assert_eq!(
            fault(document::manifest(&both), &both, "manifest"),
            format!("it is a manifest and an index at once: it has {field:?}")
        );
    }
    let config = descriptor(media_type::OCI_CONFIG, "config");
    for (field, value) in [("config", config), ("layers", json!([])), ("fsLayers", json!([]))] {
        let both = with(index(), field, value);
        assert!(fault(document::index(&both), &both, "index").contains("at once"), "{field}");
        assert!(document::root(&both, None).is_err());
    }
    let disguised = with(index(), "mediaType", json!(media_type::OCI_MANIFEST));
    assert!(document::index(&disguised).is_err() && document::root(&disguised, None).is_err());
    let twice = r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#;
    assert!(fault(document::index(twice.as_bytes()), twice.as_bytes(), "index").contains("duplicate field"));
}

#[test]
fn faulty_manifests() {
    for (content, message) in [
        (with(manifest(), "schemaVersion", json!(1)), "schema version 1 instead of 2"),
        (without(manifest(), "schemaVersion"), "schema version missing instead of 2"),
        (without(manifest(), "config"), "it has no \"config\""),
        (with(manifest(), "mediaType", json!("x/y")), "its media type is \"x/y\" instead of that of a manifest"),
        (b"[]".to_vec(), "it cannot be decoded: "),
        (b"{".to_vec(), "it cannot be decoded: EOF"),
        (b"\xff".to_vec(), "it cannot be decoded: "),
        (vec![b' '; MAX_SIZE + 1], "it has 4194305 bytes, more than the limit of 4194304"),
        ("[".repeat(100_000).into_bytes(), "it cannot be decoded: "),
    ] {
        let said = fault(document::manifest(&content), &content, "manifest");
        assert!(said.starts_with(message), "{said} instead of {message}");
    }
    let old = document::manifest(&with(manifest(), "schemaVersion", json!(1))).unwrap_err();
    assert_eq!(old.kind(), Kind::Unsupported);
    assert!(old.hint().is_some());
}

#[test]
fn faulty_descriptors() {
    let layer = descriptor(media_type::OCI_LAYER, "a");
    let mut sizes = layer.clone();
    for (size, message) in [
        (json!(-1), "it cannot be decoded: invalid value"),
        (json!(1.5), "it cannot be decoded"),
        (json!(u64::MAX), "layers[1]: a size of 18446744073709551615 bytes is not possible"),
    ] {
        sizes["size"] = size;
        let content = with(manifest(), "layers", json!([layer, sizes]));
        let said = fault(document::manifest(&content), &content, "manifest");
        assert!(said.starts_with(message), "{said}");
    }
    let mut digests = layer.clone();
    for (digest, decodes) in [
        ("sha256:00", false),
        ("../../x:y", false),
        ("", false),
        ("md5:00", true),
        ("sha384:00", false),
        ("a+b:c", true),
    ] {
        digests["digest"] = json!(digest);
        for content in [with(manifest(), "layers", json!([digests])), with(manifest(), "config", digests.clone())] {
            let said = fault(document::manifest(&content), &content, "manifest");
            assert_eq!(said.contains("unsupported digest algorithm"), decodes, "{said}");
        }
        let content = with(index(), "manifests", json!([digests]));
        assert!(document::index(&content).is_err());
    }
}

#[test]
fn faulty_configurations() {
    for (content, message) in [
        (&br#"{}"#[..], "it has no \"rootfs\""),
        (br#"{"rootfs":null}"#, "it has no \"rootfs\""),
        (br#"{"rootfs":{"diff_ids":[]}}"#, "it has no \"rootfs\""),
        (br#"{"rootfs":{"type":"base"}}"#, "its rootfs is of type \"base\" instead of \"layers\""),
        (br#"{"rootfs":{"type":"layers","diff_ids":["sha256:00"]}}"#, "it cannot be decoded: invalid sha256 digest"),
        (br#"{"rootfs":{"type":"layers"},"config":[]}"#, "it cannot be decoded: "),
        (br#"{"rootfs":{"type":"layers"},"config":{"Env":"A=b"}}"#, "it cannot be decoded: "),
        (b"null", "it cannot be decoded: "),
    ] {
        let said = fault(document::config(content), content, "image configuration");
        assert!(said.starts_with(message), "{said} instead of {message}");
    }
}

#[test]
fn manifest_and_configuration_must_agree() {
    let parsed = document::manifest(&bytes(&manifest())).unwrap();
    let diff_ids = |n: usize| {
        json!({"rootfs": {"type": "layers", "diff_ids": vec![Digest::of(b"x").to_string(); n]},
        "history": [{}, {}, {}]})
    };
    let agreeing = document::config(&bytes(&diff_ids(2))).unwrap();
    assert!(document::check_layers(&parsed, &agreeing).is_ok());
    let error = document::check_layers(&parsed, &document::config(&bytes(&diff_ids(3))).unwrap()).unwrap_err();
    let name = Digest::of(b"config");
    assert_eq!(error.to_string(), format!("image configuration {name}: it lists 3 layers, and its manifest 2"));
}

#[test]
fn archives() {
    let listed = br#"[{"Config":"a.json","RepoTags":null,"Layers":null,"Parent":"x"},
        {"Config":"blobs/sha256/b","RepoTags":["x:1","y:2"],"Layers":["l1/layer.tar","./l2"],"LayerSources":{}}]"#;
    let images = document::archive_manifest(listed).unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!((images[1].repo_tags.len(), images[1].layers.len()), (2, 2));
    assert!(images[0].repo_tags.is_empty() && images[0].layers.is_empty());
    for bad in ["", "/etc/passwd", "../x", "a/../../x", "a\\u0000b"] {
        for listed in [format!(r#"[{{"Config":"{bad}"}}]"#), format!(r#"[{{"Config":"a","Layers":["{bad}"]}}]"#)] {
            let error = document::archive_manifest(listed.as_bytes()).unwrap_err();
            assert!(matches!(error.fault, Fault::Path(_)), "{error}");
            assert!(error.to_string().starts_with("manifest.json: "), "{error}");
        }
    }
    assert!(document::archive_manifest(b"{}").is_err() && document::archive_manifest(b"[{}]").is_err());
}

#[test]
fn layouts() {
    assert!(document::layout_version(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok());
    let error = document::layout_version(br#"{"imageLayoutVersion":"2.0.0"}"#).unwrap_err();
    assert_eq!(error.to_string(), "oci-layout: image layout version \"2.0.0\" instead of \"1.0.0\"");
    assert_eq!((error.document, error.kind()), (Document::Layout, Kind::Unsupported));
    assert!(document::layout_version(b"{}").is_err());
}

/// Replaces one random piece of a document by another value.
fn mutate(document: &mut Value, path: &[usize], value: &Value) {
    let Some((first, rest)) = path.split_first() else {
        *document = value.clone();
        return;
    };
    match document {
        Value::Object(map) if !map.is_empty() => {
            let at = first % map.len();
            mutate(map.values_mut().nth(at).expect("it was taken modulo the length"), rest, value);
        }
        Value::Array(list) if !list.is_empty() => {
            let at = first % list.len();
            mutate(&mut list[at], rest, value);
        }
        leaf => *leaf = value.clone(),
    }
}

proptest! {
    #[test]
    fn changed_documents_never_panic(
        path in proptest::collection::vec(0_usize..8, 0..5),
        value in prop_oneof![Just(json!(null)), Just(json!({})), Just(json!([])), any::<i64>().prop_map(|n| json!(n)), any::<String>().prop_map(|s| json!(s))],
    ) {
        for mut changed in [manifest(), index(), json!({"os": "linux", "config": {"Env": [], "Labels": {}}, "rootfs": {"type": "layers"}})] {
            mutate(&mut changed, &path, &value);
            let content = bytes(&changed);
            let _ = document::root(&content, None);
            let _ = document::manifest(&content);
            let _ = document::index(&content);
            if let Ok(config) = document::config(&content) {
                prop_assert_eq!(document::config(&config.to_bytes()).unwrap(), config);
            }
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        let _ = document::root(text.as_bytes(), Some(&text));
        let _ = document::archive_manifest(text.as_bytes());
    }
}
