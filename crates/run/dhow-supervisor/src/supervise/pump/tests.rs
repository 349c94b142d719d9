//! Any output in any pieces, and a supervisor that dies at any point of any of them: the log is that of one who never did.
//! The real thing, killed at each system call, is in the integration tests.

use super::*;
use crate::log::{Query, read};
use proptest::prelude::*;
use std::cell::RefCell;
use std::fs::OpenOptions;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

/// Where the supervisor dies; what of the read or the write has happened, in hundredths.
#[derive(Debug, Clone, Copy)]
enum Death {
    None,
    Spliced,
    Took,
    InRead(usize),
    BeforeWrite,
    InWrite(u64),
}

#[derive(Debug, Clone)]
struct Piece {
    stream: Stream,
    bytes: Vec<u8>,
    death: Death,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let text = prop_oneof![
        "[a-z\n]{1,60}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 1..80),
        // Longer than a line may be, and than begun lines are kept together.
        (1usize..40_000, any::<bool>()).prop_map(|(n, ends)| {
            let mut long = vec![b'x'; n];
            long.extend(ends.then_some(b'\n'));
            long
        }),
    ];
    let death = prop_oneof![
        2 => Just(Death::None),
        1 => Just(Death::Spliced),
        1 => Just(Death::Took),
        1 => (0usize..=100).prop_map(Death::InRead),
        1 => Just(Death::BeforeWrite),
        3 => (0u64..=100).prop_map(Death::InWrite),
    ];
    let piece = (any::<bool>(), text, death).prop_map(|(is_stderr, bytes, death)| {
        let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
        Piece { stream, bytes, death }
    });
    proptest::collection::vec(piece, 1..12)
}

/// The slate as it is at the first write.
struct Snapshot<'j> {
    slate: &'j Slate,
    taken: RefCell<Option<(Vec<u8>, u64)>>,
}

impl Progress for Snapshot<'_> {
    fn writing(&self, file: (u64, u64), size: u64) {
        self.slate.writing(file, size);
        self.taken.borrow_mut().get_or_insert_with(|| (memory(self.slate), size));
    }

    fn reached(&self, consumed: usize) {
        self.slate.reached(consumed);
    }
}

fn memory(slate: &Slate) -> Vec<u8> {
    let size = rustix::fs::fstat(slate.as_fd()).unwrap().st_size;
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    assert_eq!(rustix::io::pread(slate.as_fd(), &mut bytes[..], 0).unwrap(), bytes.len());
    bytes
}

fn entries(path: &std::path::Path) -> Vec<(Stream, Vec<u8>)> {
    let mut all = Vec::new();
    read(path, &Query::default(), &mut || true, &mut |entry| {
        all.push((entry.stream, entry.bytes.to_vec()));
        Ok(true)
    })
    .unwrap();
    all
}

struct Bench {
    plan: LogPlan,
    transit: Transit,
    slate: Slate,
    log: Option<Writer>,
}

impl Bench {
    fn new(path: PathBuf) -> Bench {
        let plan = LogPlan { path, max_size: None, max_files: 1 };
        let (transit, slate) = (Transit::new().unwrap(), Slate::new().unwrap());
        let log = Some(Writer::open(&plan).unwrap());
        Bench { plan, transit, slate, log }
    }

    /// One piece, as the pump has it; true when the supervisor died of it.
    fn pump(&mut self, piece: &Piece) -> bool {
        let length = piece.bytes.len();
        self.slate.next(piece.stream);
        rustix::io::write(&self.transit.writer, &piece.bytes).unwrap();
        if matches!(piece.death, Death::Spliced) {
            return true;
        }
        self.slate.took(length, 7);
        if matches!(piece.death, Death::Took) {
            return true;
        }
        let end = if let Death::InRead(part) = piece.death { length * part / 100 } else { length };
        self.transit.read(self.slate.room(), 0, end).unwrap();
        if matches!(piece.death, Death::InRead(_) | Death::BeforeWrite) {
            return true;
        }
        let snapshot = Snapshot { slate: &self.slate, taken: RefCell::default() };
        let log = self.log.as_mut().unwrap();
        log.append(piece.stream, self.slate.chunk(), self.slate.time(), &snapshot).unwrap();
        let taken = snapshot.taken.into_inner();
        if let Death::InWrite(part) = piece.death {
            if let Some((memory, before)) = taken {
                // As if it had been killed within write(2).
                assert_eq!(rustix::io::pwrite(self.slate.as_fd(), &memory, 0).unwrap(), memory.len());
                let file = OpenOptions::new().write(true).open(&self.plan.path).unwrap();
                let after = file.metadata().unwrap().len();
                file.set_len(before + (after - before) * part / 100).unwrap();
            }
            return true;
        }
        self.slate.done(log.begun()[piece.stream as usize]);
        false
    }

    /// The next supervisor.
    fn follow(&mut self) {
        self.log = None;
        let file = self.slate.as_fd().try_clone_to_owned().unwrap();
        self.slate = Slate::open(file).unwrap();
        self.log = take_up(&mut self.slate, &self.transit, Some(&self.plan)).unwrap();
        assert_eq!(self.slate.state().phase, Phase::Idle);
        assert_eq!(self.transit.held().unwrap(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_log_is_the_same_whoever_dies(pieces in pieces(), at_the_end in 0u64..=100) {
        let directory = std::env::temp_dir().join(format!("dhow-pump-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut bench = Bench::new(directory.join("log"));
        let mut never = Bench::new(directory.join("never"));
        for piece in &pieces {
            if bench.pump(piece) {
                bench.follow();
                // And once more, with nothing in between.
                bench.follow();
            }
            never.pump(&Piece { death: Death::None, ..piece.clone() });
            prop_assert_eq!(bench.slate.total(piece.stream), never.slate.total(piece.stream));
            prop_assert_eq!(bench.slate.begun(piece.stream), never.slate.begun(piece.stream));
            prop_assert_eq!(bench.slate.chunk(), &piece.bytes[..]);
        }
        // The begun lines, too.
        never.log.as_mut().unwrap().finish(9).unwrap();
        bench.slate.set_time(9);
        let before = std::fs::metadata(&bench.plan.path).unwrap().len();
        bench.log.as_mut().unwrap().conclude(9, &bench.slate.ending()).unwrap();
        let after = std::fs::metadata(&bench.plan.path).unwrap().len();
        OpenOptions::new().write(true).open(&bench.plan.path).unwrap().set_len(before + (after - before) * at_the_end / 100).unwrap();
        bench.follow();
        bench.log.as_mut().unwrap().finish(9).unwrap();
        prop_assert_eq!(entries(&bench.plan.path), entries(&never.plan.path));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
