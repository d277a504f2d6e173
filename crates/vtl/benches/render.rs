//! How fast templates render: one line of plain references, and a worked example.

use criterion::{Criterion, criterion_group, criterion_main};
use vtl::{CallError, Host, Limits, Scope, Template, Value};

struct Request {
    numbers: Value,
}

impl Scope for Request {
    fn find(&self, name: &str) -> Option<Value> {
        match name {
            "context" => Some(Value::Host(Host(0))),
            "input" => Some(Value::Host(Host(1))),
            _ => None,
        }
    }

    fn call(&self, _: Host, method: &str, _: &[Value]) -> Result<Option<Value>, CallError> {
        match method {
            "path" => Ok(Some(self.numbers.clone())),
            _ => Ok(Some(Value::from("\"va'l\""))),
        }
    }

    fn write(&self, root: &str, path: &[Box<str>], out: &mut String) -> bool {
        let [name] = path else { return false };
        let value = match (root, &**name) {
            ("context", "requestTimeEpoch") => "1758758533000",
            ("context", "requestId") => "EOoA9GbKIAMEVZQ=",
            _ => return false,
        };
        out.push_str(value);
        true
    }
}

const WORKED_EXAMPLE: &str = r#"#set($n = $input.path('$.n'))
{
  "id": "$context.requestId",
  "data": $input.json('$.data'),
  "sum": [#foreach($i in $n)$i#if($foreach.hasNext),#end#end]
}
"#;

fn render(criterion: &mut Criterion) {
    let request = Request { numbers: Value::from(&serde_json::json!([1, 2])) };
    let limits = Limits::default();
    let sources = [
        ("pong", r#"{"type":"pong","at":"$context.requestTimeEpoch"}"#),
        ("worked", WORKED_EXAMPLE),
    ];
    for (name, source) in sources {
        let template = Template::parse(source).expect("compiles");
        let mut out = String::with_capacity(1024);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                template.render_into(&request, &limits, &mut out).expect("renders");
                out.len()
            });
        });
    }
}

criterion_group!(benches, render);
criterion_main!(benches);
