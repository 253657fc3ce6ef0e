//! Connecting to one server: the way in that every topology shares.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, RedisResult, TlsCertificates, Value, cmd,
};
use tokio::time::timeout;

use crate::config::RedisConfig;

use super::failure::{Failure, judge};
use super::{COMMAND_TIMEOUT, LinkError, roots};

/// An idle connection is looked at by the kernel this often.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A server's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Server {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How connections are opened, whichever server they lead to.
pub(super) struct Entry {
    /// An address whose trusted roots were read already, where TLS is used.
    tls: Option<ConnectionAddr>,
    pub certificates: Option<TlsCertificates>,
    pub username: Option<String>,
    pub password: Option<String>,
    database: u32,
    pub connect_timeout: Duration,
    /// What must be in no text.
    pub secrets: Vec<String>,
}

impl Entry {
    pub fn new(config: &RedisConfig, ca_bundle: Option<&Path>, connect_timeout: Duration) -> Result<Self, LinkError> {
        let certificates = if config.addresses.iter().any(|address| address.tls) {
            Some(TlsCertificates { client_tls: None, root_cert: Some(roots::pem(ca_bundle)?) })
        } else {
            None
        };
        let password = config.password.as_ref().map(|password| password.expose().to_owned());
        Ok(Entry {
            tls: certificates.as_ref().map(template).transpose()?,
            certificates,
            username: config.username.clone(),
            secrets: password.iter().cloned().collect(),
            password,
            database: config.database,
            connect_timeout,
        })
    }

    /// An open connection to a server that lets us in, has the database and
    /// answers.
    pub async fn connect(&self, server: &Server) -> Result<MultiplexedConnection, Failure> {
        let mut connection = self.open(server).await?;
        if let Some(login) = self.login() {
            self.first(&mut connection, &login).await?;
        }
        if self.database != 0 {
            self.first(&mut connection, cmd("SELECT").arg(self.database)).await?;
        }
        // A process that was stopped accepts connections all the same, and
        // without a password nothing would have been asked yet.
        match self.first(&mut connection, &cmd("PING")).await {
            Ok(_) => Ok(connection),
            Err(Failure::Refused(text)) if text.contains("NOPERM") => Ok(connection),
            Err(failure) => Err(failure),
        }
    }

    /// A connection on which nothing was said yet. The library's own login
    /// keeps from us what the server answers.
    pub async fn open(&self, server: &Server) -> Result<MultiplexedConnection, Failure> {
        let info = self.info(server, RedisConnectionInfo::default());
        let client = info.and_then(Client::open).map_err(|error| judge(&error, &self.secrets).failure)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // Who waits sets the limit.
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        connecting.await.map_err(|error| match judge(&error, &self.secrets).failure {
            Failure::Away { reason, .. } => Failure::away(format!("{server} cannot be reached: {reason}")),
            Failure::Refused(text) => Failure::Refused(format!("{server}: {text}")),
            failure @ Failure::Wrong(_) => failure,
        })
    }

    /// `AUTH`, where there are credentials.
    pub fn login(&self) -> Option<Cmd> {
        let mut login = cmd("AUTH");
        match (&self.username, &self.password) {
            (None, None) => return None,
            (None, Some(password)) => login.arg(password),
            (Some(username), password) => login.arg(username).arg(password.as_deref().unwrap_or_default()),
        };
        Some(login)
    }

    /// A command of the time before the connection is anybody's.
    pub async fn first(&self, connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, Failure> {
        let asking = command.query_async::<Value>(connection);
        let answer = timeout(COMMAND_TIMEOUT, asking).await.map_err(|_| Failure::silent(false))?;
        answer.map_err(|error| match judge(&error, &self.secrets).failure {
            Failure::Away { reason, .. } => Failure::away(reason),
            failure => failure,
        })
    }

    /// Where and how; `settings` may hold credentials.
    pub fn info(&self, server: &Server, settings: RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
        let (host, port) = (server.host.clone(), server.port);
        let address = match self.tls.clone() {
            Some(ConnectionAddr::TcpTls { tls_params, .. }) => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        // RESP2 needs no HELLO, which an old server or an ACL may not know.
        // Names of libraries need a permission, too, and tell nobody much.
        let settings = settings.set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        Ok(address.into_connection_info()?.set_redis_settings(settings).set_tcp_settings(tcp_settings()))
    }
}

/// Any address, with the roots: the library parses them only here.
fn template(certificates: &TlsCertificates) -> Result<ConnectionAddr, LinkError> {
    let address = ConnectionAddr::TcpTls { host: "redis".to_owned(), port: 6379, insecure: false, tls_params: None };
    let client = Client::build_with_tls(address, certificates.clone());
    let client = client.map_err(|error| LinkError::Roots { reason: error.to_string() })?;
    Ok(client.get_connection_info().addr().clone())
}

pub(super) fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)
}
