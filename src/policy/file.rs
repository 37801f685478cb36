//! Policy files in TOML, format version 1: who signs, with which keys, and in what state these are.
//!
//! What a file says that this version does not know would be passed over silently by a careless reader, and change verdicts
//! without a word: here every unknown key is an error, with its place.

pub mod edit;
mod fields;
mod keyless;
pub mod sequoia;
mod x509;

pub use fields::FileError;
pub use keyless::{AUTHORITY, EMBEDDED, Identity, Require, RootName, SigstoreEntry};
pub use x509::{X509Entry, X509Identity};

use super::pattern::PatternList;
use super::preset;
use super::public_key::{ListedKey, read_key};
use crate::object::ObjectId;
use fields::{Fields, of_version};
use std::collections::HashMap;

/// A whole file.
#[derive(Clone, Debug, Default)]
pub struct PolicyFile {
    /// These and their ancestors are not judged.
    pub baseline: Vec<ObjectId>,
    /// These and their ancestors (tags: by themselves) were judged under an earlier policy.
    pub settled: Vec<ObjectId>,
    /// Who signs.
    pub principals: Vec<PrincipalEntry>,
    /// Whose SSH certificates are believed.
    pub authorities: Vec<AuthorityEntry>,
    /// Which Sigstore instances are believed.
    pub sigstores: Vec<SigstoreEntry>,
    /// Whose S/MIME certificates are believed.
    pub x509s: Vec<X509Entry>,
    /// Single commits that stand all the same.
    pub exempt: Vec<Exempt>,
}

/// Who, or what, a principal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody.
    #[default]
    Person,
    /// A program that commits by itself.
    Bot,
    /// A forge, which signs for any of its users: its signature says only that the forge made the object.
    Forge,
}

impl Kind {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Bot => "bot",
            Self::Forge => "forge",
        }
    }
}

/// A person, a bot or a forge, with keys.
#[derive(Clone, Debug)]
pub struct PrincipalEntry {
    /// The name in the file.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The committer e-mails that are this person's; empty: not bound.
    pub emails: Vec<String>,
    /// The keys: those in the file, in its order, and behind them those of the preset that are not.
    pub keys: Vec<KeyEntry>,
}

/// A key of a principal.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The key.
    pub credential: Credential,
    /// Its line in the file.
    pub line: usize,
    /// Its state.
    pub status: Status,
    /// Whether the token must have been touched.
    pub touch: bool,
    /// Whether the token must have seen a PIN or a fingerprint.
    pub pin: bool,
    /// Whether it is there by a preset, and not in the file.
    pub preset: bool,
}

/// What somebody signs with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An SSH key.
    Ssh(ListedKey),
    /// An OpenPGP certificate.
    OpenPgp {
        /// The bytes of its fingerprint.
        fingerprint: Vec<u8>,
        /// The certificate itself, where the file holds it; else it lies beside.
        certificate: Option<String>,
    },
    /// A keyless identity.
    Keyless(Identity),
    /// An address in S/MIME certificates.
    X509(X509Identity),
}

impl Credential {
    /// What signatures are found by.
    pub fn blob(&self) -> &[u8] {
        match self {
            Self::Ssh(key) => &key.blob,
            Self::OpenPgp { fingerprint, .. } => fingerprint,
            Self::Keyless(identity) => &identity.blob,
            Self::X509(identity) => &identity.blob,
        }
    }

    /// The fingerprint, as reports write it; of an identity its name.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Ssh(key) => key.fingerprint.clone(),
            Self::OpenPgp { fingerprint, .. } => hex::encode_upper(fingerprint),
            Self::Keyless(identity) => identity.subject.name().to_owned(),
            Self::X509(identity) => identity.address.clone(),
        }
    }
}

/// An authority for SSH certificates.
#[derive(Clone, Debug)]
pub struct AuthorityEntry {
    /// The name in the file.
    pub name: String,
    /// Its key.
    pub key: ListedKey,
    /// Its line in the file.
    pub line: usize,
    /// Its state.
    pub status: Status,
    /// For which names of certificates it may speak.
    pub principals: PatternList,
    /// A revocation list, a file beside the policy.
    pub krl: Option<String>,
    /// Names for which it speaks no more.
    pub deny: Vec<String>,
}

