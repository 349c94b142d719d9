//! Rules for devices: the programs of version 2 run here, and the lines of version 1.

use super::program::{AND, EXIT, JUMP_IF_EQUAL, JUMP_UNLESS_EQUAL, LOAD_WORD, MOVE, MOVE_CONSTANT, SHIFT_RIGHT};
use super::*;
use dhow_sys::bpf::Instruction;

/// Runs a device program, as far as it uses what ours uses.
fn run(program: &[Instruction], of: Type, major: u32, minor: u32, access: u8) -> bool {
    let kind = match of {
        Type::Block => 1,
        Type::Character => 2,
    };
    let context = [kind | (u32::from(access) << 16), major, minor];
    let mut registers = [0u64; 11];
    let mut at = 0;
    loop {
        let instruction = program[at];
        at += 1;
        let (to, from) = (usize::from(instruction.destination()), usize::from(instruction.source()));
        let constant = instruction.immediate.cast_unsigned();
        let jump = usize::try_from(instruction.offset).unwrap();
        let low = u32::try_from(registers[to] & 0xffff_ffff).unwrap();
        match instruction.code {
            LOAD_WORD => registers[to] = u64::from(context[jump / 4]),
            MOVE_CONSTANT => registers[to] = u64::from(constant),
            MOVE => registers[to] = registers[from] & 0xffff_ffff,
            AND => registers[to] = u64::from(low & constant),
            SHIFT_RIGHT => registers[to] = u64::from(low >> constant),
            JUMP_IF_EQUAL if registers[to] == u64::from(constant) => at += jump,
            JUMP_UNLESS_EQUAL if registers[to] != u64::from(constant) => at += jump,
            JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL => {}
            EXIT => return registers[0] != 0,
            code => panic!("instruction {code:#x}"),
        }
    }
}

/// What the rules mean, said as plainly as can be.
fn meant(policy: &Policy, of: Type, major: u32, minor: u32, access: u8) -> bool {
    let device = Devices { of, major: Some(major), minor: Some(minor) };
    [1, 2, 4].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        let last = policy.rules.iter().rev().find(|r| r.devices.cover(device) && r.access.0 & bit != 0);
        last.map_or(policy.otherwise, |rule| rule.allow)
    })
}

/// The state of version 1, as the kernel judges it: one kind of access at a time, to be comparable.
fn kernel(lines: &Lines, device: Devices, bit: u8) -> bool {
    let named = lines.exceptions.iter().any(|(devices, access)| devices.cover(device) && access.0 & bit != 0);
    named != lines.allow_all
}

fn rule(text: &str) -> LinuxDeviceCgroup {
    let mut words = text.split(' ');
    let allow = words.next().unwrap() == "allow";
    let typ = match words.next().unwrap() {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        other => panic!("{other}"),
    };
    let (major, minor) = words.next().unwrap().split_once(':').unwrap();
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow).set_typ(Some(typ)).set_access(words.next().map(str::to_owned));
    rule.set_major(major.parse().ok()).set_minor(minor.parse().ok());
    rule
}

fn policy(rules: &[&str]) -> Policy {
    Policy::new(&rules.iter().map(|r| rule(r)).collect::<Vec<_>>()).unwrap()
}

fn lines(rules: &[&str]) -> Vec<String> {
    let lines = Lines::new(&policy(rules)).unwrap();
    let show = |(allow, line): (bool, String)| format!("{} {line}", if allow { "allow" } else { "deny" });
    transition(None, &lines).into_iter().map(show).collect()
}

/// Docker's rules for a container without further devices.
const DOCKER: [&str; 12] = [
    "deny a *:* rwm",
    "allow c *:* m",
    "allow b *:* m",
    "allow c 1:3 rwm",
    "allow c 1:5 rwm",
    "allow c 1:7 rwm",
    "allow c 1:8 rwm",
    "allow c 1:9 rwm",
    "allow c 5:0 rwm",
    "allow c 5:1 rwm",
    "allow c 5:2 rwm",
    "allow c 136:* rwm",
];

#[test]
fn dockers_rules() {
    let written = lines(&DOCKER);
    assert_eq!(written[..4], ["deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm"]);
    assert_eq!(written.len(), 12);
    let policy = policy(&DOCKER);
    let program = program(&policy);
    let c = Type::Character;
    for (of, major, minor, access, answer) in [
        (c, 1, 3, 6, true),
        (c, 1, 3, 1, true),
        (c, 1, 1, 2, false),
        (c, 1, 1, 1, true),
        (c, 1, 1, 3, false),
        (c, 136, 77, 6, true),
        (Type::Block, 8, 0, 1, true),
        (Type::Block, 8, 0, 2, false),
        (Type::Block, 1, 3, 4, false),
    ] {
        assert_eq!(run(&program, of, major, minor, access), answer, "{of:?} {major}:{minor} {access}");
    }
}

