//! The authorizer as AWS Lambda runs it (`provided.al2023`, handler `bootstrap`).
//!
//! Configuration and keys are read once, before the first event is asked for; whatever is wrong
//! with them ends the start, and the log tells all of it at once.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authorizer_lambda::aws::Aws;
use authorizer_lambda::https::{self, Client};
use authorizer_lambda::{Handler, HandlerError, Reading, SourceError, Sources};
use bytes::Bytes;
use http_body_util::Full;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    start_logs();
    // One thread: an instance has one event at a time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(run());
            // A name lookup that hangs must not hold the exit up.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the authorizer cannot run");
            ExitCode::FAILURE
        }
    }
}

/// JSON lines on standard output, which Lambda keeps as the function's log.
fn start_logs() {
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    let level = match std::env::var("AWS_LAMBDA_LOG_LEVEL").as_deref() {
        // Below `DEBUG` the runtime's library writes whole events, tokens and all.
        Ok("DEBUG" | "TRACE") => LevelFilter::DEBUG,
        Ok("ERROR" | "FATAL") => LevelFilter::ERROR,
        Ok("WARN") => LevelFilter::WARN,
        _ => LevelFilter::INFO,
    };
    // The library calls every refusal an error, and says it once more.
    let targets = Targets::new()
        .with_default(level)
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
}

async fn run() -> Result<(), String> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .map(|(name, value)| (name, value.into_string()))
        // What is not text cannot be a configuration: empty, it is refused as such.
        .map(|(name, value)| (name, value.unwrap_or_default()))
        .collect();
    let loaded = authorizer_lambda::load(&environment, &[], Arc::new(Process::default()), now());
    let handler = match loaded.await {
        Ok(loaded) => {
            for warning in loaded.warnings {
                tracing::warn!(path = warning.path, reason = warning.message, "configuration");
            }
            loaded.handler
        }
        Err(errors) => {
            for error in &errors {
                let hint = error.hint.as_deref().unwrap_or_default();
                tracing::error!(path = error.path, reason = error.message, hint, "configuration");
            }
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            report_init_error(&texts.join("; ")).await;
            return Err(format!("{} errors in configuration and keys", errors.len()));
        }
    };
    let handler = &handler;
    let service = service_fn(|event: LambdaEvent<Box<RawValue>>| handle(handler, event));
    lambda_runtime::run(service).await.map_err(|error| error.to_string())
}

/// Answers one event. A refusal's reason goes to the log and nowhere else.
async fn handle(
    handler: &Handler,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Diagnostic> {
    let LambdaEvent { payload, context } = event;
    let request_id = context.request_id.as_str();
    handler.refresh_due(now()).await;
    let error = match handler.answer(payload.get().as_bytes(), now()).await {
        Ok(answer) => {
            for hit in answer.report_only_hits {
                tracing::warn!(request_id, code = hit.code(), rule = hit.rule(), "reported only");
            }
            if let Some(denial) = answer.denial {
                tracing::info!(request_id, code = denial.code(), rule = denial.rule(), "refused");
            }
            let json = String::from_utf8(answer.json).expect("JSON is text");
            return Ok(RawValue::from_string(json).expect("the answer is JSON"));
        }
        Err(error) => error,
    };
    match &error {
        HandlerError::Unauthorized(denial) => {
            tracing::info!(request_id, code = denial.code(), rule = denial.rule(), "refused");
        }
        HandlerError::Event(_) | HandlerError::Failed(_) => {
            tracing::error!(request_id, reason = %error, "no verdict");
        }
    }
    let error_type = match error {
        HandlerError::Event(_) => "Event",
        HandlerError::Failed(_) => "Failed",
        HandlerError::Unauthorized(_) => "Unauthorized",
    };
    // API Gateway looks at the message alone: exactly `Unauthorized` becomes 401, others 500.
    Err(Diagnostic { error_type: error_type.to_owned(), error_message: error.error_message() })
}

/// How long Lambda may take to hear why a start failed.
const INIT_ERROR_TIME: Duration = Duration::from_secs(1);

/// Tells Lambda why the start failed ([Runtime API]); without it the log alone would know.
///
/// [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror
async fn report_init_error(message: &str) {
    let Ok(address) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    // Lambda sets host and port, its emulators a URL.
    let address = address.strip_prefix("http://").unwrap_or(&address);
    let body = serde_json::json!({
        "errorMessage": message,
        "errorType": "Configuration",
        "stackTrace": [],
    });
    let request = http::Request::post(format!("http://{address}/2018-06-01/runtime/init/error"))
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", "Configuration")
        .body(Full::new(Bytes::from(body.to_string())));
    let (Ok(request), Ok(client)) = (request, https::client(None)) else { return };
    // The exit status says the same, less well.
    drop(tokio::time::timeout(INIT_ERROR_TIME, client.request(request)).await);
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

/// What this process may read: its environment, its files, and AWS in its own name.
#[derive(Default)]
struct Process {
    client: OnceLock<Result<Client, SourceError>>,
    aws: OnceLock<Result<Aws, SourceError>>,
}

impl Process {
    fn aws(&self) -> Result<&Aws, SourceError> {
        let made = self.aws.get_or_init(|| {
            let variable = |name: &str| std::env::var(name).ok();
            let aws = Aws::from_environment(&variable, self.client()?);
            aws.map_err(|error| SourceError::Failed(error.to_string()))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

impl Sources for Process {
    fn env(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        std::env::var_os(name).map(OsStringExt::into_vec).ok_or(SourceError::Absent)
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SourceError::Absent,
            _ => SourceError::Failed(error.to_string()),
        })
    }

    fn parameter<'a>(&'a self, name: &'a str) -> Reading<'a> {
        Box::pin(async { self.aws()?.parameter(name).await })
    }

    fn secret<'a>(&'a self, id: &'a str) -> Reading<'a> {
        Box::pin(async { self.aws()?.secret(id).await })
    }

    fn client(&self) -> Result<Client, SourceError> {
        let made = self.client.get_or_init(|| https::client_from(&|name| std::env::var_os(name)));
        made.clone()
    }
}
