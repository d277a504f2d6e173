//! Behaviour of paths and of the scan.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Found, NotJson, Path, Reason, scan_member};

fn document() -> Value {
    json!({
        "a": {"b": 1, "c-d": 2}, "list": [{"n": 1, "k": "x"}, {"n": 2, "k": "y"}, {"n": 3}],
        "s": "str", "é": 5, "e": [], "z": null, "nums": [4, 2.5, "t"]
    })
}

/// Checks what `path` finds: `null` for a miss, a list behind `many`.
#[track_caller]
fn check(path: &str, want: &str) {
    let document = document();
    let compiled = Path::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let found = match compiled.find(&document) {
        Found::Many(values) => format!("many {}", json!(values)),
        Found::Missing => "missing".to_owned(),
        Found::One(value) => value.to_string(),
        Found::TooMuch => "too much".to_owned(),
    };
    assert_eq!(found, want, "{path}");
    assert_eq!(compiled.is_definite(), !want.starts_with("many"), "{path}");
}

#[test]
fn definite_paths_name_one_value_or_none() {
    check("$.a.b", "1");
    check("a.b", "1");
    check("@.a.b", "1");
    check("$.a.c-d", "2");
    check("$['a'][\"b\"]", "1");
    check("$[ 'a' ].b", "1");
    check("$.['a'].b", "1");
    check("$.é", "5");
    check("$.list[0].k", "\"x\"");
    check("$.list[-1].n", "3");
    check("$.list[ 1 ].n", "2");
    check("$.z", "null");
    for miss in [
        "$.q",
        "$.a.q",
        "$.q.w",
        "$.list.n",
        "$.list[9]",
        "$.list[-9]",
        "$.s.t",
        "$.z.t",
        "$.a[0]",
        "$['a.b']",
    ] {
        check(miss, "missing");
    }
}

#[test]
fn indefinite_paths_name_a_list() {
    check("$..n", "many [1,2,3]");
    check("$.list[*].n", "many [1,2,3]");
    check("$.list..n", "many [1,2,3]");
    check("$..['n']", "many [1,2,3]");
    check("$.list[0,2].n", "many [1,3]");
    check("$.list[0,9].n", "many [1]");
    check("$.list[1:].n", "many [2,3]");
    check("$.list[-2:].n", "many [2,3]");
    check("$.list[:2].n", "many [1,2]");
    check("$.list[:-1].n", "many [1,2]");
    check("$.list[5:9]", "many []");
    check("$.list[2:1]", "many []");
    check("$.list[*].k", "many [\"x\",\"y\"]");
    check("$.a.*", "many [1,2]");
    check("$.e[*]", "many []");
    check("$.q[*]", "many []");
    check("$..[0].n", "many [1]");
}

