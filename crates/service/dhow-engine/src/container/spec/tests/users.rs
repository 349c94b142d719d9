//! Users and groups: the cases of moby's `user_test.go`, and roots that are hostile.

use super::super::users as find;
use super::super::users::{Identity, UserError, find, home, home_of, resolve_user};
use super::{Scratch, strings};
use dhow_sys::tree::Tree;
use proptest::prelude::*;

#[path = "../../../../../../../fuzz/checks/users.rs"]
mod checks;
#[path = "../../../../../../../fuzz/checks/replay.rs"]
mod replay;

const PASSWD: &str = "\
root:x:0:0:root user:/root:/bin/bash
adm:x:42:43:adm:/var/adm:/bin/false
111:x:222:333::/var/garbage
odd:x:111:112::/home/odd:::::
user7456:x:7456:100:Vasya:/home/user7456
broken:x:many:0::/:
minus:x:-1:0::/:
large:x:4294967296:1::/:
   spaced:x:7:8::/home/spaced:/bin/sh
# comment:x:9:9::/:
short:x
this is just some garbage data
";

const GROUP: &str = "\
root:x:0:root
adm:x:43:
grp:x:1234:root,adm,user7456
444:x:555:root,adm
odd:x:444:adm
#grp:x:77:root
broken:x:no:adm
large:x:2147483648:
this is just some garbage data
user7456
";

fn who(spec: &str, more: &[&str]) -> Result<Identity, UserError> {
    find(PASSWD.as_bytes(), GROUP.as_bytes(), spec, &strings(more))
}

fn is(uid: u32, gid: u32, groups: &[u32]) -> Result<Identity, UserError> {
    Ok(Identity { uid, gid, groups: groups.to_vec() })
}

#[test]
fn names_and_numbers() {
    for (spec, expected) in [
        ("", is(0, 0, &[0, 1234, 555])),
        ("root", is(0, 0, &[0, 1234, 555])),
        ("0", is(0, 0, &[0, 1234, 555])),
        ("adm", is(42, 43, &[43, 1234, 555, 444])),
        ("root:adm", is(0, 43, &[43])),
        ("adm:1234", is(42, 1234, &[1234])),
        // A number is a number, even where it is somebody's name.
        ("111", is(111, 112, &[112])),
        ("1337", is(1337, 0, &[0])),
        ("1337:13", is(1337, 13, &[13])),
        ("+1337", is(1337, 0, &[0])),
        ("odd:444", is(111, 444, &[444])),
        ("0:root", is(0, 0, &[0])),
        (":grp", is(0, 1234, &[1234])),
        ("root:adm:more", is(0, 43, &[43])),
        ("spaced", is(7, 8, &[8])),
        ("2147483647:2147483647", is(0x7fff_ffff, 0x7fff_ffff, &[0x7fff_ffff])),
    ] {
        assert_eq!(who(spec, &[]), expected, "{spec}");
    }
}

#[test]
fn who_is_not_there() {
    for spec in ["nobody", "broken", "short", "0x5", "ro\0ot"] {
        assert_eq!(who(spec, &[]), Err(UserError::User(spec.to_owned())), "{spec}");
    }
    assert_eq!(
        who("notexist:root", &[]).unwrap_err().to_string(),
        "unable to find user notexist: no matching entries in passwd file"
    );
    assert_eq!(
        who("root:notexist", &[]).unwrap_err().to_string(),
        "unable to find group notexist: no matching entries in group file"
    );
    assert_eq!(who("0:broken", &[]), Err(UserError::Group("broken".to_owned())));
    for spec in ["-1", "0:-5", "2147483648", "99999999999999999999", "minus", "large", "0:large"] {
        assert_eq!(who(spec, &[]).unwrap_err().to_string(), "uids and gids must be in range 0-2147483647", "{spec}");
    }
}

#[test]
fn without_files() {
    assert_eq!(find(b"", b"", "", &[]), is(0, 0, &[0]));
    assert_eq!(find(b"", b"", "5:6", &strings(&["7", "6", "7"])), is(5, 6, &[6, 7]));
    assert_eq!(find(b"", b"", "root", &[]), Err(UserError::User("root".to_owned())));
}

#[test]
fn additional_groups() {
    assert_eq!(who("5", &["grp", "77", "0"]), is(5, 0, &[0, 1234, 77]));
    assert_eq!(who("adm", &["adm", "9"]), is(42, 43, &[43, 1234, 555, 444, 9]));
    assert_eq!(who("5", &["none"]), Err(UserError::Group("none".to_owned())));
    assert_eq!(who("5", &["-1"]), Err(UserError::Range));
    assert_eq!(who("5", &["444"]), is(5, 0, &[0, 444]));
}

