//! From an update's payload to what is served: checked before the swap, so
//! that nothing is ever served that the leader never had.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::{Names, Revision};
use crate::source::intake::{Delivery, Intake};
use crate::store::source_status::SourceKind;
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_ms;
use crate::transfer::{Assembled, Update};

/// An update that is served.
pub struct Applied {
    pub revision: Revision,
    pub content: Content,
    pub names: Names,
    /// What this relay gave out above its leader.
    pub raised: ServedVersions,
}

/// Puts an update together and serves it.
///
/// # Errors
/// Why not, for the leader's operators too; the state before is served.
pub fn apply(
    intake: &mut Intake,
    id: &EnvironmentId,
    payload: &[u8],
    base: Option<(Revision, Content)>,
) -> Result<Applied, String> {
    let update = Update::read(payload)?;
    let to = update.leader.revision;
    if let Some((known, _)) = &base
        && known.epoch == to.epoch
        && known.sequence > to.sequence
    {
        return Err(format!("it leads back to sequence {} from {}", to.sequence, known.sequence));
    }
    let rows = update.leader.rows.clone();
    let Assembled { content, leader, names } = update.assemble(base.as_ref().map(|(revision, it)| (revision, it)))?;
    let offered = Offered {
        content: content.clone(),
        leader: Some(leader),
        credential: Arc::from(super::CREDENTIAL),
        served: None,
    };
    let digest = content.digest();
    if digest != to.digest {
        return Err(format!("it leads to the digest {digest} and should to {}", to.digest));
    }
    let delivery = Delivery::of(SourceKind::Peer, BTreeMap::from([(id.clone(), offered)]));
    intake.swap_in(delivery, unix_now_ms() / 1000).map_err(|error| error.to_string())?;
    let index = intake.store().index();
    let snapshot = index.environment(id.as_str()).and_then(|environment| environment.snapshot().clone());
    let raised = snapshot.map(|snapshot| snapshot.ledger.above(&rows)).unwrap_or_default();
    Ok(Applied { revision: to, content, names, raised })
}
