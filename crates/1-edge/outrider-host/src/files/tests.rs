use std::fs;

use outrider_wire::catalogue::field;

use super::*;
use crate::HostEvent;
use crate::outbox::Outbox;
use crate::people::People;
use crate::proc_fs::ProcRoot;

/// A watched folder with a sensor; `None` where fanotify is not allowed, which is said.
struct Desk {
    folder: tempfile::TempDir,
    files: Files,
    people: People,
    out: Outbox,
    now: u64,
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn desk(prepare: impl FnOnce(&Path)) -> Option<Desk> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let watched = folder.path().join("etc");
    fs::create_dir_all(&watched).expect("a folder");
    prepare(&watched);
    reopen(folder).inspect_err(|error| eprintln!("SKIPPED: fanotify: {error}")).ok()
}

fn reopen(folder: tempfile::TempDir) -> io::Result<Desk> {
    let config = FilesConfig {
        paths: vec![folder.path().join("etc")],
        exclude: vec![folder.path().join("etc/cache")],
        files_max: 1000,
        hash_bytes_max: 1 << 20,
    };
    let state = folder.path().join("state");
    let files = Files::open(config, &state.join("files"), &state)?;
    let people = People::new(ProcRoot::new(Path::new("/proc")));
    Ok(Desk { folder, files, people, out: Outbox::default(), now: 0 })
}

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("etc").join(name)
    }

    /// Lets two seconds pass and returns what was said: reason, name below the folder, count.
    fn hear(&mut self) -> Vec<(String, String, u64)> {
        for _ in 0..20 {
            self.now += 100_000;
            let now = VehicleMicros(self.now);
            self.files.turn(&mut Turn { now, people: &mut self.people, out: &mut self.out });
        }
        let counts = self.files.state().counts;
        assert!(counts.is_balanced() && counts.waiting == 0, "{counts:?}");
        let root = self.folder.path().join("etc").to_string_lossy().into_owned() + "/";
        let text = |event: &HostEvent, key| event.text_of(key).unwrap_or_default().to_owned();
        std::iter::from_fn(|| self.out.pop())
            .map(|event| {
                (text(&event, field::REASON), text(&event, field::FILE_PATH).replace(&root, ""), event.count)
            })
            .collect()
    }
}

fn said(list: &[(&str, &str)]) -> Vec<(String, String, u64)> {
    list.iter().map(|(reason, name)| ((*reason).to_owned(), (*name).to_owned(), 1)).collect()
}

#[test]
fn changes_are_told_from_touches_and_named_with_their_reason() {
    let Some(mut desk) = desk(|etc| fs::write(etc.join("passwd"), "root").expect("it writes")) else {
        return;
    };
    assert_eq!(desk.hear(), [], "the first scan is the baseline");
    fs::write(desk.path("passwd"), "root").expect("it writes");
    assert_eq!(desk.hear(), [], "the same content is no change");
    fs::write(desk.path("passwd"), "evil").expect("it writes");
    assert_eq!(desk.hear(), said(&[("modified", "passwd")]));
    fs::create_dir(desk.path("new")).expect("a folder");
    fs::create_dir(desk.path("new/deep")).expect("a folder");
    fs::write(desk.path("new/deep/x"), "1").expect("it writes");
    let mut found = desk.hear();
    found.sort();
    assert_eq!(found.last(), said(&[("created", "new/deep/x")]).first());
    fs::write(desk.path("new/deep/x"), "2").expect("it writes");
    assert_eq!(desk.hear(), said(&[("modified", "new/deep/x")]), "a new folder is watched");
    fs::rename(desk.path("new"), desk.path("old")).expect("it moves");
    let mut found = desk.hear();
    found.sort();
    assert_eq!(found, said(&[("moved away", "new"), ("moved in", "old")]));
    fs::remove_file(desk.path("old/deep/x")).expect("it is there");
    assert_eq!(desk.hear(), said(&[("deleted", "old/deep/x")]));
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(desk.path("passwd"), fs::Permissions::from_mode(0o666)).expect("it is ours");
    assert_eq!(desk.hear().len(), 1, "content and rights differ from the baseline");
}

#[test]
fn what_changed_while_nobody_looked_is_found_at_the_start() {
    let Some(mut first) = desk(|etc| {
        for name in ["same", "changed", "gone"] {
            fs::write(etc.join(name), name).expect("it writes");
        }
    }) else {
        return;
    };
    assert_eq!(first.hear(), []);
    let folder = first.folder;
    drop(first.files);
    fs::write(folder.path().join("etc/changed"), "x").expect("it writes");
    fs::write(folder.path().join("etc/added"), "x").expect("it writes");
    fs::remove_file(folder.path().join("etc/gone")).expect("it is there");
    let mut again = reopen(folder).expect("it was allowed before");
    let mut found = again.hear();
    found.sort();
    assert_eq!(
        found,
        said(&[("changed while off", "added"), ("changed while off", "changed"), ("missing", "gone")])
    );
}

#[test]
fn every_delete_in_a_storm_is_counted_and_most_are_folded() {
    let Some(mut desk) = desk(|etc| {
        for number in 0..3000 {
            fs::write(etc.join(number.to_string()), "").expect("it writes");
        }
    }) else {
        return;
    };
    for _ in 0..10 {
        assert_eq!(desk.hear(), []);
    }
    for number in 0..3000 {
        fs::remove_file(desk.path(&number.to_string())).expect("it is there");
    }
    let found = desk.hear();
    assert_eq!(found.iter().map(|(_, _, count)| count).sum::<u64>(), 3000);
    assert!(found.iter().all(|(reason, _, _)| reason == "deleted") && found.len() < 40, "{}", found.len());
}

#[test]
fn one_name_made_and_removed_again_and_again_is_not_merged() {
    let Some(mut desk) = desk(|_| {}) else { return };
    if !desk.files.kind.has_target {
        return;
    }
    desk.hear();
    for _ in 0..500 {
        fs::write(desk.path("x"), "1").expect("it writes");
        fs::remove_file(desk.path("x")).expect("it is there");
    }
    let found = desk.hear();
    let deletes: u64 = found.iter().filter(|one| one.0 == "deleted").map(|one| one.2).sum();
    assert_eq!(deletes, 500, "{found:?}");
}

#[test]
fn a_suspended_watch_finds_what_happened_in_between() {
    let Some(mut desk) = desk(|etc| fs::write(etc.join("a"), "1").expect("it writes")) else { return };
    assert_eq!(desk.hear(), []);
    fanotify::unwatch_all(&desk.files.group).expect("it is ours");
    desk.files.is_suspended = true;
    fs::write(desk.path("a"), "2").expect("it writes");
    assert_eq!(desk.hear(), said(&[("modified", "a")]));
    fs::write(desk.path("a"), "3").expect("it writes");
    assert_eq!(desk.hear(), said(&[("modified", "a")]), "it is watched again");
}

#[test]
fn left_out_folders_are_quiet() {
    let Some(mut desk) = desk(|etc| fs::create_dir(etc.join("cache")).expect("a folder")) else { return };
    desk.hear();
    fs::write(desk.path("cache/x"), "1").expect("it writes");
    assert_eq!(desk.hear(), []);
}
