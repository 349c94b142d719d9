//! Profiles in files, for `--security-opt seccomp=FILE`: docker's format, of which the OCI one is a part.
//!
//! Follows `seccomp.go` of moby/profiles: `archMap` in the place of `architectures`; rules that apply with some capabilities,
//! architectures and kernels only; `name` for `names`. Unknown fields are ignored, `null` is an absent field, as there.
//! These are foreign bytes: whatever is wrong is told with its place, as in `syscalls[3].args[0].op`.

use crate::error::RuntimeError;
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator,
    LinuxSyscall,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

/// Reads a profile, for a container with these capabilities on this machine's kernel.
///
/// # Errors
/// [`RuntimeError::Invalid`] names the field.
pub fn parse_profile(text: &str, capabilities: &HashSet<Capability>) -> Result<LinuxSeccomp, RuntimeError> {
    let release = rustix::system::uname();
    let kernel = release.release().to_str().ok().and_then(leading_version).unwrap_or((0, 0));
    parse_for(text, capabilities, kernel)
}

/// As [`parse_profile`], on a kernel of this version.
pub(super) fn parse_for(
    text: &str,
    capabilities: &HashSet<Capability>,
    kernel: (u64, u64),
) -> Result<LinuxSeccomp, RuntimeError> {
    let value: Value = serde_json::from_str(text).map_err(|e| Place::Top.invalid(format!("not JSON: {e}")))?;
    let top = Object::new(&value, Place::Top)?;
    let here = Here { capabilities: capabilities.iter().map(|c| format!("CAP_{c}")).collect(), kernel };
    let mut profile = LinuxSeccomp::default();
    let rules = top.list("syscalls")?;
    match top.word("defaultAction")?.filter(|action| !action.is_empty()) {
        // docker: such a profile switches seccomp off.
        None if rules.is_empty() => profile.set_default_action(LinuxSeccompAction::ScmpActAllow),
        None => return Err(top.at("defaultAction").invalid("missing")),
        Some(_) => profile.set_default_action(top.one_of("defaultAction")?),
    };
    profile.set_default_errno_ret(top.number("defaultErrnoRet")?);
    profile.set_architectures(architectures(&top)?);
    profile.set_flags(top.some_of("flags")?);
    profile.set_listener_path(top.word("listenerPath")?.map(PathBuf::from));
    profile.set_listener_metadata(top.word("listenerMetadata")?.map(str::to_owned));
    let mut syscalls = Vec::with_capacity(rules.len());
    let list = top.at("syscalls");
    for (at, value) in rules.iter().enumerate() {
        let rule = Object::new(value, Place::Item(&list, at))?;
        if applies(&rule, &here)? {
            syscalls.push(syscall(&rule)?);
        }
    }
    profile.set_syscalls(Some(syscalls));
    Ok(profile)
}

/// What rules can depend on.
struct Here {
    /// With their prefix.
    capabilities: HashSet<String>,
    kernel: (u64, u64),
}

/// `architectures`, or the entry of `archMap` that is about this machine, with its sub-architectures.
fn architectures(top: &Object<'_, '_>) -> Result<Option<Vec<Arch>>, RuntimeError> {
    let plain: Option<Vec<Arch>> = top.some_of("architectures")?;
    let map = top.list("archMap")?;
    if map.is_empty() {
        return Ok(plain);
    }
    if plain.is_some_and(|list| !list.is_empty()) {
        return Err(top.at("archMap").invalid("both archMap and architectures are given"));
    }
    let list = top.at("archMap");
    let mut found = None;
    for (at, value) in map.iter().enumerate() {
        let entry = Object::new(value, Place::Item(&list, at))?;
        let architecture: Arch = entry.one_of("architecture")?;
        let mut under: Vec<Arch> = entry.some_of("subArchitectures")?.unwrap_or_default();
        if architecture == Arch::ScmpArchX86_64 && found.is_none() {
            under.insert(0, architecture);
            found = Some(under);
        }
    }
    Ok(found)
}

