//! gpg-agent, spoken to as gpg does (the Assuan protocol; GnuPG's manual, "Agent Commands"): it holds the secret key, asks for
//! its passphrase, and signs.

use crate::io::agent::{self, Timed};
use crate::io::secrecy::without_secrets;
use crate::signature::openpgp::sign::Numbers;
use anyhow::{Context as _, Result, anyhow, bail};
use std::env;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long an answer may take that needs nobody.
const ANSWER: Duration = Duration::from_secs(30);
/// How long somebody may take to find a passphrase, or a card.
const PERSON: Duration = Duration::from_secs(600);
/// How long gpgconf may take, which starts the agent, and how long an agent may be busy before it takes a connection.
const START: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(2);
/// A longer line, or a longer answer, is no agent's.
const MAX_LINE: usize = 4096;
const MAX_DATA: usize = 1 << 16;

/// A connection.
pub struct GpgAgent {
    stream: UnixStream,
    /// What was read and not yet looked at.
    pending: Vec<u8>,
}

/// What an agent answers that is no success.
#[derive(Debug, thiserror::Error)]
#[error("gpg-agent says: {text}{}", mend(*code, text))]
struct Refused {
    code: u32,
    text: String,
}

/// It ended.
#[derive(Debug, thiserror::Error)]
#[error("gpg-agent closed the connection")]
struct Gone;

/// libgpg-error's numbers, less their source.
const NO_SECRET_KEY: u32 = 17;
const CANCELED: u32 = 99;
const FULLY_CANCELED: u32 = 198;
const BAD_PASSPHRASE: u32 = 11;
const NO_PINENTRY: u32 = 86;

/// What is to be done, where the text does not say it.
fn mend(code: u32, text: &str) -> &'static str {
    match code {
        NO_PINENTRY => "; install one (Debian: pinentry-curses), or name one by pinentry-program in gpg-agent.conf",
        _ if text.contains("Inappropriate ioctl") => {
            "; its pinentry finds no terminal to ask on: export GPG_TTY=$(tty), or use one with windows"
        }
        _ => "",
    }
}

impl GpgAgent {
    /// Connects to the agent of a home; starts it as gpg does where none is there.
    ///
    /// # Errors
    /// Where none is there and none can be started.
    pub fn connect(home: &Path) -> Result<Self> {
        let direct = home.join("S.gpg-agent");
        let agent = match Self::greeted(&direct)? {
            Some(agent) => Some(agent),
            None => Self::greeted(&socket_of(home)?)?,
        };
        let mut agent = match agent {
            Some(agent) => agent,
            None => {
                gpgconf(home, &["--launch", "gpg-agent"]).context("gpg-agent does not run, and cannot be started")?;
                let socket = socket_of(home)?;
                Self::greeted(&socket)?.with_context(|| format!("gpg-agent does not answer at {}", socket.display()))?
            }
        };
        agent.introduce()?;
        Ok(agent)
    }

