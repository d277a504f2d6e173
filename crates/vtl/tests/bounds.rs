//! What no template and no data can do: panic, hang, or grow without end.

use proptest::prelude::*;
use vtl::{CallError, Empty, Host, Limits, List, Map, RenderError, Scope, Template, Value};

/// A scope with a little of everything; `$s` is a text of the test's choice.
struct Names(String);

impl Scope for Names {
    fn find(&self, name: &str) -> Option<Value> {
        Some(match name {
            "s" => Value::from(self.0.as_str()),
            "n" => Value::Int(3),
            "l" => Value::List((0..3).map(Value::Int).collect::<List>()),
            "m" => Value::from(&serde_json::json!({"a": [1, {"b": "c"}], "s": "t"})),
            "h" => Value::Host(Host(0)),
            _ => return None,
        })
    }

    fn call(&self, _: Host, _: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
        Ok(args.first().cloned())
    }
}

fn limits() -> Limits {
    Limits { output_bytes: 100_000, steps: 100_000, ..Limits::default() }
}

#[track_caller]
fn check_refused(source: &str, want: RenderError) {
    let template = Template::parse(source).expect("compiles");
    assert_eq!(template.render(&Names("x".repeat(100)), &limits()), Err(want), "{source}");
}

#[test]
fn texts_that_double_end_the_rendering() {
    let double =
        |body: &str| format!("#set($a = \"xxxxxxxx\")#foreach($i in [1..1000]){body}#end$a");
    for body in [
        "#set($a = \"$a$a\")",
        "#set($a = $a + $a)",
        "#set($a = $a.concat($a))",
        "#set($a = $a.replaceAll(\"x\", \"xx\"))",
        "#set($a = $a.replaceAll(\"[x]\", \"$0$0\"))",
        "#set($a = $a.replace(\"x\", \"xx\"))",
        "#set($a = $a.repeat(2))",
    ] {
        let template = Template::parse(&double(body)).unwrap();
        let error = template.render(&Empty, &limits()).unwrap_err();
        assert!(matches!(error, RenderError::OutputLength | RenderError::Steps), "{body}: {error}");
    }
}

#[test]
fn loops_in_loops_run_out_of_steps() {
    let deep = "#foreach($i in [1..1000])".repeat(4) + &"#end".repeat(4);
    check_refused(&deep, RenderError::Steps);
    check_refused("#set($r = [1..9223372036854775807])", RenderError::Steps);
    check_refused("#set($r = [-9223372036854775808..9223372036854775807])", RenderError::Steps);
}

#[test]
fn shared_lists_cannot_hide_exponential_work() {
    let grow = "#set($a = [1])#set($b = [1])#foreach($i in [1..60])#set($a = [$a, $a])#set($b = [$b, $b])#end";
    check_refused(&format!("{grow}$a"), RenderError::OutputLength);
    check_refused(&format!("{grow}#if($a == $b)x#end"), RenderError::Steps);
}

#[test]
fn a_list_that_holds_itself_cannot_be_printed_but_does_no_harm() {
    check_refused("#set($a = [])#set($b = $a.add([$a]))$a", RenderError::Depth);
    check_refused("#set($a = {})#set($a.a = {'b': $a})$a", RenderError::Depth);
    let template =
        Template::parse("#set($a = [])#set($b = $a.add($a))#if($a == $a)same#end").unwrap();
    assert_eq!(template.render(&Empty, &limits()).unwrap(), "same");
}

#[test]
fn a_list_nested_deeper_than_the_stack_is_dropped() {
    let source =
        "#set($a = [])#foreach($i in [1..1000])#foreach($j in [1..1000])#set($a = [$a])#end#end";
    let template = Template::parse(source).unwrap();
    let limits = Limits { steps: 100_000_000, ..Limits::default() };
    assert_eq!(template.render(&Empty, &limits).unwrap(), "");
}

