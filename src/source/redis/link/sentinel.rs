//! The master that sentinels know.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value, cmd, from_redis_value};

use super::failure::Failure;
use super::server::{Entry, Server};
use super::turn::Turn;

/// Sentinels, and who of them answered last.
#[derive(Debug)]
pub(super) struct Sentinels {
    pub servers: Vec<Server>,
    pub master: String,
    first: Turn,
}

impl Sentinels {
    pub fn new(servers: Vec<Server>, master: String) -> Self {
        Sentinels { servers, master, first: Turn::default() }
    }

    /// A connection to the master. Each sentinel is asked in turn until one
    /// names a server that is up and calls itself the master: one that was
    /// cut off still names the old one.
    pub async fn connect(&self, entry: &Entry) -> Result<MultiplexedConnection, Failure> {
        let mut tried: Vec<Server> = Vec::new();
        let (mut of_masters, mut of_sentinels): (Vec<Failure>, Vec<Failure>) = Default::default();
        for sentinel in self.first.round(&self.servers) {
            let master = match self.ask(entry, sentinel).await {
                Ok(master) if tried.contains(&master) => continue,
                Ok(master) => master,
                Err(reason) => {
                    of_sentinels.push(reason);
                    continue;
                }
            };
            match connect_to_master(entry, &master).await {
                Ok(connection) => {
                    self.first.stay(&self.servers, sentinel);
                    return Ok(connection);
                }
                Err(reason) => of_masters.push(reason),
            }
            tried.push(master);
        }
        // Nearest to what is wanted first.
        Err(most_telling(if of_masters.is_empty() { of_sentinels } else { of_masters }))
    }

    /// Where the master is. Sentinels may have our password or none.
    async fn ask(&self, entry: &Entry, sentinel: &Server) -> Result<Server, Failure> {
        let mut connection = entry.open(sentinel).await?;
        let refused = match entry.login() {
            Some(login) => entry.first(&mut connection, &login).await.err(),
            None => None,
        };
        if let Some(Failure::Away { reason, .. }) = refused {
            return Err(Failure::away(format!("sentinel {sentinel}: {reason}")));
        }
        // A refused login leaves the connection as it was.
        let mut question = cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.master);
        match entry.first(&mut connection, &question).await {
            Ok(answer) => self.read(sentinel, answer),
            Err(Failure::Away { reason, .. }) => Err(Failure::away(format!("sentinel {sentinel}: {reason}"))),
            Err(Failure::Refused(text)) if text.contains("unknown command") => {
                Err(Failure::Refused(format!("{sentinel} is no sentinel; check redis-address")))
            }
            Err(Failure::Refused(text) | Failure::Wrong(text)) => {
                Err(Failure::Refused(format!("sentinel {sentinel}: {text}")))
            }
        }
    }

    fn read(&self, sentinel: &Server, answer: Value) -> Result<Server, Failure> {
        let unknown = || {
            let master = &self.master;
            Failure::Refused(format!("sentinel {sentinel} knows no master {master}; check redis-sentinel-master"))
        };
        let address: Option<(String, u16)> = from_redis_value(answer).map_err(|_| unknown())?;
        let (host, port) = address.ok_or_else(unknown)?;
        Ok(Server { host, port })
    }
}

async fn connect_to_master(entry: &Entry, server: &Server) -> Result<MultiplexedConnection, Failure> {
    let mut connection = entry.connect(server).await?;
    match entry.first(&mut connection, &role()).await {
        Ok(Value::Array(answer)) if !calls_itself_master(&answer) => {
            Err(Failure::away(format!("{server} is not the master any more")))
        }
        // Without the permission to ask, a write tells it later.
        Ok(_) | Err(Failure::Refused(_) | Failure::Wrong(_)) => Ok(connection),
        Err(failure @ Failure::Away { .. }) => Err(failure),
    }
}

fn role() -> Cmd {
    cmd("ROLE")
}

fn calls_itself_master(answer: &[Value]) -> bool {
    matches!(answer.first(), Some(Value::BulkString(role)) if role == b"master")
}

/// A refusal says what to change.
fn most_telling(reasons: Vec<Failure>) -> Failure {
    let refused = reasons.iter().find(|reason| matches!(reason, Failure::Refused(_)));
    refused.or(reasons.last()).cloned().unwrap_or_else(|| Failure::away("there are no sentinels"))
}
