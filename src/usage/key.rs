//! What evaluations are summed by: flag, variation, SDK and target, each a
//! text of bounded length.

use std::sync::Arc;

use super::parse::{Attribute, MetricsRow, TargetRow};
use crate::model::json::write_string;

/// The target that stands for all whom nobody tells apart, as SDKs and
/// Harness name it.
pub const GLOBAL_TARGET: &str = "__global__cf_target";

/// Longer texts are cut.
const MAX_TEXT_BYTES: usize = 1024;
/// A JSON variation is a value, too.
const MAX_VALUE_BYTES: usize = 8 * 1024;
/// A target with more goes on without its attributes.
const MAX_TARGET_JSON_BYTES: usize = 64 * 1024;

/// What a key takes besides its texts: pointers, reference counts, count,
/// time, its share of an emptyish map.
const KEY_BYTES: usize = 160;

/// The attributes of a row that are known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `featureIdentifier`, else `featureName` (Java, .NET, Ruby and iOS
    /// send only that).
    pub flag: Option<&'a str>,
    pub variation: Option<&'a str>,
    pub value: Option<&'a str>,
    pub target: Option<&'a str>,
    pub sdk_type: Option<&'a str>,
    pub sdk_language: Option<&'a str>,
    /// `SDK_VERSION`, else `JAR_VERSION` (Java).
    pub sdk_version: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    #[must_use]
    pub fn of(row: &'a MetricsRow<'_>) -> Self {
        let (mut found, mut name, mut jar) = (Attributes::default(), None, None);
        for Attribute { key, value } in &row.attributes {
            let place = match &**key {
                "featureIdentifier" => &mut found.flag,
                "featureName" => &mut name,
                "variationIdentifier" => &mut found.variation,
                "featureValue" => &mut found.value,
                "target" => &mut found.target,
                "SDK_TYPE" => &mut found.sdk_type,
                "SDK_LANGUAGE" => &mut found.sdk_language,
                "SDK_VERSION" => &mut found.sdk_version,
                "JAR_VERSION" => &mut jar,
                _ => continue,
            };
            *place = Some(cut(value, if &**key == "featureValue" { MAX_VALUE_BYTES } else { MAX_TEXT_BYTES }));
        }
        found.flag = found.flag.filter(|flag| !flag.is_empty()).or(name);
        found.sdk_version = found.sdk_version.filter(|version| !version.is_empty()).or(jar);
        found
    }
}

/// One line of sums.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Flag, variation, value, SDK type, language and version as a JSON list
    /// of texts and nulls: compact, and the form of the journal.
    pub identity: Arc<str>,
    pub target: Option<Arc<str>>,
}

impl RowKey {
    #[must_use]
    pub fn new(attributes: &Attributes<'_>) -> Self {
        let Attributes { flag, variation, value, target, sdk_type, sdk_language, sdk_version } = *attributes;
        let mut identity = String::with_capacity(96);
        for (index, text) in [flag, variation, value, sdk_type, sdk_language, sdk_version].into_iter().enumerate() {
            identity.push(if index == 0 { '[' } else { ',' });
            match text {
                Some(text) => write_string(text, &mut identity),
                None => identity.push_str("null"),
            }
        }
        identity.push(']');
        RowKey { identity: identity.into(), target: target.map(Arc::from) }
    }

    /// The same evaluations without saying whose.
    #[must_use]
    pub fn folded(&self) -> Self {
        RowKey { identity: Arc::clone(&self.identity), target: Some(Arc::from(GLOBAL_TARGET)) }
    }

    /// Memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        KEY_BYTES + self.identity.len() + self.target.as_ref().map_or(0, |target| target.len())
    }
}

/// How often, and when last (Unix milliseconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub timestamp: i64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.count = self.count.saturating_add(other.count);
        self.timestamp = self.timestamp.max(other.timestamp);
    }
}

/// Appends a row of `metricsData`.
pub fn render_row(key: &RowKey, tally: Tally, out: &mut String) {
    let texts: Vec<Option<String>> = serde_json::from_str(&key.identity).unwrap_or_default();
    let mut texts = texts.into_iter();
    let mut next = || texts.next().flatten();
    let (flag, variation, value) = (next(), next(), next());
    let (sdk_type, sdk_language, sdk_version) = (next(), next(), next());
    // A count that Harness's own programs could not hold would be refused.
    let count = tally.count.min(i64::MAX.unsigned_abs());
    out.push_str(&format!("{{\"timestamp\":{},\"count\":{count},\"metricsType\":\"FFMETRICS\"", tally.timestamp));
    out.push_str(",\"attributes\":[");
    let rows = [
        ("featureIdentifier", flag.as_deref()),
        ("featureName", flag.as_deref()),
        ("variationIdentifier", variation.as_deref()),
        ("featureValue", value.as_deref()),
        ("target", key.target.as_deref()),
        ("SDK_TYPE", sdk_type.as_deref()),
        ("SDK_LANGUAGE", sdk_language.as_deref()),
        ("SDK_VERSION", sdk_version.as_deref()),
    ];
    let present = rows.into_iter().filter_map(|(name, text)| text.map(|text| (name, text)));
    render_attributes(present, out);
    out.push_str("]}");
}

