//! What templates and their scope say to each other.

use std::cell::RefCell;

use vtl::{
    CallError, Empty, Host, Limits, Miss, Reason, Reference, RenderError, Scope, Step, Template,
    Value,
};

/// `$context` prints its properties directly and is silent about misses.
#[derive(Default)]
struct Context {
    assigned: RefCell<Vec<String>>,
    slow: bool,
}

impl Scope for Context {
    fn find(&self, name: &str) -> Option<Value> {
        (name == "context").then_some(Value::Host(Host(7)))
    }

    fn property(&self, host: Host, name: &str) -> Option<Value> {
        assert_eq!(host, Host(7));
        match name {
            "stage" => Some(Value::from("dev")),
            "at" => Some(Value::Int(12)),
            "inner" => Some(Value::Host(Host(7))),
            _ => None,
        }
    }

    fn call(&self, _: Host, method: &str, _: &[Value]) -> Result<Option<Value>, CallError> {
        if method == "fail" { Err(CallError::new("no such thing")) } else { Ok(None) }
    }

    fn write(&self, root: &str, path: &[Box<str>], out: &mut String) -> bool {
        let known = !self.slow && root == "context" && path.len() == 1 && &*path[0] == "stage";
        if known {
            out.push_str("dev");
        }
        known
    }

    fn assign(&self, _: Host, name: &str, value: &Value) {
        let text = value.text(100).map(std::borrow::Cow::into_owned);
        self.assigned.borrow_mut().push(format!("{name}={}", text.unwrap_or_default()));
    }

    fn miss(&self, reference: &Reference<'_>) -> Miss {
        if reference.root() == "context" { Miss::Empty } else { Miss::Source }
    }
}

#[track_caller]
fn check(source: &str, want: &str) {
    let template = Template::parse(source).expect("compiles");
    for slow in [false, true] {
        let scope = Context { slow, ..Context::default() };
        assert_eq!(template.render(&scope, &Limits::default()).expect("renders"), want, "{source}");
    }
}