    /// The agent at a socket; `None` where none is there, or one that is just ending.
    fn greeted(socket: &Path) -> Result<Option<Self>> {
        let Some(stream) = open(socket, START)? else { return Ok(None) };
        let mut agent = Self { stream, pending: Vec::new() };
        match agent.answer(ANSWER) {
            Ok(_) => Ok(Some(agent)),
            Err(error) if error.is::<Gone>() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the agent where to ask: the terminal and the display of whoever signs.
    fn introduce(&mut self) -> Result<()> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty() && !value.contains(['\n', '\r']));
        let locale = variable("LC_ALL").or(variable("LC_CTYPE")).or(variable("LANG"));
        let options = [
            ("display", variable("DISPLAY")),
            ("ttyname", variable("GPG_TTY").or_else(terminal)),
            ("ttytype", variable("TERM")),
            ("lc-ctype", locale.clone()),
            ("lc-messages", locale),
            ("xauthority", variable("XAUTHORITY")),
            ("putenv", variable("WAYLAND_DISPLAY").map(|value| format!("WAYLAND_DISPLAY={value}"))),
            ("putenv", variable("PINENTRY_USER_DATA").map(|value| format!("PINENTRY_USER_DATA={value}"))),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                // an agent that does not know an option does without
                self.command(&format!("OPTION {name}={value}"), ANSWER).map(drop).or_else(refused_is_fine)?;
            }
        }
        self.command("OPTION allow-pinentry-notify", ANSWER).map(drop).or_else(refused_is_fine)
    }

    /// Whether the agent holds the secret part of a key.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn has(&mut self, keygrip: &str) -> Result<bool> {
        match self.command(&format!("HAVEKEY {keygrip}"), ANSWER) {
            Ok(_) => Ok(true),
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|it| it.code == NO_SECRET_KEY) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has it sign a digest. `description` is what the person reads who is asked for the passphrase; `hash` the hash function's
    /// number.
    ///
    /// # Errors
    /// Where it refuses, or answers something else.
    pub fn sign(&mut self, keygrip: &str, description: &str, hash: u8, digest: &[u8]) -> Result<Numbers> {
        let digest = hex::encode_upper(digest);
        self.command(&format!("SIGKEY {keygrip}"), ANSWER)?;
        self.command(&format!("SETKEYDESC {}", percent_plus(description)), ANSWER)?;
        self.command(&format!("SETHASH {hash} {digest}"), ANSWER)?;
        let answer = self.command("PKSIGN", PERSON).map_err(explain)?;
        numbers(&answer).ok_or_else(|| anyhow!("gpg-agent's answer is no signature"))
    }

    /// Sends a line and gives the data that comes before `OK`.
    fn command(&mut self, line: &str, wait: Duration) -> Result<Vec<u8>> {
        Timed::new(&self.stream, ANSWER).write_all(format!("{line}\n").as_bytes()).context("gpg-agent is gone")?;
        self.answer(wait)
    }

    fn answer(&mut self, wait: Duration) -> Result<Vec<u8>> {
        let mut stream = Timed::new(&self.stream, wait);
        let mut data = Vec::new();
        loop {
            let line = next_line(&mut stream, &mut self.pending)?;
            match &line[..] {
                b"OK" => return Ok(data),
                _ if line.starts_with(b"OK ") => return Ok(data),
                _ if line.starts_with(b"ERR ") => return Err(refused(line.get(4..).unwrap_or_default()).into()),
                _ if line.starts_with(b"INQUIRE ") => {
                    // that a pinentry comes up; what else is asked for is not ours to give
                    let end: &[u8] = if line.starts_with(b"INQUIRE PINENTRY_LAUNCHED") { b"END\n" } else { b"CAN\n" };
                    stream.write_all(end).context("gpg-agent is gone")?;
                }
                _ => data.extend(line.strip_prefix(b"D ").map(unescaped).unwrap_or_default()),
            }
            if data.len() > MAX_DATA {
                bail!("gpg-agent's answer makes no sense");
            }
        }
    }
}

/// The next line, less its end; `pending` is what was read of those that follow.
fn next_line(stream: &mut Timed<'_>, pending: &mut Vec<u8>) -> Result<Vec<u8>> {
    loop {
        if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = pending.drain(..=end).collect();
            line.pop();
            return Ok(line);
        }
        let mut chunk = [0; 1024];
        let read = match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read.context("gpg-agent does not answer")?,
        };
        match (read, pending.len()) {
            (0, 0) => return Err(Gone.into()),
            (0, _) | (_, MAX_LINE..) => bail!("gpg-agent's answer makes no sense"),
            _ => pending.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
    }
}

fn refused(line: &[u8]) -> Refused {
    let text = String::from_utf8_lossy(line).into_owned();
    let (code, text) = text.split_once(' ').unwrap_or((&text, ""));
    Refused { code: code.parse::<u32>().unwrap_or(0) & 0xffff, text: text.to_owned() }
}

fn refused_is_fine(error: anyhow::Error) -> Result<()> {
    if error.is::<Refused>() { Ok(()) } else { Err(error) }
}

/// What to do about a refusal.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let what = match error.downcast_ref::<Refused>().map(|refused| refused.code) {
        Some(CANCELED | FULLY_CANCELED) => "nobody gave the passphrase",
        Some(BAD_PASSPHRASE) => "the passphrase was wrong",
        Some(NO_PINENTRY) => "there is no pinentry to ask for the passphrase with; install one, or export GPG_TTY=$(tty)",
        _ => return error,
    };
    error.context(what)
}