#[test]
fn the_last_rule_decides_each_kind_of_access() {
    let lists: [&[&str]; 9] = [
        &[],
        &["allow a *:* rwm"],
        &["allow a *:* rwm", "deny c 1:3 w", "deny b 8:* rwm"],
        &["deny a *:* rwm", "allow c 1:* r", "allow c 1:3 w"],
        &["allow c 1:* rwm", "deny c 1:3 w", "allow c *:3 w"],
        &["allow c 1:3 rwm", "deny a *:* rwm", "allow b *:* m"],
        &["deny c 1:3 rwm", "allow a 1:3 r"],
        &["allow a 1:* rwm", "deny a 1:3 m", "allow c 1:3 m", "deny b *:* r"],
        &DOCKER,
    ];
    for list in lists {
        let policy = policy(list);
        let program = program(&policy);
        for of in [Type::Block, Type::Character] {
            for (major, minor) in [(0, 0), (1, 3), (1, 4), (2, 3), (8, 0), (136, 5), (4095, 1_048_575)] {
                for access in 1..8 {
                    let meant = meant(&policy, of, major, minor, access);
                    let ran = run(&program, of, major, minor, access);
                    assert_eq!(ran, meant, "{list:?}: {of:?} {major}:{minor} {access}");
                }
                let Ok(lines) = Lines::new(&policy) else { continue };
                for bit in [1, 2, 4] {
                    let device = Devices { of, major: Some(major), minor: Some(minor) };
                    let meant = meant(&policy, of, major, minor, bit);
                    assert_eq!(kernel(&lines, device, bit), meant, "{list:?}: {device} {bit}");
                }
            }
        }
    }
}

#[test]
fn lines_of_version_1() {
    assert_eq!(lines(&["allow a *:* rwm"]), ["allow a"]);
    assert_eq!(lines(&[]), ["deny a"]);
    // What came before "all" is void, and what is taken back is not written at all.
    assert_eq!(lines(&["allow c 1:3 rw", "deny a *:* rwm", "allow c 5:0 r"]), ["deny a", "allow c 5:0 r"]);
    assert_eq!(lines(&["deny a *:* rwm", "allow c 5:0 rwm", "deny c 5:* w"]), ["deny a", "allow c 5:0 rm"]);
    assert_eq!(lines(&["deny a *:* rwm", "allow c 5:0 r", "allow c 5:0 w"]), ["deny a", "allow c 5:0 rw"]);
    assert_eq!(lines(&["allow a *:* rwm", "deny b 8:0 w"]), ["allow a", "deny b 8:0 w"]);
    let error = Lines::new(&policy(&["allow c 5:* rwm", "deny c 5:0 w"])).unwrap_err().to_string();
    assert!(error.contains("version 1 cannot deny c 5:0 w"), "{error}");
}

#[test]
fn an_update_writes_what_differs() {
    let lines = |rules: &[&str]| Lines::new(&policy(rules)).unwrap();
    let old = Lines::parse("c 1:3 rwm\nc 5:0 rw\nb *:* m\n").unwrap();
    let new = lines(&["allow c 1:3 rwm", "allow c 5:0 rm", "allow c 5:1 r"]);
    let expected = [
        (true, "c 5:0 m".to_owned()),
        (true, "c 5:1 r".to_owned()),
        (false, "c 5:0 w".to_owned()),
        (false, "b *:* m".to_owned()),
    ];
    assert_eq!(transition(Some(&old), &new), expected);
    assert_eq!(transition(Some(&new), &new), []);
    assert_eq!(Lines::parse("a *:* rwm\n"), None);
}

#[test]
fn rules_that_make_no_sense() {
    let refused = |change: &dyn Fn(&mut LinuxDeviceCgroup)| {
        let mut bad = rule("allow c 1:3 rwm");
        change(&mut bad);
        Policy::new(&[rule("deny a *:* rwm"), bad]).unwrap_err().to_string()
    };
    let error = refused(&|r| _ = r.set_access(Some("rx".to_owned())));
    assert_eq!(error, "invalid linux.resources.devices[1]: access \"rx\" is not made of r, w and m");
    assert!(refused(&|r| _ = r.set_access(Some(String::new()))).contains("access \"\""));
    assert!(refused(&|r| _ = r.set_major(Some(1 << 40))).contains("major"));
    assert!(refused(&|r| _ = r.set_minor(Some(-2))).contains("minor"));
    assert!(refused(&|r| _ = r.set_typ(Some(LinuxDeviceType::P))).contains("FIFO"));
}
