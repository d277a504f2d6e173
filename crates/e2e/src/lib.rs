//! Tests of the real `wsgate` binary with real clients.
//!
//! Everything lives in `tests/it`: the harness, the cases of `cases/*.case`,
//! hostile clients, and the rules of this repository. `cases/README.md` says
//! how a case is written and run; `cases/index.toml` is the behaviour ledger.