/// The state of a key. It goes from active to retired to compromised, never back. What a log or a timestamp authority proves to
/// have been there before the end stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// In use.
    #[default]
    Active,
    /// Not used any more: stands where it is settled.
    Retired {
        /// When it ended.
        before: Option<i64>,
    },
    /// In foreign hands: stands only at or below what was looked through.
    Compromised {
        /// What was looked through.
        audited: Vec<ObjectId>,
        /// When it was last in good hands.
        before: Option<i64>,
    },
}

impl Status {
    /// What was looked through.
    pub fn audited(&self) -> &[ObjectId] {
        match self {
            Self::Active | Self::Retired { .. } => &[],
            Self::Compromised { audited, .. } => audited,
        }
    }
}

/// A single commit that stands, as long as what mends it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// The commit.
    pub commit: ObjectId,
    /// The commit that mends it.
    pub until: ObjectId,
    /// Why.
    pub reason: String,
    /// Its line in the file.
    pub line: usize,
}

impl PolicyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// At the first thing that is not as this version of the format has it, with its line and column.
    pub fn parse(text: &[u8]) -> Result<Self, FileError> {
        of_version(text, 1, Self::of_root)
    }

    fn of_root(root: Fields<'_>) -> Result<Self, FileError> {
        let mut authorities = (Vec::new(), Vec::new(), Vec::new());
        for fields in root.named_tables("authorities")? {
            match (fields.string("trusted-root")?, fields.string("x509")?) {
                (Some(root), None) => authorities.1.push(keyless::sigstore(fields, root)?),
                (None, Some(roots)) => authorities.2.push(x509::authority(fields, roots)?),
                (None, None) => authorities.0.push(authority(fields)?),
                (Some(_), Some(_)) => {
                    return Err(fields.error_at("x509", "an authority is of one kind: give it a table of its own"));
                }
            }
        }
        let mut file = Self {
            baseline: root.ids("baseline")?,
            settled: root.ids("settled")?,
            principals: root.named_tables("principals")?.into_iter().map(principal).collect::<Result<_, _>>()?,
            authorities: authorities.0,
            sigstores: authorities.1,
            x509s: authorities.2,
            exempt: root.tables("exempt")?.into_iter().map(exempt).collect::<Result<_, _>>()?,
        };
        root.finish(&["roots", "rules", "paths", "algorithms"])?;
        file.principals.sort_by(|a, b| a.name.cmp(&b.name));
        file.refuse_shared_keys(&root)?;
        file.check_keyless(&root)?;
        let keys = file.principals.iter().flat_map(|person| &person.keys);
        let identities = keys.filter_map(|key| match &key.credential {
            Credential::X509(identity) => Some((identity, key.line)),
            _ => None,
        });
        x509::check(&root, identities, &file.x509s)?;
        let speaks = file.x509s.iter().any(|it| it.principals.is_some()) || !file.authorities.is_empty();
        if file.principals.iter().all(|principal| principal.keys.is_empty()) && !speaks {
            return Err(root.error(
                "nobody could sign anything: no principal has a key, and no authority says for whom it speaks (`principals`)",
            ));
        }
        Ok(file)
    }

    /// All ids that it names.
    pub fn ids(&self) -> impl Iterator<Item = &ObjectId> {
        let of_keys = self.principals.iter().flat_map(|person| &person.keys).flat_map(|key| key.status.audited());
        let of_authorities = self.authorities.iter().map(|it| &it.status).chain(self.sigstores.iter().map(|it| &it.status));
        let of_authorities = of_authorities.chain(self.x509s.iter().map(|it| &it.status)).flat_map(Status::audited);
        let exempt = self.exempt.iter().flat_map(|exempt| [&exempt.commit, &exempt.until]);
        self.baseline.iter().chain(&self.settled).chain(of_keys).chain(of_authorities).chain(exempt)
    }

    /// The files beside the policy that it names.
    pub fn named_files(&self) -> impl Iterator<Item = String> {
        let keys = self.principals.iter().flat_map(|person| &person.keys);
        let certificates = keys.filter_map(|key| match &key.credential {
            Credential::OpenPgp { certificate: None, .. } => Some(certificate_file(&key.credential.fingerprint())),
            _ => None,
        });
        let roots = self.sigstores.iter().filter_map(|it| match &it.root {
            RootName::File(name) => Some(name.clone()),
            RootName::Embedded(_) => None,
        });
        let of_x509 = self.x509s.iter().flat_map(|it| [Some(it.roots.clone()), it.crl.clone()]).flatten();
        self.authorities.iter().filter_map(|authority| authority.krl.clone()).chain(certificates).chain(roots).chain(of_x509)
    }

    /// An identity needs somebody who vouches for it, and a trusted root means one thing.
    fn check_keyless(&self, root: &Fields<'_>) -> Result<(), FileError> {
        let keys = self.principals.iter().flat_map(|person| &person.keys);
        let identity = keys.clone().find(|key| matches!(key.credential, Credential::Keyless(_)));
        if let Some(key) = identity.filter(|_| self.sigstores.is_empty()) {
            let what =
                "no authority vouches for keyless identities: add [authorities.sigstore] with trusted-root = \"public-good\"";
            return Err(root.error_on(key.line, what));
        }
        for key in keys {
            let Credential::Keyless(identity) = &key.credential else { continue };
            let named = identity.claims.iter().find(|(claim, _)| *claim == AUTHORITY).map(|(_, name)| name);
            if let Some(name) = named.filter(|name| !self.sigstores.iter().any(|it| it.name == **name)) {
                let what = format!("`ca` = `{name}` names no Sigstore instance: add [authorities.{name}] with a trusted-root");
                return Err(root.error_on(key.line, &what));
            }
        }
        for (index, entry) in self.sigstores.iter().enumerate() {
            if let Some(other) = self.sigstores.iter().take(index).find(|other| other.root == entry.root) {
                let what = format!("{} and {} have the same trusted root", other.name, entry.name);
                return Err(root.error_on(entry.line, &what));
            }
        }
        Ok(())
    }

    /// A key listed twice would have two states.
    fn refuse_shared_keys(&self, root: &Fields<'_>) -> Result<(), FileError> {
        let keys = |person: &'_ PrincipalEntry| -> Vec<_> {
            person.keys.iter().map(|it| (it.credential.blob().to_vec(), it.credential.fingerprint(), it.line)).collect()
        };
        let of_persons = self.principals.iter().flat_map(|person| keys(person).into_iter().map(|key| (key, person.name.as_str())));
        let of_authorities = self.authorities.iter().map(|it| {
            let key = (it.key.blob.clone(), it.key.fingerprint.clone(), it.line);
            (key, it.name.as_str())
        });
        let mut seen: HashMap<Vec<u8>, &str> = HashMap::new();
        for ((blob, fingerprint, line), name) in of_persons.chain(of_authorities) {
            if let Some(other) = seen.insert(blob, name) {
                return Err(root.error_on(line, &format!("the key {fingerprint} is listed twice (under {other} and {name})")));
            }
        }
        Ok(())
    }
}

