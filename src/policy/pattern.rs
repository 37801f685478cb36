//! OpenSSH's pattern lists (ssh_config(5), PATTERNS; `match.c`).

/// Items of this length or longer make OpenSSH's whole list match nothing.
const MAX_ITEM: usize = 1023;

/// A comma-separated list of patterns: `*` any run, `?` any byte, `!` in front negates. Case matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternList(Vec<u8>);

impl PatternList {
    /// A list as written.
    pub fn new(text: &[u8]) -> Self {
        Self(text.to_vec())
    }

    /// As written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The items, in order, `!` kept.
    pub fn items(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b',')
    }

    /// The first item that matches, where no negated one does.
    pub fn matching_item(&self, text: &[u8]) -> Option<&[u8]> {
        if self.0.is_empty() {
            return None; // no item, where a comma alone is an empty one before it and none after
        }
        let mut found = None;
        let list = self.0.strip_suffix(b",").unwrap_or(&self.0);
        for item in list.split(|&b| b == b',') {
            if item.len() >= MAX_ITEM {
                return None;
            }
            match item.strip_prefix(b"!") {
                Some(negated) if matches(text, negated) => return None,
                Some(_) => {}
                None if found.is_none() && matches(text, item) => found = Some(item),
                None => {}
            }
        }
        found
    }

    /// Whether a negated item matches: whatever else does, the list says no.
    pub fn negates(&self, text: &[u8]) -> bool {
        self.items().any(|item| item.strip_prefix(b"!").is_some_and(|negated| matches(text, negated)))
    }

    /// Whether it is seen at once that nothing matches: each item is negated, or a name that a negated one matches.
    pub fn names_nobody(&self) -> bool {
        let is_name = |item: &[u8]| !item.is_empty() && !item.contains(&b'*') && !item.contains(&b'?');
        self.items().all(|item| item.starts_with(b"!") || (is_name(item) && self.negates(item)))
    }

    /// Whether the list matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.matching_item(text).is_some()
    }
}

/// Whether one pattern matches. Goes back only to the last `*`, so the work is at most the product of both lengths.
pub fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None; // after the last `*`; how far it has eaten
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&want) if want == b'?' || want == byte => {
                t += 1;
                p += 1;
            }
            _ => match star.as_mut() {
                Some((after, eaten)) => {
                    *eaten += 1;
                    (p, t) = (*after, *eaten);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|&b| b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_openssh_matches() {
        for (list, text, want) in [
            ("a@x", "a@x", true),
            ("a@x", "A@x", false),
            ("b@x,a@x", "a@x", true),
            ("*@x", "a@x", true),
            ("*@x", "a@xy", false),
            ("?@x", "ab@x", false),
            ("*", "", true),
            ("", "", false),
            ("a,", "", false),
            (",a", "", true),
            (",", "", true),
            ("!a,,", "", true),
            ("**a*b", "xxaxxbxb", true),
            ("*,!a@x", "a@x", false),
            ("!a@x,*", "b@x", true),
            ("!a@x", "b@x", false),
            ("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
        ] {
            assert_eq!(PatternList::new(list.as_bytes()).matches(text.as_bytes()), want, "{list} {text}");
        }
        let long = format!("a@x,{}", "y".repeat(MAX_ITEM));
        assert!(PatternList::new(long.as_bytes()).matching_item(b"b").is_none());
        let long_first = format!("{},a@x", "y".repeat(MAX_ITEM));
        assert!(!PatternList::new(long_first.as_bytes()).matches(b"a@x"));
    }
}
