//! A disk that can lose power: what a process wrote below a directory, in order, and what is left of it afterwards.
//!
//! A file is as it was at its last fsync, and a directory entry as it was at the directory's last fsync. Of later changes, the
//! disk may have kept none, some or all, and sectors may be torn.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::dice::Dice;

/// The unit that a disk writes atomically.
const SECTOR: usize = 512;
/// The length of a record before its path.
const HEAD: usize = 40;

/// A directory whose changes are recorded by the processes that run with [`Disk::environment`].
pub(crate) struct Disk {
    root: PathBuf,
    library: PathBuf,
    pub(super) log: PathBuf,
    full: PathBuf,
    begin: Image,
}

impl Disk {
    /// Records changes below `root`, whose current content is durable. The recording itself is kept in `room`.
    pub(crate) fn new(root: &Path, room: &Path) -> Self {
        let library = room.join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/crash/disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
        assert!(compiler.status().unwrap().success(), "requires a C compiler");
        let begin = Image::read(root);
        Self { root: root.to_owned(), library, log: room.join("log"), full: room.join("full"), begin }
    }

    /// The environment of a process that is recorded.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        let variables = [("LD_PRELOAD", &self.library), ("CRASH_ROOT", &self.root), ("CRASH_LOG", &self.log)];
        let variables = variables.into_iter().chain([("CRASH_FULL", &self.full)]);
        variables.map(|(name, path)| (name, path.to_str().unwrap())).collect()
    }

    /// Allows only this many more bytes to be written.
    pub(crate) fn fill(&self, room: u64) {
        let new = self.full.with_extension("new");
        fs::write(&new, room.to_string()).unwrap();
        fs::rename(new, &self.full).unwrap();
    }

    /// Removes the limit.
    pub(crate) fn make_room(&self) {
        fs::remove_file(&self.full).unwrap();
    }

    /// The positions in the log where the power can fail: after each record.
    pub(super) fn cuts(&self) -> Vec<u64> {
        read_records(&fs::read(&self.log).unwrap()).map(|(_, end)| end).collect()
    }

    /// Builds in `target` what is left after a power failure at this position in the log.
    pub(super) fn cut(&self, at: u64, target: &Path, dice: &mut Dice) {
        let log = fs::read(&self.log).unwrap();
        let mut image = self.begin.clone();
        for (record, _) in read_records(&log).take_while(|(_, end)| *end <= at) {
            image.apply(&record, &self.root);
        }
        image.lose_power(dice);
        image.build(target);
    }
}

/// A change.
struct Record<'l> {
    kind: u8,
    inode: u64,
    offset: u64,
    path: PathBuf,
    bytes: &'l [u8],
}

/// The records of a log, each with the position after it. An incomplete last record was never written.
fn read_records(log: &[u8]) -> impl Iterator<Item = (Record<'_>, u64)> {
    let mut place = 0;
    std::iter::from_fn(move || {
        let (record, length) = read_record(&log[place..])?;
        place += length;
        Some((record, place as u64))
    })
}

fn read_record(log: &[u8]) -> Option<(Record<'_>, usize)> {
    let number = |index: usize| Some(u64::from_ne_bytes(log.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    let (path_length, length) = (usize::try_from(number(3)?).ok()?, usize::try_from(number(4)?).ok()?);
    let path = log.get(HEAD..HEAD + path_length)?;
    let bytes = log.get(HEAD + path_length..HEAD + path_length + length)?;
    let path = PathBuf::from(std::str::from_utf8(&path[..path_length - 1]).ok()?);
    let kind = u8::try_from(number(0)?).ok()?;
    Some((Record { kind, inode: number(1)?, offset: number(2)?, path, bytes }, HEAD + path_length + length))
}

/// A file: its durable content, and later changes.
#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<Edit>,
}

#[derive(Clone)]
enum Edit {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Copy)]
enum Node {
    Directory,
    File(usize),
}

/// A change of directory entries.
#[derive(Clone)]
enum Entry {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// The contents of a disk below a directory. Paths are relative to it.
#[derive(Clone, Default)]
struct Image {
    files: Vec<Content>,
    by_inode: BTreeMap<u64, usize>,
    durable: BTreeMap<PathBuf, Node>,
    /// Changes of entries, by directory.
    pending: BTreeMap<PathBuf, Vec<Entry>>,
}

impl Image {
    fn read(root: &Path) -> Self {
        let mut image = Self::default();
        let mut waiting = vec![root.to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_owned();
                if path.is_dir() {
                    image.durable.insert(name, Node::Directory);
                    waiting.push(path);
                } else {
                    let index = image.add_file(fs::metadata(&path).unwrap().ino());
                    image.files[index].durable = fs::read(&path).unwrap();
                    image.durable.insert(name, Node::File(index));
                }
            }
        }
        image
    }

