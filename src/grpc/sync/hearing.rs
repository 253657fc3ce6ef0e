//! What a follower says, and what it wants to know.

use std::time::{Duration, Instant};

use tonic::Status;

use super::session::{ANSWER_WITHIN, Session, shortened};
use crate::fault::Fault;
use crate::grpc::status::{About, status};
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::sync_snapshots_request::Message as Said;
use crate::proto::snapshot::v1::sync_snapshots_response::Message;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::ledger::ServedVersions;
use crate::store::Learnt;
use crate::store::keys::{Arrival, OtherWaiting};
use crate::store::peers::PeerUpdate;
use crate::telemetry::clock::unix_now_ms;
use crate::transfer::FromMessage as _;

/// SDK requests wait for 8 s at most.
const KEYS_WITHIN: Duration = Duration::from_secs(7);

/// A question for keys that waits for an answer.
#[derive(Debug)]
pub struct Question {
    pub(super) number: u64,
    pub(super) arrival: Arrival,
    pub(super) until: Instant,
    pub(super) _waiting: OtherWaiting,
}

impl Session {
    pub(super) async fn hear(&mut self, said: proto::SyncSnapshotsRequest) -> Result<(), Status> {
        let now = Instant::now();
        let again = || {
            let message = "one subscription a stream; end this stream and begin another";
            status(Fault::InvalidField, message, About::Field("subscribe"))
        };
        self.peer.note(|facts| facts.last_heard_at_ms = Some(unix_now_ms()));
        match said.message {
            Some(Said::Ack(ack)) => {
                let id = EnvironmentId::new(&ack.environment_id);
                if let Some(revision) = self.followed.get_mut(&id).and_then(|it| it.acknowledged(ack.update)) {
                    self.answered(now);
                    let environment = id.clone();
                    self.peer.acknowledged(PeerUpdate { environment, revision, at_ms: unix_now_ms() });
                }
                if !ack.raised.is_empty()
                    && let Ok(served) = ServedVersions::from_message(ack.raised)
                {
                    self.administrator.learn_served(&id, served).await;
                }
                self.look_at_one(&id, now);
            }
            Some(Said::Nack(nack)) => {
                let id = EnvironmentId::new(&nack.environment_id);
                if self.followed.get_mut(&id).is_some_and(|followed| followed.refused(nack.update, now)) {
                    self.answered(now);
                    let reason = shortened(&nack.reason);
                    tracing::warn!(
                        environment = %id,
                        peer = self.peer.name,
                        reason,
                        "a follower refused an update; it gets the full state"
                    );
                    self.peer.refused(&reason);
                }
                self.look_at_one(&id, now);
            }
            Some(Said::AskKeys(asked)) => self.take_question(asked.question, now),
            Some(Said::Subscribe(_)) => return Err(again()),
            // Of a later release.
            None => {}
        }
        self.note_behind();
        Ok(())
    }

    /// A key came to the follower that it does not know.
    fn take_question(&mut self, number: u64, now: Instant) {
        let arrival = self.store.certainty().arrival();
        let until = now + KEYS_WITHIN;
        self.question = Some(Question { number, arrival, until, _waiting: OtherWaiting::at(&self.store) });
        self.store.certainty().ask(arrival);
    }

    /// The answer, once it is there and what it brought was acknowledged.
    pub(super) fn question_answered(&mut self, now: Instant) -> Option<proto::KeysRead> {
        let &Question { number, arrival, until, .. } = self.question.as_ref()?;
        let certain = self.store.is_certain(arrival) && self.due.is_empty() && self.in_flight == 0;
        if !certain && now < until {
            // Others may have asked before, for a reading that does not count.
            self.store.certainty().ask(arrival);
            return None;
        }
        self.question = None;
        Some(proto::KeysRead { question: number, complete: certain })
    }

    /// SDKs say who they are to one relay, and may ask another.
    pub(super) fn pass_on(&mut self, learnt: &Learnt) {
        if self.followed.contains_key(&learnt.environment) && *learnt.from != *self.follower_id {
            self.outgoing.push(Message::LearntTarget(proto::LearntTarget {
                environment_id: learnt.environment.to_string(),
                json: learnt.target.json.as_bytes().to_vec(),
            }));
        }
    }

    fn answered(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answer_by = (self.in_flight > 0).then(|| now + ANSWER_WITHIN);
    }
}
