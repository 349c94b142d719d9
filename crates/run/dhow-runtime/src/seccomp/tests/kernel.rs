//! Filters in the real kernel: what it answers to a program that makes one call.
//!
//! A filter is loaded into a thread of the test, which then starts the program: loading cannot be undone, and threads end.
//! The program is written here in bytes, so that it can make calls of all three interfaces with any argument.

use super::docker::dockers;
use super::oci;
use crate::error::RuntimeError;
use crate::seccomp::calls::{Abi, Call, X32_BIT};
use crate::seccomp::{Filter, docker_default_filter};
use oci_spec::runtime::Capability;
use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Reads 64 bytes from stdin: which way to call, number, six arguments. Makes the call, and exits with its errno.
///
/// ```text
///     sub rsp, 128                    mov r10, [rsp+40]           1:  mov ebx, edi
///     read(0, rsp, 64)                mov r8, [rsp+48]                mov ecx, esi
///     cmp byte [rsp], 0               mov r9, [rsp+56]                mov esi, r10d
///     mov rax, [rsp+8]                jne 1f                          mov edi, r8d
///     mov rdi, [rsp+16]               syscall                         mov ebp, r9d
///     mov rsi, [rsp+24]               jmp 2f                          int 0x80
///     mov rdx, [rsp+32]                                           2:  exit_group(-eax < 4096 ? -eax : 0)
/// ```
const CODE: [u8; 100] = [
    0x48, 0x81, 0xec, 0x80, 0x00, 0x00, 0x00, 0x31, 0xc0, 0x31, 0xff, 0x48, 0x89, 0xe6, 0xba, 0x40, 0x00, 0x00, 0x00,
    0x0f, 0x05, 0x80, 0x3c, 0x24, 0x00, 0x48, 0x8b, 0x44, 0x24, 0x08, 0x48, 0x8b, 0x7c, 0x24, 0x10, 0x48, 0x8b, 0x74,
    0x24, 0x18, 0x48, 0x8b, 0x54, 0x24, 0x20, 0x4c, 0x8b, 0x54, 0x24, 0x28, 0x4c, 0x8b, 0x44, 0x24, 0x30, 0x4c, 0x8b,
    0x4c, 0x24, 0x38, 0x75, 0x04, 0x0f, 0x05, 0xeb, 0x0f, 0x89, 0xfb, 0x89, 0xf1, 0x44, 0x89, 0xd6, 0x44, 0x89, 0xc7,
    0x44, 0x89, 0xcd, 0xcd, 0x80, 0xf7, 0xd8, 0x31, 0xff, 0x3d, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x42, 0xf8, 0xb8, 0xe7,
    0x00, 0x00, 0x00, 0x0f, 0x05,
];

/// The code in the smallest ELF file: header, one segment.
fn elf() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let size = 120 + CODE.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(&2u16.to_le_bytes()); // executable
    put(&62u16.to_le_bytes()); // x86-64
    put(&1u32.to_le_bytes());
    put(&(BASE + 120).to_le_bytes()); // entry
    put(&64u64.to_le_bytes()); // program headers
    put(&0u64.to_le_bytes());
    put(&0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    put(&1u32.to_le_bytes()); // load
    put(&5u32.to_le_bytes()); // read, execute
    for word in [0, BASE, BASE, size, size, 0x1000] {
        put(&word.to_le_bytes());
    }
    put(&CODE);
    file
}

/// The program, as a file that goes away with this.
struct Program(PathBuf);

