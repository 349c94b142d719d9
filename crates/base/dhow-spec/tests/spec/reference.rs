//! The grammar of names, against the cases that the Go package is tested with.

use dhow_spec::reference::{AnyReference, hex_prefix, is_hex_prefix, parse_any};
use dhow_spec::{Digest, Reference, ReferenceError};
use proptest::prelude::*;

const F64: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

/// Input; then domain, path, tag, digest's hex, familiar form.
type Case<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, Option<&'a str>, &'a str);

fn check(cases: &[Case<'_>]) {
    for (input, domain, path, tag, digest, familiar) in cases {
        let parsed = Reference::parse(input).unwrap_or_else(|error| panic!("{input}: {error}"));
        assert_eq!(parsed.domain(), *domain, "domain of {input}");
        assert_eq!(parsed.path(), *path, "path of {input}");
        assert_eq!(parsed.tag(), *tag, "tag of {input}");
        assert_eq!(parsed.digest().map(Digest::hex), *digest, "digest of {input}");
        assert_eq!(parsed.familiar(), *familiar, "familiar form of {input}");
        for again in [parsed.canonical(), parsed.familiar()] {
            assert_eq!(Reference::parse(&again).as_ref(), Ok(&parsed), "{input} by way of {again}");
        }
    }
}

#[test]
fn defaults_of_docker() {
    check(&[
        ("redis", "docker.io", "library/redis", None, None, "redis"),
        ("redis:7", "docker.io", "library/redis", Some("7"), None, "redis:7"),
        ("library/redis", "docker.io", "library/redis", None, None, "redis"),
        ("docker.io/redis", "docker.io", "library/redis", None, None, "redis"),
        ("docker.io/library/redis", "docker.io", "library/redis", None, None, "redis"),
        ("index.docker.io/redis", "docker.io", "library/redis", None, None, "redis"),
        ("index.docker.io/library/redis", "docker.io", "library/redis", None, None, "redis"),
        ("index.docker.io/me/app", "docker.io", "me/app", None, None, "me/app"),
        ("me/app", "docker.io", "me/app", None, None, "me/app"),
        ("library/a/b", "docker.io", "library/a/b", None, None, "library/a/b"),
        ("docker.io/library/a/b", "docker.io", "library/a/b", None, None, "library/a/b"),
        ("store/a/b", "docker.io", "store/a/b", None, None, "store/a/b"),
        ("other/library", "docker.io", "other/library", None, None, "other/library"),
        ("nonlibrary/ubuntu", "docker.io", "nonlibrary/ubuntu", None, None, "nonlibrary/ubuntu"),
        ("ubuntu-12.04-base", "docker.io", "library/ubuntu-12.04-base", None, None, "ubuntu-12.04-base"),
        ("test_com/app", "docker.io", "test_com/app", None, None, "test_com/app"),
    ]);
}

#[test]
fn hosts() {
    check(&[
        ("localhost/app", "localhost", "app", None, None, "localhost/app"),
        ("localhost/a/b:1", "localhost", "a/b", Some("1"), None, "localhost/a/b:1"),
        ("LOCALDOMAIN/app", "LOCALDOMAIN", "app", None, None, "LOCALDOMAIN/app"),
        ("Foo/bar", "Foo", "bar", None, None, "Foo/bar"),
        ("UPPER.example/bar", "UPPER.example", "bar", None, None, "UPPER.example/bar"),
        ("127.0.0.1:8000/a/b", "127.0.0.1:8000", "a/b", None, None, "127.0.0.1:8000/a/b"),
        ("192.168.0.1:8/debian", "192.168.0.1:8", "debian", None, None, "192.168.0.1:8/debian"),
        ("192.168.1.1/repo", "192.168.1.1", "repo", None, None, "192.168.1.1/repo"),
        ("test:5000/repo:tag", "test:5000", "repo", Some("tag"), None, "test:5000/repo:tag"),
        ("test-com:8080/foo", "test-com:8080", "foo", None, None, "test-com:8080/foo"),
        ("xn--n3h.com:18080/foo", "xn--n3h.com:18080", "foo", None, None, "xn--n3h.com:18080/foo"),
        ("b.gcr.io/a.b/c:d.e", "b.gcr.io", "a.b/c", Some("d.e"), None, "b.gcr.io/a.b/c:d.e"),
        ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", None, None, "[2001:db8::1]/repo"),
        ("[::1]:5000/x:y", "[::1]:5000", "x", Some("y"), None, "[::1]:5000/x:y"),
        (
            "[fc00:1:2:3:4:5:6:7]:5000/a/b",
            "[fc00:1:2:3:4:5:6:7]:5000",
            "a/b",
            None,
            None,
            "[fc00:1:2:3:4:5:6:7]:5000/a/b",
        ),
        // A host by its dot, none by its underscore: all of it is path.
        ("my_host.x/app", "", "my_host.x/app", None, None, "my_host.x/app"),
    ]);
}

#[test]
fn familiar_names_are_never_those_of_another_host() {
    let id = "docker.io/library/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";
    check(&[
        ("docker.io/a.b/c", "docker.io", "a.b/c", None, None, "docker.io/a.b/c"),
        ("docker.io/localhost/c:1", "docker.io", "localhost/c", Some("1"), None, "docker.io/localhost/c:1"),
        (id, "docker.io", &id["docker.io/".len()..], None, None, &id["docker.io/".len()..]),
    ]);
}

#[test]
fn without_a_slash_nothing_is_a_host() {
    check(&[
        ("192.168.1.1", "docker.io", "library/192.168.1.1", None, None, "192.168.1.1"),
        ("192.168.1.1:5000", "docker.io", "library/192.168.1.1", Some("5000"), None, "192.168.1.1:5000"),
        ("test.com:tag", "docker.io", "library/test.com", Some("tag"), None, "test.com:tag"),
        ("foo_bar.com:8080", "docker.io", "library/foo_bar.com", Some("8080"), None, "foo_bar.com:8080"),
        ("localhost", "docker.io", "library/localhost", None, None, "localhost"),
    ]);
}

#[test]
fn tags_and_digests() {
    let with_digest = format!("test:5000/repo@sha256:{F64}");
    let with_both = format!("[2001:db8::]:5000/repo:Tag@sha256:{F64}");
    let short_both = format!("busybox:latest@sha256:{F64}");
    let long_tag = format!("a:{}", "t".repeat(128));
    check(&[
        (&with_digest, "test:5000", "repo", None, Some(F64), &with_digest),
        (&with_both, "[2001:db8::]:5000", "repo", Some("Tag"), Some(F64), &with_both),
        (&short_both, "docker.io", "library/busybox", Some("latest"), Some(F64), &short_both),
        (&long_tag, "docker.io", "library/a", Some(&long_tag[2..]), None, &long_tag),
        ("a:_", "docker.io", "library/a", Some("_"), None, "a:_"),
        ("a:0.-", "docker.io", "library/a", Some("0.-"), None, "a:0.-"),
    ]);
    let sha512 = format!("a@sha512:{F64}{F64}");
    assert_eq!(Reference::parse(&sha512).unwrap().canonical(), format!("docker.io/library/{sha512}"));
}

#[test]
fn parts_of_paths() {
    for good in [
        "docker-rules/docker",
        "docker---rules/docker",
        "dock__er/docker",
        "d/docker",
        "a.b/c",
        "a_b",
        "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev",
        "docker.io/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a",
    ] {
        assert!(Reference::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn what_is_no_name() {
    for bad in [
        "",
        ":justtag",
        "@sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "/",
        "a/",
        "/a",
        "a//b",
        "docker///docker",
        "docker.io/docker///docker",
        "-docker",
        "-docker/docker",
        "docker-/docker",
        "-docker.io/docker/docker",
        "_docker/_docker",
        "____/____",
        "dock..er/docker",
        "dock_.er/docker",
        "dock-.er/docker",
        "dock___er",
        "aa/asdf$$^/aa",
        "https://github.com/docker/docker",
        "a b",
        "a:",
        "a:b:c",
        "a:-b",
        "a:.b",
        "a@",
        "a@b",
        "a@sha256:",
        "a@sha256:ff",
        "a@sha256:xyz",
        "a:t@",
        "[fc00::1]",
        "[fc00::1]:5000",
        "[2001:db8::1]:tag",
        "fc00::1:5000/debian",
        "[fe80::1%eth0]:5000/debian",
        "[fe80::1%@invalidzone]:5000/repo",
        "[2001:db8:3:4::192.0.2.33]:5000/debian",
        "[]/a",
        "[::1/a",
        "[::1]x/a",
        "host:/a",
        "host:port/a",
        "ho_st:80/a",
        "a\n",
        "é",
        "a/é",
        "a:é",
    ] {
        assert_eq!(Reference::parse(bad), Err(ReferenceError::Format), "{bad:?}");
    }
    let long = format!("a:{}", "t".repeat(129));
    assert_eq!(Reference::parse(&long), Err(ReferenceError::Format));
}

#[test]
fn words_of_the_go_package() {
    let message = |text: &str| Reference::parse(text).unwrap_err().to_string();
    assert_eq!(message("a b"), "invalid reference format");
    assert_eq!(message("Foo"), "invalid reference format: repository name (library/Foo) must be lowercase");
    assert_eq!(
        message("test:5000/Upper/lower:tag"),
        "invalid reference format: repository name (Upper/lower) must be lowercase"
    );
    assert_eq!(message("My_host.x/app"), "repository name must be lowercase");
    let id = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";
    assert_eq!(message(id), format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings"));
    let too_long = format!("domain.x/{}:tag", "a".repeat(256));
    assert_eq!(message(&too_long), "repository name must not be more than 255 characters");
    assert!(Reference::parse(&format!("example.com/{}:tag", "a".repeat(255))).is_ok());
    let parts = format!("x.y/{}a:tag-puts-this-over-255", "a/".repeat(127));
    assert!(Reference::parse(&parts).is_ok());
    for digest in
        [format!("a@md5:{F64}"), format!("a@sha256:{}", &F64[1..]), format!("a@sha256:{}", F64.to_uppercase())]
    {
        let digest_is_wrong =
            matches!(Reference::parse(&digest), Err(ReferenceError::Digest(_) | ReferenceError::PathNotLowercase(_)));
        assert!(digest_is_wrong, "{digest}: {:?}", Reference::parse(&digest));
    }
}

#[test]
fn default_tag_and_other_versions() {
    let tagged = |text: &str| Reference::parse(text).unwrap().with_default_tag().canonical();
    assert_eq!(tagged("busybox"), "docker.io/library/busybox:latest");
    assert_eq!(tagged("busybox:1"), "docker.io/library/busybox:1");
    assert_eq!(tagged(&format!("x.y/a@sha256:{F64}")), format!("x.y/a@sha256:{F64}"));
    let busybox = Reference::parse("busybox:1").unwrap();
    assert_eq!(busybox.clone().with_tag("2").unwrap().familiar(), "busybox:2");
    assert_eq!(busybox.clone().with_tag("-2"), Err(ReferenceError::Tag));
    assert_eq!(busybox.clone().without_version().canonical(), "docker.io/library/busybox");
    assert_eq!((busybox.name().as_str(), busybox.familiar_name().as_str()), ("docker.io/library/busybox", "busybox"));
    let digest = Digest::of(b"");
    assert_eq!(busybox.with_digest(digest.clone()).familiar(), format!("busybox:1@{digest}"));
}

#[test]
fn image_arguments() {
    let digest = Digest::from_sha256_hex(F64).unwrap();
    assert_eq!(parse_any(F64), Ok(AnyReference::Digest(digest.clone())));
    assert_eq!(parse_any(&format!("sha256:{F64}")), Ok(AnyReference::Digest(digest)));
    assert_eq!(parse_any(&F64[1..]), Ok(AnyReference::HexPrefix(F64[1..].to_owned())));
    assert_eq!(parse_any("dbcc1"), Ok(AnyReference::HexPrefix("dbcc1".to_owned())));
    assert_eq!(parse_any("sha256:dbcc1"), Ok(AnyReference::HexPrefix("dbcc1".to_owned())));
    for name in ["redis", "redis:latest", "me/app", "DEAD/beef", "sha256:xyz", &format!("redis@sha256:{F64}")] {
        assert_eq!(parse_any(name), Reference::parse(name).map(AnyReference::Named), "{name}");
    }
    assert_eq!(
        parse_any("DEADBEEF").map_err(|e| e.to_string()).unwrap_err(),
        "invalid reference format: repository name (library/DEADBEEF) must be lowercase"
    );
    assert!(is_hex_prefix("0") && !is_hex_prefix("") && !is_hex_prefix("0x") && !is_hex_prefix(F64));
    assert_eq!(hex_prefix("sha256:"), None);
}

fn name() -> impl Strategy<Value = String> {
    let domain = proptest::option::of(
        r"([a-zA-Z0-9]([a-zA-Z0-9-]{0,5}[a-zA-Z0-9])?\.){0,2}[a-z0-9]{1,4}(:[0-9]{1,5})?|\[[0-9a-f]{0,4}:[0-9a-f:]{0,4}\](:[0-9]{1,5})?",
    );
    let path = r"[a-z0-9]{1,4}(([._]|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?){0,3}";
    let tag = proptest::option::of(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}");
    let digest = proptest::option::of("[0-9a-f]{64}");
    (domain, path, tag, digest).prop_map(|(domain, path, tag, digest)| {
        let mut name = domain.map_or(path.clone(), |domain| format!("{domain}/{path}"));
        name.extend(tag.map(|tag| format!(":{tag}")));
        name.extend(digest.map(|digest| format!("@sha256:{digest}")));
        name
    })
}

proptest! {
    #[test]
    fn printing_loses_nothing(text in name()) {
        let parsed = Reference::parse(&text).unwrap();
        prop_assert_eq!(&Reference::parse(&parsed.canonical()).unwrap(), &parsed);
        prop_assert_eq!(&Reference::parse(&parsed.familiar()).unwrap(), &parsed);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        if let Ok(parsed) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&parsed.canonical()).unwrap(), parsed);
        }
        let _ = parse_any(&text);
    }

    #[test]
    fn near_misses_too(text in r"[a-zA-Z0-9:@/._\[\]-]{0,30}") {
        if let Ok(parsed) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&parsed.canonical()).unwrap(), parsed);
        }
    }
}
