//! Which program git takes us for: argv to request.
