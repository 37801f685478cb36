//! The world: repositories, configuration, policies, keys, the clock.

pub mod cert_d;
pub mod clock;
pub mod config;
pub mod git;
pub mod gnupg;
pub mod hooks;
pub mod keys;
pub mod policy;
pub mod state;
