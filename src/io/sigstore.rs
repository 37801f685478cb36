//! Sigstore's services, asked over the network: who are you, what is your certificate, is it logged, and when.

pub mod certificate;
mod http;
pub mod log;
pub mod login;
mod proxy;
pub mod renewal;
mod said;
pub mod search;
pub mod services;
pub mod signing;
mod spiffe;
pub mod timestamp;
pub mod token;
pub mod tuf;

pub use http::{Http, Service};
