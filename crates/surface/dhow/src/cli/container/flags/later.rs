//! Flags of docker's that dhow knows by name only: what they ask for comes later, and is not ignored silently.

use super::fault::Fault;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// What a flag asks for.
struct Asked {
    long: &'static str,
    short: Option<char>,
    value: bool,
    /// Behind `dhow cannot`; empty: the flag is taken and has no effect, as what it asks for is so in any case.
    what: &'static str,
}

const fn flag(long: &'static str, what: &'static str) -> Asked {
    Asked { long, short: None, value: true, what }
}

const VOLUMES: &str = "do volumes yet";
const HEALTH: &str = "check the health of containers yet";
const REAL_TIME: &str = "limit real-time scheduling yet";
const WINDOWS: &str = "do what only Windows can";

const FLAGS: [Asked; 29] = [
    flag("link", "link containers; put both on one network, where they find each other by name"),
    flag("link-local-ip", "choose the link-local addresses of containers"),
    flag("volume-driver", VOLUMES),
    flag("volumes-from", VOLUMES),
    flag("storage-opt", "limit the size of root filesystems yet"),
    flag("health-cmd", HEALTH),
    flag("health-interval", HEALTH),
    flag("health-retries", HEALTH),
    flag("health-start-interval", HEALTH),
    flag("health-start-period", HEALTH),
    flag("health-timeout", HEALTH),
    flag("gpus", "hand on GPUs yet; name their device nodes with --device"),
    flag("runtime", "run containers by another runtime yet"),
    flag("cpu-rt-period", REAL_TIME),
    flag("cpu-rt-runtime", REAL_TIME),
    flag("cpu-count", WINDOWS),
    flag("cpu-percent", WINDOWS),
    flag("io-maxbandwidth", WINDOWS),
    flag("io-maxiops", WINDOWS),
    flag("isolation", WINDOWS),
    Asked { value: false, ..flag("use-api-socket", "serve docker's API yet") },
    // What docker takes and does nothing with.
    flag("kernel-memory", ""),
    Asked { value: false, ..flag("disable-content-trust", "") },
    // What podman takes besides.
    flag("arch", "choose an architecture by this flag; use --platform"),
    flag("systemd", "run systemd in containers yet"),
    flag("pod", "group containers into pods yet"),
    flag("secret", "hand on secrets yet"),
    flag("uidmap", "map users yet"),
    flag("gidmap", "map users yet"),
];

/// The first of these flags that was given, and its value.
#[derive(Debug, Default)]
pub(super) struct Later(Option<(usize, String)>);

impl Later {
    /// # Errors
    /// What was asked for and cannot be had.
    pub(super) fn refuse(&self) -> Result<(), Fault> {
        match &self.0 {
            // The only one that Linux has, and none: docker takes both.
            Some((asked, value)) if FLAGS[*asked].long == "isolation" && matches!(value.as_str(), "" | "default") => {
                Ok(())
            }
            Some((asked, _)) => {
                let asked = &FLAGS[*asked];
                Err(Fault::Later(format!("--{}: dhow cannot {}", asked.long, asked.what), ""))
            }
            None => Ok(()),
        }
    }
}

impl FromArgMatches for Later {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Later, clap::Error> {
        let mut later = Later::default();
        later.update_from_arg_matches(matches)?;
        Ok(later)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (at, asked) in FLAGS.iter().enumerate().filter(|(_, asked)| !asked.what.is_empty()) {
            let given = match asked.value {
                true => matches.get_many::<String>(asked.long).and_then(|mut values| values.next_back().cloned()),
                false => matches.get_flag(asked.long).then(String::new),
            };
            if let Some(value) = given {
                self.0 = Some((at, value));
                break;
            }
        }
        Ok(())
    }
}

impl Args for Later {
    fn augment_args(command: Command) -> Command {
        command.args(FLAGS.iter().map(|asked| {
            let arg = Arg::new(asked.long).long(asked.long).short(asked.short).hide(true);
            match asked.value {
                true => arg.action(ArgAction::Append).allow_hyphen_values(true),
                false => arg.action(ArgAction::SetTrue),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Later::augment_args(command)
    }
}