#[test]
fn properties_print_the_same_on_the_short_and_the_long_way() {
    check(r#"{"s":"$context.stage","t":$context.at}"#, r#"{"s":"dev","t":12}"#);
    check("$context.inner.inner.stage ${context.stage}! $!context.stage", "dev dev! dev");
    check("$context['stage'] $context.stage.length()", "dev 3");
    check(r"\$context.stage \\$context.stage", r"$context.stage \dev");
}

#[test]
fn the_scope_decides_what_a_miss_prints() {
    check("[$context.nope][$nope][$!nope][$context.nope.more][$context]", "[][$nope][][][]");
    check("#set($a = \"x\" + $context.nope)$a", "x");
}

#[test]
fn what_the_template_sets_hides_the_scope() {
    check("$context.stage #set($context = {'stage': 'mine'})$context.stage", "devmine");
    check("#foreach($context in [1..2])$context#end $context.stage", "12 dev");
}

#[test]
fn assignments_to_host_objects_reach_the_scope() {
    let template = Template::parse("#set($context.status = 400)#set($context.inner['a b'] = 'x')")
        .expect("compiles");
    let scope = Context::default();
    assert_eq!(template.render(&scope, &Limits::default()), Ok(String::new()));
    assert_eq!(*scope.assigned.borrow(), ["status=400", "a b=x"]);
}

#[test]
fn a_failing_method_ends_the_rendering_with_its_line() {
    let template = Template::parse("a\n b $context.fail()").expect("compiles");
    let error = template.render(&Context::default(), &Limits::default()).expect_err("fails");
    assert_eq!(error, RenderError::Call { error: CallError::new("no such thing"), line: 2 });
    assert_eq!(error.to_string(), "line 2: no such thing");
}

#[test]
fn references_are_listed_with_steps_and_places() {
    let source =
        "é $input.path('$.a')\n#set($x = \"in $util.f($context.b)\")#if($!{y['k'].z})$x#end";
    let template = Template::parse(source).expect("compiles");
    let found: Vec<String> = template
        .references()
        .map(|reference| {
            let steps: Vec<Step<'_>> = reference.steps().collect();
            format!(
                "{}:{} {} {steps:?} {}",
                reference.line(),
                reference.column(),
                reference.source(),
                reference.is_assigned()
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            r#"1:3 $input.path('$.a') [Call { name: "path", args: 1, first: Some("$.a") }] false"#,
            "2:6 $x [] true",
            r#"2:15 $util.f($context.b) [Call { name: "f", args: 1, first: None }] false"#,
            r#"2:23 $context.b [Property("b")] false"#,
            r#"2:40 $!{y['k'].z} [Index(Some("k")), Property("z")] false"#,
            "2:53 $x [] true",
        ]
    );
}

#[test]
fn only_templates_without_constructs_are_constant() {
    let constant =
        |source: &str| Template::parse(source).expect("compiles").constant().map(str::to_owned);
    assert_eq!(constant(r#"{"statusCode":200}"#), Some(r#"{"statusCode":200}"#.to_owned()));
    assert_eq!(constant(""), Some(String::new()));
    assert_eq!(constant("## nothing\n$5 #fff"), Some("$5 #fff".to_owned()));
    assert_eq!(constant("$x"), None);
    assert_eq!(constant("#if(true)x#end"), None);
}

#[test]
fn errors_name_line_and_column() {
    let error = Template::parse("a\n  #if($x == )").expect_err("refused");
    assert_eq!((error.line, error.column, error.reason), (2, 13, Reason::Expected("a value")));
    let error = Template::parse("é$x.getClass()").expect_err("refused");
    assert_eq!(error.to_string(), "`getClass` is not available at line 1, column 5");
    let error = Template::parse("#set($foreach = 1)").expect_err("refused");
    assert_eq!(error.reason, Reason::NotAssignable("foreach".to_owned()));
}

#[test]
fn the_worked_example_of_a_mapping_template() {
    struct Message(serde_json::Value);
    impl Scope for Message {
        fn find(&self, name: &str) -> Option<Value> {
            (name == "input").then_some(Value::Host(Host(0)))
        }
        fn call(&self, _: Host, method: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
            let value = args[0].as_str().and_then(|path| self.0.get(path.trim_start_matches("$.")));
            Ok(value.map(|value| match method {
                "json" => Value::from(value.to_string()),
                _ => Value::from(value),
            }))
        }
    }
    let source = "#set($n = $input.path('$.n'))\n{\n  \"data\": $input.json('$.data'),\n  \"sum\": [#foreach($i in $n)$i#if($foreach.hasNext),#end#end]\n}\n";
    let template = Template::parse(source).expect("compiles");
    let message = Message(serde_json::json!({"data": "va'l", "n": [1, 2]}));
    let out = template.render(&message, &Limits::default()).expect("renders");
    assert_eq!(out, "{\n  \"data\": \"va'l\",\n  \"sum\": [1,2]\n}\n");
}

#[test]
fn nothing_is_defined_in_an_empty_scope() {
    let template = Template::parse("$a $!a ${a.b}").expect("compiles");
    assert_eq!(template.render(&Empty, &Limits::default()).expect("renders"), "$a  ${a.b}");
}

#[test]
fn templates_are_shared_between_threads() {
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Template>();
}

#[test]
fn the_template_that_passes_all_parameters_through() {
    struct Params;
    impl Scope for Params {
        fn find(&self, name: &str) -> Option<Value> {
            matches!(name, "input" | "util").then_some(Value::Host(Host(0)))
        }
        fn call(&self, _: Host, method: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
            Ok(match method {
                "params" => Some(Value::from(
                    &serde_json::json!({"path": {}, "header": {"a": "it's", "b": "c"}}),
                )),
                "escapeJavaScript" => {
                    args[0].as_str().map(|text| Value::from(text.replace('\'', "\\'")))
                }
                _ => None,
            })
        }
    }
    let source = "#set($allParams = $input.params())\n{#foreach($type in $allParams.keySet())\n#set($params = $allParams.get($type))\n\"$type\": {#foreach($name in $params.keySet())\"$name\": \"$util.escapeJavaScript($params.get($name)).replaceAll(\"\\\\'\", \"'\")\"#if($foreach.hasNext), #end#end}#if($foreach.hasNext),#end\n#end}";
    let template = Template::parse(source).expect("compiles");
    let out = template.render(&Params, &Limits::default()).expect("renders");
    assert_eq!(out, "{\"path\": {},\"header\": {\"a\": \"it's\", \"b\": \"c\"}}");
}
