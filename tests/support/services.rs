//! The services of a Sigstore instance on a loopback port of this process: an OpenID issuer, Fulcio, Rekor v1, a timestamp
//! authority. Each can be told to fail, and remembers what it was sent. And a home in which git signs by them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::as_conversions)]

use crate::common::{Done, Home, OURS, run};
use crate::sigstore::{Leaf, Sigstore, content, elements, seq};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who logs in.
pub const PERSON: &str = "person@example.com";
/// What every identity token of the issuer ends with, and every refresh token begins with.
pub const PLANTED_TOKEN: &str = "UExBTlRFRC1JREVOVElUWQ";
pub const PLANTED_REFRESH: &str = "PLANTED-REFRESH";

/// How a service fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// With a status and a text; `{}` in it stands for the body that was sent, `{head}` for what stood before.
    Says(u16, String),
    /// The connection ends after so many bytes of the answer.
    Breaks(usize),
    /// It answers after so long.
    Slow(Duration),
}

/// What the services know.
pub struct State {
    /// How many seconds certificates live.
    pub life: i64,
    /// Whom the issuer lets in.
    pub person: String,
    /// Whether whoever comes to the login page is sent back at once.
    pub follows: bool,
    /// Whether the issuer knows device codes.
    pub device: bool,
    /// The refresh token that is good, where one was given.
    pub refresh: Option<String>,
    /// Whether a refresh token is good for one use.
    pub rotates: bool,
    /// What the issuer's tokens say besides; these go before the usual claims.
    pub claims: Vec<(&'static str, Value)>,
    /// By the beginning of their paths.
    pub faults: HashMap<&'static str, Fault>,
    /// All that was asked: path and body.
    pub calls: Vec<(String, String)>,
    codes: HashMap<String, HashMap<String, String>>,
    refreshes: usize,
    pub secret: Option<String>,
}

/// The services.
pub struct Services {
    pub url: String,
    pub sigstore: Sigstore,
    state: Mutex<State>,
    /// Where it is reached by TLS.
    tls: Option<Arc<rustls::ServerConfig>>,
}

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn unpem(text: &str) -> Vec<u8> {
    STANDARD.decode(text.lines().filter(|line| !line.starts_with("-----")).collect::<String>()).unwrap()
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                out.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            }
            b'+' => out.push(b' '),
            other => out.push(*other),
        }
    }
    String::from_utf8(out).unwrap()
}

pub fn form(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), unescaped(value))).collect()
}

/// GETs a page of a loopback port, as a browser would; what came.
pub fn get(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let _ = write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request: method, target, body, head.
fn request(stream: &mut impl Read) -> Option<(String, String, String, String)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let head = loop {
        if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break at;
        }
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut words = text.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < head + 4 + length {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
    }
    let body = &bytes[head + 4..];
    Some((method, target, String::from_utf8_lossy(body).into_owned() + &binary(body), text))
}

/// A body that is no text, so that it survives being one.
fn binary(bytes: &[u8]) -> String {
    if std::str::from_utf8(bytes).is_ok() { String::new() } else { format!("\0{}", STANDARD.encode(bytes)) }
}

struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(status: u16, value: &Value) -> Self {
        Self { status, headers: "Content-Type: application/json\r\n".to_owned(), body: value.to_string().into_bytes() }
    }

    fn text(status: u16, text: &str) -> Self {
        Self { status, headers: "Content-Type: text/plain\r\n".to_owned(), body: text.as_bytes().to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {} X\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.status,
            self.headers,
            self.body.len()
        );
        [head.as_bytes(), &self.body].concat()
    }
}

impl Services {
    pub fn start() -> Arc<Self> {
        Self::start_with(None)
    }

