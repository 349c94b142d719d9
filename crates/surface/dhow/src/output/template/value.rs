//! The values a template works with: views of the JSON data, literals, and what functions return.
//!
//! Owns: how JSON stands for Go's values (which objects are structs, which are maps, what a missing key is), truth and
//! the names of types. Must not know: the grammar of templates.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::output::json::Html;

/// What a key that an object lacks gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// `<no value>`, as with a Go map.
    NoValue,
    /// An error in the words of docker's inspect commands: `map has no entry for key "Foo"`.
    Error,
    /// An error in the words of docker's lists and of `info`: `can't evaluate field Foo in type <the name here>`.
    Field(&'static str),
}

/// How JSON data stands for Go's types, which differ where something is absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'s> {
    /// What a missing key gives. With anything but [`Missing::NoValue`], objects are structs: they print as `{a b}`
    /// and are true even when empty.
    pub(crate) missing: Missing,
    /// Keys of objects that are maps of any key (`Labels`): whatever is missing in them is no error. Missing
    /// themselves or null, they are empty maps.
    pub(crate) maps: &'s [&'s str],
    /// Keys of arrays that, missing or null, are empty arrays.
    pub(crate) lists: &'s [&'s str],
    /// How the function `json` treats `<`, `>` and `&` in objects.
    pub(crate) html: Html,
}

impl Shape<'static> {
    /// Maps all the way down.
    pub(crate) const MAPS: Self = Self { missing: Missing::NoValue, maps: &[], lists: &[], html: Html::Keep };

    /// One value of a Go type of this name, as `info` and `version` show.
    pub(crate) const fn of_type(name: &'static str) -> Self {
        Self { missing: Missing::Field(name), ..Self::MAPS }
    }

    /// A row of a list, whose type has this name. Docker's rows write themselves as JSON, with Go's default escapes.
    pub(crate) const fn row(name: &'static str) -> Self {
        Self { missing: Missing::Field(name), html: Html::Escape, ..Self::MAPS }
    }
}

impl<'s> Shape<'s> {
    /// What inspect commands show.
    pub(crate) const fn inspected(maps: &'s [&'s str], lists: &'s [&'s str]) -> Self {
        Self { missing: Missing::Error, maps, lists, html: Html::Keep }
    }
}

/// A value of a template.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    /// Nothing: a key that is missing in a map, or the literal `nil`.
    Missing,
    /// A JSON null.
    Null {
        /// Null in the place of a struct's field: Go has a nil pointer there.
        pointer: bool,
    },
    Bool(bool),
    Int(i64),
    /// Only beyond the range of `Int`.
    Uint(u64),
    Float(f64),
    Str(Cow<'a, str>),
    List(List<'a>),
    Object(Object<'a>),
}

/// A JSON array, or the strings a function made.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    /// `None`: nil.
    Json(Option<&'a [Value]>, &'a Shape<'a>),
    Strings(Rc<[String]>),
}

/// A JSON object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    /// `None`: nil.
    pub(super) fields: Option<&'a Map<String, Value>>,
    pub(super) shape: &'a Shape<'a>,
    pub(super) is_struct: bool,
}

impl<'a> Val<'a> {
    /// The value of `json`, which is no field of an object.
    pub(super) fn of(json: &'a Value, shape: &'a Shape<'a>) -> Self {
        match json {
            Value::Null => Self::Null { pointer: shape.missing != Missing::NoValue },
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                let whole = number.as_i64().map(Val::Int).or_else(|| number.as_u64().map(Val::Uint));
                whole.unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)))
            }
            Value::String(text) => Self::Str(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(List::Json(Some(items), shape)),
            Value::Object(fields) => {
                let is_struct = shape.missing != Missing::NoValue;
                Self::Object(Object { fields: Some(fields), shape, is_struct })
            }
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing | Self::Null { .. })
    }

    /// What `if`, `and`, `not` take for true: whatever is not empty or zero.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Missing | Self::Null { .. } => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Uint(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => list.len() > 0,
            Self::Object(object) => object.is_struct || object.len() > 0,
        }
    }

    /// The name Go gives its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Null { .. } => "interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(List::Strings(_)) => "[]string",
            Self::List(_) => "[]interface {}",
            Self::Object(object) if object.is_struct => object.struct_name(),
            Self::Object(_) => "map[string]interface {}",
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.map_or(0, <[Value]>::len),
            Self::Strings(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items, shape) => items.and_then(|items| items.get(index)).map(|item| Val::of(item, shape)),
            Self::Strings(items) => items.get(index).map(|item| Val::Str(Cow::Owned(item.clone()))),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Val<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The items `from..to`. `None`: out of range.
    pub(super) fn slice(&self, from: usize, to: usize) -> Option<Self> {
        Some(match self {
            Self::Json(items, shape) => Self::Json(Some(items.unwrap_or_default().get(from..to)?), shape),
            Self::Strings(items) => Self::Strings(items.get(from..to)?.into()),
        })
    }
}

