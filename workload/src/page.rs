//! One page of the list, written as JSON while its rows arrive.

use axum::body::Bytes;

/// The most tasks that one answer holds.
pub const MAX_PAGE: u16 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Only tasks with a greater id.
    pub after: i64,
    pub limit: u16,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            after: 0,
            limit: MAX_PAGE,
        }
    }
}

/// A page as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedPage {
    pub json: Bytes,
    /// The id after which the next page begins, if there is one.
    pub next: Option<i64>,
}

/// What a page of some dozens of tasks takes: most are written without growing.
const ROOM: usize = 2048;

/// A page being written.
#[derive(Debug)]
pub struct Page {
    json: Vec<u8>,
    limit: u16,
    rows: u16,
    last_id: i64,
    more: bool,
}

impl Page {
    pub fn new(request: PageRequest) -> Self {
        let mut json = Vec::with_capacity(ROOM);
        json.push(b'[');
        Self {
            json,
            limit: request.limit,
            rows: 0,
            last_id: request.after,
            more: false,
        }
    }

    /// One row more than the page holds: it tells whether there is a next page.
    pub fn rows_wanted(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn push(&mut self, id: i64, task: &str) {
        if self.rows == self.limit {
            self.more = true;
            return;
        }
        if self.rows > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(b"{\"id\":");
        write_json(&mut self.json, &id);
        self.json.extend_from_slice(b",\"task\":");
        write_json(&mut self.json, task);
        self.json.push(b'}');
        self.rows += 1;
        self.last_id = id;
    }

    pub fn finish(mut self) -> RenderedPage {
        self.json.push(b']');
        RenderedPage {
            json: self.json.into(),
            next: self.more.then_some(self.last_id),
        }
    }
}

fn write_json<T: serde::Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) {
    // Numbers and strings always have a JSON form and a Vec takes every write.
    let written = serde_json::to_writer(json, value);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn page(limit: u16, rows: &[(i64, &str)]) -> (String, Option<i64>) {
        let mut page = Page::new(PageRequest { after: 0, limit });
        for (id, task) in rows {
            page.push(*id, task);
        }
        let page = page.finish();
        (String::from_utf8(page.json.to_vec()).unwrap(), page.next)
    }

    #[test]
    fn rows_become_a_list_in_json() {
        assert_eq!(page(2, &[]), ("[]".to_owned(), None));
        assert_eq!(
            page(2, &[(1, "Buy \"milk\"\n"), (7, "ü\u{1f95b}")]),
            (
                "[{\"id\":1,\"task\":\"Buy \\\"milk\\\"\\n\"},{\"id\":7,\"task\":\"ü\u{1f95b}\"}]".to_owned(),
                None
            )
        );
    }

    #[test]
    fn the_row_beyond_the_limit_only_says_that_there_is_more() {
        assert_eq!(
            page(1, &[(4, "a"), (9, "b")]),
            ("[{\"id\":4,\"task\":\"a\"}]".to_owned(), Some(4))
        );
    }
}
