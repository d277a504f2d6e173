//! What the pages show and name: excerpts of the stacks, a function to deploy, links.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{PAGES, block, blocks, file, node, root, run};
use crate::stacks;

/// What the comments before code blocks may say, beside `excerpt FILE`.
const MARKERS: [&str; 16] = [
    "config",
    "cookies clear",
    "cookies set",
    "echo",
    "logout config",
    "logout python",
    "mint node",
    "mint python",
    "mint rust",
    "page bearer",
    "page cookie",
    "page cookie-query",
    "page pair",
    "page query",
    "page reconnect",
    "syntax node",
];

#[test]
fn every_code_block_has_its_test() {
    let mut seen = BTreeSet::new();
    for page in PAGES {
        for block in blocks(page) {
            if !block.marker.starts_with("excerpt ") {
                let first = block.text.lines().next().unwrap_or_default();
                assert!(MARKERS.contains(&block.marker.as_str()), "{page}: no test for: {first}");
                assert!(seen.insert(block.marker), "{page}: a second one: {first}");
            }
        }
    }
    assert_eq!(seen.len(), MARKERS.len(), "{seen:?}");
}

#[test]
fn excerpts_are_what_the_stacks_hold() {
    let mut count = 0;
    for page in PAGES {
        for block in blocks(page) {
            let Some(name) = block.marker.strip_prefix("excerpt ") else { continue };
            let held = without_comments(&file(&format!("deploy/aws/{name}")));
            let shown = without_comments(&block.text);
            assert!(held.contains(&shown), "{page}: {name} does not hold\n{}", block.text);
            count += 1;
        }
    }
    assert!(0 < count);
}

/// Each line after a line end, those that say nothing left out.
fn without_comments(text: &str) -> String {
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let lines = text.lines().filter(says);
    lines.flat_map(|line| ["\n", line]).collect::<String>() + "\n"
}

#[test]
fn the_function_that_echoes_fits_each_stack_that_may_need_it() {
    let snippet = block("aws.md", "echo");
    let folder = TempDir::new().unwrap();
    let mut files = Vec::new();
    for name in ["api-cookie.yaml", "api-subprotocol.yaml", "api-any.yaml"] {
        let mut text = file(&format!("deploy/aws/{name}"));
        for gone in ["ConnectWithSubprotocol", "ConnectWithoutSubprotocol"] {
            let waits = format!("      - {gone}\n");
            assert!(text.contains(&waits), "{name} waits for {gone}");
            text = replace_resource(&text.replace(&waits, ""), gone, "");
        }
        text = replace_resource(&text, "ConnectIntegration", &format!("{snippet}\n"));
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        files.push(path);
    }
    stacks::lint(&files);
}

/// The template with another text in the place of a resource.
fn replace_resource(text: &str, id: &str, with: &str) -> String {
    let begin = text.find(&format!("  {id}:\n")).unwrap_or_else(|| panic!("no {id}"));
    let length = text[begin..].find("\n\n").map_or(text.len() - begin, |at| at + 2);
    [&text[..begin], with, &text[begin + length..]].concat()
}

#[test]
fn the_function_echoes_what_was_offered_and_nothing_else() {
    let Some(node) = node() else { return };
    let snippet = block("aws.md", "echo");
    let code = snippet.split_once("ZipFile: |\n").and_then(|(_, rest)| rest.split_once("\n\n"));
    let code = code.expect("the function's code stands there").0;
    let caller = r#"
        import { createRequire } from "node:module";
        const { handler } = createRequire(import.meta.url)("./index.cjs");
        const answer = async (headers) => {
          const { statusCode, headers: answered } = await handler({ headers });
          return `${statusCode} ${answered["Sec-WebSocket-Protocol"]}`;
        };
        console.log(JSON.stringify([
          await answer({ "Sec-WebSocket-Protocol": "chat, bearer.a.b.c" }),
          await answer({ "sec-websocket-protocol": "bearer.a.b.c,chat" }),
          await answer({ "Sec-WebSocket-Protocol": "superchat" }),
          await answer({ Host: "ws.example.com" }),
        ]));
    "#;
    let said = run(&node, &[("index.cjs", code), ("run.mjs", caller)], &[]);
    let answers: Value = serde_json::from_str(&said).unwrap();
    let none = "200 undefined";
    assert_eq!(answers, serde_json::json!(["200 chat", "200 chat", none, none]));
}

#[test]
fn the_push_handler_pushes_to_the_connection_that_called() {
    let Some(node) = node() else { return };
    let handler = block("aws.md", "syntax node");
    let package = "@aws-sdk/client-apigatewaymanagementapi";
    assert!(handler.contains(&format!("from \"{package}\"")));
    let stub = r#"
        export const sent = [];
        export class PostToConnectionCommand { constructor(input) { this.input = input; } }
        export class ApiGatewayManagementApiClient {
          constructor({ endpoint }) { this.endpoint = endpoint; }
          async send({ input }) { sent.push([this.endpoint, input.ConnectionId, input.Data]); }
        }
    "#;
    let caller = r#"
        import { sent } from "./sdk.mjs";
        import { handler } from "./handler.mjs";
        const requestContext = { domainName: "ws.example.com", stage: "prod", connectionId: "c=" };
        const { statusCode } = await handler({ requestContext });
        console.log(JSON.stringify([statusCode, ...sent]));
    "#;
    let handler = handler.replace(package, "./sdk.mjs");
    let files = [("sdk.mjs", stub), ("handler.mjs", handler.as_str()), ("run.mjs", caller)];
    let said: Value = serde_json::from_str(&run(&node, &files, &[])).unwrap();
    assert_eq!(said, serde_json::json!([200, ["https://ws.example.com/prod", "c=", "hello"]]));
}

#[test]
fn the_index_names_every_page_and_links_lead_somewhere() {
    let index = file("docs/guide/README.md");
    let mut pages = vec!["deploy/aws/README.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs/guide")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_named = name == "README.md" || index.contains(&format!("]({name})"));
        assert!(is_named, "docs/guide/README.md does not name {name}");
        pages.push(format!("docs/guide/{name}"));
    }
    for page in pages {
        let text = file(&page);
        let folder = Path::new(&page).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone().into() } else { folder.join(path) };
            let target = file(target.to_str().unwrap());
            let mut headings = target.lines().filter_map(|line| line.strip_prefix('#'));
            let found = anchor.is_empty() || headings.any(|heading| slug(heading) == anchor);
            assert!(found, "{page}: {link} leads nowhere");
        }
    }
}

/// A heading as the address of its place.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