impl<'a> Object<'a> {
    pub(super) fn len(&self) -> usize {
        self.fields.map_or(0, Map::len)
    }

    /// The name to give the type of a struct. Only the outermost has one of its own; the others go by the same.
    pub(super) fn struct_name(&self) -> &'static str {
        if let Missing::Field(name) = self.shape.missing { name } else { "struct" }
    }

    /// The entry `name`; an exact match, or else, unless this is a map whose keys are data, one that differs in case:
    /// JSON has `Id` where a template written for docker may say `ID`.
    pub(super) fn field(&self, name: &str) -> Option<Val<'a>> {
        let found = self.fields.and_then(|fields| {
            let exact = fields.get_key_value(name);
            let declared_map = !self.is_struct && self.shape.missing != Missing::NoValue;
            let similar = || fields.iter().find(|(key, _)| !declared_map && key.eq_ignore_ascii_case(name));
            exact.or_else(similar)
        });
        self.entry(found.map_or(name, |(key, _)| key), found.map(|(_, value)| value))
    }

    /// The entry with exactly this key.
    pub(super) fn get(&self, key: &str) -> Option<Val<'a>> {
        self.entry(key, self.fields.and_then(|fields| fields.get(key)))
    }

    fn entry(&self, key: &str, value: Option<&'a Value>) -> Option<Val<'a>> {
        // The keys of a declared map are data, not names of fields.
        let declared_map = !self.is_struct && self.shape.missing != Missing::NoValue;
        let is_map = !declared_map && self.shape.maps.contains(&key);
        match value {
            Some(Value::Object(fields)) if is_map => {
                Some(Val::Object(Object { fields: Some(fields), shape: self.shape, is_struct: false }))
            }
            None | Some(Value::Null) if is_map => {
                Some(Val::Object(Object { fields: None, shape: self.shape, is_struct: false }))
            }
            None | Some(Value::Null) if !declared_map && self.shape.lists.contains(&key) => {
                Some(Val::List(List::Json(None, self.shape)))
            }
            value => value.map(|value| Val::of(value, self.shape)),
        }
    }

    /// The value of a key that a map lacks, where Go asks for the zero of its element type: the empty string in a
    /// declared map of strings, else nothing.
    pub(super) fn zero(&self) -> Val<'a> {
        let declared_map = !self.is_struct && self.shape.missing != Missing::NoValue;
        let strings = |fields: &Map<String, Value>| fields.values().all(Value::is_string);
        if declared_map && self.fields.is_none_or(strings) { Val::Str(Cow::Borrowed("")) } else { Val::Missing }
    }

    /// The entries in the order Go shows them: structs as declared, maps by key.
    pub(super) fn entries(&self) -> Vec<(&'a str, Val<'a>)> {
        let mut entries: Vec<_> = self.fields.into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect();
        if !self.is_struct {
            entries.sort_unstable_by_key(|(key, _)| *key);
        }
        let value = |(key, value)| Some((key, self.entry(key, Some(value))?));
        entries.into_iter().filter_map(value).collect()
    }
}
