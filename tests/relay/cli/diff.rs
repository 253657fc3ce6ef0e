//! `diff`: every kind of change, between every kind of place.

use serde_json::{Value, json};

use super::{Shell, TOKENS};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, boolean, golden, key_hash};
use crate::support::relay::TestRelay;

fn segment(identifier: &str, members: Value) -> Value {
    let mut segment = json!({"identifier": identifier, "name": identifier, "environment": "e", "version": 1});
    segment.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    segment
}

fn before() -> Configuration {
    let mut flag = boolean("dark-mode", true, 1);
    flag["prerequisites"] = json!([{"feature": "login", "variations": ["true"]}]);
    flag["variationToTargetMap"] =
        json!([{"variation": "true", "targets": [{"identifier": "jo", "name": "Jo"}], "targetSegments": ["beta"]}]);
    flag["rules"] = json!([
        {"ruleId": "mail", "priority": 1, "serve": {"variation": "true"},
            "clauses": [{"attribute": "email", "op": "ends_with", "values": ["@x.org"], "negate": false}]},
        {"ruleId": "old", "priority": 2, "serve": {"variation": "false"}, "clauses": [
            {"attribute": "", "op": "segmentMatch", "values": ["beta"]},
            {"attribute": "tier", "op": "in", "values": ["gold"], "negate": true}]},
    ]);
    let configuration = Configuration::with_flags(&[flag, boolean("gone", true, 1), boolean("login", true, 1)]);
    let clause = |value: &str| json!({"attribute": "tier", "op": "equal", "values": [value]});
    let beta =
        json!({"included": [{"identifier": "jo"}, {"identifier": "al"}], "excluded": [], "rules": [clause("gold")]});
    configuration.write(ENVIRONMENT, "segments.json", &json!([segment("beta", beta)]));
    let target = json!({"identifier": "jo", "name": "Jo", "attributes": {"tier": "gold", "age": 3}});
    configuration.write(ENVIRONMENT, "targets.json", &json!([target]));
    configuration.write(OTHER, "feature_config.json", &json!([boolean("only", true, 1)]));
    configuration
}

fn after() -> Configuration {
    let configuration = before();
    configuration.edit_flag("dark-mode", |flag| {
        flag["state"] = json!("off");
        flag["version"] = json!(2);
        flag["offVariation"] = json!("true");
        flag["defaultServe"] = json!({"distribution": {"bucketBy": "identifier", "variations": [
            {"variation": "true", "weight": 30}, {"variation": "false", "weight": 70}]}});
        flag["variations"][1]["value"] = json!("no");
        flag["variations"].as_array_mut().unwrap().push(json!({"identifier": "maybe", "value": "?"}));
        flag["prerequisites"][0]["variations"] = json!(["false"]);
        flag["variationToTargetMap"][0] = json!({"variation": "true", "targets": [{"identifier": "zoe"}]});
        flag["rules"][0]["serve"] = json!({"variation": "false"});
        flag["rules"][0]["clauses"][0]["values"] = json!(["@y.org"]);
        flag["rules"][1] = json!({"ruleId": "new", "priority": 2, "serve": {"variation": "true"},
            "clauses": [{"attribute": "tier", "op": "in", "values": ["gold"]}]});
        flag["trackEvents"] = json!(true);
    });
    let mut flags = configuration.read(ENVIRONMENT, "feature_config.json");
    flags.as_array_mut().unwrap().retain(|flag| flag["feature"] != "gone");
    flags.as_array_mut().unwrap().push(boolean("fresh", true, 1));
    configuration.write(ENVIRONMENT, "feature_config.json", &flags);
    configuration.edit_segment("beta", |segment| {
        segment["included"] = json!([{"identifier": "jo"}, {"identifier": "zoe"}]);
        segment["rules"][0]["values"] = json!(["silver"]);
        segment["servingRules"] = json!([{"ruleId": "r", "priority": 1, "clauses": [
            {"attribute": "a", "op": "in", "values": ["1"]}, {"attribute": "b", "op": "in", "values": ["2"]}]}]);
    });
    let target = json!({"identifier": "jo", "name": "Joe", "attributes": {"tier": "silver", "age": 3}});
    configuration.write(ENVIRONMENT, "targets.json", &json!([target]));
    configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash("another")]));
    std::fs::remove_dir_all(configuration.path().join(format!("env-{OTHER}"))).unwrap();
    configuration
}

#[test]
fn a_person_reads_what_would_change() {
    let (before, after) = (before(), after());
    let shell = Shell::at("127.0.0.1:1".parse().unwrap(), "t");
    let ran = shell.run(&["diff", before.path().to_str().unwrap(), after.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let (new, old) = (key_hash("another"), key_hash(KEY));
    let expected = format!(
        "\
env-{ENVIRONMENT}
  ~ flag dark-mode
      turned off
      default serves true → a rollout by identifier (true 30 %, false 70 %)
      off serves false → true
      variation false: false → no
      variation maybe added: ?
      rule mail: if email ends_with @x.org → email ends_with @y.org; serves true → false
      rule new added: if tier in gold: true
      rule old removed: if segmentMatch beta and not tier in gold: false
      prerequisite login: one of true → false
      target map of true: + target zoe; - target jo; - segment beta
      version 1 → 2
      trackEvents true is new
  + flag fresh
  - flag gone
  ~ segment beta
      included: + zoe; - al
      rule added: if tier equal silver
      rule removed: if tier equal gold
      serving rule r added: if a in 1 and b in 2
  ~ target jo
      name Jo → Joe
      attribute tier: gold → silver
  + 1 SDK key (hash {new:.12})
  - 1 SDK key (hash {old:.12})
env-{OTHER}: removed
  - flag only
6 items in 2 environments
"
    );
    assert_eq!(ran.out, expected);
    let value =
        shell.run(&["diff", before.path().to_str().unwrap(), after.path().to_str().unwrap(), "--output", "json"]);
    assert_eq!(value.code, 1);
    let value = value.json();
    assert_eq!((&value["equal"], &value["environments"][1]["outcome"]), (&json!(false), &json!("REMOVED")));
    let changes = value["environments"][0]["items"][0]["changes"].as_array().unwrap();
    let state = json!({"what": "state", "text": "turned off", "before": "on", "after": "off"});
    assert_eq!(changes[0], state);
    assert!(changes.iter().any(|change| change["what"] == "rules.mail"));
    assert_eq!(value["environments"][0]["keyHashesAdded"], json!([new[..12]]));
}

#[test]
fn directories_archives_and_relays_are_compared_with_each_other() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    let directory = golden().display().to_string();
    shell.run(&["pack", &directory, "flags.tar.zst"]).good();
    let places = [directory.as_str(), "flags.tar.zst", &shell.address];
    for (a, b) in places.iter().flat_map(|a| places.iter().map(move |b| (a, b))) {
        assert_eq!(shell.run(&["diff", a, b]).good(), "no difference\n", "{a} {b}");
    }
    let changed = Configuration::golden();
    changed.edit_flag("text", |flag| flag["state"] = json!("off"));
    let ran = shell.run(&["diff", &shell.address, changed.path().to_str().unwrap()]);
    assert!(ran.code == 1 && ran.out.contains("~ flag text\n      turned off\n"), "{ran:?}");
    assert_eq!(shell.run(&["diff", "flags.tar.zst", "127.0.0.1:1"]).code, 2);
    let missing = shell.run(&["diff", "flags.tar.zst", "nowhere"]);
    assert!(missing.code == 1 && missing.err.contains("nowhere"), "{missing:?}");
    assert_eq!(shell.run(&["diff", "flags.tar.zst"]).code, 64);
}
