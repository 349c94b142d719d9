//! Devices: which, and how fast.

use super::fault::{Fault, Flag};
use super::value;
use dhow_engine::container::request::{Device, Throttle};
use dhow_engine::container::spec::size;

/// Whether a text is one of `r`, `w`, `m`, or several, each once.
fn is_mode(text: &str) -> bool {
    let once = |c: char| text.matches(c).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c) && once(c))
}

/// `HOST[:CONTAINER][:rwm]`.
pub(super) fn all(list: &[String]) -> Result<Vec<Device>, Fault> {
    list.iter().map(|text| device(text)).collect()
}

fn device(text: &str) -> Result<Device, Fault> {
    let whole = |message: String| Err(Fault::Whole(message));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        ["", ..] => return whole(format!("bad format for path: {text}")),
        [source] => (source, source, "rwm"),
        [source, mode] if is_mode(mode) => (source, source, mode),
        [source, target] => (source, target, "rwm"),
        [_, _, mode] if !is_mode(mode) => return whole(format!("bad mode specified: {mode}")),
        [source, target, mode] => (source, target, mode),
        _ => return whole(format!("bad format for path: {text}")),
    };
    for path in [target, source] {
        if !path.starts_with('/') {
            // A name of the container device interface: `vendor.com/class=name`.
            if path.contains('/') && path.contains('=') {
                return Err(Fault::Later(format!("--device {text}: dhow cannot do CDI devices yet"), ""));
            }
            return whole(format!("{path} is not an absolute path"));
        }
    }
    Ok(Device { source: source.into(), target: target.to_owned(), permissions: permissions.to_owned() })
}

/// `c 1:3 rwm`.
pub(super) fn rules(list: &[String]) -> Result<Vec<String>, Fault> {
    let number = |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let is_rule = |text: &str| match text.split(' ').collect::<Vec<_>>()[..] {
        ["a" | "b" | "c", numbers, mode] => {
            numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&mode.len())
                && mode.bytes().all(|b| b"rwm".contains(&b))
        }
        _ => false,
    };
    if let Some(text) = list.iter().find(|text| !is_rule(text)) {
        let reason = format!("invalid device cgroup format '{text}'");
        return Err(Flag::new("--device-cgroup-rule").fault(text, reason));
    }
    Ok(list.to_vec())
}

/// `/dev/NODE:WEIGHT`.
pub(super) fn weights(list: &[String]) -> Result<Vec<Throttle>, Fault> {
    let weight = |text: &str, weight: &str| {
        let weight: u16 = value::unsigned(weight).map_err(|_| format!("invalid weight for device: {text}"))?;
        match weight {
            0 | 10..=1000 => Ok(u64::from(weight)),
            _ => Err(format!("invalid weight for device: {text}")),
        }
    };
    throttles(Flag::new("--blkio-weight-device"), list, weight)
}

/// `/dev/NODE:RATE` with a unit.
pub(super) fn bytes_a_second(flag: Flag, list: &[String]) -> Result<Vec<Throttle>, Fault> {
    throttles(flag, list, |text, rate| {
        size::binary(rate).map_err(|_| {
            format!(
                "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be \
                 a positive integer. Unit is optional and can be kb, mb, or gb"
            )
        })
    })
}

/// `/dev/NODE:RATE`.
pub(super) fn operations_a_second(flag: Flag, list: &[String]) -> Result<Vec<Throttle>, Fault> {
    throttles(flag, list, |text, rate| {
        value::unsigned(rate).map_err(|_| {
            format!(
                "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a \
                 positive integer"
            )
        })
    })
}

fn throttles(
    flag: Flag,
    list: &[String],
    rate: impl Fn(&str, &str) -> Result<u64, String>,
) -> Result<Vec<Throttle>, Fault> {
    let one = |text: &String| {
        flag.take(text, |text| match text.split_once(':') {
            None | Some(("", _)) => Err(format!("bad format: {text}")),
            Some((device, _)) if !device.starts_with("/dev/") => Err(format!("bad format for device path: {text}")),
            Some((device, value)) => Ok(Throttle { device: device.into(), rate: rate(text, value)? }),
        })
    };
    list.iter().map(one).collect()
}
