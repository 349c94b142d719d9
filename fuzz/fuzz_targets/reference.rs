//! Names of images and platforms: any text is refused or survives being printed.
#![no_main]

use dhow_spec::reference::{AnyReference, Reference, parse_any};
use dhow_spec::{Digest, Platform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
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
});