    /// The same by TLS, where there is a configuration for it.
    pub fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = State {
            life: 600,
            person: PERSON.to_owned(),
            follows: true,
            device: true,
            refresh: None,
            rotates: true,
            claims: Vec::new(),
            faults: HashMap::new(),
            calls: Vec::new(),
            codes: HashMap::new(),
            refreshes: 0,
            secret: None,
        };
        // as half of all answers are
        let mut sigstore = Sigstore::new("example");
        (sigstore.log.high, sigstore.tsa.high) = (true, true);
        let services = Arc::new(Self {
            url: format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port()),
            sigstore,
            state: Mutex::new(state),
            tls,
        });
        let serving = Arc::clone(&services);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        services
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn issuer(&self) -> String {
        format!("{}/issuer", self.url)
    }

    pub fn fail(&self, path: &'static str, fault: Fault) {
        self.state().faults.insert(path, fault);
    }

    pub fn mend(&self) {
        self.state().faults.clear();
    }

    /// How often something under a path was asked.
    pub fn asked(&self, path: &str) -> usize {
        self.state().calls.iter().filter(|(target, _)| target.starts_with(path)).count()
    }

    /// An identity token of somebody.
    pub fn mint(&self, email: &str) -> String {
        self.token(json!({ "sub": email, "email": email, "email_verified": true }))
    }

    pub fn token(&self, more: Value) -> String {
        let mut claims = json!({ "iss": self.issuer(), "aud": "sigstore", "iat": now(), "exp": now() + 600 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("eyJhbGciOiJSUzI1NiJ9.{}.{PLANTED_TOKEN}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn serve(&self, mut stream: TcpStream) {
        match &self.tls {
            None => {
                self.converse(&mut stream);
                let _ = stream.shutdown(Shutdown::Both);
            }
            Some(config) => {
                let mut tls = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                let mut stream = rustls::Stream::new(&mut tls, &mut stream);
                self.converse(&mut stream);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    }

    fn converse(&self, stream: &mut (impl Read + Write)) {
        let Some((method, target, body, head)) = request(stream) else { return };
        let fault = {
            let mut state = self.state();
            state.calls.push((target.clone(), body.clone()));
            state.faults.iter().find(|(path, _)| target.starts_with(**path)).map(|(_, fault)| fault.clone())
        };
        let reply = match &fault {
            Some(Fault::Says(status, text)) => Reply::text(*status, &text.replace("{}", &body).replace("{head}", &head)),
            Some(Fault::Slow(pause)) => {
                std::thread::sleep(*pause);
                self.reply(&method, &target, &body)
            }
            Some(Fault::Breaks(_)) | None => self.reply(&method, &target, &body),
        };
        let bytes = reply.bytes();
        let end = if let Some(Fault::Breaks(end)) = fault { end.min(bytes.len()) } else { bytes.len() };
        let _ = stream.write_all(&bytes[..end]);
        let _ = stream.flush();
    }

    fn reply(&self, method: &str, target: &str, body: &str) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (method, path) {
            ("GET", "/issuer/.well-known/openid-configuration") => self.discovery(),
            ("GET", "/issuer/auth") => self.authorize(form(query)),
            ("POST", "/issuer/device") => self.device(form(body)),
            ("POST", "/issuer/token") => self.redeem(&form(body)),
            ("POST", "/fulcio/api/v2/signingCert") => self.certify(body),
            ("POST", "/rekor/api/v1/log/entries") => self.log(body),
            ("POST", "/tsa") => self.stamp(body),
            // the token services of CI runners
            ("GET", "/actions") => Reply::json(200, &json!({ "value": self.mint("actions@example.com") })),
            ("POST", "/buildkite/jobs/7/oidc/tokens") => Reply::json(200, &json!({ "token": self.mint("buildkite@example.com") })),
            _ => Reply::text(404, "not here"),
        }
    }

    fn discovery(&self) -> Reply {
        let issuer = self.issuer();
        let mut places = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
        });
        if self.state().device {
            places["device_authorization_endpoint"] = format!("{issuer}/device").into();
        }
        Reply::json(200, &places)
    }

    fn remember(&self, asked: HashMap<String, String>) -> String {
        let mut state = self.state();
        let code = format!("code-{}", state.codes.len());
        state.codes.insert(code.clone(), asked);
        code
    }

    fn authorize(&self, asked: HashMap<String, String>) -> Reply {
        let (redirect, state) = (asked["redirect_uri"].clone(), asked["state"].clone());
        assert_eq!(asked["code_challenge_method"], "S256");
        let code = self.remember(asked);
        if redirect.starts_with("urn:") {
            return Reply::text(200, &code);
        }
        let back = format!("{redirect}?code={code}&state={state}");
        if self.state().follows {
            std::thread::spawn(move || get(&back));
        }
        Reply { status: 303, headers: String::new(), body: Vec::new() }
    }

    fn device(&self, asked: HashMap<String, String>) -> Reply {
        let code = self.remember(asked);
        let page = format!("{}/activate", self.issuer());
        Reply::json(
            200,
            &json!({ "device_code": code, "user_code": "ABCD-EFGH", "verification_uri": page, "expires_in": 60, "interval": 1 }),
        )
    }

    fn redeem(&self, given: &HashMap<String, String>) -> Reply {
        let get = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
        let refuse = |why: &str| Reply::json(400, &json!({ "error": why }));
        let mut state = self.state();
        if state.secret.as_deref().is_some_and(|secret| secret != get("client_secret")) {
            return refuse("invalid_client");
        }
        let (nonce, keeps) = match get("grant_type") {
            "refresh_token" => {
                if state.refresh.is_none() || state.refresh.as_deref() != Some(get("refresh_token")) {
                    state.refresh = None; // whoever comes with an old one may have stolen it
                    return refuse("invalid_grant");
                }
                (None, state.rotates)
            }
            grant => {
                let name = if grant == "authorization_code" { "code" } else { "device_code" };
                let Some(asked) = state.codes.get_mut(get(name)) else { return refuse("invalid_grant") };
                if name == "device_code" && asked.insert("seen".to_owned(), "1".to_owned()).is_none() {
                    return refuse("authorization_pending");
                }
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")));
                if asked.get("code_challenge") != Some(&challenge) {
                    return refuse("invalid_grant");
                }
                let asked = state.codes.remove(get(name)).unwrap();
                (asked.get("nonce").cloned(), asked["scope"].split(' ').any(|word| word == "offline_access"))
            }
        };
        let mut claims = json!({ "sub": state.person, "email": state.person, "email_verified": true });
        claims.as_object_mut().unwrap().extend(nonce.map(|nonce| ("nonce".to_owned(), nonce.into())));
        for (name, value) in &state.claims {
            claims[*name] = value.clone();
        }
        let mut reply = json!({ "access_token": "unused", "token_type": "Bearer", "id_token": self.token(claims) });
        if keeps {
            state.refreshes += 1;
            let next = format!("{PLANTED_REFRESH}-{}", state.refreshes);
            reply["refresh_token"] = next.clone().into();
            state.refresh = Some(next);
        }
        Reply::json(200, &reply)
    }

    fn certify(&self, body: &str) -> Reply {
        let asked: Value = serde_json::from_str(body).unwrap();
        let token = asked["credentials"]["oidcIdentityToken"].as_str().unwrap();
        let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let Some(claims) = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok()) else {
            return Reply::json(400, &json!({ "message": "there was an error processing the identity token" }));
        };
        let request = STANDARD.decode(asked["certificateSigningRequest"].as_str().unwrap()).unwrap();
        let request = unpem(std::str::from_utf8(&request).unwrap());
        let spki = elements(content(elements(content(&request))[0]))[2].to_vec();
        let issuer = claims["iss"].as_str().unwrap().to_owned();
        let subject = claims["sub"].as_str().unwrap();
        let name = match subject.starts_with("spiffe://") {
            true => (0x86, subject.to_owned()),
            false => (0x81, claims["email"].as_str().unwrap().to_owned()),
        };
        let begin = now();
        let end = begin + self.state().life;
        let leaf =
            Leaf { names: vec![name], issuer: Some(issuer.clone()), old_issuer: Some(issuer), end, ..Leaf::email("", begin) };
        let chain = [pem("CERTIFICATE", &self.sigstore.issue_for(&leaf, &spki))];
        Reply::json(200, &json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": chain } } }))
    }

    fn log(&self, body: &str) -> Reply {
        let asked: Value = serde_json::from_str(body).unwrap();
        let body = asked.to_string(); // keys in order, no blanks: the canonical form
        let entry = self.sigstore.entry_of(&body, now(), false, 4);
        let proof = entry.proof.as_ref().unwrap();
        let hashes: Vec<String> = proof.hashes.iter().map(hex::encode).collect();
        let verification = json!({
            "inclusionProof": {
                "checkpoint": proof.checkpoint, "hashes": hashes, "logIndex": proof.index, "rootHash": hex::encode(proof.root),
                "treeSize": proof.size,
            },
            "signedEntryTimestamp": STANDARD.encode(entry.promise.as_ref().unwrap()),
        });
        let entry = json!({
            "body": STANDARD.encode(&body), "integratedTime": entry.time, "logID": hex::encode(entry.log), "logIndex": entry.index,
            "verification": verification,
        });
        Reply::json(201, &json!({ "24296fb24b8ad77a": entry }))
    }

    fn stamp(&self, body: &str) -> Reply {
        let query = match body.rsplit_once('\0') {
            Some((_, coded)) if STANDARD.decode(coded).is_ok() => STANDARD.decode(coded).unwrap(),
            _ => body.as_bytes().to_vec(),
        };
        let parts = elements(content(&query));
        let token = self.sigstore.token_answering(parts[1], parts[2], now());
        let reply = seq(&[&seq(&[&[2, 1, 0]]), &token]);
        Reply { status: 201, headers: "Content-Type: application/timestamp-reply\r\n".to_owned(), body: reply }
    }
}

/// A home in which git signs by the services, with an empty repository `r`.
pub struct Bed {
    pub home: Home,
    pub services: Arc<Services>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        // also where the test failed: it would live for as long as its certificate
        let _ = self.command(OURS, &["agent", "stop"]).stdin(Stdio::null()).output();
    }
}

