//! Calls of one service: bounded in time, size and number, and every failure says which service, where, why, and what to do.
//!
//! A call is tried again where the network, or the server's own state, failed it; never where the server understood and said
//! no. Nothing is followed to another place, and nothing is sent in the clear except on this machine: a call may carry an
//! identity token, which whoever reads it can use.

use super::proxy;
use super::said::said;
use anyhow::{Context as _, Result, anyhow, bail};
use std::env;
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};
use zeroize::Zeroizing;

/// How long one try may take; a log that waits for its sequencer takes seconds.
const TRY: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(8);
/// After how long a call is given up, whatever is still to be tried.
const WHOLE: Duration = Duration::from_secs(45);
/// The pauses before the second and the third try.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];
/// A server that wants to be left alone for longer is not asked again.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// A longer answer is none of these services'.
const MAX_ANSWER: u64 = 1 << 20;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Service {
    /// As messages call it.
    pub name: &'static str,
    /// Where it is, without a slash at the end.
    pub url: String,
    /// What can be done where it fails.
    pub mend: &'static str,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where it points to.
    pub location: Option<String>,
    /// How long it wants to be left alone.
    retry_after: Option<Duration>,
    /// What it says: perhaps a token.
    pub body: Zeroizing<Vec<u8>>,
    /// Of an answer that is no success: its reasons, for a message, without what it repeats of the call.
    said: String,
}

/// What is sent.
#[derive(Clone, Copy, Default)]
pub struct Call<'a> {
    /// What follows the service's URL.
    pub path: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Absent: a GET.
    pub body: Option<&'a [u8]>,
    /// What of it no message may repeat, as it is before anything is escaped.
    pub secrets: &'a [&'a str],
    /// Whether the server may take it only once, as it does codes: it is not sent again where it may have arrived.
    pub once: bool,
}

/// No answer came, or none that anybody wants to read to its end.
pub(super) struct NoAnswer {
    pub(super) error: anyhow::Error,
    /// It is there, and says too much.
    pub(super) is_too_long: bool,
}

/// A client.
pub struct Http {
    far: Agent,
    /// What they go through.
    proxy: Result<Option<Proxy>>,
    /// For services on this machine: what is sent to them in the clear goes through no proxy.
    here: Agent,
}

impl Service {
    /// A service at a URL, which must be `https`, or on this machine.
    ///
    /// # Errors
    /// Where the URL is something else.
    pub fn new(name: &'static str, url: &str, mend: &'static str) -> Result<Self> {
        let uri: Uri = url.parse().ok().with_context(|| format!("{name}: `{url}` is no URL; {mend}"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            bail!("{name}: its URL has a user name or a password in it, which messages would show; leave it out, and {mend}");
        }
        match uri.scheme_str() {
            Some("https") if uri.host().is_some_and(|host| !host.is_empty()) => {}
            Some("http") if is_here(&uri) => {}
            _ => bail!(
                "{name}: `{url}` is neither https nor on this machine, and what is sent there must not be read on the way; {mend}"
            ),
        }
        Ok(Self { name, url: url.trim_end_matches('/').to_owned(), mend })
    }

    /// An error of this service.
    pub fn error(&self, reason: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{} at {}: {reason}; {}", self.name, self.url, self.mend)
    }

    /// An error for an answer that is no success.
    pub fn refused(&self, answer: &Answer) -> anyhow::Error {
        self.error(format!("it answers with status {}{}", answer.status, answer.said))
    }
}

/// Whether a URL is of this machine.
fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    host == "localhost" || host == "[::1]" || host.strip_prefix("127.").is_some_and(is_numeric)
}

fn is_numeric(rest: &str) -> bool {
    rest.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

impl Answer {
    /// Whether the service did what it was asked.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn new(status: u16, location: Option<String>, body: Zeroizing<Vec<u8>>, call: Call<'_>) -> Self {
        let mut answer = Self { status, location, body, retry_after: None, said: String::new() };
        if !answer.is_good() {
            answer.said = said(&answer.body, call.secrets);
        }
        answer
    }
}

/// What is wrong with an answer, without its own words: serde's messages quote them.
pub(super) fn misplaced(error: &serde_json::Error) -> String {
    format!("its answer makes no sense at line {}, column {}", error.line(), error.column())
}

