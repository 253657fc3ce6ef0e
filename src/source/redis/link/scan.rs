//! Names of keys, over all servers of a cluster.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, cmd};

use super::dialler::Topology;
use super::failure::Failure;
use super::server::Server;
use super::{Link, read};

/// Keys that one step looks at.
const COUNT: usize = 1000;

impl Link {
    /// The names that match a pattern, in no order, some perhaps twice; not
    /// many more than `most`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn scan(&self, pattern: &str, most: usize) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let Topology::Cluster(cluster) = &self.shared.dialler.topology else {
            let mut cursor = 0;
            loop {
                let (next, some): (u64, Vec<Vec<u8>>) = self.call(&step(pattern, cursor)).await?;
                names.extend(some.into_iter().filter_map(|name| String::from_utf8(name).ok()));
                cursor = next;
                if cursor == 0 || names.len() >= most {
                    return Ok(names);
                }
            }
        };
        let entry = &self.shared.dialler.entry;
        let (from, mut connection) = cluster.connect_to_one(entry).await?;
        let mut nodes = cmd("CLUSTER");
        nodes.arg("NODES");
        let nodes: String = read(&nodes, entry.first(&mut connection, &nodes).await?)?;
        for server in masters(&nodes, &from) {
            let mut connection = entry.connect(&server).await?;
            scan_one(entry, &mut connection, pattern, most, &mut names).await?;
        }
        Ok(names)
    }
}

async fn scan_one(
    entry: &super::server::Entry,
    connection: &mut MultiplexedConnection,
    pattern: &str,
    most: usize,
    names: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut cursor = 0;
    while names.len() < most {
        let step = step(pattern, cursor);
        let (next, some): (u64, Vec<Vec<u8>>) = read(&step, entry.first(connection, &step).await?)?;
        names.extend(some.into_iter().filter_map(|name| String::from_utf8(name).ok()));
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    Ok(())
}

fn step(pattern: &str, cursor: u64) -> Cmd {
    let mut command = cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(COUNT);
    command
}

/// The masters of `CLUSTER NODES`: `id host:port@bus[,name] flags …`.
fn masters(nodes: &str, from: &Server) -> Vec<Server> {
    let master = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (address, flags) = (words.next()?, words.next()?);
        let is_master = flags.split(',').any(|flag| flag == "master") && !flags.contains("fail");
        let address = address.split(['@', ',']).next()?;
        let (host, port) = address.rsplit_once(':')?;
        let host = if host.is_empty() { from.host.as_str() } else { host };
        is_master.then(|| Some(Server { host: host.to_owned(), port: port.parse().ok()? })).flatten()
    };
    nodes.lines().filter_map(master).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_that_live() {
        let from = Server { host: "here".to_owned(), port: 1 };
        let nodes = "a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460\n\
                     b :7001@17001,name master - 0 0 2 connected 5461-10922\n\
                     c 10.0.0.3:7002@17002 slave a 0 0 3 connected\n\
                     d 10.0.0.4:7003@17003 master,fail - 0 0 4 disconnected\n";
        let found: Vec<String> = masters(nodes, &from).iter().map(Server::to_string).collect();
        assert_eq!(found, ["10.0.0.1:7000", "here:7001"]);
    }
}
