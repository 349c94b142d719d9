//! Configurations that pass through and lose nothing.

use dhow_spec::image_config::{Healthcheck, History, RunConfig};
use dhow_spec::{Digest, ImageConfig, Platform, document};
use proptest::prelude::*;
use serde_json::{Value, json};

/// As the classic builder of Docker writes it, nulls and all.
fn of_docker() -> Value {
    json!({
        "architecture": "amd64",
        "config": {
            "Hostname": "", "Domainname": "", "User": "app", "AttachStdin": false, "Tty": false,
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Env": ["PATH=/bin", "A=b=c"], "Cmd": null, "Image": "sha256:00", "Volumes": null, "WorkingDir": "/srv",
            "Entrypoint": [], "OnBuild": null, "Labels": {"a": "b", "empty": null}, "StopSignal": "SIGQUIT",
            "StopTimeout": 3, "Shell": ["/bin/ash", "-c"],
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000_i64, "Retries": 2, "New": 1},
        },
        "container": "abc",
        "container_config": {"Hostname": "abc", "Cmd": ["/bin/sh"]},
        "created": "2024-01-02T03:04:05.678901234Z",
        "docker_version": "20.10.0",
        "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "ADD x", "empty_layer": true, "more": 1}, {}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"a").to_string()], "base": "x"},
        "variant": "v2",
        "os.version": "10", "os.features": ["f"], "author": "me", "comment": "said",
        "moby.buildkit.buildinfo.v1": "abc=", "nothing": null,
    })
}

#[test]
fn fields_of_docker_are_read() {
    let config = document::config(of_docker().to_string().as_bytes()).unwrap();
    let run = &config.config;
    assert_eq!((run.user.as_str(), run.working_dir.as_str(), run.stop_signal.as_str()), ("app", "/srv", "SIGQUIT"));
    assert_eq!(run.exposed_ports.iter().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!((&run.cmd, &run.entrypoint), (&None, &Some(vec![])));
    assert_eq!(run.labels.get("empty").map(String::as_str), Some(""));
    assert_eq!(run.stop_timeout, Some(3));
    let health = run.healthcheck.clone().unwrap();
    assert_eq!((health.interval, health.timeout, health.retries), (5_000_000_000, 0, 2));
    assert_eq!((run.env_value("A"), run.env_value("PATH"), run.env_value("B")), (Some("b=c"), Some("/bin"), None));
    assert_eq!(config.platform().to_string(), "linux(10+f)/amd64/v2");
    assert_eq!(config.history.len(), 2);
    assert!(config.history[0].empty_layer && !config.history[1].empty_layer);
    assert_eq!(config.rootfs.diff_ids, [Digest::of(b"a")]);
    assert!(config.extra.contains_key("container_config") && run.extra.contains_key("Hostname"));
}

/// The value without what means nothing: nulls, and the label that null made empty.
fn meaningful(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k, meaningful(v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(meaningful).collect(),
        other => other,
    }
}

#[test]
fn unknown_fields_are_written_back() {
    let config = document::config(of_docker().to_string().as_bytes()).unwrap();
    let written: Value = serde_json::from_slice(&config.to_bytes()).unwrap();
    let mut expected = of_docker();
    expected["config"]["Labels"]["empty"] = json!("");
    assert_eq!(meaningful(written), meaningful(expected));
}

#[test]
fn an_import_is_written_as_docker_would() {
    let mut config = ImageConfig { created: Some("2024-01-02T03:04:05Z".to_owned()), ..ImageConfig::default() };
    config.set_platform(&Platform::new("linux", "amd64", None));
    config.comment = "Imported from -".to_owned();
    config.rootfs.diff_ids.push(Digest::of(b"a"));
    config.history.push(History {
        created: config.created.clone(),
        comment: config.comment.clone(),
        ..History::default()
    });
    config.config = RunConfig {
        cmd: Some(vec!["/bin/sh".to_owned()]),
        healthcheck: Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }),
        ..RunConfig::default()
    };
    let expected = format!(
        "{{\"created\":\"2024-01-02T03:04:05Z\",\"architecture\":\"amd64\",\"os\":\"linux\",\
         \"config\":{{\"Cmd\":[\"/bin/sh\"],\"Healthcheck\":{{\"Test\":[\"NONE\"]}}}},\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{}\"]}},\
         \"history\":[{{\"created\":\"2024-01-02T03:04:05Z\",\"comment\":\"Imported from -\"}}],\
         \"comment\":\"Imported from -\"}}",
        Digest::of(b"a")
    );
    assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), expected);
}

#[test]
fn old_and_empty_forms() {
    let read = |text: &str| document::config(text.as_bytes());
    let old = read(r#"{"config":{"Cmd":"/bin/sh","Entrypoint":["a"]},"rootfs":{"type":"layers"}}"#).unwrap();
    assert_eq!(old.config.cmd, Some(vec!["/bin/sh".to_owned()]));
    let nulls = r#"{"created":null,"author":null,"architecture":null,"os":null,"variant":null,"os.version":null,
        "os.features":null,"config":null,"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
    assert_eq!(read(nulls).unwrap(), ImageConfig::default());
    assert!(read(r#"{"os":"linux","os":"windows","rootfs":{"type":"layers"}}"#).is_err(), "a field twice");
}

#[test]
fn variables_keep_their_place() {
    let mut run = RunConfig { env: vec!["A=1".to_owned(), "B=2".to_owned(), "C".to_owned()], ..RunConfig::default() };
    run.set_env("A", "3");
    run.set_env("C", "4");
    run.set_env("D", "5");
    assert_eq!(run.env, ["A=3", "B=2", "C=4", "D=5"]);
}

fn words() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(any::<String>(), 0..3)
}

fn run_config() -> impl Strategy<Value = RunConfig> {
    let sets = (
        proptest::collection::btree_set(any::<String>(), 0..3),
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3),
    );
    let commands = (proptest::option::of(words()), proptest::option::of(words()), words(), words());
    (any::<String>(), any::<String>(), sets, commands, any::<bool>(), any::<i64>()).prop_map(
        |(user, stop_signal, (volumes, labels), (cmd, entrypoint, env, on_build), args_escaped, number)| RunConfig {
            user,
            stop_signal,
            exposed_ports: volumes.clone(),
            volumes,
            labels,
            cmd,
            entrypoint,
            env,
            on_build: on_build.clone(),
            shell: on_build.clone(),
            args_escaped,
            stop_timeout: Some(number),
            healthcheck: Some(Healthcheck {
                test: on_build,
                interval: number,
                retries: number,
                ..Healthcheck::default()
            }),
            ..RunConfig::default()
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(run in run_config(), author in any::<String>(), created in proptest::option::of(any::<String>())) {
        let config = ImageConfig { config: run, author, created, ..ImageConfig::default() };
        prop_assert_eq!(document::config(&config.to_bytes()).unwrap(), config);
    }
}
