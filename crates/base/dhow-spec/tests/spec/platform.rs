//! Platforms, against the cases of containerd.

use dhow_spec::Platform;
use proptest::prelude::*;

fn parse(text: &str) -> Platform {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn many_spellings() {
    let (host, arch) = (Platform::host(), Platform::host().architecture);
    for (text, expected) in [
        ("linux/arm64", "linux/arm64".to_owned()),
        ("linux/aarch64", "linux/arm64".to_owned()),
        ("linux/arm64/v8", "linux/arm64/v8".to_owned()),
        ("linux/arm", "linux/arm".to_owned()),
        ("linux/armhf", "linux/arm".to_owned()),
        ("linux/armel", "linux/arm/v6".to_owned()),
        ("linux/arm/v7", "linux/arm/v7".to_owned()),
        ("linux/arm/7", "linux/arm/v7".to_owned()),
        ("linux/arm/v6", "linux/arm/v6".to_owned()),
        ("Linux/x86_64", "linux/amd64".to_owned()),
        ("linux/x86-64", "linux/amd64".to_owned()),
        ("linux/amd64/v1", "linux/amd64".to_owned()),
        ("linux/amd64/v3", "linux/amd64/v3".to_owned()),
        ("linux/i386", "linux/386".to_owned()),
        ("arm", format!("{}/arm", host.os)),
        ("armel", format!("{}/arm/v6", host.os)),
        ("Aarch64", format!("{}/arm64", host.os)),
        ("x86_64", format!("{}/amd64", host.os)),
        ("s390x", format!("{}/s390x", host.os)),
        ("i386", format!("{}/386", host.os)),
        ("linux", format!("linux/{arch}")),
        ("macOS", format!("darwin/{arch}")),
        ("windows()", format!("windows/{arch}")),
        ("windows(10.0.17763)", format!("windows(10.0.17763)/{arch}")),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64".to_owned()),
        ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64".to_owned()),
        ("linux(+b+a)/amd64", "linux(+a+b)/amd64".to_owned()),
        ("windows(1%2Bb%25)/amd64", "windows(1%2Bb%25)/amd64".to_owned()),
    ] {
        let parsed = parse(text);
        assert_eq!(parsed.to_string(), expected, "{text}");
        assert_eq!(parse(&expected).to_string(), expected, "{text} again");
    }
    assert_eq!(parse("windows(1%2Bb%25)/amd64").os_version.as_deref(), Some("1+b%"));
    assert_eq!(Platform::default().to_string(), "unknown");
}

#[test]
fn what_is_no_platform() {
    for bad in [
        "",
        "/linux/arm",
        "linux/arm/",
        "linux /arm",
        "linux/&arm",
        "linux/arm/foo/bar",
        "nothing",
        "*",
        "linux/*",
        "linux(",
        "linux(1",
        "linux(1)x/amd64",
        "linux(1/2)/amd64",
        "linux(%2)/amd64",
        "linux(%zz)/amd64",
        "(1)/amd64",
        "linux(+)/amd64",
        "linux(%ff)/amd64",
        "linux((1))/amd64",
        "é/amd64",
    ] {
        assert!(bad.parse::<Platform>().is_err(), "{bad:?} gave {:?}", bad.parse::<Platform>());
    }
}

#[test]
fn a_machine_prefers_its_own() {
    // Machine, then images from best to worst, then images that do not run.
    for (machine, order, never) in [
        ("linux/amd64", vec!["linux/amd64", "linux/386"], vec!["linux/arm64", "windows/amd64", "linux/amd64/v2"]),
        (
            "linux/amd64/v3",
            vec!["linux/amd64/v3", "linux/amd64/v2", "linux/x86_64", "linux/386"],
            vec!["linux/amd64/v4"],
        ),
        ("linux/arm/v7", vec!["linux/arm", "linux/arm/v6", "linux/arm/v5"], vec!["linux/arm/v8", "linux/arm64"]),
        ("linux/arm", vec!["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"], vec!["linux/arm/v8"]),
        ("linux/arm/v6", vec!["linux/arm/v6", "linux/arm/v5"], vec!["linux/arm/v7"]),
        ("linux/arm/v5", vec!["linux/arm/v5"], vec!["linux/arm/v6"]),
        ("linux/arm64", vec!["linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6"], vec!["linux/arm64/v9"]),
        (
            "linux/arm64/v9.1",
            vec!["linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.6", "linux/arm64", "linux/arm/v7"],
            vec!["linux/arm64/v9.2", "linux/arm64/v8.7"],
        ),
        ("linux/riscv64", vec!["linux/riscv64"], vec!["linux/amd64", "linux/riscv64/rva23"]),
        ("linux/arm64/x", vec!["linux/arm64/x"], vec!["linux/arm64"]),
    ] {
        let platform = parse(machine);
        let ranks: Vec<_> = order.iter().map(|image| platform.rank(&parse(image))).collect();
        assert!(ranks.iter().all(Option::is_some), "{machine} runs {order:?}: {ranks:?}");
        assert!(ranks.is_sorted_by(|a, b| a < b), "{machine} prefers {order:?}: {ranks:?}");
        for image in never {
            assert!(!platform.runs(&parse(image)), "{machine} must not run {image}");
        }
        let images: Vec<_> = order.iter().rev().map(|image| parse(image)).collect();
        assert_eq!(platform.best(&images), Some(images.len() - 1), "{machine}");
    }
    assert_eq!(parse("linux/amd64").best([]), None);
}

#[test]
fn versions_count_on_windows_only() {
    let machine = parse("windows(10.0.17763.1)/amd64");
    assert!(machine.runs(&parse("windows(10.0.17763.2)/amd64")) && machine.runs(&parse("windows/amd64")));
    assert!(!machine.runs(&parse("windows(10.0.20348.1)/amd64")));
    assert!(parse("linux(1)/amd64").runs(&parse("linux(2)/amd64")));
    assert!(parse("linux(+a+b)/amd64").runs(&parse("linux(+b)/amd64")));
    assert!(!parse("linux/amd64").runs(&parse("linux(+b)/amd64")));
}

#[test]
fn the_host_runs_its_own_images() {
    let host = Platform::host();
    assert_eq!(host.rank(&host), Some(0));
    assert_eq!(parse(&host.to_string()).normalized(), host.normalized());
}

proptest! {
    #[test]
    fn printing_loses_nothing(text in r"[a-z]{1,5}(\([a-z0-9.]{0,5}(\+[a-z0-9]{1,3}){0,2}\))?/[a-z0-9_]{1,6}(/v[0-9])?") {
        let parsed: Platform = text.parse().unwrap();
        let again: Platform = parsed.to_string().parse().unwrap();
        prop_assert_eq!(again.normalized(), parsed.normalized());
        prop_assert_eq!(parsed.rank(&again), Some(0));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        if let Ok(parsed) = text.parse::<Platform>() {
            prop_assert_eq!(parsed.rank(&parsed), Some(0));
        }
    }
}
