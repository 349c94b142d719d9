//! What `inspect` shows of a container: docker's fields, in docker's order.
//!
//! Follows `ContainerJSON` of the Docker Engine API 1.51. What dhow has no such thing for is there with the value that
//! docker has for "none". Must not know where containers come from.

use super::connect::LOST;
use super::list::shown_status;
use super::networks;
use crate::output::units;
use dhow_engine::container::request::{
    Bind, Config, HostConfig, Namespace, Resources, RestartPolicy, RootSource, Seccomp, Throttle,
};
use dhow_engine::container::view::Container;
use dhow_runtime::status::Status;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Bytes of /dev/shm where nothing else is said.
const SHM_SIZE: u64 = 64 * 1024 * 1024;

/// Paths of /proc and /sys that are hidden, as docker lists them.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The whole document; `sizes` are the bytes written by the container, and those together with its image.
pub(super) fn document(container: &Container, sizes: Option<(u64, u64)>) -> Value {
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    // Made at the first start.
    let tried = container.status != Status::Created;
    let text = |path: &Path| json!(if tried { path.display().to_string() } else { String::new() });
    let file = |name: &str| text(&container.dir.join(name));
    put("Id", json!(container.id));
    put("Created", json!(units::rfc3339(container.created)));
    put("Path", json!(container.command.first().map_or("", String::as_str)));
    put("Args", json!(container.command.get(1..).unwrap_or_default()));
    put("State", state(container));
    put("Image", json!(container.image.as_ref().map_or_else(String::new, ToString::to_string)));
    put("ResolvConfPath", file("resolv.conf"));
    put("HostnamePath", file("hostname"));
    put("HostsPath", file("hosts"));
    put("LogPath", container.log_path.as_deref().map_or_else(|| json!(""), text));
    put("Name", json!(format!("/{}", container.name)));
    put("RestartCount", json!(container.restart_count));
    put("Driver", json!(container.storage));
    put("Platform", json!("linux"));
    for label in ["MountLabel", "ProcessLabel", "AppArmorProfile"] {
        put(label, json!(""));
    }
    put("ExecIDs", Value::Null);
    put("HostConfig", host_config(container));
    put("GraphDriver", graph_driver(container));
    if let Some((written, whole)) = sizes {
        put("SizeRw", json!(written));
        put("SizeRootFs", json!(whole));
    }
    put("Mounts", container.host.binds.iter().map(mount).collect());
    put("Config", config(container));
    put("NetworkSettings", networks::settings(container));
    Value::Object(document)
}

fn state(container: &Container) -> Value {
    let status = shown_status(container);
    let time = |time: Option<i64>| time.map_or_else(|| NEVER.to_owned(), units::rfc3339);
    let code = match (status, container.exit_code) {
        (_, Some(code)) if !status.is_live() => code,
        // It ended, and nobody could tell how.
        (Status::Exited, None) => i32::from(LOST),
        _ => 0,
    };
    json!({
        "Status": status.name(),
        "Running": matches!(status, Status::Running | Status::Paused | Status::Restarting),
        "Paused": status == Status::Paused,
        "Restarting": status == Status::Restarting,
        "OOMKilled": container.oom_killed,
        "Dead": status == Status::Dead,
        "Pid": container.pid.unwrap_or(0),
        "ExitCode": code,
        "Error": container.error,
        "StartedAt": time(container.started),
        "FinishedAt": time(container.finished.filter(|_| container.started.is_some())),
    })
}

/// Where the container's own layer is.
fn graph_driver(container: &Container) -> Value {
    let part = |name: &str| container.dir.join("rootfs").join(name).display().to_string();
    let data = match container.storage.as_str() {
        "overlay" => json!({"UpperDir": part("fs"), "WorkDir": part("work")}),
        _ => json!({"Dir": part("fs")}),
    };
    json!({"Data": data, "Name": container.storage})
}

/// The word of `--network`, `--pid` and the like; `default` where none was given.
pub(super) fn named_mode(namespace: &Namespace, default: &str) -> String {
    match namespace {
        Namespace::Default => default.to_owned(),
        Namespace::Private => if default == "none" { "none" } else { "private" }.to_owned(),
        Namespace::Shareable => "shareable".to_owned(),
        Namespace::Networks => "bridge".to_owned(),
        Namespace::None => "none".to_owned(),
        Namespace::Host => "host".to_owned(),
        Namespace::Container(id) => format!("container:{id}"),
    }
}

