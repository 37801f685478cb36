//! Sigstore's services, asked over the network: who are you, what is your certificate, is it logged, and when.

pub mod certificate;
mod http;
pub mod log;
pub mod login;
pub mod renewal;
pub mod services;
pub mod signing;
mod spiffe;
pub mod timestamp;
pub mod token;

pub use http::{Http, Service};
