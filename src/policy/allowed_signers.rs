//! OpenSSH's allowed_signers files (ssh-keygen(1), ALLOWED SIGNERS; `sshsig.c`).

use super::pattern::PatternList;
use super::public_key::{ListedKey, read_key};
use jiff::civil::DateTime;
use std::fmt;

/// Turns a date without a zone into seconds since 1970 (UTC).
pub type LocalTime<'a> = &'a dyn Fn(DateTime) -> Option<i64>;

/// A whole file.
#[derive(Clone, Debug, Default)]
pub struct AllowedSigners {
    /// The lines that can be used, in order.
    pub lines: Vec<Line>,
    /// The lines that cannot, as ssh-keygen skips them.
    pub skipped: Vec<Skipped>,
    /// The first line with a date that names no zone.
    pub zoneless: Option<usize>,
}

/// A line that can be used.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Whom the key stands for.
    pub principals: PatternList,
    /// Whether it lists an authority for certificates instead of a key.
    pub cert_authority: bool,
    /// The namespaces that it is good for; `None`: all.
    pub namespaces: Option<PatternList>,
    /// The first second at which it holds (since 1970, UTC).
    pub valid_after: Option<i64>,
    /// The last second at which it holds (since 1970, UTC).
    pub valid_before: Option<i64>,
    /// The key; with a certificate only where the file was read as ssh-keygen reads it.
    pub key: ListedKey,
}

impl Line {
    /// Whether the window holds at a time; both ends belong to it.
    pub fn holds_at(&self, time: i64) -> bool {
        self.valid_after.is_none_or(|after| time >= after) && self.valid_before.is_none_or(|before| time <= before)
    }

    /// Whether it is good for a namespace.
    pub fn covers_namespace(&self, namespace: &[u8]) -> bool {
        self.namespaces.as_ref().is_none_or(|list| list.matches(namespace))
    }
}

/// A line that ssh-keygen skips, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Why.
    pub why: LineError,
    /// Whom it is for, where it can be read so far: ssh-keygen passes over it in silence when it looks for somebody else.
    pub principals: Option<PatternList>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the messages say what each one is
pub enum LineError {
    Invalid,
    UnterminatedQuote,
    MissingKey,
    InvalidKey,
    CertificateAsKey,
    Option(&'static str),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("invalid line"),
            Self::UnterminatedQuote => f.write_str("invalid options"),
            Self::MissingKey => f.write_str("missing key"),
            Self::InvalidKey => f.write_str("invalid key"),
            Self::CertificateAsKey => f.write_str("invalid key: a certificate; list its key or its authority"),
            Self::Option(why) => write!(f, "bad options: {why}"),
        }
    }
}

/// What a line may list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Keys,
    KeysAndCertificates,
}

impl AllowedSigners {
    /// Reads a file for a policy. Nothing here is an error: what cannot be read is `skipped`, as ssh-keygen does, and so is a line
    /// that lists a certificate: it would hold whatever the certificate says of times and names.
    pub fn parse(text: &[u8], local: LocalTime<'_>) -> Self {
        Self::read(text, local, Lists::Keys)
    }

    /// Reads a file as ssh-keygen does: a line may list a certificate, and is then good for just that one.
    pub fn parse_as_ssh_keygen(text: &[u8], local: LocalTime<'_>) -> Self {
        Self::read(text, local, Lists::KeysAndCertificates)
    }

    fn read(text: &[u8], local: LocalTime<'_>, lists: Lists) -> Self {
        let mut file = Self::default();
        for (number, line) in lines(text) {
            match parse_line(line, number, local, lists) {
                Ok(None) => {}
                Ok(Some((line, zoneless))) => {
                    if zoneless {
                        file.zoneless.get_or_insert(number);
                    }
                    file.lines.push(line);
                }
                Err(why) => file.skipped.push(Skipped { number, why, principals: principals(line).map(|(list, _)| list) }),
            }
        }
        file
    }

