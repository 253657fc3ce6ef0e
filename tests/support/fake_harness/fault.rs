//! What goes wrong, where, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::request::{Request, Route};
use super::{FakeHarness, Shared, lock};

/// One thing that goes wrong with an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This instead of the answer; the request has no effect.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// Later than usual, else well.
    Delay(Duration),
    /// The length says more than what comes, then the connection ends.
    Truncated,
    /// A connection reset after so many bytes of the answer.
    Reset(usize),
    /// A good answer, then the connection is closed without having said so.
    CloseAfter,
    /// So many bytes of the answer, then none while the other side waits.
    Stall(usize),
    /// No answer at all while the other side waits.
    Hang,
    /// The request has its effect; the connection is cut before the answer.
    Lost,
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Fault::with_body(status, "application/json", &format!(r#"{{"code":"{status}","message":"told to"}}"#))
    }

    /// 429, with the time after which to come again.
    pub fn too_many(retry_after: u64) -> Self {
        Fault::Answer(429, vec![("Retry-After".into(), retry_after.to_string())], Vec::new())
    }

    pub fn with_body(status: u16, content_type: &str, body: &str) -> Self {
        Fault::Answer(status, vec![("Content-Type".into(), content_type.into())], body.as_bytes().to_vec())
    }

    /// 200, with JSON of the test's choice: `null`, `[]`, `{}`, half of something.
    pub fn body(body: &str) -> Self {
        Fault::with_body(200, "application/json", body)
    }

    pub fn html() -> Self {
        Fault::with_body(200, "text/html", "<!doctype html><title>Sign in</title>")
    }

    /// The status of a failure, with a list that could be taken for an answer.
    pub fn empty_list_with(status: u16) -> Self {
        Fault::with_body(status, "application/json", "[]")
    }
}

type Condition = dyn Fn(&Request) -> bool + Send + Sync;

/// Where and how often a fault is met.
pub struct Rule {
    id: u64,
    route: Option<Route>,
    environment: Option<String>,
    condition: Option<Box<Condition>>,
    left: Option<usize>,
    fault: Fault,
    hits: Arc<AtomicUsize>,
}

impl Rule {
    fn takes(&self, request: &Request) -> bool {
        self.left != Some(0)
            && self.route.is_none_or(|route| route == request.route)
            && self.environment.as_ref().is_none_or(|environment| request.environment.as_ref() == Some(environment))
            && self.condition.as_ref().is_none_or(|condition| condition(request))
    }
}

/// Waits out every delay that applies and gives the first other fault.
pub fn meet(shared: &Shared, request: &Request) -> Option<Fault> {
    let mut pause = Duration::ZERO;
    let mut found = None;
    for rule in lock(&shared.faults).iter_mut().filter(|rule| rule.takes(request)) {
        match &rule.fault {
            Fault::Delay(time) => pause += *time,
            _ if found.is_some() => continue,
            fault => found = Some(fault.clone()),
        }
        rule.left = rule.left.map(|left| left - 1);
        rule.hits.fetch_add(1, Ordering::SeqCst);
    }
    std::thread::sleep(pause);
    found
}

/// A fault to be: say where, how often, then what.
pub struct Planned<'a> {
    harness: &'a FakeHarness,
    rule: Rule,
}

impl Planned<'_> {
    pub fn within(mut self, environment: &str) -> Self {
        self.rule.environment = Some(environment.to_owned());
        self
    }

    pub fn times(mut self, times: usize) -> Self {
        self.rule.left = Some(times);
        self
    }

    pub fn when(mut self, condition: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.rule.condition = Some(Box::new(condition));
        self
    }

    /// It holds from now, until it was met that often or is cleared.
    pub fn with(mut self, fault: Fault) -> Planted {
        self.rule.fault = fault;
        let planted = Planted { id: self.rule.id, hits: Arc::clone(&self.rule.hits) };
        lock(&self.harness.shared.faults).push(self.rule);
        planted
    }
}

/// A fault that is in force.
pub struct Planted {
    id: u64,
    hits: Arc<AtomicUsize>,
}

impl Planted {
    /// How often it was met.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

impl FakeHarness {
    pub fn fail(&self, route: Route) -> Planned<'_> {
        self.plan(Some(route))
    }

    pub fn fail_everything(&self) -> Planned<'_> {
        self.plan(None)
    }

    fn plan(&self, route: Option<Route>) -> Planned<'_> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let rule = Rule {
            id: NEXT.fetch_add(1, Ordering::SeqCst),
            route,
            environment: None,
            condition: None,
            left: None,
            fault: Fault::Hang,
            hits: Arc::default(),
        };
        Planned { harness: self, rule }
    }

    /// Ends one fault.
    pub fn clear(&self, planted: &Planted) {
        lock(&self.shared.faults).retain(|rule| rule.id != planted.id);
    }

    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }
}