fn host_config(container: &Container) -> Value {
    let host = &container.host;
    let or_null = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("Binds", or_null(&host.binds.iter().map(bind).collect::<Vec<_>>()));
    put("ContainerIDFile", json!(""));
    put("LogConfig", json!({"Type": host.log.driver, "Config": host.log.options}));
    put("NetworkMode", json!(networks::mode(host)));
    put("PortBindings", networks::bindings(host));
    let (policy, most) = restart(host.restart);
    put("RestartPolicy", json!({"Name": policy, "MaximumRetryCount": most}));
    put("AutoRemove", json!(host.auto_remove));
    put("VolumeDriver", json!(""));
    put("VolumesFrom", Value::Null);
    put("ConsoleSize", json!([0, 0]));
    if !host.annotations.is_empty() {
        put("Annotations", json!(host.annotations));
    }
    put("CapAdd", or_null(&capabilities(&host.cap_add)));
    put("CapDrop", or_null(&capabilities(&host.cap_drop)));
    put("CgroupnsMode", json!(named_mode(&host.cgroupns, "private")));
    put("Dns", json!(host.dns.iter().map(ToString::to_string).collect::<Vec<_>>()));
    put("DnsOptions", json!(host.dns_options));
    put("DnsSearch", json!(host.dns_search));
    put("ExtraHosts", or_null(&host.extra_hosts));
    put("GroupAdd", or_null(&host.group_add));
    put("IpcMode", json!(named_mode(&host.ipc, "private")));
    put("Cgroup", json!(""));
    put("Links", Value::Null);
    put("OomScoreAdj", json!(host.oom_score_adj.unwrap_or(0)));
    put("PidMode", json!(named_mode(&host.pid, "")));
    put("Privileged", json!(host.privileged));
    put("PublishAllPorts", json!(host.publish_all));
    put("ReadonlyRootfs", json!(host.read_only));
    put("SecurityOpt", or_null(&security(host)));
    if !host.tmpfs.is_empty() {
        put("Tmpfs", json!(host.tmpfs));
    }
    put("UTSMode", json!(named_mode(&host.uts, "")));
    put("UsernsMode", json!(""));
    put("ShmSize", json!(host.shm_size.unwrap_or(SHM_SIZE)));
    if !host.sysctls.is_empty() {
        put("Sysctls", json!(host.sysctls));
    }
    put("Runtime", json!("dhow"));
    put("Isolation", json!(""));
    fields.extend(resources(&host.resources, host));
    let open = host.privileged || host.systempaths_unconfined;
    let paths = |paths: &[&str]| match (host.privileged, open) {
        (true, _) => Value::Null,
        (false, true) => json!([]),
        (false, false) => json!(paths),
    };
    fields.insert("MaskedPaths".to_owned(), paths(&MASKED));
    fields.insert("ReadonlyPaths".to_owned(), paths(&READ_ONLY));
    if host.init {
        fields.insert("Init".to_owned(), json!(true));
    }
    Value::Object(fields)
}

fn restart(policy: RestartPolicy) -> (&'static str, u32) {
    match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::OnFailure(most) => ("on-failure", most),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    }
}

fn capabilities(names: &[String]) -> Vec<String> {
    names.iter().map(|n| if n == "ALL" { n.clone() } else { format!("CAP_{n}") }).collect()
}

fn security(host: &HostConfig) -> Vec<String> {
    let mut options = Vec::new();
    if host.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &host.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Profile(text) => options.push(format!("seccomp={text}")),
    }
    options
}

