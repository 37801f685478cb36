//! The proxy of the environment, as curl(1) and Go's programs read it: `https_proxy`, else `all_proxy`, in small letters or in
//! capitals; `no_proxy` for what is reached without it.

use anyhow::{Context as _, Result, bail};
use ureq::{Proxy, ProxyProtocol};

const NAMED_BY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const NOT_BY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The proxy that variables name; those that are empty name none.
///
/// # Errors
/// Where it cannot be used: then nothing may go past it.
pub(super) fn named(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let first = |names: &[&'static str]| {
        names.iter().find_map(|name| variable(name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value)))
    };
    let Some((name, value)) = first(&NAMED_BY) else { return Ok(None) };
    // its value may hold a password
    let other = || format!("what {name} names is no proxy that can be used (http://HOST:PORT); mend or unset it");
    let given = Proxy::new(value.trim()).ok().with_context(other)?;
    if !matches!(given.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) || given.host().is_empty() {
        bail!(other());
    }
    let mut proxy = Proxy::builder(given.protocol()).host(given.host()).port(given.port());
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    let direct = first(&NOT_BY).map(|(_, hosts)| hosts).unwrap_or_default();
    let direct = direct.split(',').map(str::trim).filter(|host| !host.is_empty());
    direct.fold(proxy, ureq::ProxyBuilder::no_proxy).build().map(Some).ok().with_context(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Proxy>> {
        named(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_first_that_is_set() {
        let at = |variables: &[(&str, &str)]| of(variables).unwrap().map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        assert_eq!(at(&[("http_proxy", "a:1"), ("HTTP_PROXY", "a:1")]), None); // of what is sent in the clear, which is nothing
        assert_eq!(at(&[("ALL_PROXY", "a:1"), ("HTTPS_PROXY", "http://b:2")]).as_deref(), Some("b:2"));
        assert_eq!(at(&[("https_proxy", " "), ("all_proxy", "a:1")]).as_deref(), Some("a:1"));
        let proxy = of(&[("https_proxy", "http://u:p%40@a:1"), ("no_proxy", "x.example, .y.example")]).unwrap().unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("u"), Some("p@")));
        let direct = |url: &str| proxy.is_no_proxy(&url.parse().unwrap());
        assert!(direct("https://x.example") && direct("https://z.y.example") && !direct("https://xx.example"));
    }

    #[test]
    fn what_cannot_be_used_is_not_passed_over() {
        for bad in ["http://", "socks5://a:1", "a b", "http://user:secret@[", "ftp://a"] {
            let error = of(&[("HTTPS_PROXY", bad), ("ALL_PROXY", "http://b:2")]).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{bad}: {error}");
        }
    }
}
