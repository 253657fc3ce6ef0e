//! Lists come in pages; here they become one list.

use crate::cli::connect::Session;
use crate::cli::failure::Failure;
use crate::proto::inspect::v1 as proto;

const PAGE: i32 = 500;

/// Follows the pages until the end or the limit. `next` asks for a page by
/// its size and token and gives its rows and the next token.
///
/// # Errors
/// What the relay says.
pub async fn follow<T>(
    limit: Option<usize>,
    mut next: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    let limit = limit.unwrap_or(usize::MAX);
    loop {
        let left = limit.saturating_sub(rows.len());
        let size = i32::try_from(left).unwrap_or(PAGE).min(PAGE);
        if size == 0 {
            return Ok(rows);
        }
        let (page, following) = next(size, token).await?;
        rows.extend(page.into_iter().take(left));
        if following.is_empty() {
            return Ok(rows);
        }
        token = following;
    }
}

/// All environments, at most `limit`.
///
/// # Errors
/// What the relay says.
pub async fn environments(session: &Session, limit: Option<usize>) -> Result<Vec<proto::Environment>, Failure> {
    follow(limit, async |page_size, page_token| {
        let request = session.request(proto::ListEnvironmentsRequest { page_size, page_token });
        let page = session.answer(session.inspect().list_environments(request)).await?;
        Ok((page.environments, page.next_page_token))
    })
    .await
}

/// The environment that is meant: the named one, or the only one.
///
/// # Errors
/// There are several, or none.
pub async fn one_environment(session: &Session, named: Option<&str>) -> Result<String, Failure> {
    if let Some(id) = named {
        return Ok(id.to_owned());
    }
    let all = environments(session, Some(2)).await?;
    match all.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => Err(Failure::failed("this relay serves no environment; `ff-relay status` says why")),
        _ => Err(Failure::Usage(
            "this relay serves several environments: name one with --environment; `ff-relay inspect environments` lists them"
                .to_owned(),
        )),
    }
}
