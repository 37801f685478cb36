//! Makes a repository with a long signed history, and plants invalid commits in it.
//!
//! `cargo run --release --example generate -- --dir DIR` writes DIR/history.git (bare), DIR/allowed_signers, DIR/ids (all
//! commits, newest first) and DIR/planted.tsv (the id of each invalid commit and the code of the reason why it is). With
//! Ed25519 keys only, which is the default, the same options make the same ids. With --openpgp the keys are OpenPGP's, and in
//! place of allowed_signers there are DIR/policy.toml and DIR/keyring.pgp, and an openpgp-policy.toml in the tree, for sq-git.
//! With --keyless people sign by a Sigstore instance; DIR/root.json is its trusted root, beside DIR/policy.toml.
//!
//! Each commit names its parents by ids that cover their signatures, so signing is one chain. Beside it runs compression, and
//! the pack goes straight to `git index-pack`.

#![allow(clippy::print_stdout, clippy::as_conversions)] // a program to be run by hand, with numbers small by construction

#[path = "generate/keyless.rs"]
mod keyless;
#[path = "generate/openpgp.rs"]
mod openpgp;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY as SHA1};
use clap::Parser;
use ed25519_dalek::{Signer as _, SigningKey};
use flate2::{Compression, write::ZlibEncoder};
use git_warrant::armor;
use git_warrant::io::keys;
use git_warrant::signature::ssh::sign::{Signer, SignerError};
use git_warrant::signature::ssh::sshsig::{MessageHash, SshSig, signed_data};
use git_warrant::signature::ssh::wire::Writer;
use rayon::prelude::*;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Makes a repository with a long signed history.
#[derive(Debug, Parser)]
struct Options {
    /// The folder to write to; it must not exist yet.
    #[arg(long)]
    dir: PathBuf,
    /// How many commits.
    #[arg(long, default_value_t = 100_000)]
    commits: usize,
    /// How many keys sign them, a person each.
    #[arg(long, default_value_t = 50)]
    keys: usize,
    /// Of these, how many in a hundred are ECDSA P-256.
    #[arg(long, default_value_t = 0)]
    ecdsa: usize,
    /// Of these, how many in a hundred are RSA of 2048 bits.
    #[arg(long, default_value_t = 0)]
    rsa: usize,
    /// OpenPGP keys, the first half of them RSA of 4096 bits, the others Ed25519.
    #[arg(long, conflicts_with_all = ["ecdsa", "rsa"])]
    openpgp: bool,
    /// Identities instead of keys, with a new certificate for each so many commits of a person.
    #[arg(long, value_name = "COMMITS", conflicts_with_all = ["ecdsa", "rsa", "openpgp"])]
    keyless: Option<std::num::NonZeroUsize>,
    /// The mean length of a message in bytes; the single ones are between nothing and twice that.
    #[arg(long, default_value_t = 300)]
    message_bytes: usize,
    /// How many in a hundred commits are merges.
    #[arg(long, default_value_t = 20)]
    merges: usize,
    /// How many of the newest commits are loose objects.
    #[arg(long, default_value_t = 200)]
    loose: usize,
    /// How many invalid commits are planted.
    #[arg(long, default_value_t = 10)]
    bad: usize,
    /// What the choices and the Ed25519 keys are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Commits that are compressed at a time while the next ones are made.
const BATCH: usize = 2048;
/// How many lines of development go on side by side.
const LANES: usize = 6;
/// The date of the first commit: 2020-01-01. Each of the others is a minute later.
const START: usize = 1_577_836_800;

type Id = [u8; 20];

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.commits > options.bad + LANES, "too few commits");
    ensure!(options.keys > 0 && options.ecdsa + options.rsa <= 100 && options.merges <= 100, "shares must make sense");
    let start = Instant::now();
    fs::create_dir(&options.dir).with_context(|| format!("cannot make {}", options.dir.display()))?;
    let repository = options.dir.join("history.git");
    git(&["init", "--quiet", "--bare", "--object-format=sha1", "--initial-branch=main"], &repository)?;

    let mut keys = Keys::make(&options)?;
    for (name, content) in &keys.files {
        fs::write(options.dir.join(name), content)?;
    }
    let (tree, objects) = tree(keys.tree.as_ref());
    let mut history = History::new(&options, tree);
    let packed = options.commits.saturating_sub(options.loose);
    let mut pack = Pack::begin(&repository, packed + objects.len())?;
    objects.iter().try_for_each(|object| pack.add(object))?;
    let mut batch = history.next(&mut keys, BATCH.min(packed))?;
    while !batch.is_empty() {
        let left = BATCH.min(packed.saturating_sub(history.made));
        let mut compressed = Vec::new();
        let next = rayon::in_place_scope(|scope| {
            scope.spawn(|_| compressed = batch.par_iter().map(|commit| compress(COMMIT, commit)).collect());
            history.next(&mut keys, left)
        });
        compressed.iter().try_for_each(|object| pack.add(object))?;
        batch = next?;
    }
    pack.end()?;
    for raw in history.next(&mut keys, options.commits - packed)? {
        write_loose(&repository, &raw)?;
    }
    let head = hex::encode(history.ids.last().context("no commit")?);
    git(&["update-ref", "refs/heads/main", &head], &repository)?;

    let mut ids = String::new();
    history.ids.iter().rev().for_each(|id| ids.extend([hex::encode(id).as_str(), "\n"]));
    fs::write(options.dir.join("ids"), ids)?;
    let mut planted = String::new();
    for (id, fraud) in &history.planted {
        writeln!(planted, "{}\t{}", hex::encode(id), fraud.code())?;
    }
    fs::write(options.dir.join("planted.tsv"), planted)?;
    println!("{} commits, {} of them invalid, in {:.1} s", options.commits, options.bad, start.elapsed().as_secs_f64());
    Ok(())
}