/// Connects; `None` where nobody listens.
fn open(socket: &Path, within: Duration) -> Result<Option<UnixStream>> {
    let connected = connect_within(socket, within)?;
    if connected.is_some() {
        return Ok(connected);
    }
    // a file may stand in the socket's place and say where it is
    let Some(text) = std::fs::read(socket).ok().filter(|text| text.len() < 4096) else { return Ok(None) };
    let Some(path) = text.strip_prefix(b"%Assuan%\nsocket=") else { return Ok(None) };
    connect_within(Path::new(&OsString::from_vec(path.trim_ascii_end().to_vec())), within)
}

/// An agent that has others in its queue may take a while; one that takes nobody is as good as none, and is said.
fn connect_within(socket: &Path, within: Duration) -> Result<Option<UnixStream>> {
    let until = Instant::now() + within;
    loop {
        match agent::connect(socket) {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Ok(None),
            Err(_) if Instant::now() < until => thread::sleep(PAUSE),
            Err(_) => {
                bail!("gpg-agent takes no connection at {}; end it (gpgconf --kill gpg-agent) and try again", socket.display())
            }
        }
    }
}

fn socket_of(home: &Path) -> Result<PathBuf> {
    let listed = gpgconf(home, &["--list-dirs", "agent-socket"])
        .context("gpg-agent does not run, and gpgconf, which would start it, cannot be run; install GnuPG")?;
    Ok(PathBuf::from(OsString::from_vec(listed.trim_ascii_end().to_vec())))
}

fn gpgconf(home: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new("gpgconf");
    command.arg("--homedir").arg(home).args(args);
    without_secrets(&mut command); // it starts gpg-agent, which starts its pinentry
    let (status, said) = finished(&mut command, START).context("gpgconf")?;
    if !status.success() {
        bail!("gpgconf {} ends with {status}", args.join(" "));
    }
    Ok(said)
}

/// Runs a program to its end, which comes after so long at the latest; what it writes goes to a file, since a pipe ends with the
/// last of those whom it starts.
fn finished(command: &mut Command, within: Duration) -> Result<(ExitStatus, Vec<u8>)> {
    let mut file = tempfile::tempfile().context("no temporary file can be made")?;
    let out = file.try_clone().context("no temporary file can be made")?;
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn().context("it cannot be run")?;
    let until = Instant::now() + within;
    let status = loop {
        if let Some(status) = child.try_wait().context("it cannot be waited for")? {
            break status;
        }
        if Instant::now() >= until {
            let _ = child.kill().and_then(|()| child.wait());
            bail!("it did not end within {} seconds, and was ended", within.as_secs());
        }
        thread::sleep(PAUSE);
    };
    let mut said = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut said)).context("its answer cannot be read")?;
    Ok((status, said))
}

/// As much of a text as takes so many bytes in a line to the agent, which takes no line of more than 1,000.
pub fn shortened(text: &str, most: usize) -> String {
    let mut cost = 0;
    let fits = |character: &char| {
        cost += percent_plus(character.encode_utf8(&mut [0; 4])).len();
        cost <= most
    };
    let short: String = text.chars().take_while(fits).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}

/// The terminal that this process belongs to, where git put pipes in the place of all three streams.
fn terminal() -> Option<String> {
    for (is_terminal, fd) in
        [(std::io::stdin().is_terminal(), 0), (std::io::stdout().is_terminal(), 1), (std::io::stderr().is_terminal(), 2)]
    {
        if is_terminal {
            return std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?.to_str().map(str::to_owned);
        }
    }
    // field 7 of proc(5)'s stat: the minor number in its lowest and highest bits, the major between
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let number: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(4)?.parse().ok()?;
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    let name = match major {
        136..=143 => format!("/dev/pts/{}", (major - 136) * 256 + minor),
        4 => format!("/dev/tty{minor}"),
        _ => return None,
    };
    Some(name).filter(|name| Path::new(name).exists())
}

fn percent_plus(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'%' | b'+' | b'"' | 0..=31 | 127 => format!("%{byte:02X}"),
        _ => char::from(byte).to_string(),
    };
    // what is not ASCII goes through byte by byte
    text.bytes().map(|byte| if byte.is_ascii() { escape(byte) } else { format!("%{byte:02X}") }).collect()
}

fn unescaped(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = data;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    out
}

