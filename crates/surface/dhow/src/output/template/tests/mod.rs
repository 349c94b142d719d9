//! Templates over one set of data, and random ones.
//!
//! The tables hold what docker 28.2's command line prints for the same templates (its Go 1.24 runs them over the
//! metadata of a context). They differ from it where this implementation does by intent: `join` takes any list as
//! newer docker does, an error names the type of a value rather than `interface {}`, the nesting limits, and names of
//! fields match in any case.

mod failure;
mod output;
mod printf;
mod random;
mod syntax;

use serde_json::{Value, json};

use super::value::Missing;
use super::{Shape, Template};

fn data() -> Value {
    json!({
        "Name": "x", "b": true, "big": 12_345_678.0, "e": {}, "el": [], "f": 1.5, "i": 3.0, "l": ["a", "b", "c"],
        "ln": [1.0, null, 2.5], "m": {"z": "1", "a": "2"}, "nul": null, "o": {"k": {"d": "deep"}}, "s": "abc"
    })
}

/// The output, or the message of the error.
fn run(template: &str, data: &Value, shape: &Shape<'_>) -> String {
    Template::parse(template)
        .and_then(|template| template.execute(data, shape))
        .unwrap_or_else(|error| error.to_string())
}

fn check(table: &[(&str, &str)], start: &str) {
    let data = data();
    let mut wrong = Vec::new();
    for (template, expected) in table {
        let got = run(template, &data, &Shape::MAPS);
        if got != format!("{start}{expected}") {
            wrong.push(format!("{template}\n  expected {start}{expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn templates_print_what_they_should() {
    check(output::OUTPUT, "");
    check(printf::PRINTF, "");
}

#[test]
fn errors_read_as_in_docker() {
    check(syntax::SYNTAX, "template parsing error: template: ");
    check(failure::FAILURE, "template parsing error: template: ");
}

#[test]
fn integers_of_the_data_are_integers() {
    let data = json!({"n": 3, "big": u64::MAX, "negative": -7, "float": 3.5});
    for (template, expected) in [
        ("{{.n}} {{.big}} {{.negative}} {{.float}}", "3 18446744073709551615 -7 3.5"),
        ("{{eq .n 3}} {{lt .n 4}} {{gt .big 4}} {{lt .negative .big}} {{eq .big .n}}", "true true true true false"),
        ("{{range .n}}{{.}}{{end}} {{truncate \"hello\" .n}} {{pad \"a\" .n .n}}|", "012 hel    a   |"),
        (
            "{{index (split \"a b c d\" \" \") .n}} {{printf \"%03d %T %x %T\" .n .n .big .big}}",
            "d 003 int ffffffffffffffff uint64",
        ),
        ("{{json .}}", r#"{"big":18446744073709551615,"float":3.5,"n":3,"negative":-7}"#),
    ] {
        assert_eq!(run(template, &data, &Shape::MAPS), expected, "{template}");
    }
}

const INSPECTED: Shape<'_> = Shape::inspected(&["Labels", "Volumes"], &["Cmd", "Entrypoint"]);

#[test]
fn structs_know_their_fields() {
    let data = json!({
        "Id": "sha256:1", "Size": 7, "Healthcheck": null, "Empty": {},
        "Config": {"Labels": {"a": "1", "Z": "2"}, "Volumes": null, "Cmd": null, "Env": ["A=b"]},
    });
    let no_entry = |column: u32, field: &str, name: &str| {
        format!(
            "template parsing error: template: :1:{column}: executing \"\" at <{field}>: map has no entry for key \"{name}\""
        )
    };
    for (template, expected) in [
        ("{{.ID}} {{.id}} {{.Id}}", "sha256:1 sha256:1 sha256:1".to_owned()),
        ("{{.Config.Labels.a}} {{.Config.Labels.b}} {{.Config.Labels.A}}", "1 <no value> <no value>".into()),
        ("{{index .Config.Labels \"a\"}}|{{index .Config.Labels \"b\"}}|{{index .Config.Volumes \"b\"}}", "1||".into()),
        ("{{.Config.Labels}} {{.Config.Volumes}} {{len .Config.Volumes}}", "map[Z:2 a:1] map[] 0".into()),
        ("{{.Config.Cmd}} {{.Config.Entrypoint}} {{len .Config.Cmd}} {{json .Config.Cmd}}", "[] [] 0 null".into()),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}{{if .Config.Volumes}}x{{end}}", "none".into()),
        ("{{.Healthcheck}} {{json .Healthcheck}}", "<nil> null".into()),
        ("{{.Config}}", "{map[Z:2 a:1] map[] [] [A=b]}".into()),
        ("{{printf \"%+v\" .Config}}", "{Labels:map[Z:2 a:1] Volumes:map[] Cmd:[] Env:[A=b]}".into()),
        ("{{if .Empty}}a struct is true{{end}}", "a struct is true".into()),
        ("{{json .Config}}", r#"{"Labels":{"Z":"2","a":"1"},"Volumes":null,"Cmd":null,"Env":["A=b"]}"#.into()),
        ("{{.Foo}}", no_entry(2, ".Foo", "Foo")),
        ("{{.Config.Foo.Bar}}", no_entry(9, ".Config.Foo.Bar", "Foo")),
        ("{{with .Config}}{{.Foo}}{{end}}", no_entry(18, ".Foo", "Foo")),
    ] {
        assert_eq!(run(template, &data, &INSPECTED), expected, "{template}");
    }
    let shape = Shape::of_type("system.dockerInfo");
    assert_eq!(shape.missing, Missing::Field("system.dockerInfo"));
    for (template, expected) in [
        ("{{.Foo}}", ":1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type system.dockerInfo"),
        ("{{.Size.Foo}}", ":1:7: executing \"\" at <.Size.Foo>: can't evaluate field Foo in type int"),
        ("{{.Id 1}}", ":1:2: executing \"\" at <.Id>: Id has arguments but cannot be invoked as function"),
    ] {
        assert_eq!(run(template, &data, &shape), format!("template parsing error: template: {expected}"));
    }
}

#[test]
fn rows_escape_their_json() {
    let row = json!({"Tag": "<none>"});
    assert_eq!(run("{{json .}} {{json .Tag}}", &row, &Shape::row("row")), r#"{"Tag":"\u003cnone\u003e"} "<none>""#);
    assert_eq!(run("{{json .}}", &row, &Shape::of_type("info")), r#"{"Tag":"<none>"}"#);
}

#[test]
fn huge_widths_and_precisions_are_taken_or_refused() {
    let length = |template: &str| run(template, &data(), &Shape::MAPS).len();
    assert_eq!(length("{{printf \"%1000001d\" 1}}"), 1_000_001);
    assert_eq!(length("{{printf \"%.1000001f\" 1.5}}"), 1_000_003);
    assert_eq!(length("{{printf \"%.70000e\" 1.5}}"), 70_006);
    assert_eq!(length("{{printf \"%.70000g\" 1.5}}"), 3);
    assert_eq!(run("{{printf \"%99999999999999d\" 1}}", &data(), &Shape::MAPS), "%!(NOVERB)%!(EXTRA int=1)");
}

/// On a thread with the stack the standard library gives.
fn on_a_small_stack(check: fn()) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    on_a_small_stack(|| {
        for (open, close) in [
            ("{{if 1}}", "{{end}}"),
            ("{{with 1}}", "{{end}}"),
            ("{{range 1}}", "{{end}}"),
            ("{{range 0}}{{else}}", "{{end}}"),
            ("{{if 0}}{{else if 1}}", "{{end}}"),
            ("{{block \"a\" 1}}", "{{end}}"),
        ] {
            let nested =
                |depth: usize| run(&format!("{}x{}", open.repeat(depth), close.repeat(depth)), &data(), &Shape::MAPS);
            assert!(nested(100_000).contains("exceeded maximum nesting depth"), "{open}");
            if !open.contains("else if") && !open.contains("block") {
                assert_eq!(nested(99), "x", "{open}");
            }
        }
        let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(100_000));
        assert!(run(&chain, &data(), &Shape::MAPS).contains("exceeded maximum nesting depth"));
        let parens =
            |depth: usize| run(&format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth)), &data(), &Shape::MAPS);
        assert_eq!(parens(99), "1");
        assert!(parens(100_000).contains("exceeded maximum nesting depth"));
        let calls = format!("{{{{{}1{}}}}}", "(print ".repeat(99), ")".repeat(99));
        assert_eq!(run(&calls, &data(), &Shape::MAPS), "1");
    });
}

#[test]
fn endless_recursion_is_refused_before_the_stack_ends() {
    on_a_small_stack(|| {
        let bodies = [
            "{{template \"a\" .}}",
            "{{range 1}}{{with 1}}{{if 1}}{{template \"a\" (print (print (print .)))}}{{end}}{{end}}{{end}}",
        ];
        for body in bodies {
            let template = format!("{{{{define \"a\"}}}}{body}{{{{end}}}}{{{{template \"a\" .}}}}");
            assert!(run(&template, &data(), &Shape::MAPS).contains("exceeded maximum template depth"), "{body}");
        }
        assert!(run("x{{template \"\" .}}", &data(), &Shape::MAPS).contains("exceeded maximum template depth"));
    });
}