/// What can be wrong with a planted commit.
#[derive(Clone, Copy)]
enum Fraud {
    Unsigned,
    Message,
    Bit,
    Unlisted,
    Stranger,
    Expired,
    NotYet,
    Namespace,
    Armor,
    OpenPgp,
    Twice,
}

impl Fraud {
    const OPENPGP: [Self; 7] = [Self::Unsigned, Self::Message, Self::Bit, Self::Unlisted, Self::Expired, Self::Armor, Self::Twice];

    const SSH: [Self; 10] = [
        Self::Unsigned,
        Self::Message,
        Self::Bit,
        Self::Unlisted,
        Self::Expired,
        Self::NotYet,
        Self::Namespace,
        Self::Armor,
        Self::OpenPgp,
        Self::Twice,
    ];

    /// The code of the reason for which it must be rejected.
    fn code(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Message | Self::Bit => "bad-signature",
            Self::Unlisted => "key-unlisted",
            Self::Stranger => "identity-unlisted",
            Self::Expired => "key-expired",
            Self::NotYet => "key-not-yet-valid",
            Self::Namespace => "namespace-mismatch",
            Self::Armor => "malformed-signature",
            Self::OpenPgp => "malformed-signature",
            Self::Twice => "duplicate-signature",
        }
    }
}

/// Signs a payload made at a time (seconds since 1970), and writes the armour.
trait Hand {
    fn sign(&mut self, namespace: &str, payload: &[&[u8]], made: i64) -> Result<String>;
}

