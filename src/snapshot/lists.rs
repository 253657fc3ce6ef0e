//! The lists that SDKs ask for: items with their served versions, and the
//! bodies that are made of them.

use std::sync::Arc;

use bytes::Bytes;

use super::Snapshot;
use super::body::{Body, CompressError, Row};
use super::build::BuildError;
use super::content::Content;
use super::difference::difference;
use super::item::Item;
use super::ledger::Ledger;
use super::served::ServedItem;

/// See the fields of [`Snapshot`].
#[derive(Debug)]
pub struct Lists {
    pub flags: Vec<Arc<ServedItem>>,
    pub segments: Vec<Arc<ServedItem>>,
    pub flags_body: Body,
    pub segments_body: Body,
    pub legacy_segments_body: Body,
}

/// Makes the lists. Of `previous` what did not change is taken over; of
/// `by_difference`, which is the same or nothing, only items that differ can
/// have another version.
///
/// # Errors
/// See [`BuildError`].
pub fn serve(
    content: &Content,
    ledger: &Ledger,
    (previous, by_difference): (Option<&Snapshot>, Option<&Snapshot>),
    and_rules: bool,
) -> Result<Lists, BuildError> {
    let render = |item: &Arc<Item>| {
        let rendered = ServedItem::render(item, ledger.served(item), and_rules);
        rendered.map(Arc::new).map_err(|source| BuildError::Item { identifier: item.identifier().to_owned(), source })
    };
    let (mut flags, mut segments);
    if let Some(before) = by_difference {
        flags = changed(&before.content.flags, &content.flags, &before.flags, render)?;
        segments = changed(&before.content.segments, &content.segments, &before.segments, render)?;
    } else {
        let known = |item: &Arc<Item>, previous: &[Arc<ServedItem>]| {
            let old = super::find(previous, item.identifier())?;
            (old.version == ledger.served(item) && Arc::ptr_eq(&old.item, item)).then(|| Arc::clone(old))
        };
        let all = |items: &[Arc<Item>], previous: &[Arc<ServedItem>]| -> Result<Vec<_>, BuildError> {
            items.iter().map(|item| known(item, previous).map_or_else(|| render(item), Ok)).collect()
        };
        flags = all(&content.flags, previous.map_or(&[], |before| &before.flags))?;
        segments = all(&content.segments, previous.map_or(&[], |before| &before.segments))?;
    }
    let same_segments = previous.filter(|before| same(&before.segments, &segments));
    let flags_body = body(&mut flags, previous.map(|before| &before.flags_body), FLAG_JSON)?;
    let (segments_body, legacy_segments_body) = match same_segments {
        Some(before) => (before.segments_body.clone(), before.legacy_segments_body.clone()),
        None => (
            body(&mut segments, previous.map(|before| &before.segments_body), SEGMENT_JSON)?,
            body(&mut segments, previous.map(|before| &before.legacy_segments_body), LEGACY_JSON)?,
        ),
    };
    Ok(Lists { flags, segments, flags_body, segments_body, legacy_segments_body })
}

/// The served items of before, but for those that differ.
fn changed(
    before: &[Arc<Item>],
    now: &[Arc<Item>],
    served: &[Arc<ServedItem>],
    render: impl Fn(&Arc<Item>) -> Result<Arc<ServedItem>, BuildError>,
) -> Result<Vec<Arc<ServedItem>>, BuildError> {
    let mut list = Vec::with_capacity(now.len());
    let mut taken = 0;
    for row in difference(before, now) {
        list.extend_from_slice(served.get(taken..row.places.0).unwrap_or_default());
        taken = row.places.0 + usize::from(row.before.is_some());
        if let Some(item) = row.now {
            list.push(render(item)?);
        }
    }
    list.extend_from_slice(served.get(taken..).unwrap_or_default());
    Ok(list)
}

fn same(before: &[Arc<ServedItem>], now: &[Arc<ServedItem>]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| Arc::ptr_eq(before, now))
}

/// Which text of items a list is made of.
struct Form {
    get: fn(&ServedItem) -> &Bytes,
    set: fn(&mut ServedItem, Bytes),
}

const FLAG_JSON: Form =
    Form { get: |flag| &flag.json, set: |flag, json| (flag.json, flag.legacy_json) = (json.clone(), json) };
const SEGMENT_JSON: Form = Form { get: |segment| &segment.json, set: |segment, json| segment.json = json };
const LEGACY_JSON: Form = Form { get: |segment| &segment.legacy_json, set: |segment, json| segment.legacy_json = json };

/// The list's body; its items' texts are then parts of its blocks, so that
/// they are held once.
fn body(items: &mut [Arc<ServedItem>], previous: Option<&Body>, form: Form) -> Result<Body, CompressError> {
    let rows: Vec<Row<'_>> =
        items.iter().map(|served| Row { cut: served.item.cut, json: (form.get)(served) }).collect();
    let (body, fresh) = Body::build(&rows, previous)?;
    for made in fresh {
        let mut at = 1;
        for served in items.get_mut(made.rows.clone()).unwrap_or_default() {
            let (json, next) = made.text(at, (form.get)(served).len());
            (form.set)(Arc::make_mut(served), json);
            at = next;
        }
    }
    Ok(body)
}
