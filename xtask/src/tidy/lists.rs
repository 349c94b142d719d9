//! Reads the string lists of deny.toml: just the TOML that such a file is written in (tables, and arrays of basic strings
//! on one or several lines), so that no TOML parser has to be built for two lists.

/// The strings of `key = [ ... ]` in the table `[table]`; none when there is no such list.
pub(crate) fn strings(toml: &str, table: &str, key: &str) -> Option<Vec<String>> {
    let mut lines = toml.lines().map(without_comment);
    lines.find(|line| line.trim() == format!("[{table}]"))?;
    let mut list = String::new();
    let mut inside = false;
    for line in lines {
        if !inside {
            if line.starts_with('[') {
                return None;
            }
            let Some((name, value)) = line.split_once('=') else { continue };
            if name.trim() != key {
                continue;
            }
            inside = true;
            list.push_str(value.trim());
        } else {
            list.push_str(line.trim());
        }
        if list.ends_with(']') {
            let inner = list.trim_start_matches('[').trim_end_matches(']');
            let items = inner.split(',').map(|item| item.trim().trim_matches('"').to_owned());
            return Some(items.filter(|item| !item.is_empty()).collect());
        }
    }
    None
}

/// A `#` inside a string would be cut too; licence and crate names have none.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_list_in_its_own_table() {
        let toml = "# x\n[a]\nallow = [\"no\"]\n[b]\nother = 1\nallow = [\n  \"one\", # why\n  \"two WITH x\",\n]\n";
        assert_eq!(strings(toml, "b", "allow"), Some(vec!["one".into(), "two WITH x".into()]));
        assert_eq!(strings(toml, "a", "allow"), Some(vec!["no".into()]));
        assert_eq!(strings(toml, "a", "deny"), None);
        assert_eq!(strings(toml, "c", "allow"), None);
    }
}
