//! Functions that fail, hang, exit and leave.

use std::sync::Arc;
use std::time::Duration;

use lambda_host::{Code, InvokeError};
use serde_json::json;

use crate::harness::{ask, call, eventually, function, is_running, message, mode, record, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_answers_but_asks_for_no_more_is_replaced_after_its_time() {
    let function = function("lingers", |spec| spec.timeout = Duration::from_millis(1500));
    let first = call(&function, json!({ "do": "linger" })).await.unwrap();
    let next = ask(&function, "who").await;
    assert_ne!(next["pid"], first["pid"]);
    assert!(!is_running(&first["pid"]));
}

/// Simulated time: it goes on when nothing but time is awaited.
#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_ends_after_ten_seconds() {
    let function = function("hangs", mode("hangs"));
    let told = message(call(&function, json!({})).await.unwrap_err());
    assert!(told.ends_with("Error: Init timed out after 10.00 seconds"), "{told}");
    assert_eq!(function.instances().cold_starts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_error_arrives_with_its_document_and_the_process_lives() {
    let function = function("raises", |_| {});
    let error = call(&function, json!({ "do": "raise", "message": "Unauthorized" })).await;
    let InvokeError::Function { message, document } = error.unwrap_err() else { panic!() };
    assert_eq!(message, "Unauthorized");
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["errorType"], "Test.Error");
    ask(&function, "who").await;
    assert_eq!(function.starts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_own_timeout_kills_and_the_next_one_is_fresh() {
    let function = function("times-out", |spec| {
        spec.timeout = Duration::from_millis(1500);
    });
    let pid = ask(&function, "who").await["pid"].clone();
    let error = call(&function, json!({ "do": "hang" })).await.unwrap_err();
    assert_eq!(message(error), "Task timed out after 1.50 seconds");
    let next = ask(&function, "who").await;
    assert_ne!(next["pid"], pid);
    assert_eq!(next["served"], 1);
    assert!(!is_running(&pid));
    assert!(record("times-out", "Task timed out").contains_key("request_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_is_told_in_lambdas_words() {
    let function = function("exits", |_| {});
    for (code, words) in [
        (7, "Error: Runtime exited with error: exit status 7"),
        (0, "Error: Runtime exited without providing a reason"),
    ] {
        let error = call(&function, json!({ "do": "exit", "code": code })).await.unwrap_err();
        let message = message(error);
        assert!(message.starts_with("RequestId: ") && message.ends_with(words), "{message}");
    }
    let aborted = message(call(&function, json!({ "do": "abort" })).await.unwrap_err());
    assert!(aborted.ends_with("Error: Runtime exited with error: signal: aborted"), "{aborted}");
    ask(&function, "who").await;
    assert_eq!(function.starts(), 4);
    record("exits", "Runtime exited with error: exit status 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_and_exits_has_answered() {
    let function = function("leaves", |_| {});
    for code in [0, 1, 2] {
        let first = call(&function, json!({ "do": "leave", "code": code })).await.unwrap();
        eventually("the end of the process", || !is_running(&first["pid"]));
    }
    eventually("the end of the last", || running(&function) == 0);
    ask(&function, "who").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_is_tried_once_more() {
    let function = function("second-try", mode("exits once"));
    ask(&function, "who").await;
    assert_eq!(function.starts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_failed_start_is_told() {
    let function = function("bad-import", mode("fails"));
    let error = call(&function, json!({})).await.unwrap_err();
    assert_eq!(message(error), "no such module");
    assert_eq!(function.starts(), 2);
    record("bad-import", "cannot initialise: no such module");
    let silent = crate::harness::function("silent", mode("exits"));
    let told = message(call(&silent, json!({})).await.unwrap_err());
    assert!(told.ends_with("Error: Runtime exited with error: exit status 3"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_stays_after_its_failure_is_killed() {
    let function = function("stays", mode("fails and stays"));
    assert_eq!(message(call(&function, json!({})).await.unwrap_err()), "no such module");
    eventually("the end of the process", || running(&function) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_on_a_broken_function_starts_few_processes() {
    let function = function("storm", |spec| {
        spec.instances_max = 64;
        mode("fails")(spec);
    });
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let function = Arc::clone(&function);
            tokio::spawn(async move { call(&function, json!({})).await })
        })
        .collect();
    for call in calls {
        assert_eq!(message(call.await.unwrap().unwrap_err()), "no such module");
    }
    assert!(function.starts() <= 16, "{} starts", function.starts());
}

/// Else one client could keep all others waiting for as long as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn invocations_that_end_their_process_delay_no_start() {
    let function = function("shot", |_| {});
    for what in ["exit", "leave"] {
        let ends = async {
            for _ in 0..10 {
                let result = call(&function, json!({ "do": what, "code": 1 })).await;
                assert_eq!(result.is_ok(), what == "leave");
            }
        };
        // With delays that double it would be more than 40 s.
        tokio::time::timeout(Duration::from_secs(30), ends).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_left_behind_ends_with_the_instance() {
    let function = function("forks", |_| {});
    for session in [false, true] {
        let left = call(&function, json!({ "do": "fork", "session": session })).await.unwrap();
        assert!(is_running(&left["child"]));
        call(&function, json!({ "do": "exit", "code": 1 })).await.unwrap_err();
        eventually("the end of the child", || !is_running(&left["child"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_is_not_invocable() {
    let function = function("no-program", |spec| {
        let folder = tempfile::tempdir().unwrap().keep();
        let program = folder.join("bootstrap");
        std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        spec.code = Code::Folder(folder);
        spec.command = Some(vec!["./bootstrap".to_owned()]);
    });
    let error = call(&function, json!({})).await.unwrap_err();
    let InvokeError::NotInvocable { reason } = error else { panic!("{error:?}") };
    assert!(reason.contains("bootstrap"), "{reason}");
}
