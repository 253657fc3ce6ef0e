//! What the harnesses wrote.

use serde_json::Value;

pub struct Rows(Vec<Value>);

impl Rows {
    pub fn read(files: &[String]) -> Self {
        let file = |file: &String| -> Vec<Value> { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
        Rows(files.iter().flat_map(file).collect())
    }

    /// A field by `count`, of the rows that are chosen.
    pub fn series(&self, chosen: impl Fn(&Value) -> bool, field: &str) -> Vec<(f64, f64)> {
        let rows = self.0.iter().filter(|row| chosen(row));
        let mut points: Vec<_> = rows.filter_map(|row| Some((row["count"].as_f64()?, row[field].as_f64()?))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    }
}
