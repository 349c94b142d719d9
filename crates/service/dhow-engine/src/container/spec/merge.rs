//! The request over the image's configuration: what is in force, judged for what makes no sense.
//!
//! Follows `verifyContainerSettings` and `merge` of moby, messages included. What only the flags can get wrong (texts that
//! name no mode, no size) has been refused there.

use super::environment::name_of;
use super::host::Host;
use super::{capabilities, invalid, logging, mounts, paths, resources};
use crate::EngineError;
use crate::container::request::{Config, CreateRequest, HostConfig, Namespace, RestartPolicy};
use crate::network::names::files;
use dhow_spec::image_config::RunConfig;
use dhow_spec::{ImageConfig, change};

/// The longest host name of Linux, in bytes.
const LONGEST_HOSTNAME: usize = 64;

/// What is in force: the request over the image's configuration, checked for what makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// With the image's values where the request had none.
    pub config: Config,
    /// Checked.
    pub host: HostConfig,
    /// Program and arguments.
    pub command: Vec<String>,
    /// What could not be had as asked for.
    pub warnings: Vec<String>,
}

/// Puts a request on top of the image's configuration.
///
/// # Errors
/// [`EngineError::Invalid`] names the option that makes no sense or contradicts another.
pub fn merge(request: &CreateRequest, image: Option<&ImageConfig>, host: &Host) -> Result<Merged, EngineError> {
    let (mut config, mut options) = (request.config.clone(), request.host.clone());
    let mut warnings = Vec::new();
    check_modes(&config, &options).map_err(invalid)?;
    check_config(&mut config).map_err(invalid)?;
    check_options(&mut options, host, &mut warnings)?;
    files::check(&config, &options).map_err(invalid)?;
    if options.network == Namespace::Host && !options.ports.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    inherit(&mut config, image.map(|image| &image.config));
    let words = [&config.entrypoint, &config.cmd];
    let command: Vec<String> = words.into_iter().flatten().flatten().cloned().collect();
    if command.is_empty() {
        return Err(EngineError::Invalid {
            problem: "no command specified".to_owned(),
            hint: Some("the image names none: give one behind it".to_owned()),
        });
    }
    Ok(Merged { config, host: options, command, warnings })
}

/// Namespaces that are shared, and what would have to be written into them.
fn check_modes(config: &Config, options: &HostConfig) -> Result<(), &'static str> {
    let named = config.hostname.as_ref().is_some_and(|name| !name.is_empty());
    if let Namespace::Container(other) = &options.network {
        if other.is_empty() {
            return Err("invalid network mode: invalid container format container:<name|id>");
        }
        if named {
            return Err("conflicting options: hostname and the network mode");
        }
        let dns = [&options.dns_search, &options.dns_options].iter().all(|list| list.is_empty());
        for (asked, problem) in [
            (!options.dns.is_empty() || !dns, "conflicting options: dns and the network mode"),
            (!options.extra_hosts.is_empty(), "conflicting options: custom host-to-IP mapping and the network mode"),
            (config.mac_address.is_some(), "conflicting options: mac-address and the network mode"),
            (
                !options.ports.is_empty() || options.publish_all,
                "conflicting options: port publishing and the container type network mode",
            ),
            (
                !config.exposed_ports.is_empty(),
                "conflicting options: port exposing and the container type network mode",
            ),
        ] {
            if asked {
                return Err(problem);
            }
        }
    }
    if options.uts == Namespace::Host && named {
        return Err("conflicting options: hostname and the UTS mode");
    }
    Ok(())
}

fn check_config(config: &mut Config) -> Result<(), String> {
    config.working_dir = config.working_dir.take().filter(|path| !path.is_empty());
    if let Some(path) = &mut config.working_dir {
        if !path.starts_with('/') {
            return Err(format!("the working directory '{path}' is invalid, it needs to be an absolute path"));
        }
        *path = paths::clean(path);
    }
    config.stop_signal = config.stop_signal.take().filter(|signal| !signal.is_empty());
    if let Some(signal) = config.stop_signal.as_ref().filter(|signal| !change::is_signal(signal)) {
        return Err(format!("invalid signal: {signal}"));
    }
    if let Some(value) = config.env.iter().find(|value| name_of(value).is_empty()) {
        return Err(format!("invalid environment variable: {value}"));
    }
    if let Some(name) = config.hostname.as_ref().filter(|name| name.len() > LONGEST_HOSTNAME) {
        return Err(format!("hostname {name:?} is too long (maximum {LONGEST_HOSTNAME} bytes)"));
    }
    Ok(())
}