impl Http {
    /// A client with the roots that this machine trusts.
    pub fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).unversioned_rustls_crypto_provider(provider).build();
        let agent = |proxy| {
            Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(proxy)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .timeout_global(Some(TRY))
                .timeout_connect(Some(CONNECT))
                .user_agent(concat!("git-warrant/", env!("CARGO_PKG_VERSION")))
                .build()
                .new_agent()
        };
        let proxy = proxy::named(|name| env::var(name).ok());
        Self { far: agent(proxy.as_ref().ok().cloned().flatten()), proxy, here: agent(None) }
    }

    /// Calls a service; an answer of any status that is not worth another try is an answer.
    ///
    /// # Errors
    /// Where no answer came.
    pub fn call(&self, service: &Service, call: Call<'_>) -> Result<Answer> {
        self.call_bounded(service, call, MAX_ANSWER).map_err(|none| none.error)
    }

    /// Fetches a file of at most so many bytes; `None` where there is none of that name.
    ///
    /// # Errors
    /// Where no answer came, a longer one, or one that is no success: one that points elsewhere is not followed.
    pub fn file(&self, service: &Service, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let answer = self.call_bounded(service, Call { path, ..Call::default() }, limit).map_err(|none| none.error)?;
        match answer.status {
            403 | 404 => Ok(None), // some stores of files do not say which names they have
            _ if answer.is_good() => Ok(Some(answer.body.to_vec())),
            _ => Err(service.refused(&answer)),
        }
    }

    /// Calls a service whose answer may be so long.
    pub(super) fn call_bounded(&self, service: &Service, call: Call<'_>, limit: u64) -> Result<Answer, NoAnswer> {
        let proxy = self.proxy_to(&service.url).map_err(|error| NoAnswer { error: service.error(error), is_too_long: false })?;
        let until = Instant::now() + WHOLE;
        let mut pauses = PAUSES.iter();
        loop {
            let result = self.once(&service.url, call, limit);
            let worth = match &result {
                Ok(answer) if call.once => matches!(answer.status, 429 | 503),
                Ok(answer) => matches!(answer.status, 429 | 500 | 502 | 503 | 504),
                Err(error) if call.once => is_before(error),
                Err(error) => is_passing(error),
            };
            let asked = result.as_ref().ok().and_then(|answer| answer.retry_after).unwrap_or_default();
            let pause = pauses.next().map(|pause| asked.max(*pause)).filter(|pause| worth && *pause <= MAX_RETRY_AFTER);
            match pause.filter(|pause| Instant::now() + *pause + CONNECT < until) {
                Some(pause) => thread::sleep(pause),
                None => {
                    return result.map_err(|error| NoAnswer {
                        is_too_long: matches!(error, ureq::Error::BodyExceedsLimit(_)),
                        error: service.error(explained(&error) + &proxy),
                    });
                }
            }
        }
    }

    /// Calls, and takes a good answer as JSON.
    ///
    /// # Errors
    /// Where no answer came, or one that is no success, or no JSON of this form.
    pub fn json<T: serde::de::DeserializeOwned>(&self, service: &Service, call: Call<'_>) -> Result<T> {
        let answer = self.call(service, call)?;
        if !answer.is_good() {
            return Err(service.refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| service.error(misplaced(&error)))
    }

    /// For a message, through what a service is reached.
    fn proxy_to(&self, url: &str) -> Result<String, &anyhow::Error> {
        let uri: Uri = url.parse().unwrap_or_default();
        if is_here(&uri) {
            return Ok(String::new());
        }
        let proxy = self.proxy.as_ref()?.as_ref().filter(|proxy| !proxy.is_no_proxy(&uri));
        Ok(proxy.map(|proxy| format!(" (by the proxy {}:{})", proxy.host(), proxy.port())).unwrap_or_default())
    }

    fn once(&self, url: &str, call: Call<'_>, limit: u64) -> Result<Answer, ureq::Error> {
        let agent = if url.parse().is_ok_and(|uri| is_here(&uri)) { &self.here } else { &self.far };
        let url = format!("{url}{}", call.path);
        let mut response = match call.body {
            None => call.headers.iter().fold(agent.get(url), |request, (name, value)| request.header(*name, *value)).call()?,
            Some(body) => {
                call.headers.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value)).send(body)?
            }
        };
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let location = header("location").map(str::to_owned);
        let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let answer = Answer::new(status, location, Zeroizing::new(read(response.body_mut(), limit)?), call);
        Ok(Answer { retry_after, ..answer })
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

