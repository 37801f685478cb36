//! Trusted roots and signing configurations from a TUF repository (The Update Framework, specification 1.0, §5): what a mirror
//! says is believed only by signatures that go back to a root known before, never older than what was seen, and not past its end.
//!
//! The workflow itself is sigstore-tuf's; this file gives it bytes (bounded, of plain names, looked through by [`crate::tuf`]),
//! keeps what it verified in one file, and holds it to the newest timestamp and snapshot ever seen, even where the rest did not
//! come through.

use super::Http;
use super::http::Service;
use crate::io::trust::{Files, Folder, SIGNING_CONFIG, TRUSTED_ROOT};
use crate::signature::x509::Root as TrustedRoot;
use crate::signature::x509::sign::SigningConfig;
use crate::tuf::check;
use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use sigstore_tuf::cache::MetadataStore;
use sigstore_tuf::client::Updater;
use sigstore_tuf::metadata::{Metadata, Role, RoleKeys, Snapshot, Timestamp};
use sigstore_tuf::transport::{FetchFuture, Repository, UpdaterConfig};
use sigstore_tuf::{Error as TufError, Result as TufResult};
use std::collections::BTreeSet;
use std::error::Error as _;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Waiting, Poll, Waker};

/// The repositories that are known by name: where they are, and a root of each to begin with. The roots are those that
/// sigstore-trust-root 0.15.1 (crates.io) carries in its folder `repository`. Root 16 of the public instance is signed by all five
/// keys of root 14, which sigstore-go 1.2.1 carries.
const KNOWN: [(&str, &str, &[u8]); 3] = [
    ("public-good", "https://tuf-repo-cdn.sigstore.dev", include_bytes!("tuf/public-good.root.json")),
    ("staging", "https://tuf-repo-cdn.sigstage.dev", include_bytes!("tuf/staging.root.json")),
    ("github", "https://tuf-repo.github.com", include_bytes!("tuf/github.root.json")),
];

const MOST_ROOT: u64 = 512 << 10;
const MOST_TIMESTAMP: u64 = 16 << 10;
const MOST_METADATA: u64 = 4 << 20;
const MOST_TARGET: u64 = 16 << 20;
/// The root that trust began with, in a state.
const FIRST: &str = "first.root.json";
/// The newest timestamp that was seen where not all came that it leads to, and the newest snapshot.
const SEEN: &str = "seen.timestamp.json";
const SEEN_SNAPSHOT: &str = "seen.snapshot.json";
/// When a state was last fetched whole, and the root of then.
const WHEN: &str = "fetched";
const FETCHED_ROOT: &str = "fetched.root.json";

/// A TUF repository.
pub struct Mirror {
    service: Service,
    first: Option<&'static [u8]>,
}

/// What an update gave.
pub struct Fetched {
    /// `trusted_root.json`.
    pub trusted_root: String,
    /// Whether there is a signing configuration as well.
    pub signing_config: bool,
    /// What was verified, a line each.
    pub lines: Vec<String>,
}

impl Mirror {
    /// A mirror by its name, or at a URL.
    ///
    /// # Errors
    /// Where the URL makes no sense.
    pub fn named(named: &str) -> Result<Self> {
        let known = KNOWN.iter().find(|(name, url, _)| *name == named || *url == named.trim_end_matches('/'));
        let url = known.map_or(named, |(_, url, _)| url);
        let mend = "nothing that was known before is changed; try again later, or name another: --mirror URL";
        let service = Service::new("the TUF mirror", url, mend)?;
        Ok(Self { service, first: known.map(|(_, _, root)| *root) })
    }

    /// Whether a name or a URL is of Sigstore's public instance.
    pub fn is_public(named: &str) -> bool {
        Self::named(named).is_ok_and(|mirror| KNOWN.first().is_some_and(|(_, url, _)| mirror.url() == *url))
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.service.url
    }

    /// Fetches what is newest, beginning with what is known, or with a root that is given.
    ///
    /// # Errors
    /// Where anything does not come, or is not to be believed: then what was known before stays as it is.
    pub fn update(&self, http: Http, given: Option<&[u8]>, now: i64) -> Result<Fetched> {
        let folder = Folder::open(self.url())?;
        let before = folder.read()?;
        let first = self.first_root(&before, given).with_context(|| format!("the state in {}", folder.path().display()))?;
        let text = String::from_utf8(first).map_err(|_| anyhow!("the root is no JSON"))?;
        check(text.as_bytes()).context("the root to begin with")?;
        let mut files = before.clone();
        files.insert(FIRST.to_owned(), text.clone());
        let root = before.get(FETCHED_ROOT).or(before.get("root.json")).cloned();
        let store = Arc::new(Store { files: Mutex::new(files), root });
        let fetched = self.fetch(http, &store, text.as_bytes(), &Seen::of(&before), now);
        let mut reached = store.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match fetched {
            Ok(fetched) => {
                reached.retain(|name, _| name != SEEN && name != SEEN_SNAPSHOT);
                reached.insert(WHEN.to_owned(), now.to_string());
                let root = reached.get("root.json").cloned();
                reached.extend(root.map(|root| (FETCHED_ROOT.to_owned(), root)));
                folder.write(&reached)?;
                Ok(fetched)
            }
            Err(error) => {
                let kept = after_failure(&before, &reached);
                if kept != before {
                    folder.write(&kept)?;
                }
                Err(error)
            }
        }
    }