fn resources(resources: &Resources, host: &HostConfig) -> Map<String, Value> {
    let rates = |list: &[Throttle]| -> Value {
        list.iter().map(|t| json!({"Path": t.device.display().to_string(), "Rate": t.rate})).collect()
    };
    let weights = resources.blkio_weight_device.iter();
    let weights = weights.map(|t| json!({"Path": t.device.display().to_string(), "Weight": t.rate}));
    let device = |d: &dhow_engine::container::request::Device| {
        json!({
            "PathOnHost": d.source.display().to_string(), "PathInContainer": d.target, "CgroupPermissions": d.permissions,
        })
    };
    let ulimit = |u: &dhow_engine::container::request::Ulimit| json!({"Name": u.name, "Hard": u.hard, "Soft": u.soft});
    let fields = json!({
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "Memory": resources.memory.unwrap_or(0),
        "NanoCpus": resources.nano_cpus.unwrap_or(0),
        "CgroupParent": host.cgroup_parent.clone().unwrap_or_default(),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": weights.collect::<Vec<_>>(),
        "BlkioDeviceReadBps": rates(&resources.device_read_bps),
        "BlkioDeviceWriteBps": rates(&resources.device_write_bps),
        "BlkioDeviceReadIOps": rates(&resources.device_read_iops),
        "BlkioDeviceWriteIOps": rates(&resources.device_write_iops),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": resources.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.clone().unwrap_or_default(),
        "Devices": host.devices.iter().map(device).collect::<Vec<_>>(),
        "DeviceCgroupRules": if host.device_cgroup_rules.is_empty() { Value::Null } else { json!(host.device_cgroup_rules) },
        "DeviceRequests": null,
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwap": resources.memory_swap.unwrap_or(0),
        "MemorySwappiness": resources.memory_swappiness,
        "OomKillDisable": resources.oom_kill_disable,
        "PidsLimit": resources.pids,
        "Ulimits": host.ulimits.iter().map(ulimit).collect::<Vec<_>>(),
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    });
    if let Value::Object(fields) = fields { fields } else { Map::new() }
}

/// What comes behind the second colon of `-v`.
fn bind_mode(bind: &Bind) -> String {
    let mut words = Vec::new();
    if bind.read_only {
        words.push("ro");
    }
    words.extend(bind.propagation.as_deref());
    words.join(",")
}

fn bind(bind: &Bind) -> String {
    let mode = bind_mode(bind);
    let colon = if mode.is_empty() { "" } else { ":" };
    format!("{}:{}{colon}{mode}", bind.source.display(), bind.target)
}

fn mount(bind: &Bind) -> Value {
    json!({
        "Type": "bind",
        "Source": bind.source.display().to_string(),
        "Destination": bind.target,
        "Mode": bind_mode(bind),
        "RW": !bind.read_only,
        "Propagation": bind.propagation.as_deref().unwrap_or("rprivate"),
    })
}

