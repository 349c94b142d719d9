//! Variables, host names, and the processes of `exec`.

use super::super::{build, exec_process, hostname};
use super::{Scratch, container, host, strings};
use crate::container::ExecRequest;
use crate::container::request::{Config, HostConfig, Namespace};
use oci_spec::runtime::User;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn env(config: Config, home: Option<&str>) -> Vec<String> {
    let scratch = Scratch::new();
    let container = container(config, HostConfig::default());
    let spec = build(&container, &User::default(), home, &super::super::Files::default(), &host(&scratch, false));
    spec.unwrap().process().clone().unwrap().env().clone().unwrap()
}

#[test]
fn variables() {
    let with = |words: &[&str]| Config { env: strings(words), ..Config::default() };
    let name = "HOSTNAME=0123456789ab";
    assert_eq!(env(with(&[]), Some("/root")), [PATH, name, "HOME=/root"]);
    assert_eq!(env(with(&[]), None), [PATH, name, "HOME=/"]);
    assert_eq!(env(with(&["B=2", "A=1", "PATH=/bin"]), None), ["PATH=/bin", name, "B=2", "A=1", "HOME=/"]);
    assert_eq!(env(with(&["HOME=/x", "HOSTNAME=me"]), Some("/root")), [PATH, "HOSTNAME=me", "HOME=/x"]);
    assert_eq!(env(with(&["A=1", "PATH", "A=", "NEVER"]), None), [name, "A=", "HOME=/"]);
    assert_eq!(env(with(&["A=x=y"]), None), [PATH, name, "A=x=y", "HOME=/"]);
    let config = Config { tty: true, ..with(&["TERM=dumb"]) };
    assert_eq!(env(config, None), [PATH, name, "TERM=dumb", "HOME=/"]);
    let config = Config { tty: true, hostname: Some("box".to_owned()), ..with(&[]) };
    assert_eq!(env(config, None), [PATH, "HOSTNAME=box", "TERM=xterm", "HOME=/"]);
}

#[test]
fn host_names() {
    let scratch = Scratch::new();
    let here = host(&scratch, false);
    let name = |config: Option<&str>, network| {
        let config = Config { hostname: config.map(str::to_owned), ..Config::default() };
        hostname(&container(config, HostConfig { network, ..HostConfig::default() }), &here)
    };
    assert_eq!(name(None, Namespace::Default), "0123456789ab");
    assert_eq!(name(Some(""), Namespace::Default), "0123456789ab");
    assert_eq!(name(None, Namespace::Host), "ship");
    assert_eq!(name(Some("box"), Namespace::Host), "box");
}

#[test]
fn processes_of_exec() {
    let scratch = Scratch::new();
    let here = host(&scratch, false);
    let config =
        Config { env: strings(&["A=1"]), tty: true, working_dir: Some("/srv".to_owned()), ..Config::default() };
    let container = container(config, HostConfig { no_new_privileges: true, ..HostConfig::default() });
    let spec = build(&container, &User::default(), Some("/root"), &super::super::Files::default(), &here).unwrap();
    let base = spec.process().clone().unwrap();

    let plain = ExecRequest { command: strings(&["ls"]), ..ExecRequest::default() };
    let process = exec_process(&container, &base, &plain, None, Some("/root"), &here).unwrap();
    assert_eq!(process.args(), &Some(strings(&["ls"])));
    assert_eq!(process.env(), &Some(strings(&[PATH, "HOSTNAME=0123456789ab", "A=1", "HOME=/root"])));
    assert_eq!((process.terminal(), process.cwd().to_str()), (Some(false), Some("/srv")));
    assert_eq!((process.user(), process.no_new_privileges()), (base.user(), Some(true)));
    assert_eq!(process.capabilities(), base.capabilities());

    let request = ExecRequest {
        command: strings(&["ls"]),
        env: strings(&["A=2", "B=3", "HOSTNAME"]),
        working_dir: Some("/a/../b".to_owned()),
        tty: true,
        privileged: true,
        ..ExecRequest::default()
    };
    let mut other = User::default();
    other.set_uid(7);
    let process = exec_process(&container, &base, &request, Some(other), Some("/home/other"), &here).unwrap();
    assert_eq!(process.env(), &Some(strings(&[PATH, "TERM=xterm", "A=2", "B=3", "HOME=/home/other"])));
    assert_eq!((process.user().uid(), process.cwd().to_str()), (7, Some("/b")));
    assert_eq!(process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 41);

    let failed =
        |request: ExecRequest| exec_process(&container, &base, &request, None, None, &here).unwrap_err().to_string();
    assert_eq!(failed(ExecRequest::default()), "No exec command specified");
    assert_eq!(failed(ExecRequest { working_dir: Some("b".into()), ..plain.clone() }), "Cwd must be an absolute path");
    assert_eq!(failed(ExecRequest { env: strings(&["=x"]), ..plain }), "invalid environment variable: =x");
}