impl Bed {
    pub fn new() -> Self {
        Self::of(Services::start())
    }

    pub fn of(services: Arc<Services>) -> Self {
        let home = Home::new();
        let url = &services.url;
        home.write(
            "gitconfig",
            format!(
                "[user]\nname = Alice\nemail = {PERSON}\n[init]\ndefaultBranch = main\n[gpg]\nformat = x509\n\
[gpg \"x509\"]\nprogram = {OURS}\n[core]\neditor = true\n[warrant]\nfulcio = {url}/fulcio\nrekor = {url}/rekor\n\
oidcIssuer = {url}/issuer\ntrustedRoot = ~/root.json\n"
            ),
        );
        home.write("root.json", services.sigstore.trusted_root());
        home.git("", &["init", "-q", "r"]);
        std::fs::create_dir(home.join("run")).unwrap();
        home.git("r", &["commit", "-q", "--allow-empty", "-m", "base"]);
        let bed = Self { home, services };
        bed.script(
            "browser",
            "printf '%s\\n' \"$1\" >>\"$HOME/opened\"\nenv >\"$HOME/browser-env\"\nrest=${1#http://}\n\
exec 3<>\"/dev/tcp/127.0.0.1/$(p=${rest%%/*}; echo \"${p##*:}\")\"\n\
printf 'GET /%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' \"${rest#*/}\" >&3\ncat <&3 >/dev/null",
        );
        bed
    }

