//! allowed_signers files as drafts: a line's addresses are a person, its key that person's.

use super::{Authority, Draft, DraftCredential, DraftKey, Person};
use crate::policy::STRICT_RSA_BITS;
use crate::policy::allowed_signers::{AllowedSigners, Line};
use crate::policy::grant::is_name;
use crate::policy::pattern::PatternList;
use crate::policy::public_key::written;
use std::collections::HashMap;

/// The namespace of git's signatures.
const GIT: &[u8] = b"git";

/// What a policy in TOML can say of an allowed_signers file; `now` in seconds since 1970 (UTC), `time` writes such a number for
/// people. Beside it what cannot be said in it, with the line each.
pub fn draft(signers: &AllowedSigners, now: i64, time: &dyn Fn(i64) -> String) -> (Draft, Vec<(usize, String)>) {
    let (mut draft, mut lost) = (Draft::default(), Vec::new());
    // lines of one key are one key here
    let mut order: Vec<&[u8]> = Vec::new();
    let mut keys: HashMap<&[u8], Vec<&Line>> = HashMap::new();
    for line in &signers.lines {
        if !line.principals.items().any(is_name) {
            lost.push((line.number, "names nobody, so it is left out".to_owned()));
        } else if !line.covers_namespace(GIT) {
            lost.push((line.number, "is not for git's signatures (namespaces), so it is left out".to_owned()));
        } else if let Some(why) = cannot_be_said(line, now, time) {
            lost.push((line.number, why));
        } else {
            let lines = keys.entry(&line.key.blob).or_default();
            if lines.is_empty() {
                order.push(&line.key.blob);
            }
            lines.push(line);
        }
    }
    let mut persons: HashMap<Vec<u8>, usize> = HashMap::new();
    for lines in order.iter().filter_map(|blob| keys.get(blob)) {
        let Some(first) = lines.first() else { continue };
        let others = |line: &&&Line| line.cert_authority != first.cert_authority;
        for other in lines.iter().filter(others) {
            lost.push((
                other.number,
                format!("lists the key of line {} as something else, and is left out: a key is listed once", first.number),
            ));
        }
        let lines: Vec<&Line> = lines.iter().filter(|line| !others(line)).copied().collect();
        let entry = Entry::of(&lines, now, time, &mut lost);
        if first.cert_authority {
            draft.authorities.push(entry.authority());
            continue;
        }
        match persons.get(first.principals.as_bytes()).and_then(|at| draft.principals.get_mut(*at)) {
            Some(person) if lines.len() == 1 && person.emails == entry.emails => person.keys.push(entry.key()),
            _ => {
                if lines.len() == 1 {
                    persons.insert(first.principals.as_bytes().to_vec(), draft.principals.len());
                }
                draft.principals.push(entry.person());
            }
        }
    }
    (draft, lost)
}

/// Why a line is left out that a policy could only be looser than.
fn cannot_be_said(line: &Line, now: i64, time: &dyn Fn(i64) -> String) -> Option<String> {
    let list = &line.principals;
    let refuses = list.items().any(|item| item.starts_with(b"!"));
    if refuses && !line.cert_authority && (list.items().any(is_pattern) || named(list).next().is_none()) {
        return Some("refuses names (`!`), which cannot be said of a key here, so it is left out".to_owned());
    }
    let after = line.valid_after.filter(|after| *after > now)?;
    Some(format!("begins at {}, which cannot be said ahead, so it is left out: import it then", time(after)))
}

fn is_pattern(item: &[u8]) -> bool {
    is_name(item) && item.iter().any(|b| matches!(b, b'*' | b'?'))
}

/// The names that a list of a key stands for letter by letter: those that no negated pattern takes back.
fn named(list: &PatternList) -> impl Iterator<Item = &[u8]> {
    list.items().filter(|item| is_name(item) && !is_pattern(item) && !list.negates(item))
}

/// What the lines of one key say together.
struct Entry {
    name: String,
    mark: String,
    comments: Vec<String>,
    key: String,
    emails: Vec<String>,
    patterns: Vec<String>,
    retired: bool,
}