/// The numbers of `(7:sig-val(3:rsa(1:s256:…)))` and its kin, in canonical form.
fn numbers(expression: &[u8]) -> Option<Numbers> {
    let (mut rest, mut open, mut last) = (expression, false, None::<&[u8]>);
    let (mut r, mut s) = (None, None);
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'(' => (rest, open) = (after, true),
            b')' => (rest, open) = (after, false),
            b'0'..=b'9' => {
                let colon = rest.iter().position(|&b| b == b':')?;
                let length: usize = std::str::from_utf8(rest.get(..colon)?).ok()?.parse().ok()?;
                let (atom, behind) = rest.get(colon + 1..)?.split_at_checked(length)?;
                match (open, last) {
                    (false, Some(b"r")) => r = Some(atom.to_vec()),
                    (false, Some(b"s")) => s = Some(atom.to_vec()),
                    _ => {}
                }
                (last, open, rest) = (open.then_some(atom), false, behind);
            }
            _ => return None,
        }
    }
    match (r, s?) {
        (Some(r), s) => Some(Numbers::Two(r, s)),
        (None, s) => Some(Numbers::One(s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let two = || Some(Numbers::Two(b"ab".to_vec(), b"c(1:r1:".to_vec()));
        for (text, want) in [
            (&b"(7:sig-val(3:rsa(1:s3:abc)))"[..], Some(Numbers::One(b"abc".to_vec()))),
            (b"(7:sig-val(5:eddsa(1:r2:ab)(1:s7:c(1:r1:)))", two()),
            (b"(7:sig-val(5:ecdsa(1:s7:c(1:r1:)(1:r2:ab)))", two()),
            (b"(7:sig-val(3:rsa(1:s3:ab", None),
            (b"(7:sig-val)", None),
            (b"(7:sig-val(1:s99999999999999999999:a))", None),
            (b"x", None),
            (b"", None),
        ] {
            assert_eq!(numbers(text), want, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(b"a%25%0Ab%zz%"), b"a%\nb%zz%");
        assert_eq!(percent_plus("a b+c\n\u{e9}"), "a+b%2Bc%0A%C3%A9");
        for (text, most, want) in
            [("a b", 3, "a b"), ("a\u{e9}b", 7, "a\u{e9}..."), ("a\u{e9}b", 6, "a..."), ("\u{e9}", 6, "\u{e9}"), ("", 0, "")]
        {
            assert_eq!(shortened(text, most), want);
        }
        assert_eq!(refused(b"67108881 No secret key <GPG Agent>").code, NO_SECRET_KEY);
    }

    #[test]
    fn every_wait_has_an_end() {
        const SHORT: Duration = Duration::from_millis(200);
        let start = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("S.gpg-agent");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = agent::connect(&path) {
            queue.push(stream);
        }
        let error = open(&path, SHORT).unwrap_err().to_string();
        assert!(error.contains("takes no connection"), "{error}");
        let redirected = folder.path().join("redirected");
        std::fs::write(&redirected, format!("%Assuan%\nsocket={}\n", path.display())).unwrap();
        assert!(open(&redirected, SHORT).is_err());
        assert!(open(&folder.path().join("nothing"), SHORT).unwrap().is_none());
        let error = finished(Command::new("sleep").arg("60"), SHORT).unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
        let (status, said) = finished(Command::new("sh").args(["-c", "sleep 3 & echo said"]), Duration::from_secs(20)).unwrap();
        assert!(status.success() && said == b"said\n");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_agent_that_is_ending_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("S.gpg-agent");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let ending = thread::spawn(move || drop(listener.accept()));
        assert!(GpgAgent::greeted(&path).unwrap().is_none());
        ending.join().unwrap();
        assert!(GpgAgent::greeted(&path).unwrap().is_none(), "nobody listens");
    }

    #[test]
    fn a_drip_does_not_move_the_deadline() {
        let start = Instant::now();
        let (stream, mut theirs) = UnixStream::pair().unwrap();
        let mut agent = GpgAgent { stream, pending: Vec::new() };
        theirs.write_all(b"OK hello\nOK again\nD a%25\nD b\nOK\n").unwrap();
        for want in [&b""[..], b"", b"a%b"] {
            assert_eq!(agent.answer(ANSWER).unwrap(), want);
        }
        let dripping = thread::spawn(move || {
            while theirs.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        assert!(agent.answer(Duration::from_millis(300)).is_err());
        drop(agent);
        dripping.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(20));
        let (stream, mut theirs) = UnixStream::pair().unwrap();
        let mut agent = GpgAgent { stream, pending: Vec::new() };
        theirs.write_all(&[b'x'; 6000]).unwrap();
        assert!(agent.answer(ANSWER).unwrap_err().to_string().contains("makes no sense"));
    }
}
