//! Reading tables of a policy file key by key, so that what nobody asked for is noticed.

use crate::object::ObjectId;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use toml_edit::{Document, Item, TableLike, Value};

/// What is wrong with a file, and where (line and column from 1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct FileError {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What.
    pub what: String,
}

/// A place in the text.
pub(super) struct Place {
    line: usize,
    column: usize,
}

/// Reads TOML whose `version` is the one that is known, and makes something of its top.
pub(super) fn of_version<T>(
    text: &[u8],
    known: i64,
    read: impl FnOnce(Fields<'_>) -> Result<T, FileError>,
) -> Result<T, FileError> {
    let lines = Text::new(text);
    let text = std::str::from_utf8(text).map_err(|error| lines.place(error.valid_up_to()).error("not UTF-8"))?;
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        lines.place(at).error(error.message().trim())
    })?;
    let root = Fields::of_root(&lines, document.as_table());
    match root.integer("version")? {
        Some(version) if version == known => read(root),
        Some(other) => Err(root.error_at("version", &format!("version {other} is not known; this program knows {known}"))),
        None => Err(root.error(&format!("`version = {known}` is missing"))),
    }
}

/// A file's bytes, and where its lines begin.
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n');
        Self { bytes, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(0);
        let before = self.bytes.get(start..offset).unwrap_or_default();
        Place { line, column: String::from_utf8_lossy(before).chars().count() + 1 }
    }
}

impl Place {
    pub(super) fn error(&self, what: &str) -> FileError {
        FileError { line: self.line, column: self.column, what: what.to_owned() }
    }
}

