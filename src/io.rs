//! The world: repositories, configuration, keys, the clock.

pub mod clock;
pub mod keys;
