//! What a hook remembers from one push to the next: the tips that it verified, under the standard of this push.

use crate::history::{ObjectSource as _, Verified, near};
use crate::io::clock;
use crate::io::state::{self, State, StateError};
use crate::object::ObjectId;
use crate::report::escape::printable;
use crate::run::complain;
use crate::run::session::{Loaded, Place};
use crate::standard::{Named, Standard};
use std::path::PathBuf;

/// How many of the newest tips the search for what was verified starts from.
const SEEDS: usize = 64;

/// The verified tips that count now. Without a state there are none, and everything is judged.
#[derive(Default)]
pub(super) struct Known {
    /// The common git directory; none where nothing is to be remembered.
    place: Option<PathBuf>,
    standard: [u8; 32],
    newest: Vec<ObjectId>,
    verified: Verified,
}

impl Known {
    /// Reads what was verified by this standard. `asked` are tips to look for though they may be old.
    pub(super) fn find(place: &Place, standard: [u8; 32], asked: &[ObjectId]) -> Self {
        // a shallow clone has tips without what is below them
        if place.repository.is_shallow() {
            return Self::default();
        }
        let common = place.repository.common_dir().to_owned();
        let read = State::open(&common).and_then(|state| state.verified(&standard, asked, clock::now()));
        let read = match read {
            // opened, and damaged further in
            Err(error) if error.is_damage() => state::discard(&common).map(|()| Default::default()),
            read => read,
        };
        match read {
            Ok((newest, verified)) => Self { place: Some(common), standard, newest, verified },
            Err(StateError::Busy) => Self::default(),
            Err(error) => {
                warn(&error);
                Self::default()
            }
        }
    }

    /// What was verified before near these tips. The search starts from the tips that were looked for and from the newest.
    pub(super) fn near(&self, place: &mut Place, tips: &[ObjectId], asked: &[ObjectId]) -> Verified {
        if self.verified.is_empty() {
            return Verified::new();
        }
        let seeds: Vec<_> = asked.iter().chain(self.newest.iter().take(SEEDS)).copied().collect();
        near(&mut place.repository, tips, &self.verified, &seeds)
    }

    /// Remembers the tips of a push that is accepted as a whole.
    pub(super) fn record(&self, tips: &[ObjectId], ends: Option<i64>) {
        let Some(common) = self.place.as_ref().filter(|_| !tips.is_empty()) else { return };
        // not before anything was judged: a clock that is set back makes it count for nothing
        let now = clock::now();
        let record = || State::open(common).and_then(|mut state| state.record(&self.standard, tips, ends, now));
        match record() {
            Ok(()) | Err(StateError::Busy) => {}
            Err(error) if error.is_damage() => {
                let _ = state::discard(common).and_then(|()| record()); // it costs the next push time
            }
            Err(error) => warn(&error),
        }
    }
}

fn warn(error: &StateError) {
    let error = error.to_string();
    complain(&format!("warning: nothing is remembered of verified tips, and all is judged: warrant/: {}", printable(&error)));
}

/// The standard of a push. A policy of `--policy` counts like a configured one: in a hook's script it stands as firmly.
pub(super) fn standard(place: &Place, loaded: &Loaded, baseline: Named, settled: Named) -> [u8; 32] {
    let source = &loaded.source;
    let lengths = [Some(source.text.len()), source.revoked.as_ref().map(|(_, text)| text.len())];
    let (hash, demands) = (place.repository.hash(), loaded.policy.demands());
    Standard { policy: &source.digest(), lengths, demands, hash, baseline, settled }.digest()
}