    /// The principal fields of the lines that speak for somebody, whatever the key. A line that cannot be read ends the search,
    /// unless it is plainly somebody else's. As ssh-keygen does.
    ///
    /// # Errors
    /// The line that ended it.
    pub fn speaking_for(text: &[u8], principal: &[u8], local: LocalTime<'_>) -> Result<Vec<PatternList>, Skipped> {
        let mut found = Vec::new();
        for (number, line) in lines(text) {
            let principals = principals(line).map(|(list, _)| list);
            if principals.as_ref().is_some_and(|list| !list.matches(principal)) {
                continue;
            }
            match parse_line(line, number, local, Lists::KeysAndCertificates) {
                Ok(line) => found.extend(line.map(|(line, _)| line.principals)),
                Err(why) => return Err(Skipped { number, why, principals }),
            }
        }
        Ok(found)
    }
}

/// The lines with their numbers, each with its newline: to OpenSSH it is white space that ends a word.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(text.split_inclusive(|&b| b == b'\n'))
}

/// The principals of a line, and what follows them.
fn principals(line: &[u8]) -> Option<(PatternList, &[u8])> {
    let (principals, rest) = first_word(skip(line, b" \t\r\n"))?;
    Some((PatternList::new(&principals), rest))
}

/// A line, and whether one of its dates has no zone; `None` for blank lines and comments.
fn parse_line(line: &[u8], number: usize, local: LocalTime<'_>, lists: Lists) -> Result<Option<(Line, bool)>, LineError> {
    let line = line.split(|&b| b == 0).next().unwrap_or_default(); // a C string ends there
    let line = skip(line, b" \t\r\n");
    if matches!(line.first(), None | Some(b'#')) {
        return Ok(None);
    }
    let (principals, rest) = principals(line).ok_or(LineError::Invalid)?;
    let (options, key) = match read_key(rest) {
        Ok(key) => (&b""[..], key),
        Err(_) => {
            let end = options_end(rest).ok_or(LineError::UnterminatedQuote)?;
            let (options, after) = rest.split_at_checked(end).ok_or(LineError::MissingKey)?;
            let after = skip(after, b" \t");
            if skip(after, b"\r\n").is_empty() {
                return Err(LineError::MissingKey);
            }
            (options, read_key(after).map_err(|_| LineError::InvalidKey)?)
        }
    };
    if key.certificate.is_some() && lists == Lists::Keys {
        return Err(LineError::CertificateAsKey);
    }
    let mut options = Options { text: options, ..Options::default() };
    options.parse(local).map_err(LineError::Option)?;
    let line = Line {
        number,
        principals,
        cert_authority: options.cert_authority,
        namespaces: options.namespaces,
        valid_after: options.valid_after,
        valid_before: options.valid_before,
        key,
    };
    Ok(Some((line, options.zoneless)))
}

fn skip<'a>(bytes: &'a [u8], what: &[u8]) -> &'a [u8] {
    let n = bytes.iter().take_while(|b| what.contains(b)).count();
    bytes.get(n..).unwrap_or_default()
}

/// OpenSSH's `strdelimw`: a word up to white space, or up to the closing quote where one opens in it.
fn first_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    const WHITE: &[u8] = b" \t\r\n";
    let at = line.iter().position(|b| WHITE.contains(b) || *b == b'"')?;
    let (head, tail) = line.split_at_checked(at)?;
    let tail = tail.get(1..)?;
    if line.get(at) != Some(&b'"') {
        return Some((head.to_vec(), skip(tail, WHITE)));
    }
    let close = tail.iter().position(|&b| b == b'"')?;
    let (quoted, rest) = tail.split_at_checked(close)?;
    Some(([head, quoted].concat(), skip(rest.get(1..)?, WHITE)))
}

/// Where the options end: at the first white space outside of quotes. `None` where a quote stays open.
fn options_end(text: &[u8]) -> Option<usize> {
    let (mut quoted, mut at) = (false, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if text.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            b' ' | b'\t' if !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(at)
}

#[derive(Default)]
struct Options<'a> {
    text: &'a [u8],
    cert_authority: bool,
    namespaces: Option<PatternList>,
    valid_after: Option<i64>,
    valid_before: Option<i64>,
    zoneless: bool,
}