impl Entry {
    fn of<'a>(lines: &[&'a Line], now: i64, time: &dyn Fn(i64) -> String, lost: &mut Vec<(usize, String)>) -> Self {
        let ended = |line: &Line| line.valid_before.is_some_and(|before| before < now);
        let retired = lines.iter().all(|line| ended(line));
        let mut comments = Vec::new();
        let mut say = |line: &Line, what: String| {
            comments.push(format!("line {}: {what}", line.number));
            lost.push((line.number, what));
        };
        let holding: Vec<&'a Line> = lines.iter().filter(|line| retired || !ended(line)).copied().collect();
        for line in lines {
            match line.valid_before.map(time) {
                Some(end) if retired => say(line, format!("ended at {end}: retired, so that only what is settled stands")),
                Some(end) if ended(line) => say(line, format!("ended at {end} and is left out; another line of the key goes on")),
                Some(end) => {
                    say(line, format!("ends at {end}, which cannot be said ahead: retire it then (git warrant policy retire)"))
                }
                None => {}
            }
            if let Some(after) = line.valid_after.filter(|_| holding.iter().any(|it| it.number == line.number)) {
                say(line, format!("begins at {}, which cannot be said: the key stands for what came before, too", time(after)));
            }
        }
        let authority = lines.iter().any(|line| line.cert_authority);
        let kept = |line: &&'a Line| -> Vec<&'a [u8]> {
            let list = &line.principals;
            match authority {
                true => list.items().filter(|item| !item.is_empty()).collect(),
                false => list.items().filter(|item| is_name(item) && !list.negates(item)).collect(),
            }
        };
        let items: Vec<&[u8]> = holding.iter().flat_map(kept).collect();
        let texts: Vec<&str> = items.iter().filter_map(|item| std::str::from_utf8(item).ok()).collect();
        let exact = |text: &&str| !text.contains(['*', '?']) && !text.starts_with('!');
        let bound = !authority && texts.len() == items.len() && texts.iter().all(exact);
        let addresses = texts.iter().filter(|text| bound && text.contains('@') && text.trim() == **text);
        let mut emails: Vec<String> = addresses.map(|text| (*text).to_owned()).collect();
        if let (false, true, Some(line)) = (authority, emails.is_empty(), holding.first()) {
            say(line, "names no address letter by letter, so the key is bound to none".to_owned());
        }
        let no_address = |line: &&&Line| named(&line.principals).any(|item| !item.contains(&b'@') || item.trim_ascii() != item);
        if let (false, Some(line)) = (emails.is_empty(), holding.iter().find(no_address)) {
            say(line, "has names that are no address, and are left out of `emails`".to_owned());
        }
        let bits = lines.first().and_then(|line| line.key.rsa_bits);
        if let (Some(bits), Some(line)) = (bits.filter(|bits| *bits < STRICT_RSA_BITS), lines.first()) {
            say(line, format!("is an RSA key of {bits} bits, which signs nothing here: {STRICT_RSA_BITS} are the least"));
        }
        emails.sort_unstable();
        emails.dedup();
        let text = |item: &&[u8]| String::from_utf8_lossy(item).into_owned();
        let (key, mark) = lines.first().map_or_else(Default::default, |line| (written(&line.key), line.key.fingerprint.clone()));
        Self {
            name: items.iter().find(|item| is_name(item)).map(text).unwrap_or_default(),
            mark,
            comments,
            key,
            emails,
            patterns: items.iter().map(text).collect(),
            retired,
        }
    }

    fn key(self) -> DraftKey {
        DraftKey { comments: self.comments, credential: DraftCredential::Ssh(self.key), retired: self.retired }
    }

    fn person(self) -> Person {
        let (name, mark, emails) = (self.name.clone(), self.mark.clone(), self.emails.clone());
        Person { name, mark, comments: Vec::new(), emails, keys: vec![self.key()] }
    }

    fn authority(self) -> Authority {
        let Self { name, mark, comments, key, patterns, retired, .. } = self;
        Authority { name, mark, comments, key, principals: patterns, retired }
    }
}