struct Keys {
    signers: Vec<Box<dyn Hand>>,
    unlisted: Box<dyn Hand>,
    expired: Box<dyn Hand>,
    not_yet: Option<Box<dyn Hand>>,
    /// What can be wrong with what they sign.
    frauds: &'static [Fraud],
    /// What says who may sign: file names and contents.
    files: Vec<(&'static str, Vec<u8>)>,
    /// A file in the tree of all commits.
    tree: Option<(&'static str, Vec<u8>)>,
}

impl Keys {
    fn make(options: &Options) -> Result<Self> {
        if options.openpgp {
            return openpgp::keys(options.keys);
        }
        if let Some(commits) = options.keyless {
            return keyless::keys(options.keys, commits.get());
        }
        let mut random = Random(options.seed);
        let mut allowed = String::new();
        let mut signers: Vec<Box<dyn Hand>> = Vec::new();
        for n in 0..options.keys {
            let share = n * 100 / options.keys;
            let signer = match share {
                _ if share < options.rsa => key_file(&["-t", "rsa", "-b", "2048"])?,
                _ if share < options.rsa + options.ecdsa => key_file(&["-t", "ecdsa", "-b", "256"])?,
                _ => ed25519(&mut random),
            };
            writeln!(allowed, "{} namespaces=\"git\" {}", email(n), openssh(&*signer)?)?;
            signers.push(Box::new(Ssh(signer)));
        }
        let [unlisted, expired, not_yet] = [(); 3].map(|()| ed25519(&mut random));
        writeln!(allowed, "gone@example.org valid-before=\"20190101Z\" {}", openssh(&*expired)?)?;
        writeln!(allowed, "soon@example.org valid-after=\"20700101Z\" {}", openssh(&*not_yet)?)?;
        let [unlisted, expired, not_yet]: [Box<dyn Hand>; 3] = [unlisted, expired, not_yet].map(|key| Box::new(Ssh(key)) as _);
        let files = vec![("allowed_signers", allowed.into_bytes())];
        Ok(Self { signers, unlisted, expired, not_yet: Some(not_yet), frauds: &Fraud::SSH, files, tree: None })
    }
}

fn email(n: usize) -> String {
    format!("person{n}@example.org")
}

struct Ed25519(SigningKey, Vec<u8>);

impl Signer for Ed25519 {
    fn public_key(&self) -> &[u8] {
        &self.1
    }

    fn sign(&mut self, data: &[u8], _: MessageHash) -> Result<Vec<u8>, SignerError> {
        Ok(Writer::default().string(b"ssh-ed25519").string(&self.0.sign(data).to_bytes()).into_bytes())
    }
}

fn ed25519(random: &mut Random) -> Box<dyn Signer> {
    let mut seed = [0; 32];
    seed.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&random.next().to_le_bytes()));
    let key = SigningKey::from_bytes(&seed);
    let blob = Writer::default().string(b"ssh-ed25519").string(key.verifying_key().as_bytes()).into_bytes();
    Box::new(Ed25519(key, blob))
}

/// A key that ssh-keygen makes.
fn key_file(kind: &[&str]) -> Result<Box<dyn Signer>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("key");
    let status = Command::new("ssh-keygen").args(["-q", "-N", "", "-C", "", "-f"]).arg(&path).args(kind).status()?;
    ensure!(status.success(), "ssh-keygen makes no key of {kind:?}");
    Ok(keys::signer(&path, keys::Sources { agent_only: false, socket: None, provider: "internal".as_ref() })?)
}

fn openssh(signer: &dyn Signer) -> Result<String> {
    Ok(git_warrant::signature::ssh::PublicKey::parse(signer.public_key())?.info().to_openssh())
}

/// The id of a tree with one file or none, and what of it is to be packed.
fn tree(file: Option<&(&str, Vec<u8>)>) -> (String, Vec<Vec<u8>>) {
    let (mut entries, mut objects) = (Vec::new(), Vec::new());
    if let Some((name, content)) = file {
        entries = [format!("100644 {name}\0").as_bytes(), &object_id("blob", content)].concat();
        objects.push(compress(BLOB, content));
    }
    objects.push(compress(TREE, &entries));
    (hex::encode(object_id("tree", &entries)), objects)
}

struct History<'a> {
    options: &'a Options,
    /// The tree of all commits.
    tree: String,
    random: Random,
    /// The newest commit of each line of development.
    tips: Vec<Option<Id>>,
    ids: Vec<Id>,
    planted: Vec<(Id, Fraud)>,
    made: usize,
}

impl<'a> History<'a> {
    fn new(options: &'a Options, tree: String) -> Self {
        let random = Random(options.seed ^ 0x5eed);
        Self { options, tree, random, tips: vec![None; LANES], ids: Vec::new(), planted: Vec::new(), made: 0 }
    }

