//! Hundreds of environments: written, read and written back in little time, and none of it holds up a change.

use std::time::{Duration, Instant};

use crate::fake_harness::FakeHarness;
use crate::fleet::{LEASE, address, has_role, redis_health, replica, start};
use crate::redis_server::RedisServer;
use crate::setup::{PROXY_KEY, Sdk, turn_off, wait_ready, wait_within};
use crate::support::configuration::boolean;

const COUNT: usize = 300;

fn name(number: usize) -> String {
    format!("33333333-3333-4333-8333-{number:012}")
}

#[test]
fn a_flush_is_mended_while_changes_arrive() {
    let (fake, redis) = (FakeHarness::start(), RedisServer::start(&[]));
    for number in 0..COUNT {
        fake.add_environment(&name(number), &format!("key{number}"));
        (0..5).for_each(|flag| fake.create_flag(&name(number), boolean(&format!("f{flag}"), true, 1)));
    }
    fake.set_proxy_key(PROXY_KEY);
    let mut options = fake.proxy_key_options(PROXY_KEY);
    options.extend([address(&redis), LEASE.to_owned()]);
    let first = start(&options);
    has_role(first.sdk, "LEADS");
    wait_ready(first.sdk);
    let registered = || redis.cli::<usize>(&["HLEN", "ffrelay:environments"]);
    wait_within(Duration::from_secs(60), "all of them in Redis", || (registered() == COUNT).then_some(()));
    let second = replica(&redis, &[]);
    wait_ready(second.sdk);
    let last = Sdk::connect(second.sdk, &format!("key{}", COUNT - 1), &name(COUNT - 1));
    redis.cli::<()>(&["FLUSHALL"]);
    let since = Instant::now();
    let version = fake.patch_flag(&name(COUNT - 1), "f0", turn_off);
    wait_within(Duration::from_secs(20), "a change meanwhile", || (last.version("f0") == version).then_some(()));
    wait_within(Duration::from_secs(30), "all of them again", || (registered() == COUNT).then_some(()));
    println!("written back within {:?}", since.elapsed());
    assert_eq!(redis_health(first.sdk)["role"], "LEADS");
    assert_eq!(last.flag("f1").status, 200);
}