fn principal(fields: Fields<'_>) -> Result<PrincipalEntry, FileError> {
    let name = fields.name().to_owned();
    let kind = match fields.string("kind")?.as_deref() {
        None | Some("person") => Kind::Person,
        Some("bot") => Kind::Bot,
        Some("forge") => Kind::Forge,
        Some(kind) => return Err(fields.error_at("kind", &format!("`{kind}` is none of person, bot, forge"))),
    };
    if fields.has("may") {
        return Err(fields.error_at("may", MAY));
    }
    let emails = fields.strings("emails")?;
    if emails.as_ref().is_some_and(Vec::is_empty) {
        return Err(fields.error_at("emails", "an empty list binds to nobody; leave it out to bind to none"));
    }
    if kind == Kind::Forge && emails.is_some() {
        return Err(fields.error_at("emails", "a forge signs for any of its users, so no address is its own; leave it out"));
    }
    if emails.iter().flatten().any(|email| email.trim() != email || email.is_empty()) {
        return Err(fields.error_at("emails", "an address is empty, or has a space at its end"));
    }
    if let Some(pattern) = emails.iter().flatten().find(|email| is_pattern(email)) {
        return Err(fields.error_at("emails", &format!("`{pattern}` is a pattern; addresses are meant, letter by letter")));
    }
    let mut keys = fields.tables("keys")?.into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
    if let Some(named) = fields.string("preset")? {
        let preset = preset::keys(&named)
            .ok_or_else(|| fields.error_at("preset", &format!("`{named}` is no preset; there is {}", preset::NAMES.join(", "))))?;
        if kind != Kind::Forge {
            return Err(fields.error_at("preset", "its keys are those of a forge: say kind = \"forge\""));
        }
        take_preset(preset, fields.line_of("preset"), &mut keys);
    }
    fields.finish(&["roles"])?;
    Ok(PrincipalEntry { name, kind, emails: emails.unwrap_or_default(), keys })
}