#[test]
fn homes() {
    let of = |uid| home_of(PASSWD.as_bytes(), uid);
    assert_eq!(of(0).as_deref(), Some("/root"));
    assert_eq!(of(222).as_deref(), Some("/var/garbage"));
    assert_eq!(of(5), None);
    assert_eq!(home_of(b"x:x:1:1::/a\xff:/", 1), None);
    assert_eq!(home_of(b"x:x:1:1::/a\0b:/", 1), None);
    assert_eq!(home_of(b"x:x:1:1", 1), None);
}

#[test]
fn a_root_is_not_left_and_nothing_but_files_is_opened() {
    let scratch = Scratch::new();
    scratch.write("outside", "root:x:0:0::/outside:\nleak:x:1:1::/:\n");
    scratch.write("root/real/users", "root:x:0:0::/inside:\n");
    std::fs::create_dir(scratch.join("root/etc")).unwrap();
    let tree = Tree::open(&scratch.join("root")).unwrap();
    let place = scratch.join("root/etc/passwd");
    let link = |target: &str| {
        let _ = std::fs::remove_file(&place);
        std::os::unix::fs::symlink(target, &place).unwrap();
    };
    let here = || home(tree.root(), 0);
    assert_eq!(here(), None);
    link("/real/users");
    assert_eq!(here().as_deref(), Some("/inside"));
    link("../../../../../real/users");
    assert_eq!(here().as_deref(), Some("/inside"));
    link(&scratch.join("outside").display().to_string());
    assert_eq!(here(), None);
    link("../../outside");
    assert_eq!(here(), None);
    assert!(resolve_user(tree.root(), Some("leak"), &[]).is_err());
    link("passwd");
    assert!(resolve_user(tree.root(), Some("root"), &[]).is_err());

    // A pipe nobody writes to: opening it for reading would wait for ever.
    std::fs::remove_file(&place).unwrap();
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    mknodat(CWD, &place, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert_eq!(here(), None);
    std::fs::remove_file(&place).unwrap();
    mknodat(CWD, &place, FileType::CharacterDevice, Mode::from_raw_mode(0o600), makedev(1, 5)).unwrap();
    assert_eq!(here(), None, "/dev/zero has no end");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    assert_eq!(here(), None);
    std::fs::remove_dir(&place).unwrap();

    let huge = std::fs::File::create(&place).unwrap();
    huge.set_len(17 << 20).unwrap();
    assert_eq!(
        resolve_user(tree.root(), Some("root"), &[]).unwrap_err().to_string(),
        "/etc/passwd of the container is larger than 16 MB"
    );
    let user = {
        std::fs::write(&place, PASSWD).unwrap();
        std::fs::write(scratch.join("root/etc/group"), GROUP).unwrap();
        resolve_user(tree.root(), Some("adm"), &strings(&["9"])).unwrap()
    };
    assert_eq!((user.uid(), user.gid()), (42, 43));
    assert_eq!(user.additional_gids(), &Some(vec![43, 1234, 555, 444, 9]));
}

/// The inputs that fuzzing found worth keeping, with the checks of the fuzz target itself.
#[test]
fn corpus() {
    replay::replay("users", 20, checks::check);
}

proptest! {
    #[test]
    fn whatever_is_in_the_files(passwd: Vec<u8>, group: Vec<u8>, user in "[a-z0-9:+-]{0,12}", more in "[a-z0-9]{0,4}") {
        if let Ok(found) = find(&passwd, &group, &user, &[more]) {
            prop_assert_eq!(found.groups[0], found.gid);
            prop_assert!(found.groups.iter().chain([&found.uid]).all(|&id| id <= 0x7fff_ffff));
        }
        let _ = home_of(&passwd, 0);
    }

    #[test]
    fn who_is_in_the_file_is_found(name in "[a-z][a-z0-9_-]{0,9}", uid in 0..=0x7fff_ffffu32, gid in 0..=0x7fff_ffffu32) {
        let passwd = format!("other:x:1:1::/:\n{name}:x:{uid}:{gid}::/home/{name}:/bin/sh\n");
        prop_assume!(name != "other");
        prop_assert_eq!(find(passwd.as_bytes(), b"", &name, &[]), is(uid, gid, &[gid]));
    }
}
