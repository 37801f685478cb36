//! The report for people: what is rejected, why, what would mend it; then who signed how much.

use super::escape::{name, printable};
use super::mend::{is_toml, key_name, mend};
use super::past::{Dead, Past, Signed};
use super::{Heading, Report, Summary};
use crate::object::{ObjectId, ObjectKind};
use crate::verdict::{Judgement, Reason, Unjudged, Utc, Verdict};
use std::io::{self, Write};

/// How much is written, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Accepted objects too.
    pub all: bool,
    /// With colours.
    pub colour: bool,
    /// For whoever pushes.
    pub hook: bool,
}

/// Writes lines for people.
pub struct Human<W> {
    out: W,
    heading: Heading,
    style: Style,
    past: Past,
    lines: Vec<Entry>,
    /// What is only counted.
    beyond: Vec<ObjectId>,
}

/// Whoever pushes is told of so many objects: more than anybody reads, and little memory.
const MOST_PUSHED: usize = 10_000;

/// What is kept of a judgement until it is written. All of it is made harmless.
struct Entry {
    id: ObjectId,
    kind: &'static str,
    word: &'static str,
    code: String,
    signer: String,
    author: String,
    reference: String,
    /// The ref, the tag, the date, whatever is known.
    about: String,
    subject: String,
    why: Option<String>,
    mend: Option<String>,
}

impl Entry {
    /// Whether two entries in a row say the same of two commits.
    fn joins(&self, next: &Self) -> bool {
        let same = |of: fn(&Self) -> &str| of(self) == of(next);
        self.word != "accept"
            && self.kind == ObjectKind::Commit.name()
            && same(|entry| entry.word)
            && same(|entry| entry.kind)
            && same(|entry| &entry.code)
            && same(|entry| &entry.signer)
            && same(|entry| &entry.reference)
    }
}

impl<W: Write> Human<W> {
    /// A report on `out`; the heading is written at once.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(mut out: W, heading: Heading, style: Style) -> io::Result<Self> {
        let digest = heading.digest.get(..16).unwrap_or(&heading.digest);
        writeln!(out, "{} by {} (sha256:{digest}…)", printable(&heading.target), printable(&heading.policy))?;
        Ok(Self { out, heading, style, past: Past::default(), lines: Vec::new(), beyond: Vec::new() })
    }

    fn entry(&self, judgement: &Judgement) -> Entry {
        let about = &judgement.about;
        let signer = match (&judgement.verdict, &judgement.evidence) {
            (Verdict::Accept { principal }, Some(evidence)) => format!("{} with {}", name(&principal.0), key_name(evidence)),
            (_, Some(evidence)) => key_name(evidence),
            _ => String::new(),
        };
        let warnings = || judgement.warnings.iter().map(|warning| warning.code()).collect::<Vec<_>>().join(" ");
        let code = judgement.verdict.code().map_or_else(warnings, str::to_owned);
        let at = match (&judgement.verdict, judgement.line) {
            (Verdict::Exempt { .. }, Some(line)) => format!(" ({}:{line})", self.heading.policy),
            _ => String::new(),
        };
        let why = judgement.verdict.why().map(|why| why + &at);
        let payload = judgement.payload_id.map(|id| format!("; payload sha256:{id}")).unwrap_or_default();
        let day = |text: String| text.split_once('T').map(|(day, _)| day.to_owned()).unwrap_or(text);
        let date = about.claimed.map(|claimed| day(Utc(claimed).to_string()));
        let known = [
            judgement.reference.as_ref().map(|reference| format!("for {}", name(reference))),
            about.tag_name.as_ref().map(|tag| format!("tag {}", name(tag))),
            date,
        ];
        Entry {
            id: judgement.id,
            kind: judgement.kind.map_or("object", ObjectKind::name),
            word: judgement.verdict.name(),
            code,
            signer,
            author: name(&about.author),
            reference: judgement.reference.clone().unwrap_or_default(),
            about: known.into_iter().flatten().map(|word| format!(" {word}")).collect(),
            subject: name(&about.subject),
            why: why.map(|why| format!("{}{payload}", printable(&why))),
            mend: mend(judgement, &self.heading.policy).map(|mend| printable(&mend).into_owned()),
        }
    }

    /// One entry, or a run of entries that say the same.
    fn write_run(&mut self, run: &[Entry]) -> io::Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let word = self.paint(first.word);
        let signed = if first.signer.is_empty() { String::new() } else { format!(", signed by {}", first.signer) };
        let code = if first.code.is_empty() { String::new() } else { format!(" [{}]", first.code) };
        if run.len() == 1 {
            let by = if first.author.is_empty() { String::new() } else { format!(" by {}", first.author) };
            let subject = if first.subject.is_empty() { String::new() } else { format!(" \"{}\"", first.subject) };
            writeln!(self.out, "{word} {}{}{by}{subject}{signed}{code}", first.id, first.about)?;
        } else {
            let mut authors: Vec<&str> = run.iter().map(|entry| entry.author.as_str()).collect();
            authors.sort_unstable();
            authors.dedup();
            let others = if authors.len() > 1 { format!(" and {} others", authors.len() - 1) } else { String::new() };
            let commits = count(run.len(), first.kind);
            writeln!(
                self.out,
                "{word} {commits} in a row, {} to {}, by {}{others}{signed}{code}",
                last.id, first.id, first.author
            )?;
        }
        // the oldest of a run is where mending begins
        if let Some(why) = &last.why {
            writeln!(self.out, "    why:  {why}")?;
        }
        match &last.mend {
            Some(mend) => writeln!(self.out, "    mend: {mend}"),
            None => Ok(()),
        }
    }

    fn write_past(&mut self, dead: &Dead) -> io::Result<()> {
        const MOST: usize = 5;
        if dead.commits.is_empty() {
            return Ok(());
        }
        // a pusher cannot leave out anything: that is for whoever runs the server
        let option = if self.style.hook { "on the server, git config --add warrant.baseline" } else { "--baseline" };
        let baselines: Vec<String> = dead.heads.iter().take(MOST).map(|head| format!("{option} {head}")).collect();
        let heads: Vec<String> = dead.heads.iter().take(MOST).map(ObjectId::to_string).collect();
        let more = if dead.heads.len() > MOST { format!(" (and {} more heads)", dead.heads.len() - MOST) } else { String::new() };
        let word = self.paint("reject");
        let are = if dead.commits.len() == 1 { "is" } else { "are" };
        let unsupported = match dead.unsupported {
            0 => String::new(),
            n => format!(" (of these, {} in a way that cannot be checked)", thousands(n)),
        };
        writeln!(
            self.out,
            "{word} {} at or below {}{more} {are} unsigned{unsupported}: {}",
            count(dead.commits.len(), "commit"),
            heads.join(", "),
            baselines.join(" ")
        )
    }

    fn paint(&self, word: &'static str) -> String {
        let colour = match word {
            _ if !self.style.colour => return word.to_owned(),
            "accept" => 32,
            "reject" => 31,
            _ => 33,
        };
        format!("\u{1b}[{colour}m{word}\u{1b}[0m")
    }
}

