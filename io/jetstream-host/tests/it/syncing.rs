//! Syncs that come now and then run beside the work on messages.

use crate::house::*;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use store::{Disk, DiskFile, FileSettings, SyncMode};
use testkit::CrashDisk;

/// A disk whose syncs of streams wait for a gate.
struct SlowDisk {
    disk: CrashDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    fails: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, is_shut: bool) {
        *self.is_shut.lock().expect("unharmed") = is_shut;
        self.changed.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let shut = self.is_shut.lock().expect("unharmed");
        drop(self.changed.wait_while(shut, |is_shut| *is_shut).expect("unharmed"));
        if *self.fails.lock().expect("unharmed") { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}

struct SlowFile {
    file: Arc<dyn DiskFile>,
    gate: Option<Arc<Gate>>,
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }
    fn sync(&self) -> io::Result<()> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate.pass())?;
        self.file.sync()
    }
}

impl SlowDisk {
    fn slow(&self, path: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let gate = path.starts_with("streams/").then(|| self.gate.clone());
        Arc::new(SlowFile { file, gate })
    }
}

impl Disk for SlowDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(path, self.disk.create(path)?))
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(path, self.disk.open(path)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
}

fn lazy() -> (Room, Arc<Gate>) {
    let (disk, gate) = (CrashDisk::new(1), Arc::<Gate>::default());
    let slow = SlowDisk { disk: disk.clone(), gate: gate.clone() };
    let files = FileSettings { sync: SyncMode::Lazy, ..FileSettings::default() };
    let mut room = Room::over(disk, Arc::new(slow), files, Duration::from_secs(1));
    room.desk.sync_beside();
    assert!(room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#).contains("did_create"));
    (room, gate)
}

#[test]
fn messages_are_taken_while_a_sync_takes_as_long_as_it_likes() {
    let (mut room, gate) = lazy();
    gate.set(true);
    for seq in 1..20 {
        assert!(room.ask("s.a", "x").contains(&format!("\"seq\":{seq}")));
        room.advance(Duration::from_millis(300));
    }
    assert!(!room.desk.has_failed());
    gate.set(false);
    room.desk.close(room.now).expect("the end waits for what runs");
    let mut again = room.again(room.disk.crash());
    assert!(again.ask("$JS.API.STREAM.INFO.S", "").contains(r#""messages":19"#));
}

#[test]
fn a_sync_that_fails_beside_keeps_anything_from_being_acknowledged() {
    let (mut room, gate) = lazy();
    *gate.fails.lock().expect("unharmed") = true;
    assert!(room.ask("s.a", "x").contains("\"seq\":1"));
    for _ in 0..200 {
        room.advance(Duration::from_millis(300));
        if room.desk.has_failed() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody noticed");
}
