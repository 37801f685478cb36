//! Private keys: files and agents.