    /// The root that trust began with.
    fn first_root(&self, files: &Files, given: Option<&[u8]>) -> Result<Vec<u8>> {
        let kept = files.get(FIRST).map(String::as_bytes);
        let Some(given) = given else {
            // a newer one of this program's own is where a new installation would begin
            let known = self.first.filter(|known| kept.is_none_or(|kept| version(kept) < version(known)));
            let first = known.or(kept).map(<[u8]>::to_vec);
            return first.with_context(|| {
                format!("no root of {} is known to begin with; name one that you trust: --root FILE", self.url())
            });
        };
        let known = files.iter().any(|(name, text)| (name == FIRST || is_root(name)) && text.as_bytes() == given);
        if kept.is_some() && !known {
            bail!("trust in {} began with another root; remove the folder to begin anew with the one that is given", self.url());
        }
        Ok(kept.unwrap_or(given).to_vec())
    }

    fn fetch(&self, http: Http, store: &Arc<Store>, first: &[u8], seen: &Seen, now: i64) -> Result<Fetched> {
        let now = jiff::Timestamp::from_second(now).context("the clock is out of range")?;
        let wrong = |error: TufError| self.error(&error);
        let mut config = UpdaterConfig::default();
        config.root_max_length = MOST_ROOT;
        config.timestamp_max_length = MOST_TIMESTAMP;
        (config.snapshot_max_length, config.targets_max_length) = (MOST_METADATA, MOST_METADATA);
        config.target_max_length = MOST_TARGET;
        config.max_delegations = 1; // the top-level role itself speaks for what is fetched here
        let files = Remote { http, service: self.service.clone() };
        let mut updater = Updater::new(files, first).map_err(wrong)?.with_config(config).with_store(Arc::clone(store));
        now_or_never(updater.refresh(now))?.map_err(wrong)?;
        self.refuse_older(&updater, seen)?;
        let mut target = |name: &str| -> Result<Option<String>> {
            let bytes = match now_or_never(updater.get_target(name, now))? {
                Ok(bytes) => bytes,
                Err(TufError::TargetNotFound(_)) => return Ok(None),
                Err(error) => return Err(self.error(&error)),
            };
            String::from_utf8(bytes).map(Some).map_err(|_| self.service.error(format!("its {name} is no JSON")))
        };
        let root = target(TRUSTED_ROOT)?.ok_or_else(|| self.service.error(format!("it has no {TRUSTED_ROOT}")))?;
        TrustedRoot::parse(root.as_bytes(), TRUSTED_ROOT).map_err(|error| self.service.error(error))?;
        let signing = target(SIGNING_CONFIG)?;
        if let Some(signing) = &signing {
            SigningConfig::parse(signing.as_bytes())
                .map_err(|error| self.service.error(format!("its {SIGNING_CONFIG}: {error}")))?;
        }
        let mut files = store.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(TRUSTED_ROOT.to_owned(), root.clone());
        match &signing {
            Some(signing) => files.insert(SIGNING_CONFIG.to_owned(), signing.clone()),
            None => files.remove(SIGNING_CONFIG),
        };
        Ok(Fetched { trusted_root: root, signing_config: signing.is_some(), lines: lines(&files) })
    }

