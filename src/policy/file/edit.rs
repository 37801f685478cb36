//! Changing a policy in TOML in place: what is not changed stays as it was written, comments too.

use super::PolicyFile;
use super::fields::FileError;
use crate::object::ObjectId;
use std::collections::HashSet;
use toml_edit::{Array, Datetime, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

/// A file that is being changed.
pub struct Editor {
    document: DocumentMut,
    /// Whether it begins with a byte order mark.
    marked: bool,
    /// Whether its lines end in CR LF.
    cr_lf: bool,
}

/// An id to settle, and what to say of it.
pub type Addition = (ObjectId, String);

/// Whose state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The key of this number (from 0) of a principal.
    Key {
        /// The principal's name in the file.
        principal: String,
        /// Which of the principal's keys.
        index: usize,
    },
    /// An authority, by its name in the file.
    Authority(String),
}

impl Editor {
    /// Takes a file that can be read as a policy.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn new(text: &[u8]) -> Result<Self, FileError> {
        PolicyFile::parse(text)?;
        let error = |what: String| FileError { line: 1, column: 1, what };
        let text = std::str::from_utf8(text).map_err(|fault| error(fault.to_string()))?;
        let document = text.parse().map_err(|fault: toml_edit::TomlError| error(fault.message().to_owned()))?;
        Ok(Self { document, marked: text.starts_with(MARK), cr_lf: text.contains("\r\n") })
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = self.document.to_string();
        if self.cr_lf {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        if self.marked && !text.starts_with(MARK) {
            text.insert_str(0, MARK);
        }
        text
    }

    /// Adds ids to `settled`, each with its comment, one line, above it. An id that stands there under the same comment and is in
    /// `covered` (it lies below what is added) gives its place to the new one; everything else stays as it is.
    pub fn settle(&mut self, ids: &[Addition], covered: &HashSet<ObjectId>) {
        let item = self.document.entry("settled").or_insert_with(|| value(Array::new()));
        let Some(array) = item.as_array_mut() else { return };
        for (id, comment) in ids {
            if array.iter().any(|value| id_of(value) == Some(*id)) {
                continue;
            }
            let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let above = if comment.is_empty() { "\n    ".to_owned() } else { format!("\n    # {comment}\n    ") };
            let is_older = |value: &&mut Value| {
                let prefix = value.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
                !comment.is_empty() && prefix.ends_with(&above) && id_of(value).is_some_and(|old| covered.contains(&old))
            };
            if let Some(older) = array.iter_mut().find(is_older) {
                replace(older, Value::from(id.to_string()));
                continue;
            }
            // what stands behind the last one stays behind it
            let mut behind = array.trailing().as_str().unwrap_or_default().trim_end().to_owned();
            if let Some(last) = array.iter_mut().last() {
                let suffix = last.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().trim_end().to_owned();
                last.decor_mut().set_suffix("");
                behind = suffix + &behind;
            }
            array.push_formatted(Value::from(id.to_string()).decorated(behind + &above, ""));
            array.set_trailing_comma(true);
            array.set_trailing("\n");
        }
    }

    /// Retires a key or an authority as of a time (RFC 3339, with its zone). Gives whether it is in the file.
    pub fn retire(&mut self, holder: &Holder, before: &str, reason: Option<&str>) -> bool {
        let Ok(before) = before.parse::<Datetime>() else { return false };
        let retire = |table: &mut dyn TableLike| {
            set(table, "status", Value::from("retired"));
            set(table, "before", Value::from(before));
            if let Some(reason) = reason {
                set(table, "reason", Value::from(reason));
            }
        };
        match self.item_of(holder) {
            Some(Found::Table(table)) => retire(table),
            Some(Found::Inline(table)) => {
                // the space before the brace stays before the brace
                let last = table.iter_mut().last().map(|(_, value)| value);
                let space = last.map(|last| {
                    let suffix = last.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().to_owned();
                    if suffix.trim().is_empty() {
                        last.decor_mut().set_suffix("");
                    }
                    suffix
                });
                retire(table);
                if let (Some(space), Some((_, last))) = (space.filter(|it| it.trim().is_empty()), table.iter_mut().last()) {
                    last.decor_mut().set_suffix(space);
                }
            }
            None => return false,
        }
        true
    }

    fn item_of(&mut self, holder: &Holder) -> Option<Found<'_>> {
        match holder {
            Holder::Authority(name) => match self.document.get_mut("authorities")?.as_table_like_mut()?.get_mut(name)? {
                Item::Table(table) => Some(Found::Table(table)),
                Item::Value(Value::InlineTable(table)) => Some(Found::Inline(table)),
                _ => None,
            },
            Holder::Key { principal, index } => {
                let person = self.document.get_mut("principals")?.as_table_like_mut()?.get_mut(principal)?;
                match person.as_table_like_mut()?.get_mut("keys")? {
                    Item::ArrayOfTables(tables) => tables.get_mut(*index).map(Found::Table),
                    Item::Value(Value::Array(values)) => {
                        values.get_mut(*index).and_then(Value::as_inline_table_mut).map(Found::Inline)
                    }
                    _ => None,
                }
            }
        }
    }
}

const MARK: &str = "\u{feff}";

fn id_of(value: &Value) -> Option<ObjectId> {
    value.as_str()?.parse().ok()
}

/// Puts a value in the place of another, with what stands around that.
fn replace(old: &mut Value, new: Value) {
    let decor = old.decor().clone();
    *old = new;
    *old.decor_mut() = decor;
}

