//! Volumes, mounts and root directories.

use super::{around, bind, create, fault, host};
use dhow_engine::container::request::{Bind, RootSource};
use std::path::Path;

#[test]
fn volumes() {
    let binds = |value: &str| host(&["-v", value]).binds;
    assert_eq!(binds("/a:/b"), [bind("/a", "/b")]);
    assert_eq!(binds("./a/../b:/b"), [bind("/here/b", "/b")]);
    assert_eq!(binds("..:/b"), [bind("/", "/b")]);
    assert_eq!(binds("/a:/b:ro"), [Bind { read_only: true, ..bind("/a", "/b") }]);
    assert_eq!(binds("/a:/b:rw,Z,cached,nocopy"), [bind("/a", "/b")]);
    let slave = Bind { propagation: Some("rslave".to_owned()), read_only: true, ..bind("/a", "/b") };
    assert_eq!(binds("/a:/b:rslave,ro"), [slave]);
    assert_eq!(host(&["-v", "/a:/b", "-v", "/c:/d", "--volume", "/a:/b"]).binds, [bind("/a", "/b"), bind("/c", "/d")]);
    for (value, problem) in [
        ("", "invalid empty volume spec"),
        ("/a:", "invalid spec: /a:: empty section between colons"),
        (":/a", "invalid spec: :/a: empty section between colons"),
        ("/a:/b:ro:x", "invalid spec: /a:/b:ro:x: too many colons"),
        ("/a:/b:rp", "invalid mode: rp"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:ro", "invalid volume specification: '/a:ro'"),
        (
            "/a:b",
            "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' mount \
             path must be absolute",
        ),
        (
            "/a:/../",
            "invalid volume specification: '/a:/../': invalid mount config for type \"bind\": invalid specification: \
             destination can't be '/'",
        ),
        ("data:/b", "--volume data:/b: dhow cannot do volumes yet"),
        ("/data", "--volume /data: dhow cannot do volumes yet"),
        (
            "~/a:/b",
            "create ~/a: \"~/a\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
        ),
    ] {
        assert_eq!(fault(&["-v", value]), problem);
    }
}

#[test]
fn mounts() {
    let binds = |value: &str| host(&["--mount", value]).binds;
    let wanted = Bind { create_source: false, ..bind("/a", "/b") };
    assert_eq!(binds("type=bind,source=/a,target=/b"), std::slice::from_ref(&wanted));
    assert_eq!(binds("type=BIND,src=/a,dst=/b,consistency=cached"), std::slice::from_ref(&wanted));
    assert_eq!(binds("type=bind,src=./a,destination=/b")[0].source, Path::new("/here/a"));
    assert_eq!(binds("type=bind,src=/a,dst=/b,ro"), [Bind { read_only: true, ..wanted.clone() }]);
    assert_eq!(binds("type=bind,src=/a,dst=/b,readonly=0"), std::slice::from_ref(&wanted));
    assert_eq!(binds("\"type=bind\",\"src=/a,c\",dst=/b")[0].source, Path::new("/a,c"));
    assert_eq!(binds("type=bind,src=/a,dst=/b,bind-create-src"), [bind("/a", "/b")]);
    assert_eq!(
        binds("type=bind,src=/a,dst=/b,bind-propagation=rshared,bind-recursive=disabled"),
        [Bind { propagation: Some("rshared".to_owned()), non_recursive: true, ..wanted }]
    );
    let tmpfs = |flags: &[&str]| {
        let list: Vec<_> = host(flags).tmpfs.into_iter().map(|(k, v)| format!("{k} {v}")).collect();
        list.join("|")
    };
    assert_eq!(tmpfs(&["--mount", "type=tmpfs,dst=/t"]), "/t ");
    assert_eq!(
        tmpfs(&["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770,ro"]),
        "/t ro,mode=1770,size=1048576"
    );
    assert_eq!(tmpfs(&["--tmpfs", "/a", "--tmpfs", "/b:size=1m,exec"]), "/a |/b size=1m,exec");
}

#[test]
fn mounts_that_are_none() {
    for (value, problem) in [
        ("", "value is empty"),
        ("type=bind", "target is required"),
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("type=bind,target=", "invalid value for 'target': value is empty"),
        ("type=bind,target= /a", "invalid value for 'target' in 'target= /a': value should not have whitespace"),
        ("type=bind, target=/a", "invalid option 'target' in ' target=/a': option should not have whitespace"),
        ("type=bind,dst=/a,nonsense=1", "unexpected key 'nonsense' in 'nonsense=1'"),
        ("type=bind,dst=/a,ro=x", "invalid value for ro: x"),
        ("type=bind,src=/a,dst=/b,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
        ("type=tmpfs,dst=/b,bind-create-src", "cannot mix 'bind-*' options with mount type 'tmpfs'"),
        ("type=tmpfs,dst=/b,tmpfs-size=x", "invalid value for tmpfs-size: x"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=x",
            "invalid value for bind-recursive: x (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
        ),
        ("type=bind,a\"b", "parse error on line 1, column 12: bare \" in non-quoted-field"),
        ("\"type=bind", "parse error on line 1, column 11: extraneous or missing \" in quoted-field"),
    ] {
        assert_eq!(fault(&["--mount", value]), format!("{value:?} for --mount: {problem}"));
    }
    for (value, problem) in [
        ("type=bind,dst=/b", "invalid mount config for type \"bind\": field Source must not be empty"),
        (
            "type=bind,src=a,dst=/b",
            "invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute",
        ),
        (
            "type=bind,src=/a,dst=/",
            "invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
        ),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=x",
            "invalid mount config for type \"bind\": invalid propagation mode: x",
        ),
        ("type=tmpfs,src=/a,dst=/b", "invalid mount config for type \"tmpfs\": field Source must not be specified"),
        ("type=nonsense,dst=/b", "invalid mount config for type \"nonsense\": mount type unknown"),
        ("dst=/b", "--volume dst=/b: dhow cannot do volumes yet"),
    ] {
        assert_eq!(fault(&["--mount", value]), problem);
    }
}

#[test]
fn root_directories() {
    let root = |words: &[&str]| {
        let request = create(words).requested(&around()).unwrap();
        (request.root, request.config.cmd)
    };
    let directory = |path: &str, overlay| RootSource::Directory { path: path.into(), overlay };
    let words = || Some(vec!["ls".to_owned(), "-l".to_owned()]);
    assert_eq!(root(&["--rootfs", "/:O", "ls", "-l"]), (directory("/", true), words()));
    assert_eq!(root(&["--rootfs", "a", "ls", "-l"]), (directory("/here/a", false), words()));
    assert_eq!(root(&["--rootfs=/a:b"]), (directory("/a:b", false), None));
    assert_eq!(create(&["--rootfs", "/"]).count(), 1);
}
