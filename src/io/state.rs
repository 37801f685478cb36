//! Which tips a hook verified, kept beside the repository: `<common git dir>/warrant/verified.sqlite`.
//!
//! Losing it costs time and nothing else. A record is believed only where its own check value is right, so a damaged file
//! cannot make one; whatever else is wrong with the file, it is made anew. Nothing waits for the disk.

use crate::history::Verified;
use crate::object::ObjectId;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, params};
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many records are kept, of all standards; the oldest go.
const MOST: i64 = 10_000;
/// How many of the newest are read for a push.
const NEWEST: i64 = 1_000;
/// How long another hook is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const FILE: &str = "verified.sqlite";
/// Of the tables below; another one's file is made anew.
const VERSION: i64 = 1;
const TABLE: &str = "CREATE TABLE IF NOT EXISTS verified (
    number INTEGER PRIMARY KEY, standard BLOB NOT NULL, tip BLOB NOT NULL, ends INTEGER, written INTEGER NOT NULL,
    proof BLOB NOT NULL, UNIQUE (standard, tip))";

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Somebody else could have written it.
    #[error("{0} belongs to another user or is writable by others, or is no plain file or folder")]
    Foreign(PathBuf),
    /// Another hook repairs it or is at work for long.
    #[error("another hook is using it")]
    Busy,
    /// The folder cannot be used.
    #[error("{path}: {error}")]
    Folder {
        /// What cannot.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What SQLite says.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

/// What a hook remembers.
pub struct State {
    connection: Connection,
    /// Held as long as the database is open, so that nobody takes the file away from under it.
    _lock: File,
}

impl State {
    /// Opens the state of the repository with this common git directory, and makes it where there is none.
    ///
    /// # Errors
    /// Where it cannot be used: everything is to be judged then. A damaged one is for [`discard`].
    pub fn open(common_dir: &Path) -> Result<Self, StateError> {
        let folder = common_dir.join("warrant");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(StateError::Folder { path: folder, error }),
            _ => {}
        }
        refuse_foreign(&folder, true)?;
        let path = folder.join(FILE);
        let lock = lock_file(&folder.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockShared)?;
        Ok(Self { connection: connect(&path)?, _lock: lock })
    }

    /// The newest tips that were verified by this standard and count at this time, newest first, and those of `asked` that were.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn verified(&self, standard: &[u8; 32], asked: &[ObjectId], now: i64) -> Result<(Vec<ObjectId>, Verified), StateError> {
        let mut newest = Vec::new();
        let mut all = Verified::new();
        let mut query = self
            .connection
            .prepare("SELECT tip, ends, written, proof FROM verified WHERE standard = ?1 ORDER BY number DESC LIMIT ?2")?;
        let mut rows = query.query(params![standard, NEWEST])?;
        while let Some(row) = rows.next()? {
            let record = Record { tip: row.get(0)?, ends: row.get(1)?, written: row.get(2)? };
            if let Some(tip) = record.tip_at(standard, &row.get::<_, Vec<u8>>(3)?, now) {
                newest.push(tip);
                all.insert(tip, record.ends);
            }
        }
        let mut query =
            self.connection.prepare("SELECT tip, ends, written, proof FROM verified WHERE standard = ?1 AND tip = ?2")?;
        for id in asked.iter().filter(|id| !all.contains_key(id)).collect::<Vec<_>>() {
            let row = |row: &rusqlite::Row<'_>| {
                Ok((Record { tip: row.get(0)?, ends: row.get(1)?, written: row.get(2)? }, row.get::<_, Vec<u8>>(3)?))
            };
            if let Some((record, proof)) = query.query_row(params![standard, id.as_bytes()], row).optional()?
                && let Some(tip) = record.tip_at(standard, &proof, now)
            {
                all.insert(tip, record.ends);
            }
        }
        Ok((newest, all))
    }

    /// Remembers that these tips and all below them were accepted by this standard, until the earliest end of what that rests
    /// on.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn record(&mut self, standard: &[u8; 32], tips: &[ObjectId], ends: Option<i64>, now: i64) -> Result<(), StateError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for tip in tips {
            let record = Record { tip: tip.as_bytes().to_vec(), ends, written: now };
            transaction.execute(
                "INSERT OR REPLACE INTO verified (standard, tip, ends, written, proof) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![standard, record.tip, record.ends, record.written, record.proof(standard)],
            )?;
        }
        transaction.execute("DELETE FROM verified WHERE number <= (SELECT max(number) FROM verified) - ?1", params![MOST])?;
        transaction.commit()?;
        Ok(())
    }
}

struct Record {
    tip: Vec<u8>,
    ends: Option<i64>,
    written: i64,
}

impl Record {
    /// What a damaged record does not have.
    fn proof(&self, standard: &[u8; 32]) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(b"git-warrant verified tip 1\0");
        hash.update(standard);
        hash.update([u8::from(self.ends.is_some())]);
        hash.update(self.ends.unwrap_or_default().to_be_bytes());
        hash.update(self.written.to_be_bytes());
        hash.update(&self.tip);
        hash.finalize().to_vec()
    }

    /// The tip, where the record is whole, was not written later than now, and nothing that it rests on has ended.
    fn tip_at(&self, standard: &[u8; 32], proof: &[u8], now: i64) -> Option<ObjectId> {
        let counts = self.written <= now && self.ends.is_none_or(|ends| now <= ends) && self.proof(standard) == proof;
        ObjectId::from_bytes(&self.tip).filter(|_| counts)
    }
}

