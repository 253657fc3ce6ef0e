//! Harness as the source of a relay that shares a Redis with others.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::snapshot::content::EnvironmentId;
use crate::source::harness::recipe::Recipe;
use crate::source::redis::own_source::OwnSource;
use crate::store::Index;

impl OwnSource for Recipe {
    fn run(&self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Recipe::run(self, self.served(), stop)
    }

    fn forget(&self) {
        self.engine.forget();
    }

    fn serve_again(&self, environment: &EnvironmentId) -> BoxFuture<'static, ()> {
        let (engine, route) = (self.engine.clone(), self.engine.route(environment));
        async move {
            if let Some(route) = route {
                engine.apply(&route.feed).await;
            }
        }
        .boxed()
    }

    fn knows_its_keys(&self, index: &Index) -> bool {
        Recipe::knows_its_keys(self, index)
    }

    fn feeds(&self, environment: &EnvironmentId) -> bool {
        self.engine.route(environment).is_some()
    }

    fn strangers(&self, index: &Index) -> Vec<EnvironmentId> {
        Recipe::strangers(self, index)
    }
}