fn read(body: &mut Body, limit: u64) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(limit).read_to_vec()
}

/// Whether the same call may well go through a moment later.
fn is_passing(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Protocol(_)
    )
}

/// Whether a call failed before the server can have taken it.
fn is_before(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
        ureq::Error::Timeout(timeout) => matches!(timeout, ureq::Timeout::Resolve | ureq::Timeout::Connect),
        ureq::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        _ => false,
    }
}

fn explained(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name cannot be resolved".to_owned(),
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        ureq::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => "its answer breaks off".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::BodyExceedsLimit(limit) => format!("its answer is longer than {limit} bytes"),
        ureq::Error::Protocol(_) => "its answer breaks off, or is no HTTP".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn where_a_token_may_go() {
        for (url, good) in [
            ("https://fulcio.example.com", true),
            ("https://fulcio.example.com:8443/x/", true),
            ("http://localhost:5555", true),
            ("http://127.0.0.1:5555", true),
            ("http://[::1]:5555", true),
            ("http://fulcio.example.com", false),
            ("http://127.example.com", false),
            ("https://user:secret@fulcio.example.com", false),
            ("http://localhost.example.com", false),
            ("ftp://localhost", false),
            ("fulcio.example.com", false),
            ("", false),
        ] {
            assert_eq!(Service::new("Fulcio", url, "mend it").is_ok(), good, "{url}");
        }
    }

    /// A server that says one of these to each caller in turn; how many called.
    fn server(says: Vec<&'static str>) -> (Service, thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            for text in &says {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(text.as_bytes());
            }
            says.len()
        });
        (Service::new("the test", &url, "mend it").unwrap(), thread)
    }

    const CALL: Call<'_> = Call { path: "/x", headers: &[], body: Some(b"{}"), secrets: &[], once: false };

    #[test]
    fn what_may_have_arrived_is_not_sent_again() {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let busy = "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\nConnection: close\r\n\r\n{";
        let broken = "HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        for (says, status) in [(vec![busy, good], Some(200)), (vec![half], None), (vec![""], None), (vec![broken], Some(502))] {
            let (service, thread) = server(says);
            let answer = Http::new().call(&service, Call { once: true, ..CALL });
            assert_eq!(answer.as_ref().ok().map(|answer| answer.status), status, "{answer:?}");
            thread.join().unwrap(); // and nobody listens any more, who could say what came then
            if status.is_none() {
                let said = format!("{:#}", answer.unwrap_err());
                assert!(!said.contains("refused"), "it was sent again: {said}");
            }
        }
    }

    #[test]
    fn who_says_when_to_come_again_is_believed_for_a_while() {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let later = "HTTP/1.1 429 No\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let never = "HTTP/1.1 429 No\r\nRetry-After: 18446744073709551615\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let odd = "HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        for (says, status, least, most) in
            [(vec![later, good], 200, 2000, 5000), (vec![never], 429, 0, 1000), (vec![odd, good], 200, 300, 1500)]
        {
            let (service, thread) = server(says);
            let begun = Instant::now();
            assert_eq!(Http::new().call(&service, CALL).unwrap().status, status);
            let took = begun.elapsed().as_millis();
            assert!((least..=most).contains(&took), "{took}");
            thread.join().unwrap();
        }
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let good = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let busy = "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let half = "HTTP/1.1 201 Created\r\nContent-Length: 200\r\nConnection: close\r\n\r\n{";
        let no = "HTTP/1.1 400 No\r\nContent-Length: 21\r\nConnection: close\r\n\r\n{\"message\":\"not you\"}";
        let away = "HTTP/1.1 307 Go\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        for (says, status) in [
            (vec![busy, good], Some(201)),
            (vec![half, "", good], Some(201)),
            (vec![no], Some(400)),
            (vec![away], Some(307)),
            (vec!["x", "x", "x"], None),
        ] {
            let count = says.len();
            let (service, thread) = server(says);
            let answer = Http::new().call(&service, CALL);
            assert_eq!(answer.as_ref().ok().map(|answer| answer.status), status, "{answer:?}");
            assert_eq!(thread.join().unwrap(), count);
            match answer {
                Ok(answer) if answer.status == 400 => {
                    let said = service.refused(&answer).to_string();
                    assert!(
                        said.starts_with("the test at http://127") && said.ends_with("status 400 and says: not you; mend it"),
                        "{said}"
                    );
                }
                _ => {}
            }
        }
    }
}