impl Program {
    fn new(test: &str) -> Program {
        let path = std::env::temp_dir().join(format!("dhow-test-seccomp-{}-{test}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o755).open(&path).unwrap();
        file.write_all(&elf()).unwrap();
        Program(path)
    }

    /// The errno of the call (0: it worked), or the signal that it was answered with.
    fn call(&self, input: &[u8]) -> Result<i32, i32> {
        let mut child = loop {
            let mut command = Command::new(&self.0);
            match command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
                // A child of another test holds it open for writing until its own exec.
                Err(e) if e.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        child.stdin.take().unwrap().write_all(input).unwrap();
        let status = child.wait().unwrap();
        status.code().ok_or_else(|| status.signal().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn input(abi: Abi, number: u32, arguments: &[u64]) -> Vec<u8> {
    let mut words = [0u64; 8];
    words[0] = u64::from(abi == Abi::I386);
    words[1] = u64::from(if abi == Abi::X32 { number | X32_BIT } else { number });
    words[2..2 + arguments.len()].copy_from_slice(arguments);
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn named(abi: Abi, name: &str, arguments: &[u64]) -> Vec<u8> {
    input(abi, Call::by_name(name).and_then(|call| call.number(abi)).unwrap().into(), arguments)
}

/// Runs the test under the filter, or says that it cannot.
fn under(filter: Filter, test: &str, body: impl FnOnce(&Program) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: loading a filter needs root");
        return;
    }
    // What dies of SIGSYS would leave a core file behind.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).unwrap();
    let program = Program::new(test);
    let run = move || {
        filter.load().unwrap();
        body(&program);
    };
    std::thread::spawn(run).join().unwrap();
}

const EPERM: Result<i32, i32> = Ok(1);
const ENOSYS: Result<i32, i32> = Ok(38);
const EAFNOSUPPORT: i32 = 97;
const SIGSYS: Result<i32, i32> = Err(31);

#[test]
fn docker_s_profile_in_force() {
    under(docker_default_filter(&dockers()), "docker", |program| {
        let call = |name, arguments: &[u64]| program.call(&named(Abi::X86_64, name, arguments));
        assert_eq!(call("getpid", &[]), Ok(0));
        assert_eq!(call("clone3", &[0, 0]), ENOSYS);
        assert_eq!(call("unshare", &[0x1000_0000]), EPERM);
        assert_eq!(call("clone", &[0x1000_0000 | 17]), EPERM);
        assert_eq!(call("clone", &[17]), Ok(0));
        assert_eq!(call("mount", &[]), EPERM);
        assert_eq!(call("keyctl", &[0]), EPERM);
        assert_eq!(call("socket", &[2, 1, 0]), Ok(0));
        assert_eq!(call("socket", &[1, 1, 0]), Ok(0));
        assert_eq!(call("socket", &[40, 1, 0]), EPERM);
        assert_eq!(call("socket", &[38, 5, 0]), EPERM);
        // The kernel would make an AF_VSOCK socket of this.
        assert_eq!(call("socket", &[1 << 32 | 40, 1, 0]), EPERM);
        for (personality, expected) in
            [(0, Ok(0)), (0xffff_ffff, Ok(0)), (8, Ok(0)), (0x2_0000, Ok(0)), (0x4_0000, EPERM)]
        {
            assert_eq!(call("personality", &[personality]), expected, "{personality:x}");
        }
        // Newer than the profile: not there, whether this kernel has it or not.
        assert_eq!(call("file_getattr", &[]), ENOSYS);
        assert_eq!(program.call(&input(Abi::X86_64, 1000, &[])), ENOSYS);
        // With a bad address, so that it does nothing else: what the kernel itself says.
        assert_eq!(call("statmount", &[0, 0, 0, 1]), Ok(22));
        assert_eq!(program.call(&named(Abi::X32, "unshare", &[0x1000_0000])), EPERM);
    });
}

#[test]
fn the_compat_interface_in_force() {
    let plain = Program::new("compat-plain");
    let alone = plain.call(&named(Abi::I386, "getpid", &[]));
    if alone != Ok(0) {
        eprintln!("SKIPPED: this kernel has no i386 calls: {alone:?}");
        return;
    }
    under(docker_default_filter(&dockers()), "compat", |program| {
        let call = |name, arguments: &[u64]| program.call(&named(Abi::I386, name, arguments));
        assert_eq!(call("getpid", &[]), Ok(0));
        assert_eq!(call("unshare", &[0x1000_0000]), EPERM);
        assert_eq!(call("clone3", &[0, 0]), ENOSYS);
        assert_eq!(call("socket", &[40, 1, 0]), EPERM);
        assert_eq!(call("socket", &[2, 1, 0]), Ok(0));
        assert_eq!(call("personality", &[0x4_0000]), EPERM);
        assert_eq!(program.call(&input(Abi::I386, 1000, &[])), ENOSYS);
    });
    let native = Filter::compile(&oci(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)).unwrap();
    under(native, "compat-native", |program| {
        assert_eq!(program.call(&named(Abi::X86_64, "getpid", &[])), Ok(0));
        assert_eq!(program.call(&named(Abi::I386, "getpid", &[])), SIGSYS);
        assert_eq!(program.call(&named(Abi::X32, "getpid", &[])), SIGSYS);
    });
}

#[test]
fn capabilities_in_force() {
    let all = HashSet::from([Capability::SysAdmin]);
    under(docker_default_filter(&all), "admin", |program| {
        let call = |name, arguments: &[u64]| program.call(&named(Abi::X86_64, name, arguments));
        // UTS namespace of its own, which ends with it.
        assert_eq!(call("unshare", &[0x400_0000]), Ok(0));
        // The kernel's own answer to a struct of no size.
        assert_eq!(call("clone3", &[0, 0]), Ok(22));
        assert_eq!(call("reboot", &[]), EPERM);
    });
}

#[test]
fn every_action_in_force() {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
        {"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["getuid"], "action": "SCMP_ACT_KILL_THREAD"},
        {"names": ["getgid"], "action": "SCMP_ACT_TRAP"},
        {"names": ["geteuid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99},
        {"names": ["getegid"], "action": "SCMP_ACT_LOG"},
        {"names": ["getpgrp"], "action": "SCMP_ACT_TRACE"},
        {"names": ["lseek"], "action": "SCMP_ACT_ERRNO", "errnoRet": 98,
            "args": [{"index": 1, "value": 4294967301, "op": "SCMP_CMP_GE"}, {"index": 2, "value": 7, "op": "SCMP_CMP_NE"}]}
    ]}"#;
    under(Filter::compile(&oci(profile)).unwrap(), "actions", |program| {
        let call = |name, arguments: &[u64]| program.call(&named(Abi::X86_64, name, arguments));
        assert_eq!(call("getpid", &[]), Ok(0));
        for deadly in ["getppid", "getuid", "getgid"] {
            assert_eq!(call(deadly, &[]), SIGSYS, "{deadly}");
        }
        assert_eq!(call("geteuid", &[]), Ok(99));
        assert_eq!(call("getegid", &[]), Ok(0));
        // Nobody traces it.
        assert_eq!(call("getpgrp", &[]), ENOSYS);
        // Its stdin is a pipe: ESPIPE of the kernel.
        assert_eq!(call("lseek", &[0, 0x1_0000_0004, 0]), Ok(29));
        assert_eq!(call("lseek", &[0, 0x1_0000_0005, 0]), Ok(98));
        assert_eq!(call("lseek", &[0, 0x2_0000_0000, 0]), Ok(98));
        assert_ne!(call("lseek", &[0, 0x2_0000_0000, 7]), Ok(98));
    });
}

#[test]
fn programs_of_this_machine_run_under_docker_s_profile() {
    under(docker_default_filter(&dockers()), "shell", |_| {
        let script = "ls -l / | sort | head -n 3 && (sleep 0 & wait) && echo end";
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.ends_with(b"end\n"), "{output:?}");
    });
}

#[test]
fn who_would_need_a_listener_is_not_loaded() {
    let profile =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["dup"], "action": "SCMP_ACT_NOTIFY"}]}"#;
    let filter = Filter::compile(&oci(profile)).unwrap();
    assert!(matches!(filter.load(), Err(RuntimeError::Invalid { .. })));
}

#[test]
fn the_address_family_is_really_there() {
    // What the profile denies must be what the kernel would have given, or the tests above prove nothing.
    let program = Program::new("family");
    let made = program.call(&named(Abi::X86_64, "socket", &[1 << 32 | 40, 1, 0]));
    assert!(made == Ok(0) || made == Ok(EAFNOSUPPORT), "{made:?}");
    assert_eq!(program.call(&named(Abi::X86_64, "socket", &[1 << 32 | 2, 1, 0])), Ok(0), "only 32 bits are seen");
}