    /// Not older than what came once without all that it leads to, as far as today's keys have signed that.
    fn refuse_older(&self, updater: &Updater, seen: &Seen) -> Result<()> {
        let trusted = updater.trusted();
        let root = trusted.root();
        let signed = |role: &str, by: &dyn Fn(&RoleKeys) -> bool| root.role(role).is_some_and(by);
        let older = |what: &str, now: u64, then: u64| {
            self.service.error(format!("its {what} has the version {now}, and {then} was seen before (a rollback)"))
        };
        if let Some(seen) = &seen.timestamp
            && signed("timestamp", &|role| seen.verify_threshold(&root.keys, role, "timestamp").is_ok())
        {
            let (now, then) = (trusted.timestamp().map(versions).unwrap_or_default(), versions(seen.signed()));
            match (now, then) {
                ((now, _), (then, _)) if now < then => return Err(older("timestamp", now, then)),
                ((_, now), (_, then)) if now < then => return Err(older("snapshot", now, then)),
                _ => {}
            }
        }
        if let Some(seen) = &seen.snapshot
            && signed("snapshot", &|role| seen.verify_threshold(&root.keys, role, "snapshot").is_ok())
        {
            let (now, then) = (trusted.snapshot().map_or(0, targets_version), targets_version(seen.signed()));
            if now < then {
                return Err(older("targets.json", now, then));
            }
        }
        Ok(())
    }

    fn error(&self, error: &TufError) -> anyhow::Error {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        if text.contains("root rotations") {
            text.push_str("; so many are taken at a time, run it again to go on from there");
        }
        match text.split_once(AS_IT_IS) {
            Some((_, said)) => anyhow!("{said}"),
            None => self.service.error(text),
        }
    }
}

/// What was verified in former runs that failed before their end.
struct Seen {
    timestamp: Option<Metadata<Timestamp>>,
    snapshot: Option<Metadata<Snapshot>>,
}

impl Seen {
    fn of(files: &Files) -> Self {
        Self { timestamp: parsed(files, SEEN), snapshot: parsed(files, SEEN_SNAPSHOT) }
    }
}

fn parsed<T: Role>(files: &Files, name: &str) -> Option<Metadata<T>> {
    Metadata::from_slice(files.get(name)?.as_bytes()).ok()
}

/// The version of a timestamp, and of the snapshot that it names.
fn versions(timestamp: &Timestamp) -> (u64, u64) {
    (timestamp.version, timestamp.snapshot_meta().map_or(0, |snapshot| snapshot.version))
}

/// The version of the targets that a snapshot names; delegated roles are not followed.
fn targets_version(snapshot: &Snapshot) -> u64 {
    snapshot.meta.get("targets.json").map_or(0, |targets| targets.version)
}

/// What is kept of a run that failed: new roots, and how new timestamp and snapshot were; the rest as it was before, since it
/// belongs together.
fn after_failure(before: &Files, reached: &Files) -> Files {
    let mut kept = before.clone();
    let new = |name: &str| reached.get(name).filter(|text| before.get(name) != Some(*text)).cloned();
    let chain =
        reached.get("root.json").map(|root| version(root.as_bytes())) > reached.get(FIRST).map(|root| version(root.as_bytes()));
    if !before.contains_key(FIRST) && !chain && new(TIMESTAMP).is_none() {
        return kept; // a first root of which the mirror knew nothing: trust has not begun
    }
    let first = reached.get(FIRST).filter(|_| !before.contains_key(FIRST));
    kept.extend(first.map(|first| (FIRST.to_owned(), first.clone())));
    kept.extend(reached.iter().filter(|(name, _)| is_root(name)).map(|(name, text)| (name.clone(), text.clone())));
    let (was, now) = (Seen::of(before), Seen { timestamp: parsed(reached, TIMESTAMP), snapshot: parsed(reached, SNAPSHOT) });
    // what is lower in any of its versions would lower what is to be reached the next time
    let timestamp = now.timestamp.is_some_and(|now| {
        was.timestamp.is_none_or(|was| {
            let (was, now) = (versions(was.signed()), versions(now.signed()));
            was.0 < now.0 && was.1 <= now.1
        })
    });
    let snapshot = now
        .snapshot
        .is_some_and(|now| was.snapshot.is_none_or(|was| targets_version(was.signed()) <= targets_version(now.signed())));
    kept.extend(new(TIMESTAMP).filter(|_| timestamp).map(|text| (SEEN.to_owned(), text)));
    kept.extend(new(SNAPSHOT).filter(|_| snapshot).map(|text| (SEEN_SNAPSHOT.to_owned(), text)));
    kept
}

/// What a state says of itself, a line each: which metadata, and until when.
pub fn lines(files: &Files) -> Vec<String> {
    #[derive(Deserialize)]
    struct Envelope {
        signed: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        version: u64,
        expires: String,
    }
    let roles = [("root", "root.json"), ("timestamp", TIMESTAMP), ("snapshot", SNAPSHOT), ("targets", "targets.json")];
    let line = |(role, name): (&str, &str)| {
        let read: Envelope = serde_json::from_str(files.get(name)?).ok()?;
        Some(format!("{role} {}, until {}", read.signed.version, read.signed.expires))
    };
    roles.into_iter().filter_map(line).collect()
}

