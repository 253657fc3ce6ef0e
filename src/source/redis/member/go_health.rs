//! Tells Go replicas whether the leader's upstream stream is up, in the words
//! of their own primary.

use redis::Cmd;

use super::Member;
use super::trouble::Part;
use crate::source::redis::keys::go;
use crate::source::redis::link::Failure;
use crate::store::redis_state::RedisRole;
use crate::store::sync_state::StreamState;
use crate::telemetry::clock::unix_now_ms;

/// Entries of the stream; only the newest says anything.
const ENTRIES: &str = "100";

impl Member {
    /// Writes the state, if it is another one than was written last.
    pub(super) async fn tell_go(&mut self) {
        if self.role != RedisRole::Leads {
            self.told_go = None;
            return;
        }
        let state = self.stream_state();
        if self.told_go == Some(state) {
            return;
        }
        match self.write_stream_state(state).await {
            Ok(()) => self.told_go = Some(state),
            Err(failure) => self.fails(Part::Writing, &failure),
        }
    }

    /// Of all streams together: the worst one counts. A directory has none.
    fn stream_state(&self) -> StreamState {
        let index = self.parts.store.index();
        let mut state = StreamState::Connected;
        for sync in index.environments.values().filter_map(|environment| environment.sync.load_full()) {
            match sync.stream {
                StreamState::Disconnected => return StreamState::Disconnected,
                StreamState::Initializing => state = StreamState::Initializing,
                StreamState::Connected => {}
            }
        }
        state
    }

    async fn write_stream_state(&self, state: StreamState) -> Result<(), Failure> {
        let mut health = Cmd::new();
        let text = format!("{{\"state\":\"{state}\",\"since\":{}}}", unix_now_ms());
        health.arg("SET").arg(go::STREAM_HEALTH).arg(text);
        let _: String = self.parts.link.call(&health).await?;
        if state == StreamState::Initializing {
            return Ok(());
        }
        let mut control = Cmd::new();
        let event = format!(
            "{{\"event\":\"stream_action\",\"domain\":\"{state}\",\"identifier\":\"\",\"version\":0,\"environment\":\"\",\"apiKey\":\"\"}}"
        );
        control.arg("XADD").arg(go::CONTROL).arg("MAXLEN").arg("~").arg(ENTRIES).arg("*");
        control.arg(go::FIELD).arg(event).arg(go::OURS).arg("1");
        let _: String = self.parts.link.call(&control).await?;
        Ok(())
    }
}
