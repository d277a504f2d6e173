//! Short forms for the templates of cases.
//!
//! A line that starts with `@` becomes ordinary CloudFormation; every other
//! line is a resource as it stands, indented by two. What a case does not
//! define is added: the API `Api`, its deployment, and the stage `dev`.

use serde_json::{Map, Value, json};

/// A template and the functions that it expects someone to play.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// CloudFormation in YAML.
    pub(crate) text: String,
    /// Logical ids of functions whose code is not here.
    pub(crate) functions: Vec<String>,
}

/// Writes out the short forms of `source`.
pub(crate) fn expand(source: &str) -> Template {
    let mut build = Build::default();
    for line in source.lines() {
        match line.strip_prefix('@') {
            Some(form) => build.form(form),
            None => build.raw(line),
        }
    }
    build.finish()
}

#[derive(Default)]
struct Build {
    resources: Vec<(String, Value)>,
    raw: String,
    functions: Vec<String>,
    routes: Vec<String>,
    own: Vec<String>,
    expression: Option<String>,
}

impl Build {
    fn form(&mut self, form: &str) {
        let (words, properties) = match form.find(" {") {
            Some(at) => (&form[..at], parse_map(&form[at + 1..])),
            None => (form, Map::new()),
        };
        let words = split(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["api", expression] => self.expression = Some((*expression).to_owned()),
            ["authorizer", name, function, sources @ ..] => {
                self.authorizer(name, function, sources);
            }
            ["builtin", name] => self.builtin(name, properties),
            ["function", name] => self.local(name, properties),
            ["integration", name] => {
                self.resource(name, "ApiGatewayV2::Integration", with_api(properties));
            }
            ["lambda", name] => self.lambda(name, properties),
            ["route", key, target, options @ ..] => self.route(key, target, options, properties),
            ["stage", name] => self.stage(name, properties),
            _ => panic!("unknown short form: @{form}"),
        }
    }

