//! Lists: rows printed through a format, and columns aligned.
//!
//! Owns: what `--format` means for a list (`table ...`, `json`, `raw`, a template), the headings, and alignment as Go's
//! `text/tabwriter` does it with docker's settings. Must not know: what the rows are of.

use serde_json::{Map, Value};

use super::json::{Html, compact};
use super::template::{Shape, Template, TemplateError};

/// How a kind of thing is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'l> {
    /// The template of a row of the table that is printed when no format is asked for, columns separated by tabs.
    pub(crate) table: &'l str,
    /// The template of an entry for `--format raw`, where there is such a format.
    pub(crate) raw: Option<&'l str>,
    /// The template of a row for `--quiet`.
    pub(crate) quiet: &'l str,
    /// The heading of each field of a row.
    pub(crate) headings: &'l [(&'l str, &'l str)],
    /// What error messages call the type of a row.
    pub(crate) type_name: &'static str,
}

impl List<'_> {
    /// All `rows`, which are objects, in the given format: nothing or `table` for the default table, `table TEMPLATE`
    /// for a table of one's own, `json` for one object a line, `raw`, or a template for each row. `quiet` counts where
    /// no template is given. Nothing is printed of a list with a row that doesn't fit the template.
    pub(crate) fn render(
        &self,
        format: Option<&str>,
        quiet: bool,
        rows: impl IntoIterator<Item = Value>,
    ) -> Result<String, TemplateError> {
        let rows = rows.into_iter().map(sorted);
        match format.unwrap_or_default() {
            "json" => Ok(rows.map(|row| compact(&row, Html::Escape) + "\n").collect()),
            "" | "table" if quiet => self.lines(self.quiet, rows),
            "" | "table" => self.table(self.table, rows),
            "raw" if self.raw.is_some() => self.lines(if quiet { self.quiet } else { self.raw.unwrap_or("") }, rows),
            format => match format.strip_prefix("table") {
                Some(columns) => self.table(&typed(columns), rows),
                None => self.lines(&typed(format), rows),
            },
        }
    }

    fn lines(&self, template: &str, rows: impl Iterator<Item = Value>) -> Result<String, TemplateError> {
        self.through(&Template::parse(template)?, rows)
    }

    fn table(&self, template: &str, rows: impl Iterator<Item = Value>) -> Result<String, TemplateError> {
        let template = Template::parse(template)?;
        let body = self.through(&template, rows)?;
        let heading = |&(field, heading): &(&str, &str)| (field.to_owned(), Value::from(heading));
        let headings = Value::Object(self.headings.iter().map(heading).collect());
        Ok(align(&(template.execute_headings(&headings) + "\n" + &body)))
    }

    fn through(&self, template: &Template, rows: impl Iterator<Item = Value>) -> Result<String, TemplateError> {
        let shape = Shape::row(self.type_name);
        let mut out = String::new();
        for row in rows {
            out += &template.execute(&row, &shape)?;
            out.push('\n');
        }
        Ok(out)
    }
}

/// Docker's rows write themselves as JSON with their keys sorted.
fn sorted(row: Value) -> Value {
    match row {
        Value::Object(fields) if !fields.keys().is_sorted() => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(fields))
        }
        row => row,
    }
}

/// A format as somebody types it in a shell: blanks around it don't count, `\t` and `\n` stand for what they name.
fn typed(format: &str) -> String {
    format.trim_matches(' ').replace(r"\t", "\t").replace(r"\n", "\n")
}

/// The least width of a column with its padding, and the blanks between columns.
const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

/// Aligns the cells of `text`, which are ended by tabs: in consecutive lines that have a cell in some column, that
/// column is as wide as the widest of them. What follows the last tab of a line is no cell. Characters count as one
/// wide each, as they do in Go.
pub(crate) fn align(text: &str) -> String {
    // A form feed ends a line and all columns.
    let sections: Vec<_> = text.split('\u{c}').map(|section| align_section(section, MIN_WIDTH)).collect();
    sections.join("\n")
}

/// As [`align`], with columns at least as wide as those of docker's `top`.
pub(crate) fn align_wide(text: &str) -> String {
    align_section(text, 20)
}

fn align_section(text: &str, min_width: usize) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split(['\t', '\u{b}']).collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![min_width; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        for block in blocks(&widths, column) {
            let width = |line: usize| lines[line][column].chars().count() + PADDING;
            let widest = block.clone().map(width).max().unwrap_or(0).max(min_width);
            for line in block {
                widths[line][column] = widest;
            }
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (i, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        out.push_str(if i > 0 { "\n" } else { "" });
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            let width = widths.get(column).copied().unwrap_or(0);
            out.push_str(&" ".repeat(width.saturating_sub(cell.chars().count())));
        }
    }
    out
}

