//! Text from repositories, made harmless for terminals, logs and shells.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes text printable: control characters, characters that change the direction or the look of what stands around them, and
/// characters that cannot be seen come out as `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hostile(character) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Quotes a word for a POSIX shell, where it needs it.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whether the name of a branch or a tag means just that in a command: no option, no other revision, nothing unseen.
pub fn is_plain_name(name: &str) -> bool {
    let is_id = name.len() >= 4 && name.chars().all(|c| c.is_ascii_hexdigit());
    !name.starts_with('-') && !matches!(name, "" | "@" | "HEAD") && !is_id && !name.chars().any(is_hostile)
}

fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many columns or more a name may take in a line for people.
const MAX_NAME: usize = 120;

/// Printable text of bounded length.
pub fn name(text: &str) -> String {
    let printable = printable(text);
    if printable.chars().count() <= MAX_NAME {
        return printable.into_owned();
    }
    printable.chars().take(MAX_NAME).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped_and_honest_text_is_not() {
        assert_eq!(printable("Zoë Ünïcode <z@x> 漢字 👍"), "Zoë Ünïcode <z@x> 漢字 👍");
        for (text, want) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("\u{9b}1A", "\\u{9b}1A"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("\u{feff}x", "\\u{feff}x"),
            ("\u{7f}", "\\u{7f}"),
            ("ma\u{34f}in\u{2800}", "ma\\u{34f}in\\u{2800}"),
            ("\n[GNUPG:] GOODSIG", "\\u{a}[GNUPG:] GOODSIG"),
        ] {
            assert_eq!(printable(text), want);
        }
        assert_eq!(name(&"x".repeat(500)).chars().count(), MAX_NAME + 1);
    }

    #[test]
    fn names_that_are_more_than_names() {
        for odd in ["-f", "--force", "-", "HEAD", "@", "", "abcd", &"1".repeat(40), "a\u{202e}b"] {
            assert!(!is_plain_name(odd), "{odd}");
        }
        for plain in ["main", "v1.0", "feature/x", "a'b", "abc", "pkg@1"] {
            assert!(is_plain_name(plain), "{plain}");
        }
    }

    #[test]
    fn shell_words() {
        assert_eq!(shell_word("refs/heads/main"), "refs/heads/main");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("$(rm)'x"), r"'$(rm)'\''x'");
        assert_eq!(shell_word(""), "''");
    }
}
