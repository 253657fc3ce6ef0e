//! The targets that the admin service knows.

use std::sync::Arc;

use super::call_error::CallError;
use super::calls::{AdminAccess, Calls};
use super::token::Scope;
use crate::snapshot::item::Item;

/// Targets that are taken: more would not fit into a snapshot.
const MAX_TARGETS: usize = 100_000;

/// Reads all pages of an environment's targets.
///
/// # Errors
/// See [`CallError`]; also more targets than are taken.
pub async fn pages_of_targets(calls: &Calls, admin: &AdminAccess, scope: &Scope) -> Result<Vec<Arc<Item>>, CallError> {
    let mut targets = std::collections::BTreeMap::new();
    for page in 0.. {
        let read = calls.target_page(admin, scope, page).await?;
        targets.extend(read.targets.into_iter().map(|item| (item.key.clone(), item)));
        if read.rows == 0 || read.page_count.is_some_and(|count| page + 1 >= count) {
            break;
        }
        if targets.len() > MAX_TARGETS || page > MAX_TARGETS {
            return Err(CallError::Unusable(format!("there are more than {MAX_TARGETS} targets")));
        }
    }
    Ok(targets.into_values().collect())
}
