//! Pages over a sorted list: a token names the last element that was given.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::Status;

use super::status::{About, status};
use crate::fault::Fault;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1000;

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
            None => {
                let message = "page_token was not made by this relay; begin with an empty one";
                Err(status(Fault::InvalidPageToken, message, About::Field("page_token")))
            }
        }
    }

    /// Cuts the page out of a sorted list and gives the next page's token.
    pub fn cut<T>(&self, sorted: impl Iterator<Item = T>, name: impl Fn(&T) -> &str) -> (Vec<T>, String) {
        let behind = |item: &T| self.after.as_deref().is_none_or(|after| name(item) > after);
        let mut items: Vec<T> = sorted.filter(behind).take(self.size + 1).collect();
        if items.len() <= self.size {
            return (items, String::new());
        }
        items.truncate(self.size);
        let next = items.last().map(|last| URL_SAFE_NO_PAD.encode(format!("{MARK}{}", name(last))));
        (items, next.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let all: Vec<String> = (0..120).map(|i| format!("e{i:03}")).collect();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = Page::parse(0, &token).unwrap();
            let (items, next) = page.cut(all.iter(), |item| item.as_str());
            assert!(items.len() <= 50);
            seen.extend(items.into_iter().cloned());
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, all);
        assert_eq!(Page::parse(5000, "").unwrap().size, 1000);
        assert!(Page::parse(-1, "").is_err() && Page::parse(1, "!!").is_err() && Page::parse(1, "YWJj").is_err());
    }
}
