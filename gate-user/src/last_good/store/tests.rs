use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;

use super::*;
use crate::last_good::{Doubt, Why};

/// A configuration, a list and a database, and a store.
struct Bench {
    root: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(&root.path().join("state")).unwrap();
        let bench = Self { root, store };
        bench.write("gate.toml", "one");
        bench.write("list", "100.64.9.8");
        bench.write("countries.mmdb", "JP");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// What a generation was made of that was made of the files as they are.
    fn index(&self) -> Index {
        let sha256 = |name| hex(&Sha256::digest(fs::read(self.path(name)).unwrap()));
        let files = ["list", "countries.mmdb"].map(|it| (self.path(it), sha256(it)));
        Index {
            at: Timestamp::UNIX_EPOCH,
            generation: 1,
            config: self.path("gate.toml"),
            config_sha256: sha256("gate.toml"),
            files: files.into(),
            rolled_back: None,
        }
    }

    fn keep(&self, index: &Index, check: bool) -> Result<(), LastGoodError> {
        self.store.keep_copy(index, "", check, &|| false)
    }

    /// Keeps the files as they are.
    fn keep_all(&self) {
        self.keep(&self.index(), false).unwrap();
    }

    /// Another configuration.
    fn change(&self, text: &str) {
        self.write("gate.toml", text);
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.directory()).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Where the list is in the last copy.
    fn list(&self) -> PathBuf {
        let copy = Copy::found(&self.store.last().unwrap()).unwrap();
        copy.place(&self.path("list")).unwrap()
    }

    fn text(&self) -> String {
        self.store.open().unwrap().text().to_owned()
    }
}

#[test]
fn what_is_kept_is_what_was_there() {
    let bench = Bench::new();
    assert!(matches!(
        bench.store.open(),
        Err(LastGoodError::Nothing { .. })
    ));
    bench.keep_all();
    for name in ["gate.toml", "list", "countries.mmdb"] {
        fs::remove_file(bench.path(name)).unwrap();
    }
    let copy = bench.store.open().unwrap();
    assert_eq!((copy.text(), copy.warning()), ("one", None));
    assert_eq!(fs::read_to_string(bench.list()).unwrap(), "100.64.9.8");
    assert_eq!(copy.place(&bench.path("other")), None);
    // It has the prefixes of subscribers.
    for path in [bench.store.directory(), &bench.list()] {
        assert_eq!(path.metadata().unwrap().mode() & 0o077, 0, "{path:?}");
    }
}

#[test]
fn the_same_is_copied_once_and_the_one_before_stays() {
    let bench = Bench::new();
    bench.keep_all();
    bench.keep_all();
    assert_eq!(bench.names(), ["copy.1", "last-good"]);
    let list = bench.list();
    for text in ["two", "three"] {
        bench.change(text);
        bench.keep_all();
        assert_eq!(bench.text(), text);
    }
    assert_eq!(bench.names(), ["before", "copy.2", "copy.3", "last-good"]);
    // What did not change is one file with two names.
    assert!(!list.exists());
    assert_eq!(bench.list().metadata().unwrap().nlink(), 2);
}

#[test]
fn a_damaged_copy_gives_way_to_the_one_before_until_it_is_made_anew() {
    let bench = Bench::new();
    bench.keep_all();
    bench.change("two");
    bench.write("list", "100.64.9.9");
    bench.keep_all();
    fs::write(bench.list(), "100.64.9.7").unwrap();
    let copy = bench.store.open().unwrap();
    let warning = copy.warning().unwrap();
    assert!(
        copy.text() == "one" && warning.contains("damaged"),
        "{warning}"
    );
    // Not looked for, not found.
    bench.keep(&bench.index(), false).unwrap();
    assert_eq!(bench.text(), "one");
    bench.keep(&bench.index(), true).unwrap();
    let copy = bench.store.open().unwrap();
    assert_eq!((copy.text(), copy.warning()), ("two", None));
    // Nobody goes back to what is damaged.
    let before = Copy::open(&bench.store.linked(BEFORE).unwrap()).unwrap();
    assert_eq!(before.text(), "one");
}

