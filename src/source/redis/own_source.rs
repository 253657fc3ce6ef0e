//! What a primary's own source looks like from here: something that can be
//! run, stopped and run again.

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::snapshot::content::EnvironmentId;
use crate::store::Index;

/// The source of a relay that may lead.
pub trait OwnSource: Send + Sync + 'static {
    /// Feeds the store until told to stop. It goes on from what is served.
    fn run(&self, stop: CancellationToken) -> BoxFuture<'static, ()>;

    /// It was stopped: nothing that it still has on its way is served.
    fn forget(&self);

    /// Has the newest that it knows of an environment served once more:
    /// something else was served meanwhile.
    fn serve_again(&self, environment: &EnvironmentId) -> BoxFuture<'static, ()>;

    /// True if every SDK key that was given to it is known to lead somewhere.
    fn knows_its_keys(&self, index: &Index) -> bool;

    /// True if one of its keys leads to the environment.
    fn feeds(&self, environment: &EnvironmentId) -> bool;

    /// Environments that are served and certainly not its own.
    fn strangers(&self, index: &Index) -> Vec<EnvironmentId>;
}

/// Where a relay's content comes from, beside Redis.
pub enum Policy {
    /// From nowhere.
    Replica,
    /// Its own source runs while it leads, or while Redis is away.
    Primary(Box<dyn OwnSource>),
    /// From a directory or archive, whoever leads; Redis is only written.
    Directory,
}

impl Policy {
    /// True if it takes the lease.
    #[must_use]
    pub fn leads(&self) -> bool {
        !matches!(self, Policy::Replica)
    }

    /// True if it serves what others wrote.
    #[must_use]
    pub fn follows(&self) -> bool {
        !matches!(self, Policy::Directory)
    }
}