fn set(table: &mut dyn TableLike, key: &str, new: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => replace(old, new),
        None => {
            table.insert(key, Item::Value(new));
        }
    }
}

/// A table, in the one form or the other.
enum Found<'a> {
    Table(&'a mut Table),
    Inline(&'a mut InlineTable),
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/L8E1DfiZ9cHzygqx0IzRCSAlmh4tXH7mZPwWZEY1L";
    const CA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFR+8EVk/54g3uvundqASKe3IGJ4T32FLymoo+wwhUqe";
    const BEFORE: &str = "2026-01-02T03:04:05Z";

    fn id(digit: &str) -> ObjectId {
        digit.repeat(40).parse().unwrap()
    }

    fn file(settled: &str) -> String {
        format!(
            "# ours\nversion = 1  # of the format\n{settled}\n# alice\n[principals.alice] # she\n[[principals.alice.keys]]\n# laptop\nssh = '{KEY}'\n\n[principals.bob]\nkeys = [{{ ssh = '{OTHER}' }}] # old\n\n[authorities.corp]\nssh-ca = '{CA}'\nprincipals = ['*@x']\n"
        )
    }

    fn edited(text: &str, edit: impl FnOnce(&mut Editor)) -> String {
        let mut editor = Editor::new(text.as_bytes()).unwrap();
        edit(&mut editor);
        editor.text()
    }

    #[test]
    fn settling_keeps_what_is_written() {
        let (one, two, three) = (id("1"), id("2"), id("3"));
        let main = |id| (id, "refs/heads/main\nevil = 1".to_owned());
        let settle = |text: &str, ids: &[(ObjectId, String)], covered: &[ObjectId]| {
            let covered = HashSet::from_iter(covered.iter().copied());
            let text = edited(text, |it| it.settle(ids, &covered));
            (PolicyFile::parse(text.as_bytes()).unwrap().settled, text)
        };
        let list = |id| format!("settled = [\n    # refs/heads/main evil = 1\n    \"{id}\",\n]\n");
        let whole = |id| file(&list(id)).replace("]\n\n\n#", "]\n\n#");
        let (_, text) = settle(&file(""), &[main(one)], &[]);
        assert_eq!(text, whole(one));
        // again; further on; where it is not further on
        assert_eq!(settle(&text, &[main(one)], &[]).1, whole(one));
        assert_eq!(settle(&text, &[main(two)], &[one]).1, whole(two));
        assert_eq!(settle(&text, &[main(two)], &[]).0, [one, two]);
        // comments stay where they are
        let old = format!("settled = [\n    # the first\n    '{one}', # it\n    '{two}' # audited\n]");
        let (ids, text) = settle(&file(&old), &[(three, "new".into())], &[one, two]);
        assert_eq!(ids, [one, two, three]);
        let new =
            format!("settled = [\n    # the first\n    '{one}', # it\n    '{two}', # audited\n    # new\n    \"{three}\",\n]");
        assert_eq!(text, file(&new));
        let old = format!("settled = ['{one}', # it\n    '{two}', # audited\n]");
        let new = format!("settled = ['{one}', # it\n    '{two}', # audited\n    \"{three}\",\n]");
        assert_eq!(settle(&file(&old), &[(three, String::new())], &[]).1, file(&new));
        assert_eq!(settle(&file("settled = []"), &[], &[]).1, file("settled = []"));
        // line ends and marks too
        let foreign = format!("\u{feff}{}", file("")).replace('\n', "\r\n");
        assert_eq!(settle(&foreign, &[main(one)], &[]).1, format!("\u{feff}{}", whole(one)).replace('\n', "\r\n"));
    }

    #[test]
    fn retiring_keeps_what_is_written() {
        let key = |principal: &str, index| Holder::Key { principal: principal.into(), index };
        let text = edited(&file(""), |it| assert!(it.retire(&key("alice", 0), BEFORE, Some("left \"us\""))));
        let own = format!("ssh = '{KEY}'\n");
        let want = format!("{own}status = \"retired\"\nbefore = {BEFORE}\nreason = 'left \"us\"'\n");
        assert_eq!(text, file("").replace(&own, &want));
        let text = edited(&file(""), |it| assert!(it.retire(&key("bob", 0), BEFORE, None)));
        assert!(text.contains(&format!("keys = [{{ ssh = '{OTHER}', status = \"retired\", before = {BEFORE} }}] # old")), "{text}");
        let noted = file("")
            .replace(
                "\n# alice",
                &format!(
                    "\n# alice\n[[principals.eve.keys]]\nssh = '{OTHER}' # a\nstatus = 'active' # yubikey 5\nreason = 'x' # y\n"
                ),
            )
            .replace(&format!("{{ ssh = '{OTHER}' }}"), "");
        let text = edited(&noted, |it| assert!(it.retire(&key("eve", 0), BEFORE, Some("gone"))));
        let want = noted.replace("'active'", "\"retired\"").replace("'x' # y\n", &format!("\"gone\" # y\nbefore = {BEFORE}\n"));
        assert_eq!(text, want);
        let text = edited(&file(""), |it| assert!(it.retire(&Holder::Authority("corp".into()), BEFORE, None)));
        assert_eq!(text, file("") + &format!("status = \"retired\"\nbefore = {BEFORE}\n"));
        for absent in [key("alice", 1), key("eve", 0), Holder::Authority("alice".into())] {
            assert_eq!(edited(&file(""), |it| assert!(!it.retire(&absent, BEFORE, None))), file(""));
        }
    }
}
