//! Push certificates (gitformat-pack's "push certificate" of git-receive-pack; `builtin/receive-pack.c`, `send-pack.c`).

use super::tag::last_marker;
use super::{Fault, MAX_HEADER_LINES, MAX_OBJECT, MAX_SIGNATURE, ObjectId, Payload, clip};

/// What somebody signed who pushed, as its raw bytes say.
#[derive(Clone, Debug)]
pub struct PushCertificate<'a> {
    /// The signing key, as the pusher's git names it.
    pub pusher: String,
    /// When, by the pusher's clock: seconds since 1970 (UTC).
    pub date: Option<i64>,
    /// The URL that was pushed to, as the pusher knows it.
    pub pushee: Option<&'a [u8]>,
    /// What the server made up against replays.
    pub nonce: Option<&'a [u8]>,
    /// The ref updates.
    pub updates: Vec<RefUpdate<'a>>,
    /// The signature: from the last line that begins with a marker to the end.
    pub signature: Option<&'a [u8]>,
    /// What the signature covers.
    pub payload: Payload<'a>,
    /// The first thing that is wrong with it, if anything is.
    pub fault: Option<Fault>,
}

/// One ref update.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefUpdate<'a> {
    /// Where the ref was; all zeros: it was not there.
    pub old: ObjectId,
    /// Where it is to be; all zeros: it is deleted.
    pub new: ObjectId,
    /// Its full name.
    pub name: &'a [u8],
}

const VERSION: &[u8] = b"certificate version 0.1";

impl<'a> PushCertificate<'a> {
    /// Whether a blob begins as a push certificate does.
    pub fn is_one(raw: &[u8]) -> bool {
        raw.starts_with(b"certificate version ")
    }

    /// Reads a certificate. Never fails: what is wrong is the `fault`.
    pub fn parse(raw: &'a [u8]) -> Self {
        let mut certificate = Self {
            pusher: String::new(),
            date: None,
            pushee: None,
            nonce: None,
            updates: Vec::new(),
            signature: None,
            payload: Payload::default(),
            fault: None,
        };
        if raw.len() > MAX_OBJECT {
            certificate.fault = Some(Fault::TooLarge { bytes: raw.len() });
            return certificate;
        }
        let (signed, signature) = match last_marker(raw).and_then(|at| raw.split_at_checked(at)) {
            Some((signed, signature)) => (signed, Some(signature)),
            None => (raw, None),
        };
        certificate.payload = Payload::whole(signed);
        certificate.signature = signature;
        let read = certificate.read(signed);
        let too_long = signature.map(<[u8]>::len).filter(|&n| n > MAX_SIGNATURE);
        certificate.fault = read.err().or(too_long.map(|bytes| Fault::SignatureTooLarge { bytes }));
        certificate
    }

    /// `certificate version`, `pusher`, at most one `pushee`, at most one `nonce`, any `push-option`s, an empty line, and the
    /// ref updates, one a line.
    fn read(&mut self, signed: &'a [u8]) -> Result<(), Fault> {
        let malformed = |what| Fault::Malformed { what };
        if signed.contains(&0) {
            return Err(Fault::NulInHeader);
        }
        let text = signed.strip_suffix(b"\n").ok_or(Fault::Unterminated)?;
        let mut lines = text.split(|&b| b == b'\n');
        if lines.next() != Some(VERSION) {
            return Err(malformed("it is no push certificate of version 0.1"));
        }
        let pusher = lines.next().and_then(|line| line.strip_prefix(b"pusher ")).ok_or(malformed("no pusher line follows"))?;
        self.read_pusher(pusher).ok_or(Fault::MalformedIdentity { header: "pusher" })?;
        let (mut stage, mut ended) = (0, false);
        for (number, line) in lines.by_ref().enumerate() {
            if number > MAX_HEADER_LINES {
                return Err(Fault::TooManyHeaderLines); // ref updates, of which there may be many, are bounded by the size
            }
            let place = match line {
                b"" => {
                    ended = true;
                    break;
                }
                _ if line.starts_with(b"pushee ") => 1,
                _ if line.starts_with(b"nonce ") => 2,
                _ if line.starts_with(b"push-option ") => 3,
                _ => return Err(malformed("it has a line that is not known")),
            };
            if place < stage || (place == stage && place < 3) {
                return Err(malformed("a line stands twice or out of its place"));
            }
            stage = place;
            let value = line.split(|&b| b == b' ').next().and_then(|name| line.get(name.len() + 1..));
            match place {
                1 => self.pushee = value,
                2 => self.nonce = value,
                _ => {}
            }
        }
        if !ended {
            return Err(Fault::Unterminated);
        }
        for line in lines {
            self.updates.push(RefUpdate::parse(line).ok_or(malformed("it has a line that is no ref update"))?);
        }
        let mut names: Vec<&[u8]> = self.updates.iter().map(|update| update.name).collect();
        names.sort_unstable();
        if self.updates.is_empty() || names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(malformed("it names no ref, or one twice"));
        }
        Ok(())
    }

    /// `KEY SECONDS ZONE`, where the key may be any text.
    fn read_pusher(&mut self, line: &[u8]) -> Option<()> {
        let mut words = line.rsplitn(3, |&b| b == b' ');
        let (zone, seconds, key) = (words.next()?, words.next()?, words.next()?);
        let digits = zone.strip_prefix(b"+").or(zone.strip_prefix(b"-"))?;
        if digits.len() != 4 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.date = Some(std::str::from_utf8(seconds).ok()?.parse().ok().filter(|&seconds: &i64| seconds >= 0)?);
        self.pusher = clip(key.trim_ascii());
        Some(())
    }
}

