//! Who may sign what.