    fn add_file(&mut self, inode: u64) -> usize {
        self.files.push(Content::default());
        self.by_inode.insert(inode, self.files.len() - 1);
        self.files.len() - 1
    }

    fn apply(&mut self, record: &Record, root: &Path) {
        let path = record.path.strip_prefix(root).unwrap().to_owned();
        let offset = usize::try_from(record.offset).unwrap();
        match record.kind {
            b'C' => {
                let node = Node::File(self.add_file(record.inode));
                self.change_entry(Entry::Put(path, node));
            }
            b'M' => self.change_entry(Entry::Put(path, Node::Directory)),
            b'U' => self.change_entry(Entry::Remove(path)),
            b'R' => {
                let to = PathBuf::from(std::str::from_utf8(record.bytes).unwrap());
                self.change_entry(Entry::Rename(path, to.strip_prefix(root).unwrap().to_owned()));
            }
            b'W' => self.file(record.inode).pending.push(Edit::Write(offset, record.bytes.to_vec())),
            b'T' => self.file(record.inode).pending.push(Edit::Truncate(offset)),
            b'S' => {
                let file = self.file(record.inode);
                let pending = std::mem::take(&mut file.pending);
                pending.iter().for_each(|edit| edit.apply(&mut file.durable));
            }
            b'D' => {
                for entry in self.pending.remove(&path).unwrap_or_default() {
                    entry.apply(&mut self.durable);
                }
            }
            other => panic!("no such record: {other}"),
        }
    }

    fn file(&mut self, inode: u64) -> &mut Content {
        &mut self.files[self.by_inode[&inode]]
    }

    fn change_entry(&mut self, entry: Entry) {
        let (Entry::Put(path, _) | Entry::Remove(path) | Entry::Rename(path, _)) = &entry;
        let directory = path.parent().unwrap().to_owned();
        self.pending.entry(directory).or_default().push(entry);
    }

    /// Randomly keeps or loses what is not durable. A directory keeps the order of its changes, a file does not.
    fn lose_power(&mut self, dice: &mut Dice) {
        for entries in std::mem::take(&mut self.pending).into_values() {
            let kept = dice.below_or_edge(entries.len());
            entries.into_iter().take(kept).for_each(|entry| entry.apply(&mut self.durable));
        }
        for file in &mut self.files {
            let chance = dice.pick(&[0, 30, 70, 100]);
            for edit in std::mem::take(&mut file.pending) {
                if dice.below(100) < chance {
                    edit.tear(dice).iter().for_each(|edit| edit.apply(&mut file.durable));
                }
            }
        }
    }

    fn build(&self, target: &Path) {
        // A path sorts after its directory's. If a directory is lost, its contents are too.
        for (path, node) in &self.durable {
            let path = target.join(path);
            match node {
                _ if path.parent().is_some_and(|parent| !parent.exists()) => {}
                Node::Directory => DirBuilder::new().mode(0o700).create(path).unwrap(),
                Node::File(index) => {
                    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).unwrap();
                    file.write_all(&self.files[*index].durable).unwrap();
                }
            }
        }
    }
}

impl Edit {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => content.resize(*length, 0),
            Self::Write(offset, bytes) => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }

    /// Randomly keeps only some sectors of a write.
    fn tear(self, dice: &mut Dice) -> Vec<Self> {
        match self {
            Self::Write(offset, bytes) if bytes.len() > SECTOR && dice.below(4) == 0 => {
                let sectors = bytes.chunks(SECTOR).enumerate().filter(|_| dice.below(2) == 0);
                sectors.map(|(index, sector)| Self::Write(offset + index * SECTOR, sector.to_vec())).collect()
            }
            whole => vec![whole],
        }
    }
}

impl Entry {
    fn apply(self, entries: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Put(path, node) => drop(entries.insert(path, node)),
            Self::Remove(path) => drop(entries.remove(&path)),
            Self::Rename(from, to) => {
                if let Some(node) = entries.remove(&from) {
                    entries.insert(to, node);
                }
            }
        }
    }
}
