//! The table of calls can be searched, and is right where this machine's headers can tell.

use crate::seccomp::calls::{Abi, Call};
use crate::seccomp::table::{CALLS, NONE};
use std::collections::HashSet;

#[test]
fn names_are_sorted_and_each_is_found() {
    assert!(CALLS.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    for row in &CALLS {
        assert_eq!(Call::by_name(row.name()).unwrap().name(), row.name());
    }
    for unknown in ["", "a", "rea", "readx", "zzz", "not_a_call"] {
        assert_eq!(Call::by_name(unknown), None, "{unknown}");
    }
}

#[test]
fn no_number_has_two_names() {
    let numbers: [fn(&crate::seccomp::table::Row) -> u16; 3] = [|row| row.x86_64, |row| row.i386, |row| row.x32];
    for of in numbers {
        let mut seen = HashSet::new();
        for row in CALLS.iter().filter(|row| of(row) != NONE) {
            assert!(of(row) < 548, "{}", row.name());
            assert!(seen.insert(of(row)), "{}", row.name());
        }
    }
}

#[test]
fn numbers_are_those_of_the_headers() {
    let headers = [(Abi::X86_64, "64"), (Abi::I386, "32"), (Abi::X32, "x32")];
    for (abi, file) in headers {
        let path = format!("/usr/include/x86_64-linux-gnu/asm/unistd_{file}.h");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("SKIPPED: there is no {path}");
            continue;
        };
        let mut count = 0;
        for line in text.lines() {
            let Some((name, number)) = line.strip_prefix("#define __NR_").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let number = number.trim_start_matches("(__X32_SYSCALL_BIT + ").trim_end_matches(')');
            let expected: u16 = number.parse().unwrap_or_else(|_| panic!("{line}"));
            // Of a header newer than the table only what it has can be compared.
            let Some(call) = Call::by_name(name) else {
                assert!(expected > 469, "{name} is missing");
                continue;
            };
            assert_eq!(call.number(abi), Some(expected), "{name}");
            count += 1;
        }
        assert!(count > 340, "{path}: {count}");
    }
}

/// From the kernel's lists: calls that came after most headers.
#[test]
fn newer_calls_are_known() {
    let both = [("mseal", 462), ("statmount", 457), ("futex_wake", 454), ("removexattrat", 466), ("file_setattr", 469)];
    for (name, number) in both {
        let call = Call::by_name(name).unwrap();
        assert_eq!(Abi::ALL.map(|abi| call.number(abi)), [Some(number); 3], "{name}");
    }
    assert_eq!(Call::by_name("uretprobe").unwrap().number(Abi::X86_64), Some(335));
    assert_eq!(Call::by_name("map_shadow_stack").unwrap().number(Abi::X32), None);
}