    fn raw(&mut self, line: &str) {
        let id = line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':'));
        if let Some(id) = id.filter(|id| !id.starts_with(' ')) {
            self.own.push(id.to_owned());
        }
        if line.trim() == "Type: AWS::ApiGatewayV2::Route" {
            self.routes.extend(self.own.last().cloned());
        }
        self.raw.push_str(line);
        self.raw.push('\n');
    }

    fn lambda(&mut self, name: &str, properties: Map<String, Value>) {
        self.functions.push(name.to_owned());
        self.function(name, json!({}), Value::Null);
        self.proxy(name, properties);
    }

    /// A function whose code lies beside the template, in `src`.
    fn local(&mut self, name: &str, properties: Map<String, Value>) {
        let mut all = json!({ "Code": "src/", "Timeout": 10 });
        merge(&mut all, properties);
        self.function(name, all, Value::Null);
        self.proxy(name, Map::new());
    }

    /// The integration that invokes function `name`.
    fn proxy(&mut self, name: &str, properties: Map<String, Value>) {
        let mut all = json!({
            "ApiId": { "Ref": "Api" },
            "IntegrationType": "AWS_PROXY",
            "IntegrationMethod": "POST",
            "IntegrationUri": uri(name),
        });
        merge(&mut all, properties);
        self.resource(&format!("{name}Integration"), "ApiGatewayV2::Integration", all);
    }

    fn builtin(&mut self, name: &str, environment: Map<String, Value>) {
        self.function(
            name,
            json!({ "Environment": { "Variables": environment } }),
            json!({ "wsgate": { "builtin": "authorizer" } }),
        );
    }

    fn function(&mut self, name: &str, more: Value, metadata: Value) {
        let mut properties = json!({
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": "arn:aws:iam::000000000000:role/case",
            "Code": { "S3Bucket": "code", "S3Key": "code.zip" },
        });
        merge(&mut properties, more.as_object().cloned().unwrap_or_default());
        let mut function = json!({ "Type": "AWS::Lambda::Function", "Properties": properties });
        if !metadata.is_null() {
            function["Metadata"] = metadata;
        }
        self.resources.push((name.to_owned(), function));
        self.resource(
            &format!("{name}Permission"),
            "Lambda::Permission",
            json!({
                "Action": "lambda:InvokeFunction",
                "FunctionName": { "Ref": name },
                "Principal": "apigateway.amazonaws.com",
            }),
        );
    }

    fn authorizer(&mut self, name: &str, function: &str, sources: &[&str]) {
        self.resource(
            name,
            "ApiGatewayV2::Authorizer",
            json!({
                "ApiId": { "Ref": "Api" },
                "Name": name,
                "AuthorizerType": "REQUEST",
                "AuthorizerUri": uri(function),
                "IdentitySource": sources,
            }),
        );
    }

    fn route(&mut self, key: &str, target: &str, options: &[&str], more: Map<String, Value>) {
        let id = format!("Route{}", self.routes.len());
        let mut all = json!({ "ApiId": { "Ref": "Api" }, "RouteKey": key });
        if target != "-" {
            let of_function = format!("{target}Integration");
            let integration = if self.has(&of_function) { &of_function } else { target };
            all["Target"] = json!({ "Fn::Sub": format!("integrations/${{{integration}}}") });
        }
        for option in options {
            match option.split_once('=') {
                None if *option == "two-way" => {
                    all["RouteResponseSelectionExpression"] = json!("$default");
                    self.resource(
                        &format!("{id}Response"),
                        "ApiGatewayV2::RouteResponse",
                        json!({
                            "ApiId": { "Ref": "Api" },
                            "RouteId": { "Ref": id },
                            "RouteResponseKey": "$default",
                        }),
                    );
                }
                Some(("auth", "AWS_IAM")) => all["AuthorizationType"] = json!("AWS_IAM"),
                Some(("auth", name)) => {
                    all["AuthorizationType"] = json!("CUSTOM");
                    all["AuthorizerId"] = json!({ "Ref": name });
                }
                _ => panic!("unknown option of @route: {option}"),
            }
        }
        merge(&mut all, more);
        self.resource(&id, "ApiGatewayV2::Route", all);
        self.routes.push(id);
    }

    fn stage(&mut self, name: &str, more: Map<String, Value>) {
        let id = if name == "dev" { "Stage".to_owned() } else { format!("Stage{name}") };
        let mut all = json!({
            "ApiId": { "Ref": "Api" },
            "StageName": name,
            "DeploymentId": { "Ref": "Deployment" },
        });
        merge(&mut all, more);
        self.resource(&id, "ApiGatewayV2::Stage", all);
    }

    fn resource(&mut self, id: &str, kind: &str, properties: Value) {
        let whole = json!({ "Type": format!("AWS::{kind}"), "Properties": properties });
        self.resources.push((id.to_owned(), whole));
    }

    fn has(&self, id: &str) -> bool {
        self.own.iter().any(|own| own == id) || self.resources.iter().any(|(own, _)| own == id)
    }

    fn finish(mut self) -> Template {
        if !self.has("Api") {
            let expression = self.expression.take();
            self.resource(
                "Api",
                "ApiGatewayV2::Api",
                json!({
                    "Name": "case",
                    "ProtocolType": "WEBSOCKET",
                    "RouteSelectionExpression":
                        expression.as_deref().unwrap_or("$request.body.action"),
                    "Tags": { "wsgate:api-id": "a1b2c3d4e5" },
                }),
            );
        }
        if !self.has("Deployment") {
            let deployment = json!({
                "Type": "AWS::ApiGatewayV2::Deployment",
                "DependsOn": self.routes,
                "Properties": { "ApiId": { "Ref": "Api" } },
            });
            self.resources.push(("Deployment".to_owned(), deployment));
        }
        if !self.has("Stage") {
            self.stage("dev", Map::new());
        }
        let mut text = "AWSTemplateFormatVersion: \"2010-09-09\"\nResources:\n".to_owned();
        for (id, resource) in &self.resources {
            // JSON is YAML, so a resource of a short form is one line.
            text += &format!("  {id}: {resource}\n");
        }
        text += &self.raw;
        Template { text, functions: self.functions }
    }
}

fn uri(function: &str) -> Value {
    json!({ "Fn::Sub": format!(
        "arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{function}.Arn}}/invocations"
    ) })
}

fn with_api(mut properties: Map<String, Value>) -> Value {
    properties.insert("ApiId".to_owned(), json!({ "Ref": "Api" }));
    Value::Object(properties)
}

fn merge(into: &mut Value, more: Map<String, Value>) {
    for (key, value) in more {
        into[key] = value;
    }
}

fn parse_map(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not a JSON object ({error}): {text}"))
}

/// Words of a line; double quotes keep blanks together.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}
