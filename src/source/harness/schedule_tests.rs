use std::sync::Arc;

use super::*;
use crate::model::json::Json;
use crate::snapshot::item::ItemKind;

fn key(identifier: &str) -> ItemKey {
    ItemKey { kind: ItemKind::Flag, identifier: Arc::from(identifier) }
}

fn item(identifier: &str, version: i64) -> Item {
    let text = format!(r#"{{"feature":"{identifier}","version":{version}}}"#);
    Item::from_json(ItemKind::Flag, &Json::parse(&text).unwrap()).unwrap()
}

fn schedule() -> (Schedule, Instant) {
    let intervals = Intervals { resync: Some(Duration::from_secs(600)), poll: Some(Duration::from_secs(60)) };
    (Schedule::new(intervals), Instant::now())
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_single_change_is_a_single_fetch() {
    let (mut schedule, now) = schedule();
    assert_eq!(schedule.next(now), Step::Wait(None));
    schedule.changed(key("a"), Some(2), None, now);
    let step = schedule.next(now);
    assert_eq!(step, Step::Item(key("a")));
    let want = schedule.begin(&step).unwrap();
    assert!(want.is_met_by(&item("a", 2)) && !want.is_met_by(&item("a", 1)));
    schedule.item_done(&key("a"), &want, true, now);
    assert_eq!(schedule.next(now), Step::Wait(None));
}

#[test]
fn a_message_during_the_fetch_is_one_more_fetch() {
    let (mut schedule, now) = schedule();
    schedule.changed(key("a"), Some(2), None, now);
    let want = schedule.begin(&Step::Item(key("a"))).unwrap();
    schedule.changed(key("a"), Some(3), None, now);
    schedule.item_done(&key("a"), &want, true, now);
    assert_eq!(schedule.next(now), Step::Item(key("a")));
}

#[test]
fn what_upstream_does_not_have_yet_is_asked_for_again_then_everything() {
    let (mut schedule, mut now) = schedule();
    schedule.changed(key("a"), Some(2), None, now);
    let mut waited = Vec::new();
    for _ in 0..7 {
        let want = schedule.begin(&Step::Item(key("a"))).unwrap();
        schedule.item_done(&key("a"), &want, false, now);
        if let Step::Wait(Some(until)) = schedule.next(now) {
            waited.push(u64::try_from(until.duration_since(now).as_millis()).unwrap());
            now = until;
        }
    }
    assert_eq!(waited, AGAIN_AFTER_MS);
    assert_eq!(schedule.next(now), Step::Lists);
}

#[test]
fn a_burst_is_a_handful_of_fetches() {
    let (mut schedule, start) = schedule();
    let mut fetches = 0;
    let mut done_at = None;
    let mut running: Option<(Step, Option<Want>, u64)> = None;
    // A message every 0.1 ms for a second; a fetch takes 5 ms.
    for tick in 0..30_000_u64 {
        let now = start + Duration::from_micros(100 * tick);
        if tick < 10_000 {
            schedule.changed(key(&format!("f{}", tick % 500)), Some(1), None, now);
        }
        if done_at == Some(tick)
            && let Some((step, want, mark)) = running.take()
        {
            match step {
                Step::Lists => schedule.lists_done(mark, now, |_| Some(9)),
                Step::Item(key) => schedule.item_done(&key, &want.unwrap(), true, now),
                Step::Wait(_) => unreachable!(),
            }
        }
        if running.is_none() {
            let step = schedule.next(now);
            if !matches!(step, Step::Wait(_)) {
                fetches += 1;
                let (want, mark) = (schedule.begin(&step), schedule.mark());
                running = Some((step, want, mark));
                done_at = Some(tick + 50);
            }
        }
    }
    assert!((2..10).contains(&fetches), "{fetches}");
    assert!(schedule.wanted.is_empty());
}

#[test]
fn polls_while_the_stream_is_down_and_resyncs_while_it_is_up() {
    let (mut schedule, now) = schedule();
    schedule.stream(true, now);
    assert_eq!(schedule.next(now), Step::Lists);
    schedule.begin(&Step::Lists);
    schedule.lists_done(schedule.mark(), now, |_| None);
    assert_eq!(schedule.next(now), Step::Wait(Some(now + ms(600_000))));
    schedule.stream(false, now);
    assert_eq!(schedule.next(now), Step::Wait(Some(now + LOOK_AFTER_LOSS)));
    schedule.begin(&Step::Lists);
    schedule.lists_done(schedule.mark(), now, |_| None);
    assert_eq!(schedule.next(now), Step::Wait(Some(now + ms(60_000))));
}

#[test]
fn failures_wait_and_a_stream_that_is_back_ends_the_wait() {
    let (mut schedule, now) = schedule();
    schedule.resync(now);
    schedule.begin(&Step::Lists);
    assert_eq!(schedule.lists_failed(1.0, None, now), ms(1_000));
    assert!(matches!(schedule.next(now + ms(999)), Step::Wait(Some(_))));
    assert_eq!(schedule.next(now + ms(1_000)), Step::Lists);
    schedule.stream(true, now);
    assert_eq!(schedule.next(now), Step::Lists);
    // What upstream asked for holds all the same.
    assert_eq!(schedule.lists_failed(1.0, Some(ms(5_000)), now), ms(6_000));
    schedule.stream(true, now);
    assert!(matches!(schedule.next(now + ms(5_999)), Step::Wait(Some(_))));
    assert_eq!(schedule.next(now + ms(6_000)), Step::Lists);
}

#[test]
fn many_wanted_items_wait_with_the_lists() {
    let (mut schedule, now) = schedule();
    (0..6).for_each(|i| schedule.changed(key(&format!("f{i}")), Some(2), None, now));
    assert_eq!(schedule.next(now), Step::Lists);
    schedule.begin(&Step::Lists);
    schedule.lists_failed(1.0, None, now);
    assert_eq!(schedule.next(now), Step::Wait(Some(now + ms(1_000))));
    assert_eq!(schedule.next(now + ms(1_000)), Step::Lists);
}

#[test]
fn an_item_that_cannot_be_fetched_holds_up_no_other() {
    let (mut schedule, now) = schedule();
    schedule.changed(key("a"), Some(2), None, now);
    for _ in 0..7 {
        let want = schedule.begin(&Step::Item(key("a"))).unwrap();
        schedule.item_failed(&key("a"), &want, 1.0, None, now);
        schedule.changed(key("b"), Some(2), None, now);
        assert_eq!(
            schedule.next(now).clone(),
            if schedule.wanted.len() == 2 { Step::Item(key("b")) } else { Step::Lists }
        );
        schedule.deleted(&key("b"));
    }
    assert!(schedule.wanted.is_empty(), "after the last try everything is fetched");
}

#[test]
fn a_deletion_forgets_what_was_wanted() {
    let (mut schedule, now) = schedule();
    schedule.changed(key("a"), Some(2), None, now);
    schedule.deleted(&key("a"));
    assert_eq!(schedule.next(now), Step::Wait(None));
}