fn config(container: &Container) -> Value {
    let config: &Config = &container.config;
    let image = match &container.root {
        RootSource::Image(name) => name.clone(),
        RootSource::Directory { .. } => String::new(),
    };
    let hostname = config.hostname.clone().unwrap_or_else(|| container.id.get(..12).unwrap_or_default().to_owned());
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("Hostname", json!(hostname));
    put("Domainname", json!(config.domainname.clone().unwrap_or_default()));
    put("User", json!(config.user.clone().unwrap_or_default()));
    put("AttachStdin", json!(config.attach_stdin));
    put("AttachStdout", json!(config.attach_stdout));
    put("AttachStderr", json!(config.attach_stderr));
    if !config.exposed_ports.is_empty() {
        put("ExposedPorts", config.exposed_ports.iter().map(|port| (port.clone(), json!({}))).collect());
    }
    put("Tty", json!(config.tty));
    put("OpenStdin", json!(config.open_stdin));
    put("StdinOnce", json!(config.stdin_once));
    put("Env", json!(config.env));
    put("Cmd", json!(config.cmd));
    put("Image", json!(image));
    put("Volumes", Value::Null);
    put("WorkingDir", json!(config.working_dir.clone().unwrap_or_default()));
    put("Entrypoint", json!(config.entrypoint));
    put("OnBuild", Value::Null);
    put("Labels", json!(config.labels));
    if let Some(signal) = &config.stop_signal {
        put("StopSignal", json!(signal));
    }
    if let Some(seconds) = config.stop_timeout {
        put("StopTimeout", json!(seconds));
    }
    Value::Object(fields)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use dhow_engine::container::request::{EndpointConfig, LogConfig};
    use dhow_engine::container::view::OnNetwork;
    use dhow_spec::Digest;
    use std::collections::BTreeMap;

    /// A container with something in most places.
    pub(in crate::cli::container) fn container() -> Container {
        Container {
            id: "0123456789abcdef".repeat(4),
            name: "brave_box".to_owned(),
            root: RootSource::Image("busybox".to_owned()),
            image: Some(Digest::of(b"an image")),
            created: 1_704_164_645_060_000_000,
            status: Status::Created,
            pid: None,
            started: None,
            finished: None,
            exit_code: None,
            oom_killed: false,
            error: String::new(),
            restart_count: 0,
            command: vec!["sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()],
            config: Config {
                env: vec!["PATH=/bin".to_owned()],
                cmd: Some(vec!["sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()]),
                labels: BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]),
                attach_stdout: true,
                attach_stderr: true,
                ..Config::default()
            },
            host: HostConfig {
                binds: vec![Bind {
                    source: "/srv/data/of/the/box".into(),
                    target: "/data".to_owned(),
                    read_only: true,
                    propagation: None,
                    non_recursive: false,
                    create_source: true,
                }],
                log: LogConfig::default(),
                restart: RestartPolicy::OnFailure(3),
                cap_add: vec!["NET_ADMIN".to_owned()],
                no_new_privileges: true,
                ..HostConfig::default()
            },
            log_path: Some("/var/lib/dhow/containers/x/x-json.log".into()),
            dir: "/var/lib/dhow/containers/x".into(),
            cgroup: "dhow/store/x".into(),
            storage: "overlay".to_owned(),
            networks: vec![OnNetwork {
                name: "none".to_owned(),
                id: "f".repeat(64),
                asked: EndpointConfig::on("none"),
                given: None,
            }],
            ports: Vec::new(),
        }
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn the_fields_are_docker_s_in_docker_s_order() {
        let document = document(&container(), Some((10, 20)));
        assert_eq!(
            keys(&document).join(" "),
            "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver \
             Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver SizeRw SizeRootFs Mounts \
             Config NetworkSettings"
        );
        assert_eq!(
            keys(&document["State"]).join(" "),
            "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt"
        );
        assert_eq!(
            keys(&document["Config"]).join(" "),
            "Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Image Volumes \
             WorkingDir Entrypoint OnBuild Labels"
        );
        assert_eq!(
            keys(&document["HostConfig"]).join(" "),
            "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom \
             ConsoleSize CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links \
             OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt UTSMode UsernsMode ShmSize Runtime \
             Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps \
             BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod \
             CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests MemoryReservation \
             MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps \
             IOMaximumBandwidth MaskedPaths ReadonlyPaths"
        );
    }

    #[test]
    fn values_are_docker_s() {
        let shown = document(&container(), None);
        assert_eq!(shown["Name"], "/brave_box");
        assert_eq!(shown["Created"], "2024-01-02T03:04:05.06Z");
        assert_eq!((&shown["Path"], &shown["Args"]), (&json!("sh"), &json!(["-c", "exit 3"])));
        assert_eq!(shown["State"]["StartedAt"], NEVER);
        assert_eq!(shown["HostConfig"]["RestartPolicy"], json!({"Name": "on-failure", "MaximumRetryCount": 3}));
        assert_eq!(shown["HostConfig"]["Binds"], json!(["/srv/data/of/the/box:/data:ro"]));
        assert_eq!(shown["HostConfig"]["CapAdd"], json!(["CAP_NET_ADMIN"]));
        assert_eq!(shown["HostConfig"]["SecurityOpt"], json!(["no-new-privileges"]));
        assert_eq!(shown["Mounts"][0]["RW"], false);
        assert_eq!(shown["Config"]["Hostname"], "0123456789ab");
        assert_eq!(keys(&shown["NetworkSettings"]["Networks"]), ["none"]);
        let mut ended = container();
        (ended.status, ended.exit_code, ended.finished) = (Status::Exited, Some(3), Some(ended.created));
        assert_eq!(document(&ended, None)["State"]["ExitCode"], 3);
        assert_eq!(document(&ended, None)["State"]["Status"], "created", "what never ran");
        ended.started = Some(ended.created);
        ended.exit_code = None;
        assert_eq!(document(&ended, None)["State"]["ExitCode"], 255);
        ended.status = Status::Paused;
        let state = &document(&ended, None)["State"];
        assert_eq!((&state["Running"], &state["Paused"], &state["ExitCode"]), (&json!(true), &json!(true), &json!(0)));
    }
}
