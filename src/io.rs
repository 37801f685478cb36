//! The world: repositories, configuration, keys.

pub mod keys;