#[test]
fn an_index_that_nobody_can_read_is_a_damaged_copy() {
    let bench = Bench::new();
    bench.keep_all();
    bench.change("two");
    bench.keep_all();
    let index = bench.store.last().unwrap().join(INDEX);
    // Empty after a crash, cut, of a version that is not known.
    for bytes in ["", "{\"at\": ", "{\"version\": 2}"] {
        fs::write(&index, bytes).unwrap();
        assert_eq!(bench.text(), "one", "{bytes}");
    }
    bench.keep_all();
    assert_eq!(bench.text(), "two");
}

#[test]
fn what_changed_meanwhile_is_not_kept_for_what_it_was() {
    let bench = Bench::new();
    bench.keep_all();
    bench.change("two");
    bench.write("list", "100.64.9.9");
    let index = bench.index();
    bench.write("list", "100.64.9.7");
    assert!(matches!(
        bench.keep(&index, false),
        Err(LastGoodError::Changed { path }) if path == bench.path("list")
    ));
    assert_eq!(bench.text(), "one");
    assert_eq!(bench.names(), ["copy.1", "last-good"]);
    // Content that the copy before has is taken from there.
    bench.write("list", "100.64.9.8");
    let index = bench.index();
    bench.write("list", "100.64.9.7");
    bench.keep(&index, false).unwrap();
    assert_eq!(bench.text(), "two");
    assert_eq!(fs::read_to_string(bench.list()).unwrap(), "100.64.9.8");
}

#[test]
fn whoever_is_killed_leaves_a_copy_that_can_be_used() {
    let bench = Bench::new();
    bench.keep_all();
    // While it was copied.
    fs::create_dir(bench.store.directory().join("copy.7")).unwrap();
    assert_eq!(bench.text(), "one");
    bench.change("two");
    bench.keep_all();
    assert_eq!(bench.names(), ["before", "copy.1", "copy.2", "last-good"]);
    // Between the two links: the one before is not linked yet.
    let bench = Bench::new();
    bench.keep_all();
    bench.change("two");
    bench.keep_all();
    fs::remove_file(bench.store.directory().join(BEFORE)).unwrap();
    symlink("copy.9", bench.store.directory().join("last-good.next")).unwrap();
    assert_eq!(bench.text(), "two");
    bench.change("three");
    bench.keep_all();
    assert_eq!(bench.text(), "three");
    assert_eq!(bench.names(), ["before", "copy.2", "copy.3", "last-good"]);
}

#[test]
fn a_copy_that_is_told_to_end_changes_nothing() {
    let bench = Bench::new();
    bench.keep_all();
    bench.change("two");
    bench.write("list", "100.64.9.9");
    let kept = bench.store.keep_copy(&bench.index(), "", false, &|| true);
    assert!(matches!(kept, Err(LastGoodError::Cancelled)));
    assert_eq!(bench.text(), "one");
    assert_eq!(bench.names(), ["copy.1", "last-good"]);
}

#[test]
fn what_is_in_doubt_is_not_taken() {
    let bench = Bench::new();
    bench.keep_all();
    let doubt = |index: &Index| {
        let text =
            serde_json::json!({"why": "rolled_back", "at": Timestamp::UNIX_EPOCH, "of": index});
        serde_json::from_value::<Doubt>(text).unwrap()
    };
    bench.store.set_doubt(Some(&doubt(&bench.index()))).unwrap();
    assert_eq!(
        bench.store.doubt().unwrap().map(|it| it.why),
        Some(Why::RolledBack)
    );
    assert!(matches!(
        bench.store.open(),
        Err(LastGoodError::RolledBack { .. })
    ));
    // Another one is.
    bench.change("two");
    bench.keep_all();
    assert_eq!(bench.text(), "two");
    bench.store.set_doubt(Some(&doubt(&bench.index()))).unwrap();
    let copy = bench.store.open().unwrap();
    assert!(copy.text() == "one" && copy.warning().is_some());
    bench.store.set_doubt(None).unwrap();
    assert_eq!(bench.text(), "two");
}