#[test]
fn sources_that_nest_too_deeply_are_refused() {
    let nest = |open: &str, inner: &str, close: &str| {
        let source = open.repeat(50_000 / open.len()) + inner + &close.repeat(50_000 / close.len());
        assert!(Template::parse(&source).is_err(), "{open}");
    };
    nest("#if(true)", "", "#end");
    nest("$a[", "1", "]");
    nest("$a.b(", "1", ")");
    let expression = |open: &str| {
        let source = format!("#set($a = {}", open.repeat(10_000));
        assert!(Template::parse(&source).is_err(), "{open}");
    };
    for open in ["(", "[", "{1:", "!", "!(", "$a.b(", "$a[", "\"$a.b(", "[[1.."] {
        expression(open);
    }
}

#[test]
fn long_chains_of_operators_are_no_depth() {
    let source = format!("#set($a = 0{})$a", " + 1".repeat(50_000));
    let template = Template::parse(&source).unwrap();
    assert_eq!(template.render(&Empty, &Limits::default()).unwrap(), "50000");
}

#[test]
fn a_source_may_hold_300_kib() {
    let longest = "x".repeat(300 * 1024);
    assert!(Template::parse(&longest).is_ok());
    assert!(Template::parse(&(longest + "x")).is_err());
}

#[test]
fn output_is_counted_from_where_it_starts() {
    let template = Template::parse("12345$s").unwrap();
    let limits = Limits { output_bytes: 10, ..Limits::default() };
    let mut out = "before ".to_owned();
    template.render_into(&Names("67890".to_owned()), &limits, &mut out).unwrap();
    assert_eq!(out, "before 1234567890");
    let error = template.render(&Names("678901".to_owned()), &limits).unwrap_err();
    assert_eq!(error, RenderError::OutputLength);
}

#[test]
fn patterns_that_mean_something_else_are_refused() {
    for pattern in
        ["a(?=b)", r"(a)\1", "a++", "[a--b]", r"\p{IsFoo}", "(?<!a)b", r"\Z", "(", "a{1000}{1000}"]
    {
        let source = format!("$s.replaceAll('{pattern}', 'x')");
        assert!(Template::parse(&source).is_err(), "{pattern}");
        let source = format!("#set($p = '{pattern}')$s.matches($p)");
        let template = Template::parse(&source).unwrap();
        let error = template.render(&Names(String::new()), &limits()).unwrap_err();
        assert!(matches!(error, RenderError::Regex(_)), "{pattern}: {error}");
    }
}

#[test]
fn methods_take_hostile_numbers() {
    for call in [
        "substring(-1)",
        "substring(9223372036854775807)",
        "substring(1, 0)",
        "charAt(9223372036854775807)",
        "repeat(-1)",
    ] {
        let template = Template::parse(&format!("$s.{call}")).unwrap();
        assert!(template.render(&Names("é😀".to_owned()), &limits()).is_err(), "{call}");
    }
    let template =
        Template::parse("$s.indexOf('x', -5) $s.indexOf('x', 9223372036854775807)").unwrap();
    assert_eq!(template.render(&Names("é😀x".to_owned()), &limits()).unwrap(), "3 -1");
    check_refused("#set($a = 9223372036854775807 + 1)", RenderError::Number);
    check_refused("#set($a = -9223372036854775808 / -1)", RenderError::Number);
}

/// Pieces of the language, to be put together in ways nobody would.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "#if(",
            "#elseif(",
            "#else",
            "#end",
            "#foreach($i in ",
            "#set($a = ",
            ")",
            "]",
            "[",
            "{",
            "}",
            "$a",
            "$!{a}",
            "${",
            "$s",
            "$m.a[1].b",
            "$l",
            "$h.f(",
            "$n",
            "\"",
            "'",
            "\\",
            "#",
            "##",
            "#*",
            "*#",
            "#[[",
            "]]#",
            "..",
            ",",
            ":",
            " == ",
            " + ",
            " && ",
            "!",
            "true",
            "1",
            "-2.5e3",
            ".replaceAll('a+', '$0')",
            ".split(',')",
            ".substring(1, 2)",
            ".add($a)",
            ".put('k', $a)",
            ".get(0)",
            "\n",
            " ",
            "x",
            "é",
            "#break",
            "#stop",
            "$foreach.index",
            "$velocityCount",
        ])
        .prop_map(str::to_owned),
        "[a-z$#\\\\\"'(){}\\[\\]. ]{0,6}",
    ]
}

