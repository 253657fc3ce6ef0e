//! `rules` beside `servingRules`: a flat list of clauses, of which any may
//! hold, beside rules of which all clauses must. The flat list may never say
//! more than the rules do (`evaluation.md`, "Segment membership").

use crate::model::json::Json;
use crate::snapshot::item::only_clause;

/// Removes `rules` that a Go proxy v2 made of `servingRules`: the first
/// clause of each. Where a rule has several clauses they widen the group.
/// Rules that the source itself gave stay.
#[must_use]
pub(super) fn without_first_clauses(mut segment: Json<'_>) -> Json<'_> {
    if has_first_clauses_only(&segment) {
        segment.remove("rules");
    }
    segment
}

fn has_first_clauses_only(segment: &Json<'_>) -> bool {
    let rules = list(segment, "rules");
    let firsts: Vec<&Json<'_>> =
        list(segment, "servingRules").iter().filter_map(|rule| list(rule, "clauses").first()).collect();
    !rules.is_empty()
        && rules.len() == firsts.len()
        && rules.iter().zip(firsts).all(|(rule, first)| rule.canonical() == first.canonical())
}

/// Fills empty `rules` for the Go proxy v1, which knows nothing else, where
/// every serving rule has a single clause; as the offline directory does.
/// Other segments are left as they are.
pub(super) fn fill(segment: &mut Json<'_>) {
    if !list(segment, "rules").is_empty() {
        return;
    }
    let clauses: Option<Vec<Json<'_>>> =
        list(segment, "servingRules").iter().map(|rule| only_clause(rule).cloned()).collect();
    if let Some(clauses) = clauses.filter(|clauses| !clauses.is_empty()) {
        segment.set("rules", Json::Array(clauses));
    }
}

fn list<'a, 'b>(json: &'b Json<'a>, member: &str) -> &'b [Json<'a>] {
    json.get(member).and_then(Json::as_array).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"[{"clauses":[{"op":"in","values":["1.0"]},{"op":"gt"}]},{"clauses":[{"op":"eq"}]}]"#;

    fn read(rules: &str, serving: &str) -> String {
        let text = format!(r#"{{"identifier":"s","rules":{rules},"servingRules":{serving},"x":1.50}}"#);
        without_first_clauses(Json::parse(&text).unwrap()).compact()
    }

    #[test]
    fn first_clauses_go_and_own_rules_stay() {
        let gone = read(r#"[{"values":["1.0"],"op":"in"},{"op":"eq"}]"#, TWO);
        assert_eq!(gone, format!(r#"{{"identifier":"s","servingRules":{TWO},"x":1.50}}"#));
        for own in [r#"[{"op":"in","values":["1.0"]}]"#, r#"[{"op":"eq"},{"op":"in","values":["1.0"]}]"#, "[]", "null"]
        {
            assert!(read(own, TWO).contains(&format!("\"rules\":{own}")), "{own}");
        }
        let plain = r#"[{"op":"in"}]"#;
        assert!(read(plain, "[]").contains(plain) && read(plain, "null").contains(plain));
        // Without clauses a rule gives none to the list.
        assert!(!read(r#"[{"op":"eq"}]"#, r#"[{"clauses":[]},{"clauses":[{"op":"eq"}]}]"#).contains("\"rules\""));
    }

    #[test]
    fn only_single_clauses_are_filled_in() {
        let filled = |text: &str| {
            let mut json = Json::parse(text).unwrap();
            fill(&mut json);
            json.compact()
        };
        assert_eq!(
            filled(r#"{"rules":[],"servingRules":[{"clauses":[{"op":"in"}]}]}"#),
            r#"{"rules":[{"op":"in"}],"servingRules":[{"clauses":[{"op":"in"}]}]}"#
        );
        for same in [
            format!(r#"{{"servingRules":{TWO}}}"#),
            format!(r#"{{"rules":[{{"op":"own"}}],"servingRules":{TWO}}}"#),
            r#"{"servingRules":[{"clauses":[]}]}"#.to_owned(),
            r#"{"servingRules":[]}"#.to_owned(),
        ] {
            assert_eq!(filled(&same), same);
        }
    }
}