/// Whether a rule's `includes` and `excludes` let it stand here.
fn applies(rule: &Object<'_, '_>, here: &Here) -> Result<bool, RuntimeError> {
    let mut applies = true;
    // Both are read in any case, so that a mistake is told on every machine.
    if let Some(excludes) = Condition::read(rule, "excludes")? {
        applies &= !excludes.any(here);
    }
    if let Some(includes) = Condition::read(rule, "includes")? {
        applies &= includes.all(here);
    }
    Ok(applies)
}

/// `includes` or `excludes`.
struct Condition<'a> {
    capabilities: Vec<&'a str>,
    architectures: Vec<&'a str>,
    kernel: Option<(u64, u64)>,
}

impl<'a> Condition<'a> {
    fn read(rule: &Object<'a, '_>, name: &'static str) -> Result<Option<Condition<'a>>, RuntimeError> {
        let Some(value) = rule.get(name) else { return Ok(None) };
        let place = rule.at(name);
        let filter = Object::new(value, Place::Field(&rule.place, name))?;
        let kernel =
            match filter.word("minKernel")? {
                None | Some("") => None,
                Some(text) => Some(version(text).ok_or_else(|| {
                    Place::Field(&place, "minKernel").invalid(format!("{text:?} is not like \"4.8\""))
                })?),
            };
        Ok(Some(Condition { capabilities: filter.words("caps")?, architectures: filter.words("arches")?, kernel }))
    }

    /// For `excludes`: one that is so is enough.
    fn any(&self, here: &Here) -> bool {
        self.architectures.contains(&ARCHITECTURE)
            || self.capabilities.iter().any(|c| here.capabilities.contains(*c))
            || self.kernel.is_some_and(|least| here.kernel >= least)
    }

    /// For `includes`: all capabilities, one of the architectures, and the kernel.
    fn all(&self, here: &Here) -> bool {
        (self.architectures.is_empty() || self.architectures.contains(&ARCHITECTURE))
            && self.capabilities.iter().all(|c| here.capabilities.contains(*c))
            && self.kernel.is_none_or(|least| here.kernel >= least)
    }
}

/// As docker's profiles name it.
const ARCHITECTURE: &str = "amd64";

fn syscall(rule: &Object<'_, '_>) -> Result<LinuxSyscall, RuntimeError> {
    let mut names: Vec<String> = rule.words("names")?.into_iter().map(str::to_owned).collect();
    if let Some(name) = rule.word("name")?.filter(|name| !name.is_empty()) {
        if !names.is_empty() {
            return Err(rule.at("name").invalid("both name and names are given"));
        }
        names.push(name.to_owned());
    }
    if let Some(at) = names.iter().position(String::is_empty) {
        return Err(Place::Item(&rule.at("names"), at).invalid("a system call without a name"));
    }
    let list = rule.at("args");
    let mut args = Vec::new();
    for (at, value) in rule.list("args")?.iter().enumerate() {
        args.push(arg(&Object::new(value, Place::Item(&list, at))?)?);
    }
    let mut syscall = LinuxSyscall::default();
    syscall.set_names(names);
    syscall.set_action(rule.one_of("action")?);
    syscall.set_errno_ret(rule.number("errnoRet")?);
    syscall.set_args((!args.is_empty()).then_some(args));
    Ok(syscall)
}

fn arg(arg: &Object<'_, '_>) -> Result<LinuxSeccompArg, RuntimeError> {
    let index: usize = arg.number("index")?.unwrap_or_default();
    if index > 5 {
        return Err(arg.at("index").invalid(format!("{index} is not 0 to 5")));
    }
    let mut builder = LinuxSeccompArgBuilder::default()
        .index(index)
        .value(arg.number::<u64>("value")?.unwrap_or_default())
        .op(arg.one_of::<LinuxSeccompOperator>("op")?);
    if let Some(second) = arg.number::<u64>("valueTwo")? {
        builder = builder.value_two(second);
    }
    Ok(builder.build().expect("every field has a default"))
}

/// `4.8`, and nothing more.
fn version(text: &str) -> Option<(u64, u64)> {
    let (kernel, major) = text.split_once('.')?;
    let number = |part: &str| part.parse::<u8>().ok().filter(|_| !part.starts_with('+')).map(u64::from);
    Some((number(kernel)?, number(major)?)).filter(|version| *version != (0, 0))
}

/// The first two numbers of `6.1.0-13-amd64`.
fn leading_version(release: &str) -> Option<(u64, u64)> {
    let (kernel, rest) = release.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((kernel.parse().ok()?, rest[..end].parse().ok()?))
}

/// Where in the profile something stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    Top,
    Field(&'a Place<'a>, &'static str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Top => f.write_str("seccomp profile"),
            Place::Field(Place::Top, name) => write!(f, "seccomp profile: {name}"),
            Place::Field(parent, name) => write!(f, "{parent}.{name}"),
            Place::Item(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

impl Place<'_> {
    fn invalid(&self, problem: impl Into<String>) -> RuntimeError {
        RuntimeError::Invalid { field: self.to_string(), problem: problem.into() }
    }
}

/// A JSON object (of lifetime `'v`) and where it stands.
struct Object<'v, 'p> {
    fields: &'v Map<String, Value>,
    place: Place<'p>,
}

impl<'v, 'p> Object<'v, 'p> {
    fn new(value: &'v Value, place: Place<'p>) -> Result<Object<'v, 'p>, RuntimeError> {
        let fields = value.as_object().ok_or_else(|| place.invalid("not an object"))?;
        Ok(Object { fields, place })
    }

    fn at(&self, name: &'static str) -> Place<'_> {
        Place::Field(&self.place, name)
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn word(&self, name: &'static str) -> Result<Option<&'v str>, RuntimeError> {
        let word = |value: &'v Value| value.as_str().ok_or_else(|| self.at(name).invalid("not a string"));
        self.get(name).map(word).transpose()
    }

    fn list(&self, name: &'static str) -> Result<&'v [Value], RuntimeError> {
        let Some(value) = self.get(name) else { return Ok(&[]) };
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.at(name).invalid("not a list"))
    }

    fn words(&self, name: &'static str) -> Result<Vec<&'v str>, RuntimeError> {
        let place = self.at(name);
        let word = |(at, value): (usize, &'v Value)| {
            value.as_str().ok_or_else(|| Place::Item(&place, at).invalid("not a string"))
        };
        self.list(name)?.iter().enumerate().map(word).collect()
    }

    fn number<T: TryFrom<u64>>(&self, name: &'static str) -> Result<Option<T>, RuntimeError> {
        let number = |value: &Value| {
            let number = value.as_u64().and_then(|number| T::try_from(number).ok());
            number.ok_or_else(|| self.at(name).invalid(format!("{value} is not a number, or too great a one")))
        };
        self.get(name).map(number).transpose()
    }

    fn one_of<T: Deserialize<'v>>(&self, name: &'static str) -> Result<T, RuntimeError> {
        let value = self.get(name).ok_or_else(|| self.at(name).invalid("missing"))?;
        T::deserialize(value).map_err(|e| self.at(name).invalid(e.to_string()))
    }

    /// `None` without the field, which is not the same as an empty list.
    fn some_of<T: Deserialize<'v>>(&self, name: &'static str) -> Result<Option<Vec<T>>, RuntimeError> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        let place = self.at(name);
        let item = |(at, value): (usize, &'v Value)| {
            T::deserialize(value).map_err(|e| Place::Item(&place, at).invalid(e.to_string()))
        };
        self.list(name)?.iter().enumerate().map(item).collect::<Result<_, _>>().map(Some)
    }
}