fn connect(path: &Path) -> Result<Connection, StateError> {
    if path.symlink_metadata().is_ok() {
        refuse_foreign(path, false)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if version != 0 || tables != 0 {
            let other = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
            return Err(rusqlite::Error::SqliteFailure(other, Some("another program's database".to_owned())).into());
        }
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLE}; PRAGMA user_version = {VERSION}; COMMIT"))?;
    }
    connection.prepare("SELECT number, standard, tip, ends, written, proof FROM verified")?;
    Ok(connection)
}

/// Whether making the file anew mends it.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    match error {
        // what is missing is a table or a column
        Error::SqliteFailure(error, _) => {
            matches!(
                error.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::TypeMismatch
            )
        }
        Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) => true,
        Error::SqlInputError { .. } => true,
        _ => false,
    }
}

impl StateError {
    /// Whether making the file anew mends it.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Database(error) if is_damage(error))
    }
}

/// Takes away a damaged state, unless another hook is using it.
///
/// # Errors
/// Where it cannot be taken away.
pub fn discard(common_dir: &Path) -> Result<(), StateError> {
    let folder = common_dir.join("warrant");
    refuse_foreign(&folder, true)?;
    let lock = lock_file(&folder.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    remove(&folder.join(FILE))
}

fn remove(path: &Path) -> Result<(), StateError> {
    for end in ["", "-journal", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(StateError::Folder { path: name.into(), error }),
            _ => {}
        }
    }
    Ok(())
}

fn lock_file(path: &Path) -> Result<File, StateError> {
    if path.symlink_metadata().is_ok() {
        refuse_foreign(path, false)?;
    }
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|error| StateError::Folder { path: path.to_owned(), error })
}

fn flock(lock: &File, how: FlockOperation) -> Result<(), StateError> {
    rustix::fs::flock(lock, how).map_err(|_| StateError::Busy)
}

/// Whoever can write here decides what is accepted: only the hook's user and root may.
fn refuse_foreign(path: &Path, folder: bool) -> Result<(), StateError> {
    let metadata = path.symlink_metadata().map_err(|error| StateError::Folder { path: path.to_owned(), error })?;
    let user = rustix::process::geteuid().as_raw();
    let kind = if folder { metadata.is_dir() } else { metadata.is_file() };
    if kind && (metadata.uid() == 0 || metadata.uid() == user) && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(StateError::Foreign(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: [u8; 32] = [7; 32];

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes(&[n; 20]).unwrap()
    }

    fn counts(state: &State, now: i64) -> bool {
        let (newest, verified) = state.verified(&STANDARD, &[], now).unwrap();
        assert_eq!(newest.len(), verified.len());
        verified.contains_key(&id(1))
    }

    #[test]
    fn a_record_counts_from_its_writing_to_its_end() {
        let home = tempfile::tempdir().unwrap();
        let mut state = State::open(home.path()).unwrap();
        state.record(&STANDARD, &[id(1)], Some(200), 100).unwrap();
        for (now, want) in [(99, false), (100, true), (200, true), (201, false)] {
            assert_eq!(counts(&state, now), want, "{now}");
        }
        assert!(state.verified(&[8; 32], &[id(1)], 150).unwrap().1.is_empty(), "another standard");
        assert_eq!(state.verified(&STANDARD, &[id(1), id(2)], 150).unwrap().1.len(), 1);
    }

    #[test]
    fn a_record_that_was_altered_counts_for_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mut state = State::open(home.path()).unwrap();
        state.record(&STANDARD, &[id(2)], Some(200), 100).unwrap();
        state.connection.execute("UPDATE verified SET tip = ?1", params![id(1).as_bytes()]).unwrap();
        assert!(!counts(&state, 150), "another tip");
        for change in ["ends = 300", "ends = NULL", "written = 50", "standard = zeroblob(32)", "proof = zeroblob(32)"] {
            state.record(&STANDARD, &[id(1)], Some(200), 100).unwrap();
            assert!(counts(&state, 150));
            state
                .connection
                .execute(&format!("UPDATE OR REPLACE verified SET {change} WHERE standard = ?1"), params![STANDARD])
                .unwrap();
            assert!(!counts(&state, 150), "{change}");
            assert!(state.verified(&[0; 32], &[], 150).unwrap().1.is_empty(), "{change}");
        }
        for wrong in ["'text'", "NULL"] {
            let altered = state.connection.execute(&format!("UPDATE verified SET written = {wrong}"), []);
            if altered.is_ok() {
                assert!(state.verified(&STANDARD, &[], 150).unwrap_err().is_damage(), "{wrong}");
            }
        }
    }

    #[test]
    fn the_oldest_go_and_old_ones_are_found_when_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let mut state = State::open(home.path()).unwrap();
        let ids: Vec<ObjectId> = (0..12_000u32)
            .map(|n| {
                let mut bytes = [1; 20];
                bytes[..4].copy_from_slice(&n.to_be_bytes());
                ObjectId::from_bytes(&bytes).unwrap()
            })
            .collect();
        state.record(&STANDARD, &ids, None, 100).unwrap();
        let kept: i64 = state.connection.query_row("SELECT count(*) FROM verified", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, MOST);
        let (newest, verified) = state.verified(&STANDARD, &[ids[0], ids[3_000]], 100).unwrap();
        assert_eq!((newest.len(), newest[0]), (1_000, ids[11_999]));
        assert!(verified.contains_key(&ids[3_000]) && !verified.contains_key(&ids[0]));
    }

    #[test]
    fn hooks_at_work_keep_the_file() {
        let home = tempfile::tempdir().unwrap();
        let first = State::open(home.path()).unwrap();
        assert!(matches!(discard(home.path()), Err(StateError::Busy)));
        drop(first);
        discard(home.path()).unwrap();
        let held = lock_file(&home.path().join("warrant/lock")).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert!(matches!(State::open(home.path()), Err(StateError::Busy)));
    }
}
