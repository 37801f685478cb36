//! Signs for git, verifies what was signed, and judges history against a policy of who may sign what.
//!
//! ```text
//! argv ─▶ personality ─▶ Request
//!  sign:    payload bytes ─▶ Signer ─▶ armored signature
//!  verify:  repository ─▶ raw object ─▶ Commit | Tag { payload, signature }
//!             ─▶ Verifier ─▶ Result<Evidence, Reason>
//!             ─▶ Policy::decide ─▶ Verdict ─▶ report (human | jsonl)
//! ```
//! Data moves one way. [`evidence`] says what the bytes prove; only [`policy`] says whether that is enough. A bad signature
//! is a value ([`verdict::Reason`]), a missing repository is an error. Nothing has a default verdict. The modules here are
//! pure (no files, no clock, no git) save [`io`] and [`run`]; a test holds them to it.

pub mod armor;
pub mod cli;
pub mod evidence;
pub mod history;
pub mod io;
pub mod judge;
pub mod object;
pub mod personality;
pub mod policy;
pub mod report;
pub mod run;
pub mod signature;
pub mod standard;
pub mod tuf;
pub mod verdict;
