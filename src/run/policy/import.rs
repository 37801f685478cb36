//! `policy import`: a policy in TOML of what other programs keep.

use super::super::session::certificates;
use super::super::{complain, stdout};
use crate::cli::PolicyImport;
use crate::io::clock;
use crate::io::policy::{Source, parse, read_foreign};
use crate::object::ObjectId;
use crate::policy::allowed_signers::{AllowedSigners, utc_seconds};
use crate::policy::file::PolicyFile;
use crate::policy::file::sequoia::{SequoiaPolicy, is_sequoia_policy};
use crate::policy::import::dialect::{Dialect, dialect};
use crate::policy::import::{Draft, DraftCredential, DraftKey, Person, signers};
use crate::report::ExitStatus;
use crate::report::escape::{name as shown, printable, shell_word};
use crate::report::mend::is_toml;
use crate::signature::openpgp::import::{Gathered, Listed, has_armor, is_packets};
use crate::signature::openpgp::keyring::is_keybox;
use crate::signature::openpgp::standing::KeyStanding;
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;

/// Reads the file, and prints the policy.
pub(super) fn run(args: &PolicyImport) -> Result<ExitStatus> {
    let (name, text) = read_foreign(&args.file)?;
    let mut import = Import { name: printable(&name).into_owned(), notes: Vec::new(), limited: 0 };
    let mut draft = import.draft(&text)?;
    if draft.principals.is_empty() && draft.authorities.is_empty() {
        import.notes.iter().for_each(|note| complain(&format!("warning: {note}")));
        bail!("nothing in {} can be used in a policy", import.name);
    }
    if import.limited > 0 {
        let what = format!(
            "{} of the certificates have ended, are revoked or too weak; a comment above each says what stands of it",
            import.limited
        );
        import.note(None, &what);
    }
    if !import.notes.is_empty() {
        draft.ending.push("Lost on the way, or to be known:".to_owned());
        draft.ending.extend(import.notes.iter().map(|note| format!("  {note}")));
    }
    let policy = draft.to_toml();
    // whoever uses it is not to find out then
    let source = Source {
        name: format!("the policy made of {}", import.name),
        text: policy.clone().into_bytes(),
        toml: None,
        beside: BTreeMap::new(),
        revoked: None,
    };
    certificates(&parse(&source.name, &source.text)?, &source)?;
    import.notes.iter().for_each(|note| complain(&format!("warning: {note}")));
    let mut out = stdout();
    out.write_all(policy.as_bytes()).and_then(|()| out.flush()).context("cannot write the policy")?;
    Ok(ExitStatus::Accepted)
}

struct Import {
    /// The file, for people.
    name: String,
    /// What is lost, or else to be said.
    notes: Vec<String>,
    /// How many certificates have ended, are revoked, or are too weak: each says so itself.
    limited: usize,
}

