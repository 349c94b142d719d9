//! The gate, what may wait at it, and programs that cannot be executed.

use crate::bench::alone;
use dhow_runtime::RuntimeError;
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn nothing_is_executed_before_the_gate_opens_and_nothing_is_left_when_it_never_does() {
    alone(|mut bench| {
        bench.script("touch /ran");
        let (starting, _output) = bench.start_joined(&[]).unwrap();
        let process = format!("/proc/{}", starting.pid());
        assert!(Path::new(&process).exists());
        drop(starting);
        assert!(!Path::new(&process).exists(), "ended and reaped");
        assert!(!bench.root().join("ran").exists());
        assert_eq!(bench.run().unwrap().status, 0);
        assert!(bench.root().join("ran").exists());
    });
}

#[test]
fn who_dies_before_the_gate_takes_the_process_with_him() {
    alone(|mut bench| {
        bench.script("touch /ran");
        let pid = bench.host("pid").join("pid");
        // Our part is played by a process that is killed.
        let starter = dhow_sys::clone::clone(&dhow_sys::clone::Relation::CHILD, || {
            let (starting, _output) = bench.start_joined(&[]).unwrap();
            fs::write(&pid, starting.pid().to_string()).unwrap();
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
            0
        });
        dhow_sys::pidfd::wait(std::os::fd::AsFd::as_fd(&starter.unwrap().pidfd)).unwrap();
        let waiting = fs::read_to_string(&pid).unwrap().parse().unwrap();
        if let Ok(pidfd) = dhow_sys::pidfd::open(waiting) {
            let mut poll = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
            let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
            assert_eq!(rustix::event::poll(&mut poll, Some(&limit)).unwrap(), 1, "it ends");
        }
        assert!(!bench.root().join("ran").exists());
    });
}

#[test]
fn programs_that_are_not_there_and_those_that_cannot_be_executed() {
    alone(|mut bench| {
        fs::write(bench.root().join("bin/noise"), "\0not a program").unwrap();
        fs::set_permissions(bench.root().join("bin/noise"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(bench.root().join("bin/script"), "#!/not/there\n").unwrap();
        fs::set_permissions(bench.root().join("bin/script"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut check = |name: &str, kind: ErrorKind, text: &str| match bench.set("/process/args", json!([name])).run()
        {
            Err(RuntimeError::Exec { program, source }) => {
                let error = RuntimeError::Exec { program, source };
                assert_eq!(error.to_string(), text);
                let RuntimeError::Exec { source, .. } = error else { unreachable!() };
                assert_eq!(source.kind(), kind, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        };
        use ErrorKind::{NotFound, PermissionDenied};
        check("foo", NotFound, r#"exec: "foo": executable file not found in $PATH"#);
        check("", NotFound, r#"exec: "": executable file not found in $PATH"#);
        check("/foo", NotFound, r#"exec: "/foo": stat /foo: no such file or directory"#);
        check("/etc/plain", PermissionDenied, r#"exec: "/etc/plain": permission denied"#);
        check("/etc", PermissionDenied, r#"exec: "/etc": is a directory"#);
        check("noise", PermissionDenied, r#"exec: "noise": exec format error"#);
        check("script", NotFound, r#"exec: "script": no such file or directory"#);
    });
}

#[test]
fn a_step_that_fails_is_named_and_nothing_is_left() {
    alone(|mut bench| {
        bench.add("/mounts", json!({"destination": "/x", "type": "bind", "source": "/not/there", "options": ["bind"]}));
        let (step, message) = crate::bench::step(bench.run());
        assert_eq!(step, "mounts");
        assert!(message.starts_with("cannot mount /not/there on /x: open_tree /not/there: No such file"), "{message}");
        bench.spec["mounts"].as_array_mut().unwrap().pop();
        bench.add("/mounts", json!({"destination": "/x", "type": "nosuchfs", "source": "x"}));
        let (step, message) = crate::bench::step(bench.run());
        assert_eq!(step, "mounts");
        assert!(message.contains("fsopen nosuchfs"), "{message}");
        let children = fs::read_to_string("/proc/thread-self/children").unwrap();
        assert_eq!(children, "", "all were reaped");
    });
}