#[test]
fn several_names_make_one_object_at_the_end() {
    check("$.a['b','c-d']", r#"{"b":1,"c-d":2}"#);
    check("$.a['b','q']", r#"{"b":1}"#);
    check("$['a','q'].b", "many [1]");
}

#[test]
fn functions_end_a_path() {
    check("$.list.length()", "3");
    check("$.list.size()", "3");
    check("$.a.length()", "2");
    check("$.s.length()", "null");
    check("$.q.length()", "missing");
    check("$.nums.sum()", "6.5");
    check("$.nums.max()", "4.0");
    check("$.nums.min()", "2.5");
    check("$.nums.avg()", "3.25");
    check("$.nums.first()", "4");
    check("$.nums.last()", "\"t\"");
    check("$.a.keys()", r#"["b","c-d"]"#);
    check("$.e.sum()", "missing");
    check("$..n.length()", "3");
    check("$..n.sum()", "6.0");
}

#[test]
fn filters_select_items() {
    check("$.list[?(@.n > 1)].n", "many [2,3]");
    check("$.list[?(@.n>=2&&@.k)].n", "many [2]");
    check("$.list[?(@.k == 'x')].n", "many [1]");
    check("$.list[?('x' == @.k)].n", "many [1]");
    check("$.list[?(@.k)].n", "many [1,2]");
    check("$.list[?(!@.k)].n", "many [3]");
    check("$.list[?(@.n == 1 || @.n == 3)].n", "many [1,3]");
    check("$.list[?(@.n == 1 || @.n == 2 && @.k == 'q')].n", "many [1]");
    check("$.list[?(!(@.n == 1 || @.n == 3))].n", "many [2]");
    check("$.list[?(@.n in [1, 3])].n", "many [1,3]");
    check("$.list[?(@.n nin [1])].n", "many [2,3]");
    check("$.list[?(@.k =~ /X/i)].n", "many [1]");
    check("$.list[?(@.k =~ /.*/)].n", "many [1,2]");
    check("$.list[?(@.k != 'x')].n", "many [2,3]");
    check("$.list[?(@.k == null)].n", "many []");
    check("$.list[?(@.n == $.a.b)].n", "many [1]");
    check("$.list[?(@.n == '1')].n", "many [1]");
    check("$.list[?(@.n === '1')].n", "many []");
    check("$.list[?(@['n'] < 2.5)].n", "many [1,2]");
    check("$.list[?(@.k size 1)].n", "many [1,2]");
    check("$.list[?(@.k empty false)].n", "many [1,2]");
    check("$.a[?(@.b)]", r#"many [{"b":1,"c-d":2}]"#);
    check("$[?(@.list contains {'n': 3})].s", "many [\"str\"]");
    check("$.nums[?(@ > 3)]", "many [4]");
    check("$.list[?(@.k < 'y')].n", "many [1]");
    check("$.s[?(@.n)]", "many []");
}

#[track_caller]
fn check_error(path: &str, column: usize, reason: Reason) {
    let error = Path::parse(path).expect_err(path);
    assert_eq!((error.column, error.reason), (column, reason), "{path}");
}

#[test]
fn errors_name_the_column() {
    check_error("", 1, Reason::Expected("a path"));
    check_error("$a", 2, Reason::Expected("`.` or `[`"));
    check_error("$.", 3, Reason::Expected("a name"));
    check_error("$.a.", 5, Reason::Expected("a name"));
    check_error("$..", 4, Reason::Expected("a name"));
    check_error("$.a b", 4, Reason::Expected("`.` or `[`"));
    check_error("$[]", 3, Reason::EmptyBrackets);
    check_error("$[", 3, Reason::Unterminated("bracket"));
    check_error("$['a", 5, Reason::Unterminated("quotes"));
    check_error("$[b]", 3, Reason::Expected("a number, a quoted name, `*` or `?(`"));
    check_error("$.a[0:1:2]", 8, Reason::SliceStep);
    check_error("$.a[99999999999]", 5, Reason::Number);
    check_error("$.foo()", 3, Reason::Function("foo".to_owned()));
    check_error("$.a.length().b", 13, Reason::FunctionNotLast);
    check_error(
        "$.a[?(@.b == )]",
        14,
        Reason::Expected("a path, text, number, list, `true`, `false` or `null`"),
    );
    check_error("$.a[?(@.b =~ /(/)]", 14, Reason::Regex);
    let error = Path::parse("$é[").expect_err("refused");
    assert_eq!(error.to_string(), "expected `.` or `[` at column 2");
}

#[test]
fn tails_follow_a_root_of_their_own() {
    let document = document();
    let find = |tail: &str| Path::parse_tail(tail).unwrap().find(&document).into_value();
    assert_eq!(find(""), Some(document.clone()));
    assert_eq!(find(".a.b"), Some(json!(1)));
    assert_eq!(find("['a']['c-d']"), Some(json!(2)));
    assert_eq!(find("[0]"), None);
    assert!(Path::parse_tail("x").is_err());
}

#[test]
fn members_are_known_for_plain_paths_only() {
    let members = |path: &str| Path::parse(path).unwrap().members().map(<[String]>::to_vec);
    assert_eq!(members("$.a['b-c']"), Some(vec!["a".to_owned(), "b-c".to_owned()]));
    assert_eq!(members("$"), Some(vec![]));
    assert_eq!(members("$.a[0]"), None);
    assert_eq!(members("$..a"), None);
}

#[test]
fn hostile_paths_and_documents_end() {
    let nested = (0..100).fold(json!([1, 1, 1]), |inner, _| json!([inner, 1]));
    let many = Path::parse(&format!("${}", "..*".repeat(20))).unwrap();
    assert_eq!(many.find(&nested), Found::TooMuch);
    let wide = json!((0..3000).collect::<Vec<_>>());
    let square = Path::parse("$[?($[*] == $[*])]").unwrap();
    assert_eq!(square.find(&wide), Found::TooMuch);
    for open in ["$[?(", "$[?(!", "$[?((", "$[?(@[?("] {
        assert!(Path::parse(&open.repeat(1000)).is_err());
    }
    assert!(Path::parse(&format!("$[?(@ in {}", "[".repeat(5000))).is_err());
    assert!(Path::parse(&format!("${}", ".a".repeat(5000))).is_err());
}

#[track_caller]
fn check_scan(json: &str, path: &str, want: Result<Option<&str>, NotJson>) {
    let path = Path::parse(path).unwrap();
    let members = path.members().expect("a plain path");
    let found = scan_member(json, members).map(|raw| raw.map(|raw| raw.get()));
    assert_eq!(found, want, "{json}");
}

#[test]
fn the_scan_finds_raw_text() {
    check_scan(r#"{"action":"join"}"#, "$.action", Ok(Some(r#""join""#)));
    check_scan(
        r#" {"x":[1,{"action":2}], "action" : { "b" : [1, 2] } } "#,
        "$.action",
        Ok(Some(r#"{ "b" : [1, 2] }"#)),
    );
    check_scan(r#"{"a":{"b":{"c":null}}}"#, "$.a.b.c", Ok(Some("null")));
    check_scan(r#"{"\u0061":1}"#, "$.a", Ok(Some("1")));
    check_scan("7", "$", Ok(Some("7")));
    for other in [
        "7",
        "\"x\"",
        "[1]",
        "true",
        "null",
        "{}",
        "1.5",
        "-3",
        r#"{"a":{"b":1}}"#,
        r#"{"a":[{"c":1}]}"#,
    ] {
        check_scan(other, "$.a.c", Ok(None));
    }
}

#[test]
fn of_equal_names_the_last_one_counts() {
    check_scan(r#"{"a":1,"a":2}"#, "$.a", Ok(Some("2")));
    check_scan(r#"{"a":{"b":1},"a":{"c":2}}"#, "$.a.b", Ok(None));
    check_scan(r#"{"a":{"b":1},"a":7}"#, "$.a.b", Ok(None));
}

#[test]
fn the_scan_checks_the_whole_text() {
    for json in [
        "",
        "plain text",
        "{",
        r#"{"a":1"#,
        r#"{"a":1}x"#,
        r#"{"a":1}{}"#,
        r#"{"a":1,}"#,
        r#"{"a":1,"b":tru}"#,
        "{'a':1}",
        "[1,]",
        "nul",
    ] {
        check_scan(json, "$.a", Err(NotJson));
    }
    let deep = "[".repeat(500_000);
    check_scan(&deep, "$.a", Err(NotJson));
    check_scan(&format!(r#"{{"a":{deep}"#), "$.a", Err(NotJson));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5i64..5).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What the steps of a generated path mean, spelled out naively.
fn naive(steps: &[String], value: &Value, out: &mut Vec<Value>) {
    let Some((step, rest)) = steps.split_first() else { return out.push(value.clone()) };
    let children = || -> Vec<&Value> {
        match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        }
    };
    if let Some(below) = step.strip_prefix("..") {
        let mut here = vec![if below == "*" { "[*]".to_owned() } else { format!(".{below}") }];
        here.extend_from_slice(rest);
        naive(&here, value, out);
        children().into_iter().for_each(|child| naive(steps, child, out));
    } else if step == "[*]" {
        children().into_iter().for_each(|child| naive(rest, child, out));
    } else if let Some(name) = step.strip_prefix('.') {
        value.get(name).into_iter().for_each(|child| naive(rest, child, out));
    } else if step == "[-1]" {
        value
            .as_array()
            .and_then(|items| items.last())
            .into_iter()
            .for_each(|child| naive(rest, child, out));
    } else {
        let index: usize = step.trim_matches(['[', ']']).parse().unwrap();
        value
            .as_array()
            .and_then(|items| items.get(index))
            .into_iter()
            .for_each(|child| naive(rest, child, out));
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in ".{0,60}") {
        let _ = Path::parse(&text);
        let _ = Path::parse_tail(&text);
    }

    #[test]
    fn likely_paths_never_panic(text in r"\$?[.@$a-c\[\]()?*'0-2:,&|=!<>~/ -]{0,25}", document in any_json()) {
        if let Ok(path) = Path::parse(&text) {
            let found = path.find(&document);
            prop_assert_eq!(path.is_definite(), !matches!(found, Found::Many(_)));
        }
    }

    #[test]
    fn paths_find_what_a_naive_walk_finds(
        steps in prop::collection::vec(prop::sample::select(vec![".a", ".b", ".c", "[0]", "[1]", "[-1]", "[*]", "..a", "..b", "..*"]), 0..5),
        document in any_json(),
    ) {
        let steps: Vec<String> = steps.into_iter().map(str::to_owned).collect();
        let path = Path::parse(&format!("${}", steps.concat())).unwrap();
        let mut want = Vec::new();
        naive(&steps, &document, &mut want);
        let found = match path.find(&document) {
            Found::Many(values) => values.into_iter().map(std::borrow::Cow::into_owned).collect(),
            Found::One(value) => vec![value.into_owned()],
            Found::Missing => vec![],
            Found::TooMuch => panic!("too much"),
        };
        // Descents list in another order than a naive walk when wildcards follow.
        let sorted = |mut values: Vec<Value>| { values.sort_by_key(Value::to_string); values };
        if steps.iter().any(|step| step.starts_with("..")) {
            prop_assert_eq!(sorted(found), sorted(want));
        } else {
            prop_assert_eq!(found, want);
        }
    }

    #[test]
    fn the_scan_agrees_with_the_tree(document in any_json(), members in prop::collection::vec("[a-c]", 0..3)) {
        let text = document.to_string();
        let want = members.iter().try_fold(&document, |value, name| value.as_object()?.get(name));
        let raw = scan_member(&text, &members).unwrap();
        let found = raw.map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
        prop_assert_eq!(found.as_ref(), want);
    }

    #[test]
    fn the_scan_accepts_what_the_tree_accepts(text in r#"[\[\]{}",:a0-9 .\\entrufals-]{0,12}"#) {
        let tree = serde_json::from_str::<Value>(&text).is_ok();
        let scan = scan_member(&text, &["a".to_owned()]).is_ok();
        // The scan also takes numbers too large for a tree.
        prop_assert!(scan || !tree, "{text}");
    }
}
