use super::*;
use crate::snapshot::tree::Part;
use crate::source::file::Location;
use crate::source::file::scan::scan;

/// A real directory, because stamps come from one.
struct Place(tempfile::TempDir);

impl Place {
    fn with(environments: &[&str]) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        environments.iter().for_each(|id| place.write(id, Part::Flags, "[]"));
        place
    }

    fn write(&self, id: &str, part: Part, text: &str) {
        let directory = self.0.path().join(format!("env-{id}"));
        std::fs::create_dir_all(&directory).unwrap();
        let new = directory.join("new.tmp");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, directory.join(part.file_name())).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.path().join(path);
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }

    fn scan(&self) -> Scan {
        scan(&Location::of(self.0.path())).unwrap()
    }
}

fn load(ids: &[&str]) -> Step {
    Step::Load { removed: ids.iter().map(|id| EnvironmentId::new(id)).collect() }
}

#[test]
fn a_change_is_believed_after_two_identical_scans_one_second_apart() {
    let place = Place::with(&["a"]);
    let mut watcher = Watcher::new("c".into(), place.scan());
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    assert_eq!(watcher.step(&place.scan(), at(0)), Step::Wait);
    place.write("a", Part::Flags, "[ ]");
    assert_eq!(watcher.step(&place.scan(), at(100)), Step::Wait);
    assert_eq!(watcher.step(&place.scan(), at(1000)), Step::Wait);
    place.write("a", Part::Flags, "[  ]");
    assert_eq!(watcher.step(&place.scan(), at(1100)), Step::Wait);
    assert_eq!(watcher.step(&place.scan(), at(2100)), load(&[]));
    watcher.refused(place.scan(), BTreeSet::new(), at(2100));
    assert_eq!(watcher.step(&place.scan(), at(9000)), Step::Wait);
    assert_eq!(watcher.step(&place.scan(), at(12_100)), load(&[]));
    place.write("a", Part::Flags, "[   ]");
    watcher.step(&place.scan(), at(13_100));
    assert_eq!(watcher.step(&place.scan(), at(14_100)), load(&[]));
    watcher.accepted(place.scan(), &BTreeSet::new());
    assert_eq!(watcher.step(&place.scan(), at(20_000)), Step::Wait);
}

#[test]
fn a_vanished_environment_goes_after_ten_seconds_and_may_come_back() {
    let place = Place::with(&["a", "b"]);
    let mut watcher = Watcher::new("c".into(), place.scan());
    let start = Instant::now();
    let at = |s| start + Duration::from_secs(s);
    place.remove("env-b");
    for second in [0, 2, 9] {
        assert_eq!(watcher.step(&place.scan(), at(second)), Step::Wait, "{second}");
    }
    place.write("b", Part::Flags, "[]");
    watcher.step(&place.scan(), at(10));
    assert_eq!(watcher.step(&place.scan(), at(12)), load(&[]));
    watcher.accepted(place.scan(), &BTreeSet::new());
    place.remove("env-b");
    assert_eq!(watcher.step(&place.scan(), at(20)), Step::Wait);
    // Another change is taken meanwhile, without the removal.
    place.write("a", Part::Flags, "[ ]");
    watcher.step(&place.scan(), at(21));
    assert_eq!(watcher.step(&place.scan(), at(22)), load(&[]));
    watcher.accepted(place.scan(), &BTreeSet::new());
    watcher.step(&place.scan(), at(29));
    assert_eq!(watcher.step(&place.scan(), at(31)), load(&["b"]));
    watcher.accepted(place.scan(), &[EnvironmentId::new("b")].into());
    assert_eq!(watcher.step(&place.scan(), at(60)), Step::Wait);
}

#[test]
fn what_is_gone_without_a_word_is_an_error() {
    let place = Place::with(&["a"]);
    place.write("a", Part::Segments, "[]");
    let mut watcher = Watcher::new("c".into(), place.scan());
    place.remove("env-a/segments.json");
    let Step::Refuse(problem) = watcher.step(&place.scan(), Instant::now()) else { panic!() };
    assert!(problem.to_string().contains("segments.json: the file was there and is gone"), "{problem}");
    place.remove("env-a");
    let Step::Refuse(problem) = watcher.step(&place.scan(), Instant::now()) else { panic!() };
    assert!(problem.to_string().contains("no environment"), "{problem}");
}
