//! A relay that has its flags from a stand-in for Harness, which runs in
//! this process.

use std::time::Duration;

use serde_json::json;

use super::data;
use super::process::Pinned;
use crate::fake_harness::FakeHarness;

pub struct Online {
    fake: FakeHarness,
    pub relay: Pinned,
}

impl Online {
    /// One environment of so many flags.
    pub fn start(flags: usize, options: &[String]) -> Self {
        let fake = FakeHarness::start();
        let (id, key) = (data::environment(0), data::sdk_key(0));
        fake.add_environment(&id, &key);
        data::flags(&id, flags).into_iter().for_each(|flag| fake.create_flag(&id, flag));
        data::segments(&id, data::SEGMENTS).into_iter().for_each(|segment| fake.create_segment(&id, segment));
        let mut all = fake.api_key_options(&[&key]);
        all.extend_from_slice(options);
        let relay = Pinned::relay(&all);
        relay.accepts();
        fake.wait_for_streams(1);
        // What the fetch after the upstream's connection brought is over.
        std::thread::sleep(Duration::from_secs(1));
        Online { fake, relay }
    }

    /// Turns a flag; gives its name and its new version.
    pub fn turn(&self, number: usize) -> (String, i64) {
        let name = format!("flag_{number:05}");
        let version = self.fake.patch_flag(&data::environment(0), &name, |flag| {
            flag["state"] = json!(if flag["state"] == "on" { "off" } else { "on" });
        });
        (name, version)
    }
}