const MAY: &str = "it is not in this version: whether a merge is clean is not found out yet, so a forge without it may sign whatever it signs anywhere; to accept but single commits of a forge, leave it out of the policy and name them in [[exempt]]";

/// Adds the keys of a preset. One that the file lists as well is as the file says, with the certificate of the preset where the
/// file has none.
fn take_preset(preset: &[(&str, &str)], line: usize, keys: &mut Vec<KeyEntry>) {
    for (digits, armored) in preset {
        let Some(wanted) = fingerprint(digits) else { continue };
        let listed = keys.iter_mut().find_map(|key| match &mut key.credential {
            Credential::OpenPgp { fingerprint, certificate } if *fingerprint == wanted => Some(certificate),
            _ => None,
        });
        match listed {
            Some(certificate) => {
                certificate.get_or_insert_with(|| (*armored).to_owned());
            }
            None => keys.push(KeyEntry {
                credential: Credential::OpenPgp { fingerprint: wanted, certificate: Some((*armored).to_owned()) },
                line,
                status: Status::Active,
                touch: false,
                pin: false,
                preset: true,
            }),
        }
    }
}

/// Where an OpenPGP certificate lies that the policy does not hold itself, beside the policy.
pub fn certificate_file(fingerprint: &str) -> String {
    format!("certs/{fingerprint}.pgp")
}

fn key(mut fields: Fields<'_>) -> Result<KeyEntry, FileError> {
    let forms = (fields.string("ssh")?, fields.string("openpgp")?, fields.string("keyless")?, fields.string("x509")?);
    let credential = match forms {
        (Some(text), None, None, None) => Credential::Ssh(public_key(&fields, "ssh", &text)?),
        (None, None, Some(name), None) => Credential::Keyless(keyless::identity(&fields, &name)?),
        (None, None, None, Some(address)) => Credential::X509(x509::identity(&fields, address)?),
        (None, Some(text), None, None) => {
            let fingerprint = fingerprint(&text).ok_or_else(|| {
                fields.error_at("openpgp", "a whole fingerprint is needed here, 40 or 64 hexadecimal digits (gpg --fingerprint)")
            })?;
            Credential::OpenPgp { fingerprint, certificate: fields.string("cert")? }
        }
        (None, None, None, None) => {
            fields.finish(&[])?;
            return Err(fields.error(
                "`ssh = \"type base64\"`, `openpgp = \"fingerprint\"`, `keyless = \"identity\"` or `x509 = \"address\"` is missing",
            ));
        }
        (ssh, pgp, keyless, _) => {
            let second = match (pgp, keyless) {
                (Some(_), _) if ssh.is_some() => "openpgp",
                (_, Some(_)) => "keyless",
                _ => "x509",
            };
            return Err(fields.error_at(second, "one key has one form: put it into a table of its own"));
        }
    };
    let entry = KeyEntry {
        line: fields.line(),
        status: status(&mut fields)?,
        touch: fields.boolean("touch")?.unwrap_or(false),
        pin: fields.boolean("pin")?.unwrap_or(false),
        preset: false,
        credential,
    };
    let on_token = matches!(&entry.credential, Credential::Ssh(key) if key.algorithm.starts_with("sk-"));
    if (entry.touch || entry.pin) && !on_token {
        return Err(fields.error("touch and pin can be asked of FIDO keys (sk-…) only"));
    }
    fields.finish(&[])?;
    Ok(entry)
}

