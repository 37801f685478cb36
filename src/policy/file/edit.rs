//! Changing a policy in TOML in place: what is not changed stays as it was written, comments too.

use super::PolicyFile;
use super::fields::FileError;
use crate::object::ObjectId;
use toml_edit::{Array, Datetime, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

/// A file that is being changed.
pub struct Editor(DocumentMut);

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
        text.parse().map(Self).map_err(|fault: toml_edit::TomlError| error(fault.message().to_owned()))
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    /// Makes `settled` these ids. Those that stand there already keep their place and their comments; a new one gets its
    /// comment, one line, above it.
    pub fn settle(&mut self, ids: &[(ObjectId, String)]) {
        let item = self.0.entry("settled").or_insert_with(|| value(Array::new()));
        let Some(array) = item.as_array_mut() else { return };
        let id_of = |value: &Value| value.as_str().and_then(|text| text.parse::<ObjectId>().ok());
        array.retain(|value| id_of(value).is_some_and(|id| ids.iter().any(|(wanted, _)| *wanted == id)));
        let kept: Vec<ObjectId> = array.iter().filter_map(id_of).collect();
        for (id, comment) in ids.iter().filter(|(id, _)| !kept.contains(id)) {
            let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let prefix = if comment.is_empty() { "\n    ".to_owned() } else { format!("\n    # {comment}\n    ") };
            array.push_formatted(Value::from(id.to_string()).decorated(prefix, ""));
        }
        if !array.is_empty() {
            array.set_trailing_comma(true);
            if !array.trailing().as_str().is_some_and(|text| text.contains('\n')) {
                array.set_trailing("\n");
            }
        }
    }

    /// Retires a key or an authority as of a time (RFC 3339, with its zone). Gives whether it is in the file.
    pub fn retire(&mut self, holder: &Holder, before: &str, reason: Option<&str>) -> bool {
        let Ok(before) = before.parse::<Datetime>() else { return false };
        let retire = |table: &mut dyn TableLike| {
            table.insert("status", value("retired"));
            table.insert("before", value(before));
            if let Some(reason) = reason {
                table.insert("reason", value(reason));
            }
        };
        match self.item_of(holder) {
            Some(Found::Table(table)) => retire(table),
            Some(Found::Inline(table)) => {
                retire(table);
                table.fmt(); // it has no comments to lose
            }
            None => return false,
        }
        true
    }

    fn item_of(&mut self, holder: &Holder) -> Option<Found<'_>> {
        match holder {
            Holder::Authority(name) => match self.0.get_mut("authorities")?.as_table_like_mut()?.get_mut(name)? {
                Item::Table(table) => Some(Found::Table(table)),
                Item::Value(Value::InlineTable(table)) => Some(Found::Inline(table)),
                _ => None,
            },
            Holder::Key { principal, index } => {
                let person = self.0.get_mut("principals")?.as_table_like_mut()?.get_mut(principal)?;
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
        let (one, two) = (id("1"), id("2"));
        let text = edited(&file(""), |it| it.settle(&[(one, "refs/heads/main\nevil = 1".into())]));
        assert_eq!(
            text,
            file(&format!("settled = [\n    # refs/heads/main evil = 1\n    \"{one}\",\n]\n")).replace("]\n\n\n#", "]\n\n#")
        );
        let old = format!("settled = [\n    # the first release\n    '{one}',\n    '{two}', # gone\n]");
        let text = edited(&file(&old), |it| it.settle(&[(one, "no".into()), (id("3"), String::new())]));
        assert!(text.contains("    # the first release\n    '1111"), "{text}");
        assert!(!text.contains("2222") && text.contains(&format!(",\n    \"{}\"", id("3"))), "{text}");
        assert_eq!(PolicyFile::parse(text.as_bytes()).unwrap().settled, [one, id("3")]);
        let text = edited(&file("settled = []"), |it| it.settle(&[]));
        assert_eq!(text, file("settled = []"));
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
        let text = edited(&file(""), |it| assert!(it.retire(&Holder::Authority("corp".into()), BEFORE, None)));
        assert_eq!(text, file("") + &format!("status = \"retired\"\nbefore = {BEFORE}\n"));
        for absent in [key("alice", 1), key("eve", 0), Holder::Authority("alice".into())] {
            assert_eq!(edited(&file(""), |it| assert!(!it.retire(&absent, BEFORE, None))), file(""));
        }
    }
}