fn check_options(options: &mut HostConfig, host: &Host, warnings: &mut Vec<String>) -> Result<(), EngineError> {
    if options.auto_remove && options.restart != RestartPolicy::No {
        return Err(invalid("can't create 'AutoRemove' container with restart policy"));
    }
    capabilities::check(options, host)?;
    for names in [&mut options.cap_add, &mut options.cap_drop] {
        names.iter_mut().for_each(|name| *name = capabilities::canonical(name));
    }
    if options.annotations.contains_key("") {
        return Err(invalid("invalid Annotations: the empty string is not permitted as an annotation key"));
    }
    resources::check(&mut options.resources, host, warnings)?;
    options.shm_size = options.shm_size.filter(|&size| size != 0);
    if let Some(adjust) = options.oom_score_adj.filter(|adjust| !(-1000..=1000).contains(adjust)) {
        return Err(invalid(format!("Invalid value {adjust}, range for oom score adj is [-1000, 1000]")));
    }
    check_mounts(options).map_err(invalid)?;
    check_sysctls(options).map_err(invalid)?;
    logging::log_limits(&options.log)?;
    Ok(())
}

fn check_mounts(options: &HostConfig) -> Result<(), String> {
    let mut seen: Vec<String> = Vec::new();
    for bind in &options.binds {
        let wrong = |problem| format!("invalid mount config for type \"bind\": {problem}");
        paths::check_target(&bind.target).map_err(wrong)?;
        if !bind.source.is_absolute() {
            let source = bind.source.display();
            return Err(wrong(format!("invalid mount path: '{source}' mount path must be absolute")));
        }
        seen.push(paths::clean(&bind.target));
    }
    for (target, text) in &options.tmpfs {
        paths::check_target(target)?;
        mounts::tmpfs_options(text)?;
        seen.push(paths::clean(target));
    }
    seen.sort();
    match seen.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("Duplicate mount point: {}", pair[0])),
        None => Ok(()),
    }
}

/// A kernel parameter must belong to a namespace that is the container's own: else it would be the host's.
fn check_sysctls(options: &HostConfig) -> Result<(), String> {
    for name in options.sysctls.keys() {
        // Both separators are the kernel's; the file must be the one that is meant.
        let dotted = name.replace('/', ".");
        if dotted.split('.').any(str::is_empty) {
            return Err(format!("sysctl '{name}' is not allowed"));
        }
        let ipc = [
            "kernel.msgmax",
            "kernel.msgmnb",
            "kernel.msgmni",
            "kernel.sem",
            "kernel.shmall",
            "kernel.shmmax",
            "kernel.shmmni",
            "kernel.shm_rmid_forced",
        ];
        if ipc.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
            if matches!(options.ipc, Namespace::Host) {
                return Err(format!("sysctl {name:?} is not allowed in the hosts ipc namespace"));
            }
        } else if dotted.starts_with("net.") {
            if matches!(options.network, Namespace::Host) {
                return Err(format!("sysctl {name:?} not allowed in host network namespace"));
            }
        } else {
            return Err(format!("sysctl {name:?} is not in a separate kernel namespace"));
        }
    }
    Ok(())
}

/// Takes from the image what was not asked for.
fn inherit(config: &mut Config, image: Option<&RunConfig>) {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let some_words = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    config.user = config.user.take().filter(|user| !user.is_empty());
    config.cmd = some_words(&config.cmd);
    if let Some(image) = image {
        config.user = config.user.take().or_else(|| some(&image.user));
        let added: Vec<String> = image
            .env
            .iter()
            .filter(|value| !config.env.iter().any(|own| name_of(own) == name_of(value)))
            .cloned()
            .collect();
        config.env.extend(added);
        for (label, value) in &image.labels {
            config.labels.entry(label.clone()).or_insert_with(|| value.clone());
        }
        config.exposed_ports.extend(image.exposed_ports.iter().cloned());
        // Another entry point does not want the image's arguments.
        if config.entrypoint.is_none() {
            config.cmd = config.cmd.take().or_else(|| some_words(&image.cmd));
            config.entrypoint = some_words(&image.entrypoint);
        }
        config.working_dir = config.working_dir.take().or_else(|| some(&image.working_dir).map(|p| paths::clean(&p)));
        config.stop_signal = config.stop_signal.take().or_else(|| some(&image.stop_signal));
    }
    // `--entrypoint ""`, and images that have it.
    config.entrypoint = some_words(&config.entrypoint).filter(|words| words[..] != [String::new()]);
}
