//! Names for containers that were given none: an adjective and the surname of somebody who built or explained machines.

use crate::EngineError;
use dhow_state::{Read, StateError};

const ADJECTIVES: [&str; 88] = [
    "able", "agile", "alert", "amber", "apt", "ardent", "astute", "avid", "bold", "brave", "breezy", "bright", "brisk",
    "calm", "candid", "careful", "cheerful", "civil", "clear", "clever", "coastal", "cordial", "crisp", "curious",
    "daring", "deft", "eager", "earnest", "easy", "elated", "exact", "fair", "fearless", "fine", "fluent", "fond",
    "frank", "fresh", "gallant", "gentle", "glad", "golden", "grand", "hardy", "hearty", "honest", "humble", "jolly",
    "jovial", "keen", "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild", "modest", "neat", "nimble",
    "noble", "patient", "placid", "plucky", "polite", "proud", "quick", "quiet", "radiant", "rapid", "ready", "robust",
    "serene", "sharp", "silent", "sincere", "smooth", "snug", "steady", "sturdy", "sunny", "swift", "tidy", "upbeat",
    "vivid", "warm", "wise", "zesty",
];

const SURNAMES: [&str; 96] = [
    "abel",
    "aiken",
    "allen",
    "ampere",
    "archimedes",
    "atanasoff",
    "babbage",
    "backus",
    "banach",
    "bernoulli",
    "boole",
    "borg",
    "cantor",
    "cayley",
    "cerf",
    "church",
    "codd",
    "cray",
    "curie",
    "dahl",
    "dijkstra",
    "diophantus",
    "eckert",
    "engelbart",
    "erdos",
    "erlang",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fibonacci",
    "flowers",
    "fourier",
    "galois",
    "gauss",
    "germain",
    "godel",
    "goldberg",
    "gosper",
    "hamilton",
    "hamming",
    "heaviside",
    "hilbert",
    "hoare",
    "hollerith",
    "hopper",
    "huffman",
    "hypatia",
    "iverson",
    "jacquard",
    "karp",
    "kay",
    "kepler",
    "khwarizmi",
    "kilburn",
    "kleene",
    "knuth",
    "kolmogorov",
    "kovalevskaya",
    "lagrange",
    "lamarr",
    "lamport",
    "laplace",
    "leibniz",
    "liskov",
    "lovelace",
    "mauchly",
    "maxwell",
    "mccarthy",
    "metcalfe",
    "milner",
    "minsky",
    "napier",
    "naur",
    "newell",
    "noether",
    "nygaard",
    "pascal",
    "peano",
    "perlis",
    "post",
    "ramanujan",
    "riemann",
    "ritchie",
    "shannon",
    "simon",
    "strachey",
    "thompson",
    "torvalds",
    "turing",
    "wilkes",
    "wirth",
    "wozniak",
    "yao",
    "zuse",
    "lorenz",
];

/// Whether docker would take it as a name: two characters or more of letters, digits, `_`, `.` and `-`, the first a
/// letter or digit.
pub(super) fn check(name: &str) -> Result<(), EngineError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let bytes = name.as_bytes();
    match bytes.len() >= 2 && bytes[0].is_ascii_alphanumeric() && bytes.iter().all(|b| plain(*b)) {
        true => Ok(()),
        false => Err(EngineError::Invalid {
            problem: format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
            hint: None,
        }),
    }
}

/// The error for a name that is taken, in docker's words.
pub(super) fn taken(name: &str, by: &str) -> EngineError {
    EngineError::Conflict {
        message: format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or \
             rename) that container to be able to reuse that name."
        ),
        hint: None,
    }
}

/// A name that nobody has. Three tries without a number, as docker makes them; then one that is as good as certain.
pub(super) fn free(read: &Read<'_>) -> Result<String, EngineError> {
    let mut name = String::new();
    for attempt in 0u32.. {
        let number = u64::from_ne_bytes(super::random::<8>()?);
        let adjective = ADJECTIVES[usize::try_from(number % ADJECTIVES.len() as u64).unwrap_or(0)];
        let surname = SURNAMES[usize::try_from((number >> 16) % SURNAMES.len() as u64).unwrap_or(0)];
        name = match attempt {
            0..3 => format!("{adjective}_{surname}"),
            _ => format!("{adjective}_{surname}{}", (number >> 32) % 1_000_000),
        };
        if read.container_by_name(&name)?.is_none() {
            break;
        }
    }
    Ok(name)
}

/// Turns the ledger's answer into docker's.
pub(super) fn explain(error: StateError) -> EngineError {
    match error {
        StateError::NameTaken { name, by } => taken(&name, &by),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_names_and_differ() {
        assert_eq!(ADJECTIVES.iter().collect::<BTreeSet<_>>().len(), ADJECTIVES.len());
        assert_eq!(SURNAMES.iter().collect::<BTreeSet<_>>().len(), SURNAMES.len());
        for word in ADJECTIVES.iter().chain(&SURNAMES) {
            assert!(word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn names_are_judged_as_docker_does() {
        for good in ["ab", "web-1", "A.b_c", "0x"] {
            check(good).unwrap();
        }
        for bad in ["", "a", "-ab", "_ab", "a b", "a/b", "ä1", "/web"] {
            assert!(check(bad).unwrap_err().to_string().contains("Invalid container name"), "{bad}");
        }
    }
}