/// The runs of consecutive lines that have a cell in `column`.
fn blocks(widths: &[Vec<usize>], column: usize) -> Vec<std::ops::Range<usize>> {
    let mut blocks: Vec<std::ops::Range<usize>> = Vec::new();
    for (line, _) in widths.iter().enumerate().filter(|(_, widths)| widths.len() > column) {
        match blocks.last_mut() {
            Some(block) if block.end == line => block.end += 1,
            _ => blocks.push(line..line + 1),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIST: List<'_> = List {
        table: "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.Endpoint}}\t{{.Error}}",
        raw: Some("name: {{.Name}}\ndescription: {{.Description}}\n"),
        quiet: "{{.Name}}",
        headings: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("Endpoint", "DOCKER ENDPOINT"),
            ("Error", "ERROR"),
        ],
        type_name: "*formatter.contextContext",
    };

    fn render(format: Option<&str>, quiet: bool) -> String {
        let row = |current: bool, name: &str, description: &str, endpoint: &str| json!({"Name": name, "Current": current, "Description": description, "Endpoint": endpoint, "Error": ""});
        let rows = [
            row(true, "default", "Current configuration", "unix:///var/run/docker.sock"),
            row(false, "x", "hé <b>", "unix:///x"),
        ];
        LIST.render(format, quiet, rows).unwrap_or_else(|error| format!("error: {error}")).replace(' ', "·")
    }

    #[test]
    fn tables() {
        let default = "\
NAME········DESCRIPTION·············DOCKER·ENDPOINT···············ERROR
default·*···Current·configuration···unix:///var/run/docker.sock···
x···········hé·<b>··················unix:///x·····················
";
        assert_eq!(render(None, false), default);
        assert_eq!(render(Some(""), false), default);
        assert_eq!(render(Some("table"), false), default);
        let cases = [
            (
                r"table {{.Name}}\t{{.Description}}\t{{.Current}}",
                "NAME······DESCRIPTION·············<no·value>\n\
                 default···Current·configuration···true\n\
                 x·········hé·<b>··················false\n",
            ),
            (
                r"table {{.Name}}\t{{json .Description}}\t{{upper .Name}}\t{{pad .Name 2 2}}|{{truncate .Name 1}}",
                "NAME······DESCRIPTION···············NAME········NAME··|NAME\n\
                 default···\"Current·configuration\"···DEFAULT·····default··|d\n\
                 x·········\"hé·<b>\"··················X···········x··|x\n",
            ),
            (
                r#"table {{len .Name}}\t{{slice .Name 0 1}}\t{{title .Name}}\t{{join (split .Name "") "-"}}\t{{printf "%s" .Name}}"#,
                "4·········N·········NAME······NAME············NAME\n\
                 7·········d·········Default···d-e-f-a-u-l-t···default\n\
                 1·········x·········X·········x···············x\n",
            ),
            // What fails in a heading ends the heading.
            (r#"table {{range $i, $e := split .Name ""}}{{$e}}{{end}}\tz"#, "\ndefault···z\nx·········z\n"),
            (r"table {{.Error}}\t{{.Name}}", "ERROR·····NAME\n··········default\n··········x\n"),
            ("table ", "\n\n\n"),
            ("tablex {{.Name}}", "x·NAME\nx·default\nx·x\n"),
            ("table {{.Name}}\t{{.Error}}", "NAME······ERROR\ndefault···\nx·········\n"),
        ];
        for (format, expected) in cases {
            assert_eq!(render(Some(format), false), expected, "{format}");
            assert_eq!(render(Some(format), true), expected, "{format}");
        }
    }

    #[test]
    fn other_formats() {
        let json = "{\"Current\":true,\"Description\":\"Current·configuration\",\"Endpoint\":\"unix:///var/run/docker.sock\",\"Error\":\"\",\"Name\":\"default\"}\n\
                    {\"Current\":false,\"Description\":\"hé·\\u003cb\\u003e\",\"Endpoint\":\"unix:///x\",\"Error\":\"\",\"Name\":\"x\"}\n";
        for (format, expected) in [
            ("json", json),
            ("{{json .}}", json),
            ("{{json .Description}}", "\"Current·configuration\"\n\"hé·<b>\"\n"),
            (r"{{.Name}}\t{{.Description}}\n", "default\tCurrent·configuration\n\nx\thé·<b>\n\n"),
            (" {{.Name}} ", "default\nx\n"),
            ("raw", "name:·default\ndescription:·Current·configuration\n\nname:·x\ndescription:·hé·<b>\n\n"),
            ("pretty", "pretty\npretty\n"),
            ("{{.name}}", "default\nx\n"),
            (
                "{{.Foo}}",
                "error:·template·parsing·error:·template:·:1:2:·executing·\"\"·at·<.Foo>:·can't·evaluate·field·Foo·in·type·*formatter.contextContext",
            ),
            ("{{.Name", "error:·template·parsing·error:·template:·:1:·unclosed·action"),
        ] {
            assert_eq!(render(Some(format), false), expected, "{format}");
        }
        for format in [None, Some("table"), Some("raw")] {
            assert_eq!(render(format, true), "default\nx\n");
        }
    }

    #[test]
    fn a_list_of_nothing_has_headings_only() {
        let empty = |format| LIST.render(format, false, []).expect("a good format");
        assert_eq!(empty(None), "NAME      DESCRIPTION   DOCKER ENDPOINT   ERROR\n");
        assert_eq!(empty(Some("json")), "");
        assert_eq!(empty(Some("{{.Name}}")), "");
    }

    #[test]
    fn columns_end_where_a_line_lacks_them() {
        for (text, expected) in [
            ("", ""),
            ("a\tb\nlong cell here\tc\n", "a                b\nlong cell here   c\n"),
            ("a\tb\n\nlong cell here\tc", "a         b\n\nlong cell here   c"),
            (
                "a\tb\tc\nlonger than ten\tx\ny\tlonger than ten\tz",
                concat!(
                    "a                 b         c\nlonger than ten   x\n",
                    "y                 longer than ten   z"
                ),
            ),
            ("a\tb\u{c}long cell here\tc", "a         b\nlong cell here   c"),
            ("日本\tx\né\ty\n", "日本        x\né         y\n"),
            ("a\u{b}b\n", "a         b\n"),
        ] {
            assert_eq!(align(text), expected, "{text:?}");
        }
    }
}
