//! CMS signatures (RFC 5652) with X.509 certificates: S/MIME, and keyless ones of Sigstore.

pub mod sign;
