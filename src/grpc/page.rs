//! Pages over a sorted list: a token names the last element that was given.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use tonic::Status;

use super::status::{About, status};
use crate::fault::Fault;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1000;

/// A page ends early above this: clients take 4 MiB unless told otherwise,
/// and the last element comes on top.
const MAX_BYTES: usize = 3 * 1024 * 1024;

/// Marks tokens of this relay, and of this form of them.
const MARK: &str = "1:";

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub size: usize,
    /// Only what sorts behind this.
    pub after: Option<String>,
}

impl Page {
    /// Reads `page_size` (0 = 50, at most 1000) and `page_token`.
    ///
    /// # Errors
    /// A negative size, or a token that was not made here.
    pub fn parse(size: i32, token: &str) -> Result<Self, Status> {
        let size = usize::try_from(size)
            .map_err(|_| status(Fault::InvalidField, "page_size must not be negative", About::Field("page_size")))?;
        let size = if size == 0 { DEFAULT_SIZE } else { size.min(MAX_SIZE) };
        if token.is_empty() {
            return Ok(Page { size, after: None });
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.strip_prefix(MARK)) {
            Some(after) => Ok(Page { size, after: Some(after.to_owned()) }),
            None => Err(foreign_token()),
        }
    }

    /// The number that the token names; 0 for the first page.
    ///
    /// # Errors
    /// It is a token of another list.
    pub fn after_number(&self) -> Result<u64, Status> {
        self.after.as_ref().map_or(Ok(0), |after| after.parse().map_err(|_| foreign_token()))
    }

    /// Makes the page's messages out of a sorted list, and the next page's
    /// token. Ends at the page's size or when it has many bytes, but never
    /// before its first element.
    pub fn fill<T, M: Message>(
        &self,
        sorted: &[T],
        name: impl Fn(&T) -> &str,
        make: impl Fn(&T) -> M,
    ) -> (Vec<M>, String) {
        let start = self.after.as_deref().map_or(0, |after| sorted.partition_point(|item| name(item) <= after));
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let mut rest = sorted.get(start..).unwrap_or_default().iter().peekable();
        while let Some(item) = rest.next() {
            let message = make(item);
            bytes += message.encoded_len();
            messages.push(message);
            let full = messages.len() >= self.size || bytes > MAX_BYTES;
            if full && rest.peek().is_some() {
                return (messages, URL_SAFE_NO_PAD.encode(format!("{MARK}{}", name(item))));
            }
        }
        (messages, String::new())
    }
}

fn foreign_token() -> Status {
    let message = "page_token was not made by this relay for this list; begin with an empty one";
    status(Fault::InvalidPageToken, message, About::Field("page_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(all: &[String], padding: usize) -> (Vec<String>, usize) {
        let (mut seen, mut token, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let page = Page::parse(0, &token).unwrap();
            let (items, next) = page.fill(all, String::as_str, |item| format!("{item}{}", " ".repeat(padding)));
            assert!(!items.is_empty() && items.len() <= 50);
            seen.extend(items.iter().map(|item| item.trim().to_owned()));
            count += 1;
            if next.is_empty() {
                return (seen, count);
            }
            token = next;
        }
    }

    #[test]
    fn pages_cover_the_list_once() {
        let all: Vec<String> = (0..120).map(|i| format!("e{i:03}")).collect();
        assert_eq!(pages(&all, 0), (all.clone(), 3));
        assert_eq!(pages(&all[..50], 0), (all[..50].to_vec(), 1), "a full page may be the last");
        assert_eq!(Page::parse(5000, "").unwrap().size, 1000);
        assert!(Page::parse(-1, "").is_err() && Page::parse(1, "!!").is_err() && Page::parse(1, "YWJj").is_err());
    }

    #[test]
    fn large_elements_make_short_pages() {
        let all: Vec<String> = (0..7).map(|i| format!("e{i}")).collect();
        assert_eq!(pages(&all, 1024 * 1024), (all.clone(), 3));
        assert_eq!(pages(&all, MAX_BYTES), (all.clone(), 7));
    }
}
