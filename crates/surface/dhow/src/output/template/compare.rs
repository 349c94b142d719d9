//! `eq`, `ne`, `lt`, `le`, `gt` and `ge` of templates.
//!
//! Follows Go's `text/template`: only basic kinds compare, integers and floats do not mix, and whatever is nil equals
//! only what is nil.

use std::cmp::Ordering;

use super::print::shown;
use super::value::Val;

const BAD_TYPE: &str = "invalid type for comparison";
const INCOMPATIBLE: &str = "incompatible types for comparison";

type Compared<'a> = Result<Val<'a>, String>;

/// Whether the first argument equals any of the others.
pub(super) fn eq<'a>(args: &[Val<'a>]) -> Compared<'a> {
    let (first, others) = (&args[0], &args[1..]);
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(Val::Bool(true));
        }
    }
    Ok(Val::Bool(false))
}

pub(super) fn ne<'a>(a: &Val<'_>, b: &Val<'_>) -> Compared<'a> {
    Ok(Val::Bool(!equal(a, b)?))
}

pub(super) fn lt<'a>(a: &Val<'_>, b: &Val<'_>) -> Compared<'a> {
    ordered(a, b, |ordering| ordering == Some(Ordering::Less))
}

pub(super) fn le<'a>(a: &Val<'_>, b: &Val<'_>) -> Compared<'a> {
    ordered(a, b, |ordering| matches!(ordering, Some(Ordering::Less | Ordering::Equal)))
}

pub(super) fn gt<'a>(a: &Val<'_>, b: &Val<'_>) -> Compared<'a> {
    ordered(a, b, |ordering| ordering == Some(Ordering::Greater))
}

pub(super) fn ge<'a>(a: &Val<'_>, b: &Val<'_>) -> Compared<'a> {
    ordered(a, b, |ordering| matches!(ordering, Some(Ordering::Greater | Ordering::Equal)))
}

fn equal(a: &Val<'_>, b: &Val<'_>) -> Result<bool, String> {
    Ok(match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Float(a), Val::Float(b)) => a == b,
        (Val::Str(a), Val::Str(b)) => a == b,
        (Val::Int(_) | Val::Uint(_), Val::Int(_) | Val::Uint(_)) => whole(a) == whole(b),
        _ if a.is_missing() || b.is_missing() => a.is_missing() && b.is_missing(),
        (Val::List(_), Val::List(_)) | (Val::Object(_), Val::Object(_)) => {
            return Err(format!("non-comparable type {}: {}", shown(b), b.type_name()));
        }
        (Val::List(_), Val::Object(_)) | (Val::Object(_), Val::List(_)) => {
            let (first, second) = (shown(a), shown(b));
            let (first_type, second_type) = (a.type_name(), b.type_name());
            return Err(format!("non-comparable types {first}: {first_type}, {second_type}: {second}"));
        }
        _ => return Err(INCOMPATIBLE.into()),
    })
}

fn ordered<'a>(a: &Val<'_>, b: &Val<'_>, holds: fn(Option<Ordering>) -> bool) -> Compared<'a> {
    let basic = |value: &Val<'_>| !value.is_missing() && !matches!(value, Val::List(_) | Val::Object(_));
    let ordering = match (a, b) {
        (Val::Float(a), Val::Float(b)) => a.partial_cmp(b),
        (Val::Str(a), Val::Str(b)) => Some(a.cmp(b)),
        (Val::Int(_) | Val::Uint(_), Val::Int(_) | Val::Uint(_)) => Some(whole(a).cmp(&whole(b))),
        (Val::Bool(_), Val::Bool(_)) => return Err(BAD_TYPE.into()),
        _ if basic(a) && basic(b) => return Err(INCOMPATIBLE.into()),
        _ => return Err(BAD_TYPE.into()),
    };
    Ok(Val::Bool(holds(ordering)))
}

fn whole(value: &Val<'_>) -> i128 {
    match value {
        Val::Int(n) => i128::from(*n),
        Val::Uint(n) => i128::from(*n),
        _ => 0,
    }
}
