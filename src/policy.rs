//! Who may sign what.

pub mod allowed_signers;
pub mod pattern;
pub mod public_key;
pub mod revocation;
