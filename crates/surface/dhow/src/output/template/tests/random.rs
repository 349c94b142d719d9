//! Whatever is thrown at templates, they answer with text or an error.

use proptest::prelude::*;

use super::{INSPECTED, data, run};
use crate::output::table::align;
use crate::output::template::Shape;

/// Pieces that make something like a template more often than random characters do. Numbers stay small: a template
/// may well ask for a billion rounds.
fn piece() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{/*",
        "*/}}",
        "{{end}}",
        "{{else}}",
        "{{else if ",
        "{{if ",
        "{{with ",
        "{{range ",
        "{{break}}",
        "{{continue}}",
        "{{define \"a\"}}",
        "{{template \"a\" ",
        "{{block \"b\" ",
        "$x := ",
        "$x = ",
        "$i, $x := ",
        "$x",
        "$",
        ".",
        ".Name",
        ".l",
        ".m.a",
        ".o.k.d",
        ".nul",
        ".none",
        ".ln",
        ".i",
        ".f",
        "(",
        ")",
        "|",
        " ",
        "\n",
        ",",
        "=",
        ":=",
        "\"",
        "`",
        "'",
        "\"é%d\"",
        "\"%5.2f|%-4q|%+v|%#v|%[2]*d\"",
        "'é'",
        "0",
        "1",
        "-2",
        "3.5",
        "0x1p-2",
        "nil",
        "true",
        "and ",
        "or ",
        "not ",
        "len ",
        "index ",
        "slice ",
        "print ",
        "printf ",
        "println ",
        "html ",
        "js ",
        "urlquery ",
        "eq ",
        "ne ",
        "lt ",
        "le ",
        "gt ",
        "ge ",
        "call ",
        "json ",
        "split ",
        "join ",
        "title ",
        "lower ",
        "upper ",
        "pad ",
        "truncate ",
        "é",
        "\u{1F600}",
        "\t",
    ];
    prop_oneof![
        6 => prop::sample::select(pieces).prop_map(str::to_owned),
        1 => "[^0-9]{0,4}",
    ]
}

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

/// One action that mostly parses, with random arguments.
fn action() -> impl Strategy<Value = String> {
    let functions: &'static [&str] = &[
        "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "eq",
        "ne", "lt", "le", "gt", "ge", "call", "json", "split", "join", "title", "lower", "upper", "pad", "truncate",
    ];
    let argument = prop_oneof![
        prop::sample::select(
            ["nil", "true", "\"é\"", "\"%v %d %s %x\"", "1", "2", "-1", "1.5", "'a'", "\"\""].as_slice()
        )
        .prop_map(str::to_owned),
        prop::sample::select([".", ".Name", ".l", ".ln", ".m", ".o", ".nul", ".none", ".f", ".e", ".el"].as_slice())
            .prop_map(str::to_owned),
    ];
    (prop::sample::select(functions), prop::collection::vec(argument, 0..4), prop::sample::select(functions))
        .prop_map(|(function, arguments, next)| format!("{{{{{function} {} | {next}}}}}", arguments.join(" ")))
}

/// `%`, flags, width, precision and a verb, more or less.
fn directive() -> impl Strategy<Value = String> {
    "%[-+# 0]{0,3}(\\*|[0-9]{0,2})(\\.(\\*|[0-9]{0,2}))?(\\[[0-9]\\])?[vsdqxXtTfeEgGcbouUéz%]?"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_never_panic(template in pieces()) {
        run(&template, &data(), &Shape::MAPS);
        run(&template, &data(), &INSPECTED);
    }

    #[test]
    fn calls_never_panic(template in action()) {
        run(&template, &data(), &Shape::MAPS);
        run(&template, &data(), &Shape::of_type("x"));
    }

    #[test]
    fn directives_never_panic(directives in prop::collection::vec(directive(), 1..4)) {
        for argument in ["7 -3", ".f .s", ".l .m", ".nul 'é'", ""] {
            run(&format!("{{{{printf \"{}\" {argument}}}}}", directives.concat()), &data(), &Shape::MAPS);
        }
    }

    #[test]
    fn text_without_actions_is_kept(text in "[^{]{0,40}") {
        prop_assert_eq!(run(&text, &data(), &Shape::MAPS), text);
    }

    #[test]
    fn alignment_keeps_lines_and_cells(text in "[ab é\t\n\u{b}]{0,40}") {
        let aligned = align(&text);
        prop_assert_eq!(aligned.matches('\n').count(), text.matches('\n').count());
        let blank = |c: char| c.is_whitespace();
        prop_assert_eq!(aligned.replace(blank, ""), text.replace(blank, ""));
    }
}
