//! Whom to try first among several servers.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::Server;

/// Who was found last, or comes after whom nobody heard from: a caller that
/// gave up on a silent server begins with another the next time.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicUsize);

impl Turn {
    /// All of them once.
    pub fn round<'a>(&self, servers: &'a [Server]) -> impl Iterator<Item = &'a Server> {
        let first = self.0.load(Ordering::Relaxed) % servers.len().max(1);
        let (before, from_first) = servers.split_at(first);
        from_first.iter().chain(before).inspect(|server| {
            let next = position(servers, server).map_or(0, |position| position + 1);
            self.0.store(next, Ordering::Relaxed);
        })
    }

    /// This one answered.
    pub fn stay(&self, servers: &[Server], server: &Server) {
        self.0.store(position(servers, server).unwrap_or(0), Ordering::Relaxed);
    }
}

fn position(servers: &[Server], server: &Server) -> Option<usize> {
    servers.iter().position(|each| each == server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_was_given_up_begins_behind() {
        let servers: Vec<Server> = (1..=3).map(|port| Server { host: "redis".to_owned(), port }).collect();
        let turn = Turn::default();
        let ports = |turn: &Turn| turn.round(&servers).map(|server| server.port).collect::<Vec<_>>();
        assert_eq!(turn.round(&servers).next().map(|server| server.port), Some(1));
        assert_eq!(ports(&turn), [2, 3, 1]);
        turn.stay(&servers, &servers[2]);
        assert_eq!(ports(&turn), [3, 1, 2]);
        assert_eq!(turn.round(&[]).count(), 0);
    }
}
