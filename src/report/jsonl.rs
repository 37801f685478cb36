//! The report for programs: one JSON object a line, then the summary. A stable interface, versioned by `schema`.

use super::mend::mend;
use super::smime::ShownSmime;
use super::{Heading, Report, Summary};
use crate::evidence::{Keyless, Smime};
use crate::verdict::{Judgement, Utc, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The version of the lines' form; it rises when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Writes JSON lines. Text from the repository comes out as ASCII with `\u` escapes.
pub struct JsonLines<W> {
    out: W,
    heading: Heading,
}

impl<W: Write> JsonLines<W> {
    /// A report on `out`.
    pub fn new(out: W, heading: Heading) -> Self {
        Self { out, heading }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    object: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_id: Option<String>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    warnings: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smime: Option<ShownSmime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
    times: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Serialize)]
struct Times {
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed: Option<String>,
    /// What a log or a timestamp authority proves.
    #[serde(skip_serializing_if = "Option::is_none")]
    attested: Option<String>,
}

#[derive(Serialize)]
struct Last<'a> {
    summary: Counts<'a>,
}

#[derive(Serialize)]
struct Counts<'a> {
    schema: u32,
    target: &'a str,
    policy: &'a str,
    policy_sha256: &'a str,
    accepted: usize,
    rejected: usize,
    exempt: usize,
    unjudged: usize,
    outside: usize,
    unjudged_refs: &'a [String],
    codes: &'a BTreeMap<&'static str, usize>,
    warnings: &'a BTreeMap<&'static str, usize>,
    signers: &'a BTreeMap<String, usize>,
    exit: u8,
}

impl<W: Write + Send> Report for JsonLines<W> {
    fn judged(&mut self, judgement: Judgement) -> io::Result<()> {
        let evidence = judgement.evidence.as_ref();
        let keyless = evidence.and_then(|evidence| evidence.keyless.as_deref());
        let smime = evidence.and_then(|evidence| evidence.smime.as_deref());
        let (principal, because) = match &judgement.verdict {
            Verdict::Accept { principal } => (Some(principal.0.as_str()), None),
            Verdict::Exempt { because, .. } => (None, Some(because.as_str())),
            Verdict::Reject { .. } | Verdict::Unjudged { .. } => (None, None),
        };
        let line = Line {
            schema: SCHEMA,
            object: judgement.id.to_string(),
            reference: judgement.reference.as_deref(),
            kind: judgement.kind.map(|kind| kind.name()),
            payload_id: judgement.payload_id.map(|id| id.to_string()),
            verdict: judgement.verdict.name(),
            code: judgement.verdict.code(),
            warnings: judgement.warnings.iter().map(|warning| warning.code()).collect(),
            principal,
            key: evidence.map(|evidence| evidence.key.fingerprint.as_str()),
            key_type: evidence.map(|evidence| evidence.key.algorithm.as_str()),
            format: evidence.map(|evidence| evidence.format.name()),
            identity: keyless.map(|keyless| keyless.subject.name().to_owned()).or_else(|| smime.map(Smime::identity)),
            issuer: keyless.map(|keyless| keyless.issuer.clone()).or_else(|| smime.map(|smime| smime.issuer.to_string())),
            smime: smime.map(ShownSmime::of),
            policy_line: judgement.line,
            because,
            times: Times {
                claimed: judgement.about.claimed.map(|time| Utc(time).to_string()),
                attested: keyless.and_then(Keyless::attested).map(|time| Utc(time).to_string()),
            },
            mend: mend(&judgement, &self.heading.policy),
        };
        write_line(&mut self.out, &line)
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let last = Last {
            summary: Counts {
                schema: SCHEMA,
                target: &self.heading.target,
                policy: &self.heading.policy,
                policy_sha256: &self.heading.digest,
                accepted: summary.accepted,
                rejected: summary.rejected,
                exempt: summary.exempt,
                unjudged: summary.unjudged,
                outside: summary.outside,
                unjudged_refs: &summary.unjudged_refs,
                codes: &summary.codes,
                warnings: &summary.warnings,
                signers: &summary.signers,
                exit: summary.exit_status().code(),
            },
        };
        write_line(&mut self.out, &last)?;
        self.out.flush()
    }
}

/// Writes a value as one line of ASCII: what is not stands in strings only, and is escaped there.
///
/// # Errors
/// Where it cannot be written.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(value)?;
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        text.push('\n');
        return out.write_all(text.as_bytes());
    }
    let mut ascii = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii.push('\n');
    out.write_all(ascii.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_ascii_and_come_back_whole() {
        let hostile = "a\u{202e}b\u{9b}c\n\u{1f44d}\u{7f}\"\\";
        let mut out = Vec::new();
        write_line(&mut out, &hostile).unwrap();
        assert!(out.iter().all(|b| matches!(b, b' '..=b'~' | b'\n')));
        assert_eq!(out.iter().filter(|&&b| b == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), hostile);
    }
}
