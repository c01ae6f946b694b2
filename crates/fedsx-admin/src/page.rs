//! Paging: how many, and from where.
//!
//! Invariant: an answer stays below gRPC's message limit, whatever the documents in it measure.

use fedsx_core::refusal::{Code, Refusal};

/// The largest message either way, bytes.
pub(crate) const MESSAGE_BYTES: usize = 4 << 20;
/// The documents of one page together, bytes; the last one may reach past it by its own size.
const PAGE_BYTES: usize = 2 << 20;
const DEFAULT: usize = 100;
const MAX: usize = 1_000;

/// The number of items to answer with: 100 when none is asked for, at most 1,000.
pub(crate) fn limit(asked: u32) -> usize {
    match asked as usize {
        0 => DEFAULT,
        asked => asked.min(MAX),
    }
}

/// A token that is a number.
pub(crate) fn number(token: &str) -> Result<Option<u64>, Refusal> {
    match token {
        "" => Ok(None),
        token => token.parse().map(Some).map_err(|_| bad_token()),
    }
}

/// The refusal of a token that no answer gave.
pub(crate) fn bad_token() -> Refusal {
    Refusal::new(
        Code::Malformed,
        "page_token must be one that an answer gave, or empty",
    )
}

/// Counts a page's documents against its bounds.
#[derive(Debug)]
pub(crate) struct Room {
    items: usize,
    bytes: usize,
}

impl Room {
    /// Room for `items`.
    pub(crate) const fn new(items: usize) -> Self {
        Self {
            items,
            bytes: PAGE_BYTES,
        }
    }

    /// Whether one more may follow.
    pub(crate) const fn is_left(&self) -> bool {
        self.items > 0 && self.bytes > 0
    }

    /// Whether a document of so many bytes stays below the page's bound.
    pub(crate) const fn fits(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }

    /// Takes the room of a document of so many bytes.
    pub(crate) const fn take(&mut self, bytes: usize) {
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// One page of a list that is in memory, sorted by `key`: what comes after the token, and the next
/// token.
pub(crate) fn of_list<T>(
    list: Vec<T>,
    limit: usize,
    token: &str,
    key: impl Fn(&T) -> &str,
) -> (Vec<T>, String) {
    let start = match token {
        "" => 0,
        token => list
            .iter()
            .position(|item| key(item) == token)
            .map_or(list.len(), |at| at + 1),
    };
    let more = list.len() > start.saturating_add(limit);
    let page: Vec<T> = list.into_iter().skip(start).take(limit).collect();
    let next = page
        .last()
        .filter(|_| more)
        .map(|item| key(item).to_owned());
    (page, next.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list_follow_each_other() {
        let list = || vec!["a", "b", "c"];
        assert_eq!(
            of_list(list(), 2, "", |i| i),
            (vec!["a", "b"], "b".to_owned())
        );
        assert_eq!(of_list(list(), 2, "b", |i| i), (vec!["c"], String::new()));
        assert_eq!(of_list(list(), 3, "", |i| i), (list(), String::new()));
        assert_eq!(of_list(list(), 3, "gone", |i| i), (vec![], String::new()));
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!([0, 1, 1_000, u32::MAX].map(limit), [100, 1, 1_000, 1_000]);
        assert!(number("x").is_err());
        assert_eq!(number("").expect("the first page"), None);
    }
}
