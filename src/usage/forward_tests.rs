//! The tasks, with a carrier that answers as it is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backoff::Waits;
use super::batch::{Batch, BatchId};
use super::body::Lost;
use super::counters::DropReason;
use super::parse::{MetricsRow, read};
use super::{Carrier, Delivery, Usage, UsageSettings};
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;
use crate::store::durable::DataDir;

type Answer = dyn Fn(&str, &[u8]) -> Delivery + Send + Sync;

/// Upstream: answers by a function, remembers what it was sent.
struct Upstream {
    answer: Mutex<Arc<Answer>>,
    takes: Duration,
    sent: Mutex<Vec<(String, Bytes)>>,
    counted: Mutex<BTreeMap<String, u64>>,
    now: AtomicUsize,
    most: AtomicUsize,
    now_by_environment: Mutex<HashMap<String, usize>>,
}

impl Upstream {
    fn new(answer: impl Fn(&str, &[u8]) -> Delivery + Send + Sync + 'static) -> Arc<Self> {
        Upstream::slow(Duration::ZERO, answer)
    }

    fn slow(takes: Duration, answer: impl Fn(&str, &[u8]) -> Delivery + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Upstream {
            answer: Mutex::new(Arc::new(answer)),
            takes,
            sent: Mutex::default(),
            counted: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            now_by_environment: Mutex::default(),
        })
    }

    fn answers(&self, answer: impl Fn(&str, &[u8]) -> Delivery + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    fn counted(&self) -> u64 {
        self.counted.lock().unwrap().values().sum()
    }

    fn sent(&self) -> Vec<(String, Bytes)> {
        self.sent.lock().unwrap().clone()
    }

    async fn until(&self, what: &str, good: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !good(self) {
            assert!(Instant::now() < limit, "{what}: counted {}, sent {}", self.counted(), self.sent().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn sum_of(body: &Bytes) -> Lost {
    Batch::restore(BatchId(0), body.clone()).unwrap().sum
}

impl Carrier for Upstream {
    fn send_metrics(&self, environment: &EnvironmentId, _id: BatchId, body: Bytes) -> BoxFuture<'_, Delivery> {
        let environment = environment.to_string();
        async move {
            self.sent.lock().unwrap().push((environment.clone(), body.clone()));
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let own = {
                let mut all = self.now_by_environment.lock().unwrap();
                let own = all.entry(environment.clone()).or_default();
                *own += 1;
                *own
            };
            assert_eq!(own, 1, "two batches of one environment are under way");
            tokio::time::sleep(self.takes).await;
            let answer = Arc::clone(&self.answer.lock().unwrap());
            let delivery = answer(&environment, &body);
            if delivery == Delivery::Taken {
                *self.counted.lock().unwrap().entry(environment.clone()).or_default() += sum_of(&body).evaluations;
            }
            *self.now_by_environment.lock().unwrap().get_mut(&environment).unwrap() -= 1;
            self.now.fetch_sub(1, Ordering::SeqCst);
            delivery
        }
        .boxed()
    }

    fn register_target(
        &self,
        environment: &EnvironmentId,
        key: Option<&Secret>,
        json: &str,
    ) -> BoxFuture<'_, Delivery> {
        let text = Bytes::from(format!("{} {json}", key.map_or("", Secret::expose)));
        let environment = environment.to_string();
        async move {
            self.sent.lock().unwrap().push((environment.clone(), text.clone()));
            let answer = Arc::clone(&self.answer.lock().unwrap());
            answer(&environment, &text)
        }
        .boxed()
    }
}

fn taken(_: &str, _: &[u8]) -> Delivery {
    Delivery::Taken
}

fn down(_: &str, _: &[u8]) -> Delivery {
    Delivery::Refused { status: None, reason: "connection refused".into(), retry_after: None }
}

fn unclear(_: &str, _: &[u8]) -> Delivery {
    Delivery::Uncertain { reason: "timed out".into(), retry_after: None }
}

/// Nothing is closed by itself.
const HOURLY: UsageSettings = UsageSettings {
    interval: Some(Duration::from_secs(36_000_000)),
    max_keys: 200_000,
    register_targets: false,
    waits: Waits { first: Duration::from_secs(1), longest: Duration::from_secs(60) },
};

struct Running {
    usage: Arc<Usage>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(upstream: &Arc<Upstream>, directory: Option<&Arc<DataDir>>) -> Self {
        let settings = UsageSettings {
            interval: Some(Duration::from_millis(40)),
            max_keys: 200_000,
            register_targets: true,
            waits: Waits { first: Duration::from_millis(20), longest: Duration::from_millis(50) },
        };
        Running::with(settings, upstream, directory)
    }

    fn with(settings: UsageSettings, upstream: &Arc<Upstream>, directory: Option<&Arc<DataDir>>) -> Self {
        let (usage, task) = Usage::active(settings, directory.cloned());
        let stop = CancellationToken::new();
        let task = tokio::spawn(task.run(Arc::clone(upstream) as Arc<dyn Carrier>, stop.clone()));
        Running { usage, stop, task }
    }

    fn report(&self, environment: &str, flag: &str, target: &str, count: u64) {
        report(&self.usage, environment, &[(flag, target, count)]);
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As kill -9: the task gets no word in.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn report(usage: &Usage, environment: &str, rows: &[(&str, &str, u64)]) {
    let attribute = |key: &str, value: &str| serde_json::json!({"key": key, "value": value});
    let row = |(flag, target, count): &(&str, &str, u64)| {
        serde_json::json!({"timestamp": 1, "count": count, "metricsType": "FFMETRICS",
            "attributes": [attribute("featureIdentifier", flag), attribute("target", target)]})
    };
    let targets: Vec<_> = rows.iter().map(|(_, target, _)| serde_json::json!({"identifier": target})).collect();
    let rows: Vec<_> = rows.iter().map(row).collect();
    let text = serde_json::json!({"metricsData": rows, "targetData": targets}).to_string();
    let mut body = usage.body();
    read(text.as_bytes(), &mut body).unwrap();
    usage.take(&EnvironmentId::new(environment), body);
}

fn data_dir(place: &tempfile::TempDir) -> Arc<DataDir> {
    Arc::new(DataDir::open(place.path()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_go_up_in_one_batch() {
    let upstream = Upstream::new(taken);
    let running = Running::start(&upstream, None);
    (0..50).for_each(|_| running.report("e", "f", "t", 2));
    running.report("e", "g", "u", 1);
    upstream.until("all counted", |upstream| upstream.counted() == 101).await;
    let batches = upstream.sent();
    assert!(batches.len() <= 2, "{}", batches.len());
    let body: serde_json::Value = serde_json::from_slice(&batches[0].1).unwrap();
    let text = body["metricsData"][0].to_string();
    let row: MetricsRow<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(&*row.metrics_type, "FFMETRICS");
    assert!(body["targetData"][0]["identifier"].is_string());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_loses_and_doubles_nothing() {
    let upstream = Upstream::new(down);
    let running = Running::start(&upstream, None);
    for round in 0..20 {
        for environment in ["a", "b"] {
            running.report(environment, &format!("f{}", round % 3), "t", 5);
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    assert_eq!(upstream.counted(), 0);
    let bodies: Vec<Bytes> = upstream.sent().into_iter().filter(|(to, _)| to == "a").map(|(_, body)| body).collect();
    assert!(bodies.len() > 2 && bodies.windows(2).all(|pair| pair[0] == pair[1]), "byte for byte");
    upstream.answers(taken);
    upstream.until("all counted", |upstream| upstream.counted() >= 200).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(upstream.counted(), 200);
    assert_eq!(running.usage.counters().uncertain_total(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_doubled_is_counted() {
    let upstream = Upstream::new(unclear);
    let running = Running::start(&upstream, None);
    running.report("e", "f", "t", 7);
    upstream.until("three attempts", |upstream| upstream.sent().len() >= 3).await;
    upstream.answers(taken);
    upstream.until("counted", |upstream| upstream.counted() == 7).await;
    let attempts = upstream.sent().len() as u64;
    assert_eq!(running.usage.counters().uncertain_total(), (attempts - 1) * 7);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_refused_goes_alone() {
    let upstream = Upstream::new(|_, body| {
        if String::from_utf8_lossy(body).contains("\"bad\"") {
            return Delivery::Refused { status: Some(400), reason: "400".into(), retry_after: None };
        }
        Delivery::Taken
    });
    let running = Running::start(&upstream, None);
    let flags: Vec<String> = (0..300).map(|i| format!("f{i}")).collect();
    let mut rows: Vec<_> = flags.iter().map(|flag| (flag.as_str(), "t", 1)).collect();
    rows.push(("bad", "t", 9));
    report(&running.usage, "e", &rows);
    upstream.until("the good ones counted", |upstream| upstream.counted() == 300).await;
    let counters = &running.usage.counters();
    upstream.until("dropped", |_| counters.lost(DropReason::Refused) == Lost::evaluations(9)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_go_side_by_side_within_a_bound() {
    let upstream = Upstream::slow(Duration::from_millis(20), |environment, body| {
        if environment == "e7" { down(environment, body) } else { Delivery::Taken }
    });
    let running = Running::start(&upstream, None);
    (0..100).for_each(|i| running.report(&format!("e{i}"), "f", "t", 1));
    upstream.until("all but one counted", |upstream| upstream.counted() == 99).await;
    let most = upstream.most.load(Ordering::SeqCst);
    assert!((2..=16).contains(&most), "{most}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_thousand_rows_are_split() {
    let upstream = Upstream::new(taken);
    // Closed by the flush alone: a closing amid a body would begin to tell
    // targets apart anew.
    let running = Running::with(HOURLY, &upstream, None);
    let targets: Vec<String> = (0..3500).map(|i| format!("t{i}")).collect();
    let rows: Vec<_> = targets.iter().map(|target| ("f", target.as_str(), 1)).collect();
    report(&running.usage, "e", &rows);
    assert_eq!(running.usage.flush(Duration::from_secs(20)).await.left, Lost::default());
    let targets_sent = upstream.sent().iter().map(|(_, body)| sum_of(body).targets).sum::<u64>();
    assert_eq!((upstream.counted(), targets_sent), (3500, 3500));
    let rows: Vec<usize> =
        upstream.sent().iter().map(|(_, body)| Batch::restore(BatchId(0), body.clone()).unwrap().rows).collect();
    assert!(rows.iter().all(|rows| *rows <= 1000));
    // A thousand targets and the one that stands for the rest.
    assert_eq!(rows.iter().sum::<usize>(), 1001 + 3500);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_at_most_the_last_second() {
    let place = tempfile::tempdir().unwrap();
    for uncertain in [false, true] {
        let directory = data_dir(&place);
        let upstream = if uncertain { Upstream::new(unclear) } else { Upstream::new(down) };
        let running = Running::start(&upstream, Some(&directory));
        running.report("e", "f", "t", 3);
        upstream.until("an attempt", |upstream| !upstream.sent().is_empty()).await;
        running.report("e", "f", "t", 4);
        running.report("other", "g", "u", 5);
        tokio::time::sleep(Duration::from_millis(1000)).await;
        running.kill().await;
        drop(directory);
        let first = upstream.sent().into_iter().find(|(to, _)| to == "e").unwrap().1;

        let directory = data_dir(&place);
        let upstream = Upstream::new(taken);
        let running = Running::start(&upstream, Some(&directory));
        upstream.until("all counted", |upstream| upstream.counted() >= 12).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(upstream.counted(), 12);
        assert!(upstream.sent().iter().any(|(_, body)| *body == first), "byte for byte");
        let total = running.usage.counters().uncertain_total();
        assert!(if uncertain { total >= 3 } else { total == 0 || total >= 3 }, "{total}");
        running.kill().await;
        drop(directory);

        // Nothing is left for a third life.
        let directory = data_dir(&place);
        let upstream = Upstream::new(taken);
        let running = Running::start(&upstream, Some(&directory));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(upstream.sent().len(), 0);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reported_batch_counts_once_whatever_is_restarted() {
    let place = tempfile::tempdir().unwrap();
    let environment = EnvironmentId::new("e");
    for life in 0..3 {
        let directory = data_dir(&place);
        let upstream = Upstream::new(taken);
        let running = Running::with(HOURLY, &upstream, Some(&directory));
        for (id, news) in [(1, life == 0), (2, life == 0), (1, false)] {
            let mut body = running.usage.body();
            let text = r#"{"metricsData":[{"count":5,"attributes":[{"key":"featureName","value":"f"}]}]}"#;
            read(text.as_bytes(), &mut body).unwrap();
            assert_eq!(running.usage.take_once(&environment, BatchId(id), body), news, "life {life}");
        }
        running.usage.kept().await;
        if life < 2 {
            running.kill().await;
        } else {
            running.usage.flush(Duration::from_secs(5)).await;
            running.stop().await;
        }
        // Restored rows go out at once.
        assert_eq!(upstream.counted(), if life == 1 { 10 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_set_aside() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("usage")).unwrap();
    std::fs::write(place.path().join("usage/journal"), "rubbish\nrubbish").unwrap();
    let directory = data_dir(&place);
    let upstream = Upstream::new(taken);
    let running = Running::start(&upstream, Some(&directory));
    running.report("e", "f", "t", 3);
    upstream.until("counted", |upstream| upstream.counted() == 3).await;
    assert!(place.path().join("usage/journal.damaged").exists());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_sends_what_there_is_and_keeps_the_rest() {
    let place = tempfile::tempdir().unwrap();
    let directory = data_dir(&place);
    let upstream =
        Upstream::new(|environment, body| if environment == "bad" { down(environment, body) } else { Delivery::Taken });
    let running = Running::with(HOURLY, &upstream, Some(&directory));
    running.report("good", "f", "t", 3);
    running.report("bad", "f", "t", 4);
    let begun = Instant::now();
    let flushed = running.usage.flush(Duration::from_secs(9)).await;
    assert_eq!((upstream.counted(), flushed.left), (3, Lost { evaluations: 4, targets: 1 }));
    assert!(begun.elapsed() < Duration::from_secs(8), "it gave up before the time was over");
    // What comes after the flush is kept, too.
    running.report("late", "f", "t", 5);
    running.stop().await;
    drop(directory);

    let directory = data_dir(&place);
    let upstream = Upstream::new(taken);
    let running = Running::with(HOURLY, &upstream, Some(&directory));
    upstream.until("the rest", |upstream| upstream.counted() == 9).await;
    assert_eq!(running.usage.counters().uncertain_total(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_ends_in_time() {
    let upstream = Upstream::slow(Duration::from_secs(60), taken);
    let running = Running::start(&upstream, None);
    running.report("e", "f", "t", 3);
    let begun = Instant::now();
    let flushed = running.usage.flush(Duration::from_millis(300)).await;
    assert_eq!(flushed.left.evaluations, 3);
    assert!(begun.elapsed() < Duration::from_secs(2));
    running.stop().await;
    assert_eq!(Usage::dropped().flush(Duration::from_secs(9)).await.left, Lost::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_counts_what_it_drops() {
    let upstream = Upstream::new(taken);
    let off = UsageSettings { interval: None, max_keys: 9, register_targets: false, waits: Waits::default() };
    let running = Running::with(off, &upstream, None);
    running.report("e", "f", "t", 3);
    assert_eq!(running.usage.counters().lost(DropReason::Off), Lost { evaluations: 3, targets: 1 });
    running.stop().await;
    assert!(upstream.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_registered_once_and_tried_again() {
    let upstream = Upstream::new(unclear);
    let running = Running::start(&upstream, None);
    let (environment, key) = (EnvironmentId::new("e"), Secret::new("sdk-key"));
    let register = |name: &str| running.usage.register_target(&environment, Some(&key), name);
    register("\"a\"");
    upstream.until("a second attempt", |upstream| upstream.sent().len() >= 2).await;
    upstream.answers(taken);
    upstream.until("taken", |upstream| upstream.sent().len() == 3).await;
    (0..100).for_each(|_| register("\"a\""));
    let begun = Instant::now();
    (0..10).for_each(|i| register(&format!("\"{i}\"")));
    upstream.until("all registered", |upstream| upstream.sent().len() == 13).await;
    assert!(begun.elapsed() > Duration::from_millis(400), "20 a second");
    assert_eq!(upstream.sent()[0].1, "sdk-key \"a\"");
    running.stop().await;
    assert_eq!(upstream.sent().len(), 13);
}