/// A table, and which of its keys were asked for.
pub(super) struct Fields<'a> {
    text: &'a Text<'a>,
    table: &'a dyn TableLike,
    /// The last part of the table's name.
    name: String,
    start: usize,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of_root(text: &'a Text<'a>, table: &'a dyn TableLike) -> Self {
        Self::new(text, table, "", 0)
    }

    fn new(text: &'a Text<'a>, table: &'a dyn TableLike, name: &str, start: usize) -> Self {
        Self { text, table, name: name.to_owned(), start, asked: RefCell::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The line at which the table begins.
    pub(super) fn line(&self) -> usize {
        self.text.place(self.start).line
    }

    /// An error of the table.
    pub(super) fn error(&self, what: &str) -> FileError {
        self.text.place(self.start).error(what)
    }

    /// An error on a line.
    pub(super) fn error_on(&self, line: usize, what: &str) -> FileError {
        FileError { line, column: 1, what: what.to_owned() }
    }

    /// An error of a value.
    pub(super) fn error_at(&self, key: &str, what: &str) -> FileError {
        self.place(self.table.get(key).and_then(Item::span)).error(&format!("`{key}`: {what}"))
    }

    fn place(&self, span: Option<Range<usize>>) -> Place {
        self.text.place(span.map_or(self.start, |span| span.start))
    }

    /// Whether a key is there; it counts as asked for.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// The line of a value.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.place(self.table.get(key).and_then(Item::span)).line
    }

    /// The line on which the text of a string begins: the next one where a line end follows the three quotes.
    pub(super) fn first_line_of(&self, key: &str) -> usize {
        let start = self.table.get(key).and_then(Item::span).map_or(self.start, |span| span.start);
        let written = self.text.bytes.get(start..).unwrap_or_default();
        let opens = ["\"\"\"\n", "\"\"\"\r\n", "'''\n", "'''\r\n"].iter().any(|open| written.starts_with(open.as_bytes()));
        self.text.place(start).line + usize::from(opens)
    }

    fn get(&self, key: &'static str) -> Option<&'a Item> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    fn typed<T>(&self, key: &'static str, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, FileError> {
        match self.get(key) {
            None => Ok(None),
            Some(item) => match item.as_value().and_then(read) {
                Some(value) => Ok(Some(value)),
                None => Err(self.error_at(key, &format!("{what} is needed here"))),
            },
        }
    }

    pub(super) fn string(&self, key: &'static str) -> Result<Option<String>, FileError> {
        self.typed(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn boolean(&self, key: &'static str) -> Result<Option<bool>, FileError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn integer(&self, key: &'static str) -> Result<Option<i64>, FileError> {
        self.typed(key, "a number", Value::as_integer)
    }

    pub(super) fn strings(&self, key: &'static str) -> Result<Option<Vec<String>>, FileError> {
        self.typed(key, "a list of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// The keys and strings of a table, in their order.
    pub(super) fn pairs(&self, key: &'static str) -> Result<Option<Vec<(String, String)>>, FileError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let needed = || self.error_at(key, "a table of strings is needed here, such as { trigger = \"push\" }");
        let table = item.as_table_like().ok_or_else(needed)?;
        let pair = |(name, item): (&str, &Item)| Some((name.to_owned(), item.as_str()?.to_owned()));
        table.iter().map(pair).collect::<Option<_>>().map(Some).ok_or_else(needed)
    }

    /// Seconds since 1970 (UTC) of a date and time with its zone.
    pub(super) fn time(&self, key: &'static str) -> Result<Option<i64>, FileError> {
        self.typed(key, "a date and time with its zone, such as 2025-03-01T00:00:00Z,", |value| {
            let time: jiff::Timestamp = value.as_datetime()?.to_string().parse().ok()?;
            Some(time.as_second())
        })
    }

    pub(super) fn id(&self, key: &'static str) -> Result<Option<ObjectId>, FileError> {
        self.typed(key, "a full object id", |value| value.as_str()?.parse().ok())
    }

    pub(super) fn ids(&self, key: &'static str) -> Result<Vec<ObjectId>, FileError> {
        let ids = self.typed(key, "a list of full object ids", |value| {
            value.as_array()?.iter().map(|item| item.as_str()?.parse().ok()).collect::<Option<Vec<_>>>()
        })?;
        Ok(ids.unwrap_or_default())
    }

    /// The tables of a list, written as `[[…]]` or in one line.
    pub(super) fn tables(&self, key: &'static str) -> Result<Vec<Self>, FileError> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        let needed = || self.error_at(key, "a list of tables is needed here");
        if let Some(tables) = item.as_array_of_tables() {
            return Ok(tables.iter().map(|table| Self::new(self.text, table, key, start(table.span()))).collect());
        }
        let values = item.as_array().ok_or_else(needed)?;
        let table = |value: &'a Value| {
            let table = value.as_inline_table().ok_or_else(needed)?;
            Ok(Self::new(self.text, table, key, start(value.span())))
        };
        values.iter().map(table).collect()
    }

    /// The tables of a table, by their names.
    pub(super) fn named_tables(&self, key: &'static str) -> Result<Vec<Self>, FileError> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        let tables = item.as_table_like().ok_or_else(|| self.error_at(key, "tables are needed here"))?;
        let named = |(name, item): (&str, &'a Item)| {
            let place = self.place(item.span());
            let table = item.as_table_like().ok_or_else(|| place.error(&format!("`{key}.{name}` is not a table")))?;
            let at = item.span().or_else(|| table.iter().find_map(|(_, item)| item.span()));
            Ok(Self::new(self.text, table, name, start(at)))
        };
        tables.iter().map(named).collect()
    }

    /// Every key must have been asked for; `later` are those of later versions.
    pub(super) fn finish(&self, later: &[&str]) -> Result<(), FileError> {
        let asked = self.asked.borrow();
        let Some((key, item)) = self.table.iter().find(|(key, _)| !asked.contains(key)) else { return Ok(()) };
        let at = self.table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
        let place = self.place(at);
        if later.contains(&key) {
            return Err(place.error(&format!("`{key}` is not in this version")));
        }
        let near = asked.iter().copied().chain(later.iter().copied()).min_by_key(|known| distance(known, key));
        let meant =
            near.filter(|known| distance(known, key) <= 2).map(|known| format!("; `{known}` is meant?")).unwrap_or_default();
        Err(place.error(&format!("`{}` is not a key here{meant}", key.escape_debug())))
    }
}

fn start(span: Option<Range<usize>>) -> usize {
    span.map_or(0, |span| span.start)
}

/// How many characters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (&b, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [("", "", 0), ("status", "status", 0), ("statu", "status", 1), ("sttaus", "status", 2), ("abc", "", 3)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
