//! Paths in a container as text: nothing here looks at a file.

/// An absolute path without `.`, `..`, or a slash too many, as Go's `path.Clean` has it.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Judges where something is to be mounted.
///
/// # Errors
/// In docker's words.
pub(super) fn check_target(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        Err(format!("invalid mount path: '{path}' mount path must be absolute"))
    } else if clean(path) == "/" {
        Err("invalid specification: destination can't be '/'".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned() {
        for (path, expected) in [
            ("/", "/"),
            ("//a///b/", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/..a/b..", "/..a/b.."),
        ] {
            assert_eq!(clean(path), expected);
        }
        assert_eq!(check_target("/a"), Ok(()));
        for bad in ["/", "/a/..", "//", "a", "", "./a"] {
            assert!(check_target(bad).is_err(), "{bad}");
        }
    }
}