/// When a state was fetched, in seconds since 1970.
pub fn when(files: &Files) -> Option<i64> {
    files.get(WHEN)?.parse().ok()
}

/// When the part of a state that lasts the least ends, in seconds since 1970.
pub fn ends(files: &Files) -> Option<i64> {
    let expires = |name: &&str| {
        let value: serde_json::Value = serde_json::from_str(files.get(*name)?).ok()?;
        let text = value.pointer("/signed/expires")?.as_str()?;
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
    };
    ["root.json", TIMESTAMP, SNAPSHOT, "targets.json"].iter().filter_map(expires).min()
}

const TIMESTAMP: &str = "timestamp.json";
const SNAPSHOT: &str = "snapshot.json";

fn is_root(name: &str) -> bool {
    name == "root.json" || name.starts_with("root_history/")
}

fn version(root: &[u8]) -> u64 {
    let value: Option<serde_json::Value> = serde_json::from_slice(root).ok();
    value.and_then(|value| value.pointer("/signed/version")?.as_u64()).unwrap_or(0)
}

/// What was verified, until it is known whether all of it was.
struct Store {
    files: Mutex<Files>,
    /// The root of the last run that came to its end.
    root: Option<String>,
}

impl Store {
    /// Whether a root is newer than that, and has other keys for timestamp or snapshot: then what those signed is
    /// forgotten, how far ahead it may be (§5.3.11).
    fn is_rotated_by(&self, new: &str) -> bool {
        let Some(old) = self.root.as_deref().filter(|old| version(old.as_bytes()) < version(new.as_bytes())) else { return false };
        let keys = |root: &str, role: &str| {
            let root: serde_json::Value = serde_json::from_str(root).ok()?;
            let keys = root.pointer(&format!("/signed/roles/{role}/keyids"))?.as_array()?;
            Some(keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect::<BTreeSet<_>>())
        };
        ["timestamp", "snapshot"].iter().any(|role| keys(old, role) != keys(new, role))
    }
}

impl MetadataStore for Store {
    fn load(&self, name: &str) -> TufResult<Option<Vec<u8>>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(files.get(name).map(|text| text.clone().into_bytes()))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> TufResult<()> {
        // a snapshot's second name serves those who refresh without a network
        let again = name != SNAPSHOT && name.ends_with(".snapshot.json") && !name.starts_with("targets/");
        if let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| !again && !name.starts_with("targets/")) {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            if name == "root.json" && self.is_rotated_by(text) {
                files.retain(|name, _| name != TIMESTAMP && name != SNAPSHOT);
            }
            files.insert(name.to_owned(), text.to_owned());
        }
        Ok(())
    }
}

/// The mirror's files.
struct Remote {
    http: Http,
    service: Service,
}

/// Marks errors that need no more words.
const AS_IT_IS: &str = "\u{1}";

impl Remote {
    fn file(&self, folder: &str, name: &str, most: u64) -> TufResult<Option<Vec<u8>>> {
        let wrong = |error: anyhow::Error| TufError::transport(format!("{AS_IT_IS}{error:#}"));
        // names come from metadata: none leads elsewhere
        if name.starts_with('.') || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(wrong(self.service.error(format!("a file of it is named `{}`, which is no name", name.escape_debug()))));
        }
        self.http.file(&self.service, &format!("{folder}/{name}"), most).map_err(wrong)
    }
}

impl Repository for Remote {
    fn fetch_metadata<'a>(&'a self, name: &'a str, most: u64) -> FetchFuture<'a> {
        let looked_through = |file: Option<Vec<u8>>| match file.as_deref().map(check) {
            Some(Err(error)) => {
                Err(TufError::transport(format!("{AS_IT_IS}{:#}", self.service.error(format!("{name} is not believed: {error}")))))
            }
            Some(Ok(())) | None => Ok(file),
        };
        Box::pin(ready(self.file("", name, most).and_then(looked_through)))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, most: u64) -> FetchFuture<'a> {
        Box::pin(ready(self.file("/targets", path, most)))
    }
}

/// The value of a future that waits for nothing: what it asks for is fetched while it asks.
fn now_or_never<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Waiting::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => bail!("the TUF client waits for something that never comes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_that_are_built_in_are_roots() {
        for (name, url, root) in KNOWN {
            check(root).unwrap();
            assert!(sigstore_tuf::trusted::TrustedMetadataSet::from_root(root).is_ok(), "{name}");
            assert_eq!(Mirror::named(name).unwrap().url(), url);
            assert!(Mirror::named(&format!("{url}/")).unwrap().first.is_some());
        }
        assert!(Mirror::named("http://example.com").is_err() && Mirror::named("nothing").is_err());
    }
}
