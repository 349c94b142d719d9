//! What must hold for any text that is read as the name of an image or a platform.

use dhow_spec::reference::{AnyReference, Reference, parse_any};
use dhow_spec::{Digest, Platform};

/// Panics when the parsers contradict themselves; text that is no UTF-8 never reaches them.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(parsed) = Reference::parse(text) {
        assert_eq!(Reference::parse(&parsed.canonical()).as_ref(), Ok(&parsed));
        assert_eq!(Reference::parse(&parsed.familiar()).as_ref(), Ok(&parsed));
        assert!(parsed.path().len() <= 255);
        let tagged = parsed.clone().with_default_tag();
        assert_eq!(Reference::parse(&tagged.canonical()), Ok(tagged));
    }
    match parse_any(text) {
        Ok(AnyReference::Named(name)) => assert_eq!(Reference::parse(text), Ok(name)),
        Ok(AnyReference::HexPrefix(_)) => assert!(Reference::parse(text).is_ok()),
        Ok(AnyReference::Digest(digest)) => assert_eq!(digest.to_string().parse(), Ok(digest)),
        Err(_) => assert!(Reference::parse(text).is_err()),
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(platform) = text.parse::<Platform>() {
        let again: Platform = platform.to_string().parse().expect("what is printed is a platform");
        assert_eq!(again.normalized(), platform.normalized());
        assert_eq!(platform.rank(&again), Some(0));
    }
}