impl Import {
    /// Tells what the file is by what is in it, not by its name.
    fn draft(&mut self, text: &[u8]) -> Result<Draft> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text); // what Windows puts in front of UTF-8
        if is_keybox(text) || is_packets(text) {
            return self.of_keyring(text);
        }
        if let Some(dialect) = self.dialect(text) {
            return self.of_policy(text, dialect);
        }
        if text.starts_with(b"SQLite format 3\0") {
            bail!(
                "{}: a database; if GnuPG's keyboxd keeps it, export from it: gpg --export | git warrant policy import -",
                self.name
            );
        }
        let mut lines = text.split(|&b| b == b'\n');
        if text.starts_with(b"(21:protected-private-key") || (!has_armor(text) && lines.any(|line| line.starts_with(b"Key: ("))) {
            bail!(
                "{}: a secret key of gpg-agent; export the certificate: gpg --export NAME | git warrant policy import -",
                self.name
            );
        }
        if text.split(|&b| b == b'\n').any(|line| line.trim_ascii_end() == b"-----BEGIN PGP SIGNED MESSAGE-----") {
            bail!(
                "{}: it is signed in the clear, which changes the lines of what it holds; check who signed it and take that out: gpg --decrypt {} | git warrant policy import -",
                self.name,
                shell_word(&self.name)
            );
        }
        let lines = AllowedSigners::parse(text, &utc_seconds);
        if has_armor(text) {
            if let Some(line) = lines.lines.first() {
                bail!(
                    "{}:{}: a line of allowed_signers, beside blocks of OpenPGP: put them into files of their own, and import each",
                    self.name,
                    line.number
                );
            }
            return self.of_keyring(text);
        }
        if !lines.lines.is_empty() {
            return Ok(self.of_lines(&lines));
        }
        bail!(
            "{}: neither OpenPGP certificates (a keyring, a KEYS file, pubring.kbx), nor sequoia-git's openpgp-policy.toml, nor allowed_signers{}",
            self.name,
            lines.skipped.first().map_or_else(String::new, |line| format!(" (line {}: {})", line.number, line.why))
        )
    }

    /// The policy in TOML that it is meant to be, broken or not: taken for a file of keys, it would lose who may not sign.
    fn dialect(&self, text: &[u8]) -> Option<Dialect> {
        if is_sequoia_policy(text) {
            return Some(Dialect::Sequoia);
        }
        dialect(text).or_else(|| (is_toml(&self.name) || PolicyFile::parse(text).is_ok()).then_some(Dialect::Warrant))
    }

    fn of_policy(&mut self, text: &[u8], dialect: Dialect) -> Result<Draft> {
        if dialect == Dialect::Sequoia {
            return self.of_sequoia(text);
        }
        match PolicyFile::parse(text) {
            Ok(_) => bail!("{}: this is a policy in TOML already; git warrant policy check {}", self.name, shell_word(&self.name)),
            Err(error) => bail!("{}:{}:{}: {}", self.name, error.line, error.column, error.what),
        }
    }

    fn heading(&self, what: &str, more: &[&str]) -> Vec<String> {
        let mut lines = vec![format!("Made by git warrant policy import of {} ({what}).", self.name)];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        lines.push("git-warrant-policy(5) says what stands here; git warrant policy check, whether it is valid.".to_owned());
        lines
    }

    fn note(&mut self, line: Option<usize>, what: &str) {
        let place = line.map_or_else(|| self.name.clone(), |line| format!("{}:{line}", self.name));
        self.notes.push(format!("{place}: {}", printable(what)));
    }

    fn of_keyring(&mut self, text: &[u8]) -> Result<Draft> {
        let mut gathered = Gathered::default();
        self.gather(&mut gathered, text, 1)?;
        self.take_notes(&gathered);
        let mut draft = Draft {
            heading: self.heading(
                "OpenPGP certificates",
                &[
                    "The names are what the certificates say of their holders: change them as you like. Whoever stands here may",
                    "sign: take out who may not.",
                ],
            ),
            ..Draft::default()
        };
        for listed in gathered.listed(clock::now()) {
            let name = listed.user_ids.first().map(|id| text_of(id)).unwrap_or_default();
            if let Some(key) = self.key(&listed) {
                let comments = listed.user_ids.iter().take(MOST_USER_IDS).skip(1).map(|id| format!("also {}", text_of(id)));
                let comments = comments.collect();
                draft.principals.push(Person { name, mark: mark(&listed), comments, keys: vec![key], ..Person::default() });
            }
        }
        Ok(draft)
    }

    fn of_sequoia(&mut self, text: &[u8]) -> Result<Draft> {
        let name = self.name.clone();
        let policy =
            SequoiaPolicy::parse(text).map_err(|error| anyhow!("{name}:{}:{}: {}", error.line, error.column, error.what))?;
        let mut gathered = Gathered::default();
        let mut holders: HashMap<String, usize> = HashMap::new();
        // who may sign commits first: a certificate that stands twice counts there
        let (signing, others): (Vec<_>, Vec<_>) = policy.authorizations.iter().partition(|it| it.sign_commit);
        for (index, authorization) in signing.iter().enumerate() {
            for fingerprint in self.gather(&mut gathered, authorization.keyring.as_bytes(), authorization.keyring_line)? {
                let first = *holders.entry(fingerprint.clone()).or_insert(index);
                if let Some(first) = signing.get(first).filter(|_| first != index) {
                    let what = format!("{fingerprint} is that of `{}`, too, and is listed there: a key is listed once", first.name);
                    self.note(Some(authorization.line), &what);
                }
            }
        }
        // and any copy may be the one with the revocation
        for authorization in others.iter().filter(|it| !it.keyring.trim().is_empty()) {
            self.gather(&mut gathered, authorization.keyring.as_bytes(), authorization.keyring_line)?;
        }
        self.take_notes(&gathered);
        for authorization in others {
            let what = format!(
                "`{}` may not sign commits (sign_commit), so it is left out: a policy here lets its principals sign commits and tags",
                authorization.name
            );
            self.note(Some(authorization.line), &what);
        }
        for authorization in signing.iter().filter(|it| !it.others.contains(&"sign_tag")) {
            let what = format!("`{}` may not sign tags in sequoia-git (sign_tag), and may here", authorization.name);
            self.note(Some(authorization.line), &what);
        }
        if signing.iter().any(|it| it.others.iter().any(|right| *right != "sign_tag")) {
            self.note(None, "who may change the policy (add_user, retire_user), audit or sign archives is not said here: whoever may write the policy file changes it");
        }
        let mut persons: Vec<Person> = signing
            .iter()
            .map(|it| Person { name: shown(&it.name), mark: format!("line {}", it.line), ..Person::default() })
            .collect();
        for listed in gathered.listed(clock::now()) {
            let Some(person) = holders.get(&listed.fingerprint).and_then(|index| persons.get_mut(*index)) else { continue };
            person.keys.extend(self.key(&listed));
        }
        persons.retain(|person| !person.keys.is_empty());
        let mut draft = Draft {
            heading: self.heading(
                "sequoia-git's openpgp-policy.toml",
                &["It judges all history alike, where sequoia-git judges a commit by the policies of its parents."],
            ),
            principals: persons,
            ..Draft::default()
        };
        self.take_goodlist(&policy, &mut draft);
        Ok(draft)
    }

    /// An exemption needs the commit that mends it, which sequoia-git does not know.
    fn take_goodlist(&mut self, policy: &SequoiaPolicy, draft: &mut Draft) {
        if policy.goodlist.is_empty() {
            return;
        }
        self.note(None, "commit_goodlist: an exempt commit needs `until`, the commit that mends it; the comments in the policy are to be filled in");
        let ids: BTreeSet<&str> = policy.goodlist.iter().map(String::as_str).collect();
        for id in ids {
            if id.parse::<ObjectId>().is_err() {
                self.note(None, &format!("commit_goodlist: `{}` is no full object id, and is left out", shown(id)));
                continue;
            }
            let lines = [
                "[[exempt]]".to_owned(),
                format!("commit = \"{id}\""),
                "until = \"<full id of the commit that mends it>\"".to_owned(),
            ];
            draft
                .ending
                .extend(lines.into_iter().chain(["reason = \"in sequoia-git's commit_goodlist\"".to_owned(), String::new()]));
        }
    }

    fn of_lines(&mut self, lines: &AllowedSigners) -> Draft {
        for skipped in &lines.skipped {
            self.note(Some(skipped.number), &format!("{}; the line is left out, as ssh-keygen skips it", skipped.why));
        }
        if let Some(number) = lines.zoneless {
            self.note(Some(number), "a date without Z is read as UTC; ssh-keygen reads it in the local zone");
        }
        let (mut draft, lost) = signers::draft(lines, clock::now(), &|time| Utc(time).to_string());
        for (line, what) in lost {
            self.note(Some(line), &what);
        }
        for person in &mut draft.principals {
            person.name = shown(&person.name);
        }
        for authority in &mut draft.authorities {
            authority.name = shown(&authority.name);
        }
        draft.heading = self.heading(
            "allowed_signers",
            &[
                "Other than there, who has emails signs what is committed under them, and a certificate names the committer;",
                "a key that has ended is retired, and no date that the signer chose puts anything before its end. What else",
                "became of a line stands above its key, or at the end.",
            ],
        );
        draft
    }

    fn gather(&self, gathered: &mut Gathered, text: &[u8], line: usize) -> Result<Vec<String>> {
        gathered.add(text, line).map_err(|error| match error.line {
            Some(line) => anyhow!("{}:{line}: {}", self.name, error.what),
            None if line > 1 => anyhow!("{}:{line}: {}", self.name, error.what),
            None => anyhow!("{}: {}", self.name, error.what),
        })
    }

    fn take_notes(&mut self, gathered: &Gathered) {
        for note in gathered.notes() {
            self.note(note.line, &note.what);
        }
    }

    /// A certificate as a key of a principal; `None`, with a note, where nothing could be checked by it.
    fn key(&mut self, listed: &Listed) -> Option<DraftKey> {
        let fingerprint = &listed.fingerprint;
        let keys = match &listed.keys {
            Ok(keys) => keys,
            Err(why) => {
                let user = listed.user_ids.first().map(|id| format!(" ({})", text_of(id))).unwrap_or_default();
                self.note(None, &format!("{fingerprint}{user} {why}, and is left out"));
                return None;
            }
        };
        let now = clock::now();
        let mut comments = Vec::new();
        if keys.iter().all(|key| key.is_over(now)) {
            let each: Vec<Vec<String>> = keys.iter().map(|key| what_became_of(key, now)).collect();
            match each.first().filter(|first| each.iter().all(|other| other == *first)) {
                Some(all) => comments.clone_from(all),
                None => {
                    let name = |key: &KeyStanding, what: Vec<String>| -> Vec<String> {
                        what.into_iter().map(|what| format!("its key {}: {what}", key.fingerprint)).collect()
                    };
                    comments.extend(keys.iter().zip(each).flat_map(|(key, what)| name(key, what)));
                }
            }
        }
        self.limited += usize::from(!comments.is_empty());
        let credential = DraftCredential::OpenPgp { fingerprint: fingerprint.clone(), armored: listed.armored.clone() };
        Some(DraftKey { comments, credential, retired: false })
    }
}

/// Why a key can sign nothing any more, and what stands of it.
fn what_became_of(key: &KeyStanding, now: i64) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(revoked) = key.revoked {
        lines.push(match revoked.hard {
            true => format!("revoked as of {}: nothing that it made stands", Utc(revoked.at)),
            false => format!("revoked as superseded or out of use as of {}: stands where it is settled", Utc(revoked.at)),
        });
    } else if let Some(ended) = key.ends.filter(|_| key.has_ended(now)) {
        lines.push(format!("ended at {}: stands where it is settled", Utc(ended)));
    }
    if key.weak {
        lines.push("bound by weak hash functions or algorithms: nothing that it made stands".to_owned());
    }
    lines
}

/// More are not shown of one certificate.
const MOST_USER_IDS: usize = 10;

/// What a user id, or anything else that anybody may have written, is shown as.
fn text_of(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}

/// The end of a fingerprint, which tells two of the same name apart.
fn mark(listed: &Listed) -> String {
    listed.fingerprint.get(listed.fingerprint.len().saturating_sub(16)..).unwrap_or(&listed.fingerprint).to_owned()
}