    /// A program of the home.
    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.home.write(name, format!("#!/bin/bash\n{text}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn config(&self, name: &str, value: &str) {
        self.home.git("", &["config", "--global", name, value]);
    }

    /// Any program, in the repository, with the runtime folder.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.home.command(program);
        command.current_dir(self.home.join("r")).args(args).env("XDG_RUNTIME_DIR", self.home.join("run"));
        command
    }

    /// The same where a browser lets the person in.
    pub fn with_browser(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.command(program, args);
        command.env("DISPLAY", ":0").env("BROWSER", self.home.join("browser"));
        command
    }

    pub fn agent(&self, action: &str) -> Done {
        run(&mut self.command(OURS, &["agent", action]), b"")
    }

    /// The process of the agent.
    pub fn agent_process(&self) -> u32 {
        let status = self.agent("status").stdout;
        status.strip_prefix("process ").unwrap_or_else(|| panic!("{status}")).split(';').next().unwrap().parse().unwrap()
    }

    /// `git warrant login` by a token.
    pub fn log_in(&self, email: &str) {
        let done = run(self.command(OURS, &["login"]).env("SIGSTORE_ID_TOKEN", self.services.mint(email)), b"");
        assert!(done.ok(), "{done:?}");
    }

    /// How often somebody was sent to the login page.
    pub fn logins(&self) -> usize {
        self.services.asked("/issuer/auth")
    }

    /// A signed commit by a command for git; it must be there and verify.
    pub fn commits(&self, git: Command) {
        let done = self.try_commit(git);
        assert!(done.ok(), "{done:?}: {:?}", self.services.state().calls.last());
        self.verifies("HEAD");
    }

    pub fn try_commit(&self, mut git: Command) -> Done {
        git.args(["commit", "-q", "-S", "--allow-empty", "-m", "a commit"]);
        run(&mut git, b"")
    }

    /// Git says that a commit is well signed, by our own eyes.
    pub fn verifies(&self, revision: &str) -> String {
        let done = run(&mut self.command("git", &["verify-commit", "--raw", revision]), b"");
        assert!(done.ok() && done.stderr.contains("GOODSIG"), "{revision}: {done:?}");
        done.stderr
    }

    pub fn head(&self) -> String {
        self.home.git("r", &["rev-parse", "HEAD"])
    }

    /// Nothing is committed, and git says so; what the program says of it (older versions of git do not repeat it).
    pub fn refusal(&self, variables: &[(&str, &str)]) -> String {
        let before = self.head();
        let mut git = self.command("git", &[]);
        let done = self.try_commit({
            git.envs(variables.iter().copied());
            git
        });
        assert!(!done.ok() && self.head() == before, "{done:?}");
        self.unsigned(variables)
    }

    /// Nothing is signed; what the program says of it.
    pub fn unsigned(&self, variables: &[(&str, &str)]) -> String {
        let mut ours = self.command(OURS, &["--status-fd=2", "-bsau", "KEY"]);
        let done = run(ours.envs(variables.iter().copied()), b"tree 0\n\nm\n");
        assert!(!done.ok() && done.stdout.is_empty() && !done.stderr.contains("[GNUPG:]"), "{done:?}");
        done.stderr
    }
}