/// The row of `targetData` for a target, under its identifier; `None` if it
/// has none.
#[must_use]
pub fn render_target(row: &TargetRow<'_>) -> Option<(Arc<str>, Arc<str>)> {
    let identifier = cut(&row.identifier, MAX_TEXT_BYTES);
    if identifier.is_empty() {
        return None;
    }
    let name = if row.name.is_empty() { identifier } else { cut(&row.name, MAX_TEXT_BYTES) };
    let mut out = String::from("{\"identifier\":");
    write_string(identifier, &mut out);
    out.push_str(",\"name\":");
    write_string(name, &mut out);
    out.push_str(",\"attributes\":[");
    let plain = out.len();
    render_attributes(row.attributes.iter().map(|a| (&*a.key, &*a.value)), &mut out);
    if out.len() > MAX_TARGET_JSON_BYTES {
        out.truncate(plain);
    }
    out.push_str("]}");
    Some((Arc::from(identifier), out.into()))
}

/// Memory that a row of `targetData` takes.
#[must_use]
pub fn target_bytes(identifier: &str, json: &str) -> usize {
    KEY_BYTES + identifier.len() + json.len()
}

fn render_attributes<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>, out: &mut String) {
    for (index, (key, value)) in attributes.enumerate() {
        out.push_str(if index == 0 { "{\"key\":" } else { ",{\"key\":" });
        write_string(key, out);
        out.push_str(",\"value\":");
        write_string(value, out);
        out.push('}');
    }
}

/// The first so many bytes, whole characters only.
fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::text::Text;

    fn row<'a>(attributes: &[(&'a str, &'a str)]) -> MetricsRow<'a> {
        let attributes =
            attributes.iter().map(|(k, v)| Attribute { key: Text::from(*k), value: Text::from(*v) }).collect();
        MetricsRow { count: 3, timestamp: 7, attributes, ..MetricsRow::default() }
    }

    fn key(attributes: &[(&str, &str)]) -> RowKey {
        RowKey::new(&Attributes::of(&row(attributes)))
    }

    #[test]
    fn names_that_mean_the_same_give_the_same_key() {
        let java = key(&[("featureName", "f"), ("JAR_VERSION", "1"), ("target", "t")]);
        assert_eq!(java, key(&[("target", "t"), ("SDK_VERSION", "1"), ("featureIdentifier", "f"), ("x", "y")]));
        assert_eq!(
            java,
            key(&[("featureIdentifier", "f"), ("featureName", "F"), ("JAR_VERSION", "1"), ("target", "t")])
        );
        assert_eq!(&*java.identity, r#"["f",null,null,null,null,"1"]"#);
        assert_ne!(java, key(&[("featureName", "f"), ("JAR_VERSION", "1")]));
        assert_eq!(java.folded().target.as_deref(), Some(GLOBAL_TARGET));
    }

    #[test]
    fn a_rendered_row_has_the_key_it_came_from() {
        let long = "é".repeat(MAX_VALUE_BYTES);
        for attributes in [
            &[("featureIdentifier", "f\"\n"), ("variationIdentifier", "v"), ("featureValue", &*long)][..],
            &[("featureName", "f"), ("SDK_TYPE", ""), ("SDK_LANGUAGE", "go"), ("SDK_VERSION", "1"), ("target", "t")],
            &[],
        ] {
            let before = key(attributes);
            let mut text = String::new();
            render_row(&before, Tally { count: 5, timestamp: 9 }, &mut text);
            let back: MetricsRow<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!((back.count, back.timestamp, &*back.metrics_type), (5, 9, "FFMETRICS"));
            assert_eq!(RowKey::new(&Attributes::of(&back)), before);
        }
        let mut text = String::new();
        render_row(&key(&[("featureName", "f")]), Tally { count: u64::MAX, timestamp: 1 }, &mut text);
        assert_eq!(
            text,
            "{\"timestamp\":1,\"count\":9223372036854775807,\"metricsType\":\"FFMETRICS\",\"attributes\":\
             [{\"key\":\"featureIdentifier\",\"value\":\"f\"},{\"key\":\"featureName\",\"value\":\"f\"}]}"
        );
    }

    #[test]
    fn targets_are_rendered_with_bounds() {
        let attribute = |value: &str| vec![Attribute { key: "k".into(), value: value.to_owned().into() }];
        let render = |identifier: &str, name: &str, value: &str| {
            render_target(&TargetRow { identifier: identifier.into(), name: name.into(), attributes: attribute(value) })
                .map(|(_, json)| json.to_string())
        };
        assert_eq!(render("", "n", "v"), None);
        let expected = r#"{"identifier":"t","name":"t","attributes":[{"key":"k","value":"v"}]}"#;
        assert_eq!(render("t", "", "v").unwrap(), expected);
        let large = render("t", "n", &"x".repeat(MAX_TARGET_JSON_BYTES)).unwrap();
        assert_eq!(large, r#"{"identifier":"t","name":"n","attributes":[]}"#);
    }
}
