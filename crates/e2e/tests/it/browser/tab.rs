//! One tab, driven as a person drives it: by looking, clicking and typing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::chromium::Browser;
use super::devtools::PATIENCE;

/// How long the page may take to show something: longer than its own deadlines, shorter than the
/// remote control's.
const SHOW_TIME: Duration = Duration::from_secs(25);

/// A tab of a [`Browser`].
pub(crate) struct Tab<'b> {
    pub(crate) browser: &'b Browser,
    pub(crate) session: String,
    /// Names the tab in failures and screenshots.
    pub(crate) name: String,
}

impl Tab<'_> {
    /// Goes to an address and waits until the demo's page works.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        if let Some(error) = self.navigate(url) {
            panic!("{}: {url}: {error}", self.name);
        }
        self.wait("document.documentElement.dataset.ready === 'true'");
    }

    /// Goes to an address; the browser's error, if it cannot.
    pub(crate) fn navigate(&self, url: &str) -> Option<String> {
        let gone = self.run("Page.navigate", &json!({ "url": url }));
        gone["errorText"].as_str().map(str::to_owned)
    }

    /// Evaluates an expression, a promise to its end.
    #[track_caller]
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Waits until a condition holds, which is looked at whenever the document changes.
    #[track_caller]
    pub(crate) fn wait(&self, condition: &str) {
        let due = Instant::now() + PATIENCE;
        let expression = format!(
            "new Promise((resolve) => {{
                const holds = () => {{ try {{ return {condition}; }} catch {{ return false; }} }};
                const end = (held) => {{ observer.disconnect(); clearTimeout(timer); resolve(held); }};
                const timer = setTimeout(() => end(false), {limit});
                const observer = new MutationObserver(() => {{ if (holds()) end(true); }});
                observer.observe(document, {{
                    attributes: true, characterData: true, childList: true, subtree: true,
                }});
                if (holds()) end(true);
            }})",
            limit = SHOW_TIME.as_millis(),
        );
        loop {
            match self.try_evaluate(&expression) {
                Ok(Value::Bool(true)) => return,
                // A document that was replaced meanwhile: look at the next one.
                Err(error) if Instant::now() < due && is_replaced(&error) => {}
                other => {
                    let seen = self.try_evaluate("document.body.innerText");
                    let picture = self.picture("failed");
                    panic!(
                        "{}: {condition} did not come ({other:?}), see {}; the page says:\n{}",
                        self.name,
                        picture.display(),
                        seen.unwrap_or_default().as_str().unwrap_or_default(),
                    )
                }
            }
        }
    }

    /// Waits until an element's text contains `text`.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, id: &str, text: &str) {
        self.wait(&format!("{}.textContent.includes({})", element(id), json!(text)));
    }

    /// Waits until a `data-` member of an element has this value.
    #[track_caller]
    pub(crate) fn wait_for_data(&self, id: &str, member: &str, value: &str) {
        self.wait(&format!("{}.dataset.{member} === {}", element(id), json!(value)));
    }

    /// The element's text.
    #[track_caller]
    pub(crate) fn text(&self, id: &str) -> String {
        let text = self.evaluate(&format!("{}.textContent", element(id)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// A `data-` member of the element.
    #[track_caller]
    pub(crate) fn data(&self, id: &str, member: &str) -> String {
        let value = self.evaluate(&format!("{}.dataset.{member} ?? null", element(id)));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the element can be used, and clicks in its middle.
    #[track_caller]
    pub(crate) fn click(&self, id: &str) {
        self.run("Page.bringToFront", &json!({}));
        self.wait(&format!("!{}.disabled", element(id)));
        let place = self.evaluate(&format!(
            "(() => {{
                const target = {};
                target.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = target.getBoundingClientRect();
                const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
                return target.contains(document.elementFromPoint(x, y)) ? {{ x, y }} : null;
            }})()",
            element(id)
        ));
        assert!(place.is_object(), "{}: something covers {id}", self.name);
        for kind in ["mousePressed", "mouseReleased"] {
            let mut event = place.clone();
            event["type"] = kind.into();
            event["button"] = "left".into();
            event["clickCount"] = 1.into();
            self.run("Input.dispatchMouseEvent", &event);
        }
    }

    /// Replaces what is written in a field.
    #[track_caller]
    pub(crate) fn write(&self, id: &str, text: &str) {
        self.click(id);
        self.evaluate(&format!("{}.select()", element(id)));
        self.run("Input.insertText", &json!({ "text": text }));
    }

    /// Keeps a picture of the whole page below the target folder, for people.
    pub(crate) fn picture(&self, moment: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        let file = folder.join(format!("{}-{moment}.png", self.name));
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        // A tab behind another one is not painted.
        let _ = self.browser.try_run(&self.session, "Page.bringToFront", &json!({}));
        let taken = self.browser.try_run(&self.session, "Page.captureScreenshot", &params);
        let bytes = taken.ok().and_then(|taken| STANDARD.decode(taken["data"].as_str()?).ok());
        // A missing picture must not hide what it was meant to show.
        if let Some(bytes) = bytes {
            let _ = std::fs::create_dir_all(&folder);
            let _ = std::fs::write(&file, bytes);
        }
        file
    }

    fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.browser.try_run(&self.session, "Runtime.evaluate", &params)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(format!("{expression}: {details}")),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    fn run(&self, method: &str, params: &Value) -> Value {
        self.browser.run(&self.session, method, params)
    }
}

/// Script that names an element.
fn element(id: &str) -> String {
    format!("document.getElementById({})", json!(id))
}

fn is_replaced(error: &str) -> bool {
    ["navigated", "context was destroyed", "Cannot find context", "null (reading"]
        .iter()
        .any(|sign| error.contains(sign))
}
