//! A log's entry as it is embedded: `dev.sigstore.rekor.v1.TransparencyLogEntry` in protobuf, without the body, which a verifier
//! makes anew from the signature (so that the entry cannot be of another).

use super::super::plain;

/// An entry of a transparency log, as the log returned it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number, over all shards of the log.
    pub index: u64,
    /// SHA-256 that names the log's key.
    pub log_id: Vec<u8>,
    /// `hashedrekord`
    pub kind: String,
    /// `0.0.1` in Rekor v1, `0.0.2` in v2.
    pub version: String,
    /// When it was logged, in seconds since 1970; 0 in Rekor v2, which says nothing of it.
    pub integrated: i64,
    /// The log's signature over the entry; empty in Rekor v2.
    pub promise: Vec<u8>,
    /// Its place in the tree.
    pub inclusion: Option<Inclusion>,
}

/// That an entry is in the tree of a signed head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inclusion {
    /// Its number in this tree.
    pub index: u64,
    /// The tree's root.
    pub root: Vec<u8>,
    /// How many entries the tree has.
    pub size: u64,
    /// The hashes beside the path.
    pub hashes: Vec<Vec<u8>>,
    /// The signed head (a note).
    pub checkpoint: String,
}

impl LogEntry {
    /// The same, what the log signed in its one form: nobody else can tell which of two forms the log gave out, so that whoever
    /// has the signature could change it.
    #[must_use]
    pub fn in_one_form(mut self) -> Self {
        self.promise = plain::low(&self.promise);
        if let Some(proof) = &mut self.inclusion {
            proof.checkpoint = plain::low_checkpoint(&proof.checkpoint);
        }
        self
    }

    /// The message, fields in the order of their numbers, as Go's library writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Message::default();
        out.number(1, self.index);
        out.bytes(2, &Message::of(|id| id.bytes(1, &self.log_id)));
        out.bytes(
            3,
            &Message::of(|kind| {
                kind.bytes(1, self.kind.as_bytes());
                kind.bytes(2, self.version.as_bytes());
            }),
        );
        out.number(4, u64::from_ne_bytes(self.integrated.to_ne_bytes()));
        if !self.promise.is_empty() {
            out.bytes(5, &Message::of(|promise| promise.bytes(1, &self.promise)));
        }
        if let Some(proof) = &self.inclusion {
            out.message(
                6,
                &Message::of(|it| {
                    it.number(1, proof.index);
                    it.bytes(2, &proof.root);
                    it.number(3, proof.size);
                    // an element of a list is written even where it is empty
                    proof.hashes.iter().for_each(|hash| it.message(4, hash));
                    it.message(5, &Message::of(|checkpoint| checkpoint.bytes(1, proof.checkpoint.as_bytes())));
                }),
            );
        }
        out.0
    }
}

/// A protobuf message in the making. What is zero or empty is left out, as proto3 has it.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn of(fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut message = Self::default();
        fill(&mut message);
        message.0
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn number(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u8, value: &[u8]) {
        if !value.is_empty() {
            self.message(field, value);
        }
    }

    /// A message that is there, even if empty.
    fn message(&mut self, field: u8, value: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_sizes() {
        for (value, want) in [
            (0, &[][..]),
            (1, &[8, 1]),
            (127, &[8, 127]),
            (128, &[8, 0x80, 1]),
            (300, &[8, 0xac, 2]),
            (u64::MAX, &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            assert_eq!(Message::of(|message| message.number(1, value)), want);
        }
    }
}
