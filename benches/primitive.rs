//! Times the bare verification of signatures: keys and signatures parsed and payloads hashed before the clock starts.
//!
//! `git cat-file --batch < ids | primitive --threads 2` prints one line: signatures, of them good, seconds by the
//! clock, seconds of all threads on a core (nan where there is no /proc). With `--keyring FILE` the signatures are OpenPGP's.

#![allow(clippy::print_stdout)] // a program to be run by hand

#[path = "primitive/openpgp.rs"]
mod openpgp;

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::ParsedPublicKey;
use clap::Parser;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use git_warrant::armor;
use git_warrant::object::{Commit, HashAlgorithm};
use git_warrant::signature::ssh::PublicKey;
use git_warrant::signature::ssh::sshsig::{MessageHash, SshSig, signed_data};
use git_warrant::signature::ssh::wire::{Reader, WireError};
use openpgp::Keyring;
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Times the bare verification of signatures.
#[derive(Debug, Parser)]
struct Options {
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The keys of OpenPGP signatures.
    #[arg(long)]
    keyring: Option<PathBuf>,
}

/// All that the primitive needs.
enum Task {
    Ed25519(Arc<VerifyingKey>, Vec<u8>, Signature),
    Rsa(Arc<ParsedPublicKey>, Digest, Vec<u8>),
    /// ECDSA and RSA: aws-lc's `verify_sig` is all but a few nanoseconds of this.
    Other(Arc<PublicKey>, Vec<u8>, Vec<u8>),
}

impl Task {
    fn holds(&self) -> bool {
        match self {
            Self::Ed25519(key, message, signature) => key.verify(message, signature).is_ok(),
            Self::Rsa(key, digest, signature) => key.verify_digest_sig(digest, signature).is_ok(),
            Self::Other(key, message, signature) => key.verify(message, signature).is_ok(),
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let tasks = read(options.keyring.as_deref())?;
    let share = tasks.len().div_ceil(options.threads.max(1)).max(1);
    let (start, spent) = (Instant::now(), processor_seconds());
    let good: usize = thread::scope(|scope| {
        let threads: Vec<_> =
            tasks.chunks(share).map(|part| scope.spawn(|| part.iter().filter(|task| task.holds()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    let (elapsed, spent) = (start.elapsed().as_secs_f64(), processor_seconds() - spent);
    println!("{} {good} {elapsed:.6} {spent:.6}", tasks.len());
    Ok(())
}

/// proc_pid_stat(5): utime and stime, in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { ticks.iter().sum::<f64>() / 100.0 } else { f64::NAN }
}

/// The signed commits that come from `git cat-file --batch`; what cannot be parsed is left out.
fn read(keyring: Option<&Path>) -> Result<Vec<Task>> {
    let mut input = io::stdin().lock();
    let mut keys = Keys { openpgp: keyring.map(Keyring::read).transpose()?, ..Keys::default() };
    let mut tasks = Vec::new();
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let size: usize = line.split_whitespace().nth(2).context("not `git cat-file --batch`")?.parse()?;
        let mut raw = vec![0; size + 1];
        input.read_exact(&mut raw)?;
        raw.pop();
        tasks.extend(keys.task(&raw));
        line.clear();
    }
    Ok(tasks)
}

#[derive(Default)]
struct Keys {
    openpgp: Option<Keyring>,
    ed25519: HashMap<Vec<u8>, Arc<VerifyingKey>>,
    others: HashMap<Vec<u8>, Arc<PublicKey>>,
}

impl Keys {
    fn task(&mut self, raw: &[u8]) -> Option<Task> {
        let commit = Commit::parse(raw, HashAlgorithm::Sha1);
        if let Some(keyring) = &self.openpgp {
            return keyring.task(&commit);
        }
        let (blob, _) = armor::decode_ssh(commit.signature.as_deref()?).ok()?;
        let frame = SshSig::parse(&blob).ok()?;
        let hash = MessageHash::of_name(frame.hash)?;
        let message = signed_data(frame.namespace, frame.reserved, hash, &hash.digest(commit.payload.parts()));
        let key = frame.public_key.to_vec();
        let mut signature = Reader::new(frame.signature);
        if signature.text().ok()? == "ssh-ed25519" {
            let point = ed25519_point(&key).ok()?.try_into().ok()?;
            let parsed = match self.ed25519.get(&key) {
                Some(parsed) => Arc::clone(parsed),
                None => Arc::new(VerifyingKey::from_bytes(point).ok()?),
            };
            self.ed25519.insert(key, Arc::clone(&parsed));
            return Some(Task::Ed25519(parsed, message, Signature::from_slice(signature.string().ok()?).ok()?));
        }
        let parsed = match self.others.get(&key) {
            Some(parsed) => Arc::clone(parsed),
            None => Arc::new(PublicKey::parse(&key).ok()?),
        };
        self.others.insert(key, Arc::clone(&parsed));
        Some(Task::Other(parsed, message, frame.signature.to_vec()))
    }
}

fn ed25519_point(blob: &[u8]) -> Result<&[u8], WireError> {
    let mut reader = Reader::new(blob);
    reader.text()?;
    reader.string()
}
