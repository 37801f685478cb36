//! The world: repositories, configuration, policies, keys.

pub mod config;
pub mod git;
pub mod keys;
pub mod policy;
