//! Positions in the graph: what lies at or below something that a policy names.

use crate::object::ObjectId;
use std::collections::HashSet;

/// The commits at or below some ids, by any parent, and the tags among the ids themselves.
#[derive(Clone, Debug)]
pub struct Ancestry {
    /// All of them.
    pub objects: HashSet<ObjectId>,
    /// Whether every id that was named is in the repository.
    pub complete: bool,
}

impl Ancestry {
    /// Nothing was named.
    pub fn nothing() -> Self {
        Self { objects: HashSet::new(), complete: true }
    }
}
