//! Starts of the authorizer as a Lambda function, run by `cargo xtask bench lambda`.
//!
//! What counts is the time from the start of the process to its first answer, which is the one that
//! a client waits for when Lambda has no instance ready, and the memory that it took by then.
//! Contenders alternate; what is printed is the median of [`ROUNDS`]. An answer that is not the
//! right one voids its row.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod contender;
mod issuer;
mod runtime_api;

use std::time::Duration;

use contender::Contender;
use runtime_api::RuntimeApi;

/// How often each contender is started.
const ROUNDS: usize = 30;

/// One start.
struct Start {
    time: Duration,
    /// Most memory that was resident up to the answer.
    resident_kib: u64,
    is_right: bool,
}

fn main() {
    let issuer = issuer::Issuer::start();
    let contenders = contender::all(&issuer);
    let api = RuntimeApi::start();
    println!(
        "load before: {}",
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    let mut starts: Vec<Vec<Start>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (contender, starts) in contenders.iter().zip(&mut starts) {
            starts.push(contender.start(&api));
        }
    }
    println!("\n## Start to first answer\n");
    println!("| row | median | p90 | least | resident | program | wrong |");
    println!("|---|---|---|---|---|---|---|");
    let mut is_void = false;
    for (contender, starts) in contenders.iter().zip(&mut starts) {
        is_void |= print_row(contender, starts);
    }
    assert!(!is_void, "a row is void: some answers were wrong");
}

/// Prints one line of the table; returns whether it is void.
fn print_row(contender: &Contender, starts: &mut [Start]) -> bool {
    starts.sort_by_key(|start| start.time);
    let millis = |at: usize| starts[at].time.as_secs_f64() * 1000.0;
    let mut resident: Vec<u64> = starts.iter().map(|start| start.resident_kib).collect();
    resident.sort_unstable();
    let wrong = starts.iter().filter(|start| !start.is_right).count();
    println!(
        "| {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} MiB | {:.2} MiB | {wrong} |",
        contender.name,
        millis(starts.len() / 2),
        millis(starts.len() * 9 / 10),
        millis(0),
        resident[resident.len() / 2] as f64 / 1024.0,
        contender.program_bytes() as f64 / 1024.0 / 1024.0,
    );
    0 < wrong
}