/// A template that compiles, mostly.
fn statement() -> impl Strategy<Value = String> {
    let expression = prop::sample::select(vec![
        "$a",
        "$s",
        "$m",
        "$l",
        "$n",
        "1",
        "'t'",
        "\"$a-$s\"",
        "[1..3]",
        "[$a, $l]",
        "{\"k\": $a}",
        "$a + $n",
        "$a == $m",
        "$l.size() - 1",
        "!$a",
        "$m.a",
        "$m.get('s')",
        "$l[0]",
        "$s.split('')",
        "$s.replaceAll('.', '$0$0')",
        "$s.toUpperCase()",
        "$h.f($a)",
        "$m.entrySet()",
        "$m.keySet()",
        "$a.toString()",
    ]);
    let leaf = expression.prop_flat_map(|value| {
        prop_oneof![
            Just(format!("#set($a = {value})")),
            Just(format!("#set($b = {value})#set($x = $b.add($a))")),
            Just(format!("#set($m.k = {value})")),
            Just("$a|$!b|${s}".to_owned()),
            Just(format!("#if({value})y#{{else}}n#end")),
        ]
    });
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_flat_map(|body| {
            let body = body.concat();
            prop_oneof![
                Just(format!("#foreach($i in $l){body}$i#end")),
                Just(format!("#foreach($e in $m){body}#if($foreach.count > 2)#break#{{end}}#end")),
                Just(format!("#if($a){body}#else\n{body}#end")),
            ]
        })
    })
}

proptest! {
    #[test]
    fn parsing_never_panics(source in ".{0,200}") {
        let _ = Template::parse(&source);
    }

    #[test]
    fn neither_parsing_nor_rendering_panics_on_broken_templates(pieces in prop::collection::vec(piece(), 0..30), text in ".{0,20}") {
        if let Ok(template) = Template::parse(&pieces.concat()) {
            let _ = template.render(&Names(text), &limits());
            template.references().for_each(|reference| { let _ = (reference.steps().count(), reference.source()); });
        }
    }

    #[test]
    fn templates_that_compile_render_or_say_why(body in prop::collection::vec(statement(), 0..6), text in ".{0,20}") {
        let template = Template::parse(&body.concat()).unwrap();
        match template.render(&Names(text), &limits()) {
            Ok(_) | Err(RenderError::OutputLength | RenderError::Steps | RenderError::Depth | RenderError::Argument { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn text_without_dollar_and_hash_is_itself(text in "[^$#]{0,100}") {
        let template = Template::parse(&text).unwrap();
        prop_assert_eq!(template.constant(), Some(text.as_str()));
        prop_assert_eq!(template.render(&Empty, &Limits::default()).unwrap(), text);
    }

    #[test]
    fn values_survive_as_json(text in ".{0,30}", int in any::<i64>()) {
        let json = serde_json::json!({"t": text, "l": [int, true, null, {"x": []}]});
        let out = Value::from(&json).to_json_text(10_000).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), json);
    }

    #[test]
    fn any_pattern_compiles_or_is_refused(pattern in "[a-c.*+?()\\[\\]{}|\\\\^$0-3,-]{0,12}", text in "[a-c0-3\n]{0,12}") {
        let map: Map = [("p".into(), Value::from(pattern)), ("s".into(), Value::from(text))].into_iter().collect();
        struct Only(Map);
        impl Scope for Only {
            fn find(&self, name: &str) -> Option<Value> {
                self.0.find(name)
            }
        }
        let template = Template::parse("$s.matches($p)$s.replaceAll($p, '-')$s.split($p)").unwrap();
        let _ = template.render(&Only(map), &limits());
    }
}