impl<W: Write + Send> Report for Human<W> {
    fn judged(&mut self, judgement: Judgement) -> io::Result<()> {
        let accepted = matches!(judgement.verdict, Verdict::Accept { .. });
        let signed = match &judgement.verdict {
            Verdict::Reject { reason: Reason::Unsigned } => Signed::No,
            Verdict::Reject { reason: Reason::FormatUnsupported { .. } } => Signed::Unsupported,
            // a policy in TOML could have the certificate, and says what is to be done
            Verdict::Reject { reason: Reason::CertificateUnknown { .. } } if !is_toml(&self.heading.policy) => Signed::Unsupported,
            _ => Signed::Yes,
        };
        if matches!(&judgement.verdict, Verdict::Unjudged { why: Unjudged::Shallow | Unjudged::Missing }) {
            self.past.add_edge(judgement.id);
        } else if judgement.kind == Some(ObjectKind::Commit) {
            self.past.add(judgement.id, &judgement.about.parents, signed);
        }
        if self.style.hook && self.lines.len() >= MOST_PUSHED {
            self.beyond.extend((!accepted).then_some(judgement.id));
        } else if !accepted || self.style.all {
            let entry = self.entry(&judgement);
            self.lines.push(entry);
        }
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let dead = self.past.dead();
        let lines: Vec<Entry> =
            std::mem::take(&mut self.lines).into_iter().filter(|entry| !dead.commits.contains(&entry.id)).collect();
        for run in lines.chunk_by(Entry::joins) {
            self.write_run(run)?;
        }
        let beyond = self.beyond.iter().filter(|id| !dead.commits.contains(id)).count();
        if beyond > 0 {
            writeln!(self.out, "and {} more that are not accepted, not named here", count(beyond, "object"))?;
        }
        self.write_past(&dead)?;
        write_summary(&mut self.out, summary)?;
        self.out.flush()
    }
}

fn write_summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let outside =
        if summary.outside > 0 { format!(", {} outside (below the baseline)", thousands(summary.outside)) } else { String::new() };
    let exempt = if summary.exempt > 0 { format!(", {} exempt", thousands(summary.exempt)) } else { String::new() };
    let verified = if summary.verified > 0 {
        format!(", above {} verified earlier", count(summary.verified, "commit"))
    } else {
        String::new()
    };
    writeln!(
        out,
        "{} accepted, {} rejected, {} unjudged{exempt}{outside}{verified}",
        thousands(summary.accepted),
        thousands(summary.rejected),
        thousands(summary.unjudged)
    )?;
    let mut signers: Vec<_> = summary.signers.iter().collect();
    signers.sort_by_key(|(signer, n)| (std::cmp::Reverse(**n), *signer));
    for (signer, n) in signers {
        writeln!(out, "{:>9}  signed by {}", thousands(*n), name(signer))?;
    }
    for (code, n) in &summary.codes {
        writeln!(out, "{:>9}  rejected or unjudged: {code}", thousands(*n))?;
    }
    for (code, n) in &summary.warnings {
        writeln!(out, "{:>9}  accepted with a warning: {code}", thousands(*n))?;
    }
    for reference in &summary.unjudged_refs {
        writeln!(out, "{} passes unjudged: git writes notes as unsigned commits", name(reference))?;
    }
    Ok(())
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", thousands(n)) }
}

/// `1234567` as `1,234,567`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_push_a_bounded_number_is_named() {
        let mut out = Vec::new();
        let heading = Heading { target: "push".to_owned(), policy: "p".to_owned(), digest: "0".repeat(64) };
        let mut human = Human::new(&mut out, heading, Style { hook: true, ..Style::default() }).unwrap();
        for n in 0..MOST_PUSHED + 3 {
            let id = ObjectId::from_bytes(&[[0; 12].as_slice(), &n.to_be_bytes()].concat()).unwrap();
            human.judged(Judgement::unread(id, Verdict::Reject { reason: Reason::NoRule })).unwrap();
        }
        human.finish(&Summary::default()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("reject")).count(), MOST_PUSHED);
        assert!(text.contains("and 3 objects more that are not accepted"), "{}", text.get(..200).unwrap());
    }

    #[test]
    fn numbers_for_people() {
        for (n, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_449_000, "1,449,000")] {
            assert_eq!(thousands(n), want);
        }
    }
}