impl<'a> RefUpdate<'a> {
    /// Reads `OLD NEW REF`, as hooks and certificates have it.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(3, |&b| b == b' ');
        let mut id = || words.next().and_then(ObjectId::from_hex);
        let (old, new) = (id()?, id()?);
        let name = words.next().filter(|name| !name.is_empty())?;
        (old.algorithm() == new.algorithm()).then_some(Self { old, new, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0000000000000000000000000000000000000000";
    const NEW: &str = "0123456789abcdef0123456789abcdef01234567";

    fn text(head: &str, updates: &str) -> String {
        format!("certificate version 0.1\n{head}\n{updates}-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n")
            .replace("OLD", OLD)
            .replace("NEW", NEW)
    }

    #[test]
    fn a_whole_one() {
        let raw = text(
            "pusher my key 1700000000 +0100\npushee u r l\nnonce 1-2\npush-option a\npush-option\x20\n",
            "OLD NEW refs/heads/a b\n",
        );
        let certificate = PushCertificate::parse(raw.as_bytes());
        assert_eq!(certificate.fault, None);
        assert_eq!((certificate.pusher.as_str(), certificate.date), ("my key", Some(1_700_000_000)));
        assert_eq!((certificate.pushee, certificate.nonce), (Some(&b"u r l"[..]), Some(&b"1-2"[..])));
        let [update] = &certificate.updates[..] else { panic!("{certificate:?}") };
        assert_eq!((update.name, update.old.is_zero(), update.new.is_zero()), (&b"refs/heads/a b"[..], true, false));
        assert!(certificate.signature.unwrap().starts_with(b"-----BEGIN SSH") && certificate.payload.to_vec().ends_with(b"a b\n"));
    }

    #[test]
    fn what_git_does_not_write_is_a_fault() {
        let pusher = "pusher k 1 +0000\n";
        let one = "OLD NEW refs/heads/a\n";
        let long = format!("{pusher}{}", "push-option x\n".repeat(MAX_HEADER_LINES + 1));
        for (head, updates, code) in [
            ("", one, "malformed-header"),
            ("pusher k 1\n", one, "malformed-identity"),
            ("pusher k -1 +0000\n", one, "malformed-identity"),
            ("pusher k 1 0000\n", one, "malformed-identity"),
            (&format!("{pusher}nonce 1\npushee u\n"), one, "malformed-header"),
            (&format!("{pusher}nonce 1\nnonce 2\n"), one, "malformed-header"),
            (&format!("{pusher}pushee 1\npushee 2\n"), one, "malformed-header"),
            (&format!("{pusher}other 2\n"), one, "malformed-header"),
            (&format!("{pusher}nonce \0\n"), one, "nul-in-header"),
            (pusher, "", "malformed-header"),
            (pusher, "OLD refs/heads/a\n", "malformed-header"),
            (pusher, "OLD NEW \n", "malformed-header"),
            (pusher, &one.repeat(2), "malformed-header"),
            (pusher, &format!("{one}\n"), "malformed-header"),
            (&long, one, "too-many-headers"),
        ] {
            let raw = text(head, updates);
            let fault = PushCertificate::parse(raw.as_bytes()).fault;
            assert_eq!(fault.as_ref().map(Fault::code), Some(code), "{head:?} {}", updates.get(..60).unwrap_or(updates));
        }
        for raw in [
            "",
            "certificate version 0.1",
            "certificate version 0.2\npusher k 1 +0000\n\n",
            "certificate version 0.1\npusher k 1 +0000\n",
        ] {
            assert!(PushCertificate::parse(raw.as_bytes()).fault.is_some(), "{raw:?}");
        }
    }
}
