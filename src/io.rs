//! The world: repositories, configuration, policies, keys, the clock.

pub mod agent;
pub mod cert_d;
pub mod clock;
pub mod config;
pub mod git;
pub mod gnupg;
pub mod hooks;
pub mod keys;
pub mod policy;
pub mod secrecy;
pub mod sigstore;
pub mod state;
pub mod system_roots;
pub mod trust;
