//! By a browser on this machine: it is sent to the issuer, and comes back to a port that only this login listens on.

use super::{Issuer, LoggedIn, Pkce, cut, unguessable};
use crate::io::keys::terminal;
use crate::io::secrecy::without_secrets;
use crate::report::escape::printable;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// People look for their token.
const WITHIN: Duration = Duration::from_secs(300);
/// A browser that connects and says nothing keeps nobody waiting.
const REQUEST: Duration = Duration::from_secs(5);
/// So many connections are read at once: a browser makes some in advance.
const MOST: usize = 64;
const MAX_REQUEST: usize = 16 * 1024;
const PATH: &str = "/auth/callback";

/// What the browser brought back.
enum Callback {
    Code(String),
    Refused(String),
    /// Something else that it asked for: an icon, or the question of somebody else.
    Other,
}

pub(super) fn ask(issuer: &Issuer<'_>) -> Result<LoggedIn> {
    let fixed = issuer.services.redirect.as_deref();
    let port = fixed.map(port_of).transpose()?.unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("cannot listen on port {port} of 127.0.0.1 for the browser to come back to"))?;
    let redirect = match fixed {
        Some(url) if port != 0 => url.to_owned(),
        _ => format!("http://localhost:{}{PATH}", listener.local_addr().context("this port has no number")?.port()),
    };
    let pkce = Pkce::new()?;
    let (state, nonce) = (unguessable()?, unguessable()?);
    let page = issuer.page(&redirect, &state, &nonce, &pkce)?;
    terminal::tell(&format!("git-warrant: to sign, log in in the browser; if none opens, at\n\n    {}\n", printable(&page)));
    open(&page);
    let code = wait(&listener, &state)?;
    issuer.redeem(&code, &redirect, &nonce, &pkce)
}

/// The port of `http://localhost:PORT/…`; 0 where none is named.
fn port_of(url: &str) -> Result<u16> {
    let uri: ureq::http::Uri = url.parse().ok().with_context(|| format!("warrant.oidcRedirect is `{url}`, which is no URL"))?;
    if uri.scheme_str() != Some("http") || !matches!(uri.host(), Some("localhost" | "127.0.0.1")) {
        bail!("warrant.oidcRedirect is `{url}`, and only http://localhost:PORT/… leads back here");
    }
    Ok(uri.port_u16().unwrap_or(0))
}

/// Starts the browser, with none of our streams: git waits for whoever holds them.
fn open(page: &str) {
    let usual = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program = env::var_os("BROWSER").filter(|program| !program.is_empty()).unwrap_or_else(|| usual.into());
    let mut command = Command::new(program);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    without_secrets(&mut command);
    if let Ok(mut child) = command.spawn() {
        // reaped when it ends, and not waited for
        thread::spawn(move || child.wait());
    }
}

fn wait(listener: &TcpListener, state: &str) -> Result<String> {
    listener.set_nonblocking(true).context("cannot wait for the browser")?;
    let until = Instant::now() + WITHIN;
    let (say, heard) = mpsc::channel();
    let mut waiting = 0_usize;
    while Instant::now() < until {
        match listener.accept() {
            Ok((stream, _)) => {
                let (say, state) = (say.clone(), state.to_owned());
                let reading = thread::Builder::new().spawn(move || {
                    let _ = say.send(answer(stream, &state));
                });
                waiting += usize::from(reading.is_ok());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error).context("cannot wait for the browser"),
        }
        // of those who say nothing so many at most; the others stay in the queue
        while let Some(callback) = if waiting < MOST { heard.try_recv().ok() } else { heard.recv_timeout(REQUEST).ok() } {
            waiting = waiting.saturating_sub(1);
            match callback {
                Callback::Code(code) => return Ok(code),
                Callback::Refused(why) => bail!("the issuer refuses the login: {}; nothing is signed", cut(&why)),
                Callback::Other => {}
            }
        }
    }
    bail!("nobody logged in within {} s; nothing is signed", WITHIN.as_secs())
}

/// Reads one request and answers it.
fn answer(mut stream: TcpStream, state: &str) -> Callback {
    let _ = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(REQUEST)));
    let _ = stream.set_write_timeout(Some(REQUEST));
    let until = Instant::now() + REQUEST;
    let mut request = Vec::new();
    let mut chunk = [0; 2048];
    while !request.ends_with(b"\r\n\r\n") && request.len() < MAX_REQUEST && Instant::now() < until {
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => request.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            _ => break,
        }
    }
    let callback = parse(&request, state);
    let (status, text) = match &callback {
        Callback::Code(_) => ("200 OK", "The answer has come back to git, which goes on to sign. This page can be closed."),
        Callback::Refused(_) => ("200 OK", "Not logged in: nothing is signed. This page can be closed."),
        Callback::Other => ("404 Not Found", "Nothing is here."),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    callback
}

/// Only a request with the state of this login counts (RFC 6749 §10.12).
fn parse(request: &[u8], state: &str) -> Callback {
    let text = String::from_utf8_lossy(request);
    let target = text.lines().next().and_then(|line| line.strip_prefix("GET ")).and_then(|rest| rest.split(' ').next());
    let query = target.and_then(|target| target.split_once('?')).map(|(_, query)| query).unwrap_or_default();
    let field = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| unescaped(value))
    };
    match (field("state"), field("code"), field("error")) {
        (Some(theirs), Some(code), None) if theirs == state && !code.is_empty() => Callback::Code(code),
        (Some(theirs), _, Some(error)) if theirs == state => Callback::Refused(field("error_description").unwrap_or(error)),
        _ => Callback::Other,
    }
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        rest = after;
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_logins_answer_counts() {
        for (request, want) in [
            ("GET /auth/callback?code=c%2Fd&state=s HTTP/1.1\r\n\r\n", "code c/d"),
            ("GET /auth/callback?state=s&error=access_denied HTTP/1.1\r\n", "refused access_denied"),
            ("GET /auth/callback?state=s&error=x&error_description=not+you HTTP/1.1\r\n", "refused not you"),
            ("GET /auth/callback?code=c&state=t HTTP/1.1\r\n", "other"),
            ("GET /auth/callback?code=c HTTP/1.1\r\n", "other"),
            ("GET /auth/callback?code=&state=s HTTP/1.1\r\n", "other"),
            ("POST /auth/callback?code=c&state=s HTTP/1.1\r\n", "other"),
            ("GET /favicon.ico HTTP/1.1\r\n", "other"),
            ("", "other"),
        ] {
            let found = match parse(request.as_bytes(), "s") {
                Callback::Code(code) => format!("code {code}"),
                Callback::Refused(why) => format!("refused {why}"),
                Callback::Other => "other".to_owned(),
            };
            assert_eq!(found, want, "{request}");
        }
    }

    #[test]
    fn the_way_back_leads_here() {
        assert_eq!(port_of("http://localhost:8085/x").unwrap(), 8085);
        assert_eq!(port_of("http://localhost/x").unwrap(), 0);
        for away in ["https://localhost:1/", "http://example.com:1/", "x"] {
            assert!(port_of(away).is_err(), "{away}");
        }
    }
}