    /// Makes commits, each the child of those before it.
    fn next(&mut self, keys: &mut Keys, count: usize) -> Result<Vec<Vec<u8>>> {
        (0..count).map(|_| self.commit(keys)).collect()
    }

    fn commit(&mut self, keys: &mut Keys) -> Result<Vec<u8>> {
        let number = self.made;
        self.made += 1;
        let lane = self.random.below(LANES);
        let mut parents: Vec<Id> = if self.made == self.options.commits {
            self.tips.iter().copied().flatten().collect() // the last one joins them all
        } else if self.random.below(100) < self.options.merges {
            let other = self.random.below(LANES);
            [lane, other].iter().filter_map(|&lane| self.tips.get(lane).copied().flatten()).collect()
        } else {
            self.tips.get(lane).copied().flatten().or(self.ids.first().copied()).into_iter().collect()
        };
        let mut seen = std::collections::HashSet::new();
        parents.retain(|parent| seen.insert(*parent));
        if parents.is_empty() {
            parents.extend(self.ids.first().copied());
        }

        let person = self.random.below(keys.signers.len());
        let date = START + number * 60;
        let mut head = format!("tree {}\n", self.tree);
        for parent in &parents {
            writeln!(head, "parent {}", hex::encode(parent))?;
        }
        let who = format!("Person {person} <{}> {date} +0100", email(person));
        write!(head, "author {who}\ncommitter {who}\n")?;
        let message = self.message();

        let spacing = self.options.commits / (self.options.bad + 1);
        let place = number / spacing.max(1);
        let fraud = (number > 0 && number.is_multiple_of(spacing) && place <= self.options.bad)
            .then(|| keys.frauds.get((place - 1) % keys.frauds.len()).copied())
            .flatten();
        let signer = match fraud {
            Some(Fraud::Unlisted | Fraud::Stranger) => Some(&mut keys.unlisted),
            Some(Fraud::Expired) => Some(&mut keys.expired),
            Some(Fraud::NotYet) => keys.not_yet.as_mut(),
            _ => keys.signers.get_mut(person),
        };
        let namespace = if matches!(fraud, Some(Fraud::Namespace)) { "file" } else { "git" };
        let payload: [&[u8]; 3] = [head.as_bytes(), b"\n", message.as_bytes()];
        let mut signature = signer.context("no key")?.sign(namespace, &payload, i64::try_from(date)?)?;
        match fraud {
            Some(Fraud::Unsigned) => signature.clear(),
            Some(Fraud::Armor) => {
                let body = signature.find("\n\n").map_or(signature.find('\n'), |at| Some(at + 1)).context("no armour")?;
                signature.replace_range(body + 8..body + 9, "*");
            }
            Some(Fraud::OpenPgp) => signature = signature.replace(" SSH ", " PGP "),
            Some(Fraud::Twice) => signature = format!("{signature}gpgsig {signature}"),
            _ => {}
        }
        let signature = match signature.is_empty() {
            true => String::new(),
            // Of a second header the continuation lines begin with a space too, its first line does not.
            false => format!("gpgsig {}\n", signature.trim_end().replace('\n', "\n ").replace("\n gpgsig", "\ngpgsig")),
        };
        let end = if matches!(fraud, Some(Fraud::Message)) { "Added after signing.\n" } else { "" };
        let mut raw = format!("{head}{signature}\n{message}{end}").into_bytes();
        if matches!(fraud, Some(Fraud::Bit)) {
            // the committer's zone
            let zone = head.len() - 2;
            raw.get_mut(zone).into_iter().for_each(|digit| *digit ^= 1);
        }
        let id = object_id("commit", &raw);
        if let Some(fraud) = fraud {
            self.planted.push((id, fraud));
        }
        self.ids.push(id);
        self.tips.get_mut(lane).into_iter().for_each(|tip| *tip = Some(id));
        Ok(raw)
    }