/// The bytes of a fingerprint, which may be written in groups.
fn fingerprint(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    hex::decode(digits).ok().filter(|bytes| matches!(bytes.len(), 20 | 32))
}

fn authority(mut fields: Fields<'_>) -> Result<AuthorityEntry, FileError> {
    let later = ["roles", "grace"];
    let name = fields.name().to_owned();
    let Some(text) = fields.string("ssh-ca")? else {
        fields.finish(&later)?;
        return Err(
            fields.error("`ssh-ca = \"type base64\"`, `x509 = \"roots.pem\"` or `trusted-root = \"public-good\"` is missing")
        );
    };
    let key = public_key(&fields, "ssh-ca", &text)?;
    let Some(principals) = patterns(&fields)? else {
        return Err(fields.error("`principals = [\"*@example.org\"]` is missing: for which names may the authority speak?"));
    };
    let deny = fields.strings("deny")?.unwrap_or_default();
    if let Some(name) = deny.iter().find(|name| name.is_empty() || is_pattern(name)) {
        let what = format!("`{name}` is no name; deny lists names letter by letter, and `principals` takes `!` patterns");
        return Err(fields.error_at("deny", &what));
    }
    let entry = AuthorityEntry {
        name,
        key,
        line: fields.line(),
        status: status(&mut fields)?,
        principals,
        krl: fields.string("krl")?,
        deny,
    };
    fields.finish(&later)?;
    Ok(entry)
}

/// For which names an authority may speak; `None` where it does not say.
fn patterns(fields: &Fields<'_>) -> Result<Option<PatternList>, FileError> {
    let Some(principals) = fields.strings("principals")?.filter(|list| !list.is_empty()) else { return Ok(None) };
    if let Some(bad) = principals.iter().find(|item| item.is_empty() || item.contains(',')) {
        return Err(fields.error_at("principals", &format!("`{bad}` is not one pattern")));
    }
    if principals.iter().all(|item| item.starts_with('!')) {
        return Err(fields.error_at("principals", "it names nobody: `!` only takes away"));
    }
    Ok(Some(PatternList::new(principals.join(",").as_bytes())))
}

/// Whether somebody took a place for names to be one for patterns.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?']) || name.starts_with('!')
}

fn public_key(fields: &Fields<'_>, name: &str, text: &str) -> Result<ListedKey, FileError> {
    match read_key(text.as_bytes()) {
        Ok(key) if key.certificate.is_none() => Ok(key),
        Ok(_) => Err(fields.error_at(name, "this is a certificate; give the plain key")),
        Err(_) => Err(fields.error_at(name, "not a public key of the form `type base64`")),
    }
}

fn status(fields: &mut Fields<'_>) -> Result<Status, FileError> {
    let before = fields.time("before")?;
    let audited = fields.ids("audited")?;
    fields.string("reason")?;
    let status = fields.string("status")?;
    match status.as_deref() {
        None | Some("active") if before.is_some() => {
            Err(fields.error_at("before", "an active key has no end; say status = \"retired\""))
        }
        None | Some("active" | "retired") if !audited.is_empty() => {
            Err(fields.error_at("audited", "only what a compromised key signed is audited"))
        }
        None | Some("active") => Ok(Status::Active),
        Some("retired") => Ok(Status::Retired { before }),
        Some("compromised") => Ok(Status::Compromised { audited, before }),
        Some(other) => Err(fields.error_at("status", &format!("`{other}` is none of active, retired, compromised"))),
    }
}

fn exempt(fields: Fields<'_>) -> Result<Exempt, FileError> {
    let commit = fields.id("commit")?.ok_or_else(|| fields.error("`commit` is missing"))?;
    let until = fields.id("until")?.ok_or_else(|| fields.error("`until` is missing: the commit that mends it"))?;
    if commit == until {
        return Err(fields.error_at("until", "a commit cannot mend itself: name the later one that does"));
    }
    let reason = fields.string("reason")?.ok_or_else(|| fields.error("`reason` is missing"))?;
    fields.finish(&[])?;
    Ok(Exempt { commit, until, reason, line: fields.line() })
}

#[cfg(test)]
mod tests;