impl Options<'_> {
    fn parse(&mut self, local: LocalTime<'_>) -> Result<(), &'static str> {
        while !self.text.is_empty() {
            if self.take_name(b"cert-authority") {
                self.cert_authority = true;
            } else if self.take_name(b"namespaces=") {
                let value = self.dequote()?;
                if self.namespaces.replace(PatternList::new(&value)).is_some() {
                    return Err("multiple \"namespaces\" clauses");
                }
            } else if self.take_name(b"valid-after=") {
                let time = self.time(local, "invalid \"valid-after\" time")?;
                if self.valid_after.replace(time).is_some() {
                    return Err("multiple \"valid-after\" clauses");
                }
            } else if self.take_name(b"valid-before=") {
                let time = self.time(local, "invalid \"valid-before\" time")?;
                if self.valid_before.replace(time).is_some() {
                    return Err("multiple \"valid-before\" clauses");
                }
            }
            match self.text.split_first() {
                None => break,
                Some((b',', [])) => return Err("unexpected end-of-options"),
                Some((b',', rest)) => self.text = rest,
                Some(_) => return Err("unknown key option"),
            }
        }
        match (self.valid_after, self.valid_before) {
            (Some(after), Some(before)) if before <= after => Err("\"valid-before\" time is before \"valid-after\""),
            _ => Ok(()),
        }
    }

    fn take_name(&mut self, name: &[u8]) -> bool {
        match self.text.split_at_checked(name.len()) {
            Some((head, rest)) if head.eq_ignore_ascii_case(name) => {
                self.text = rest;
                true
            }
            _ => false,
        }
    }

    fn dequote(&mut self) -> Result<Vec<u8>, &'static str> {
        let mut rest = self.text.strip_prefix(b"\"").ok_or("missing start quote")?;
        let mut value = Vec::new();
        loop {
            match rest {
                [b'\\', b'"', after @ ..] => {
                    value.push(b'"');
                    rest = after;
                }
                [b'"', after @ ..] => {
                    self.text = after;
                    return Ok(value);
                }
                [byte, after @ ..] => {
                    value.push(*byte);
                    rest = after;
                }
                [] => return Err("missing end quote"),
            }
        }
    }

    fn time(&mut self, local: LocalTime<'_>, invalid: &'static str) -> Result<i64, &'static str> {
        let value = self.dequote()?;
        let (time, zoneless) = parse_time(&value, local).ok_or(invalid)?;
        self.zoneless |= zoneless;
        Some(time).filter(|&time| time != 0).ok_or(invalid)
    }
}

/// OpenSSH's `parse_absolute_time`: `YYYYMMDD[HHMM[SS]]`, local unless followed by `Z` or `UTC`. Gives seconds since 1970 and
/// whether the zone was left out. Days past a month's end run over into the next one, as in mktime(3).
pub fn parse_time(text: &[u8], local: LocalTime<'_>) -> Option<(i64, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let upper = text.to_ascii_uppercase();
    let (digits, utc) = match (upper.strip_suffix('Z'), upper.strip_suffix("UTC")) {
        (Some(digits), _) | (None, Some(digits)) => (digits, true),
        (None, None) => (upper.as_str(), false),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<i16>().ok());
    let part = |from: usize, to: usize, range: std::ops::RangeInclusive<i16>| number(from, to).filter(|n| range.contains(n));
    let (year, month, day) = (number(0, 4)?, part(4, 6, 1..=12)?, part(6, 8, 1..=31)?);
    let (hour, minute, second) = (part(8, 10, 0..=23)?, part(10, 12, 0..=59)?, part(12, 14, 0..=61)?);
    // jiff ends with the year 9999, and OpenSSH does not: the year 400 before it has the same days, and the same rules of the zone
    let (year, later) = if year == LAST_YEAR { (year - 400, GREGORIAN_CYCLE) } else { (year, 0) };
    let span = jiff::Span::new().days(day - 1).hours(hour).minutes(minute).seconds(second);
    let civil = DateTime::new(year, i8::try_from(month).ok()?, 1, 0, 0, 0, 0).ok()?.checked_add(span).ok()?;
    let time = later + if utc { utc_seconds(civil) } else { local(civil) }?;
    (time >= 0).then_some((time, !utc))
}

/// The seconds of 400 years, after which the days of the week, and so the rules of all zones, come again.
pub const GREGORIAN_CYCLE: i64 = 146_097 * 86_400;
/// The last year that can be written, and the last that jiff knows.
const LAST_YEAR: i16 = 9999;

/// A date as UTC.
pub fn utc_seconds(civil: DateTime) -> Option<i64> {
    jiff::tz::Offset::UTC.to_timestamp(civil).ok().map(|time| time.as_second())
}

#[cfg(test)]
mod tests;