    fn message(&mut self) -> String {
        const WORDS: [&str; 24] = [
            "add",
            "the",
            "parser",
            "for",
            "fix",
            "a",
            "leak",
            "in",
            "when",
            "walk",
            "is",
            "empty",
            "refs",
            "of",
            "tests",
            "to",
            "make",
            "it",
            "fast",
            "again",
            "remove",
            "unused",
            "option",
            "documentation",
        ];
        let length = self.random.below(2 * self.options.message_bytes + 1);
        let mut message = format!("Change {}", self.made);
        let mut column = message.len();
        message.push_str("\n\n");
        while message.len() < length {
            let word = WORDS.get(self.random.below(WORDS.len())).copied().unwrap_or_default();
            message.push_str(word);
            column = if column > 65 { 0 } else { column + word.len() + 1 };
            message.push(if column == 0 { '\n' } else { ' ' });
        }
        message.push('\n');
        message
    }
}

struct Ssh(Box<dyn Signer>);

impl Hand for Ssh {
    /// As `sign::sign` does, but without checking what was signed: that would take more than half of the time.
    fn sign(&mut self, namespace: &str, payload: &[&[u8]], _: i64) -> Result<String> {
        let hash = MessageHash::Sha512;
        let data = signed_data(namespace.as_bytes(), b"", hash, &hash.digest(payload));
        let signature = self.0.sign(&data, MessageHash::Sha512).map_err(|error| anyhow::anyhow!(error))?;
        let frame = SshSig {
            public_key: self.0.public_key(),
            namespace: namespace.as_bytes(),
            reserved: b"",
            hash: hash.name().as_bytes(),
            signature: &signature,
        };
        Ok(String::from_utf8(armor::encode_ssh(&frame.to_bytes()))?)
    }
}

fn object_id(kind: &str, raw: &[u8]) -> Id {
    let mut hash = digest::Context::new(&SHA1);
    hash.update(format!("{kind} {}\0", raw.len()).as_bytes());
    hash.update(raw);
    let mut id = [0; 20];
    id.copy_from_slice(hash.finish().as_ref());
    id
}

const COMMIT: u8 = 1;
const TREE: u8 = 2;
const BLOB: u8 = 3;

/// An object as it stands in a pack (gitformat-pack(5)).
fn compress(kind: u8, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut byte = kind << 4 | (raw.len() & 15) as u8;
    let mut size = raw.len() >> 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
    deflate(out, &[raw])
}

fn deflate(out: Vec<u8>, parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(out, Compression::default());
    for part in parts {
        let _ = encoder.write_all(part); // memory takes everything
    }
    encoder.finish().unwrap_or_default()
}

/// A pack on its way to `git index-pack`.
struct Pack {
    out: BufWriter<std::process::ChildStdin>,
    hash: digest::Context,
    child: std::process::Child,
}

impl Pack {
    fn begin(repository: &Path, objects: usize) -> Result<Self> {
        let mut child = Command::new("git")
            .arg("--git-dir")
            .arg(repository)
            .args(["index-pack", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let out = BufWriter::new(child.stdin.take().context("no pipe")?);
        let mut pack = Self { out, hash: digest::Context::new(&SHA1), child };
        pack.add(b"PACK\0\0\0\x02")?;
        pack.add(&u32::try_from(objects)?.to_be_bytes())?;
        Ok(pack)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        Ok(self.out.write_all(bytes)?)
    }

    fn end(mut self) -> Result<()> {
        self.out.write_all(self.hash.finish().as_ref())?;
        drop(self.out.into_inner()?);
        ensure!(self.child.wait()?.success(), "git index-pack refuses the pack");
        Ok(())
    }
}

fn write_loose(repository: &Path, raw: &[u8]) -> Result<()> {
    let id = hex::encode(object_id("commit", raw));
    let (folder, name) = id.split_at(2);
    let folder = repository.join("objects").join(folder);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), deflate(Vec::new(), &[format!("commit {}\0", raw.len()).as_bytes(), raw]))?)
}

fn git(args: &[&str], repository: &Path) -> Result<()> {
    let status = Command::new("git").arg("--git-dir").arg(repository).args(args).status()?;
    ensure!(status.success(), "git {args:?} failed");
    Ok(())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
