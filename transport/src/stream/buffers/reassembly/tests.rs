use proptest::prelude::*;

use super::super::pages::PAGE;
use super::*;

/// A machine and what it should hold.
struct Bench {
    original: Bytes,
    present: Vec<bool>,
    read: usize,
    reassembly: Reassembly,
}

impl Bench {
    fn new(length: usize) -> Self {
        let original = (0..length as u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        Self { original, present: vec![false; length], read: 0, reassembly: Reassembly::default() }
    }

    fn insert(&mut self, start: usize, length: usize) -> Kept {
        self.insert_within(start, length, limits::STREAM_GAPS)
    }

    fn insert_within(&mut self, start: usize, length: usize, gaps: usize) -> Kept {
        let may_add_run = self.reassembly.gaps() < gaps;
        self.present[start..start + length].fill(true);
        let kept = self.reassembly.insert(start as u64, self.original.slice(start..start + length), may_add_run);
        assert!(self.reassembly.gaps() <= gaps);
        kept
    }

    fn read(&mut self, maximum: usize) -> usize {
        let Some(data) = self.reassembly.read(maximum) else {
            assert!(maximum == 0 || !self.reassembly.is_readable());
            return 0;
        };
        assert!(!data.is_empty() && data.len() <= maximum);
        assert_eq!(data, self.original.slice(self.read..self.read + data.len()));
        self.read += data.len();
        data.len()
    }

    fn read_all(&mut self) {
        while self.read(usize::MAX) > 0 {}
    }

    fn check(&self) {
        let held = self.present.iter().skip(self.read).filter(|there| **there).count();
        assert_eq!(self.reassembly.buffered(), held as u64);
        let missing = self.present.iter().position(|there| !there).unwrap_or(self.present.len());
        assert_eq!(self.reassembly.next(), missing as u64);
        let mut end = self.reassembly.next;
        for run in &self.reassembly.runs {
            assert!(run.start > end && run.end > run.start, "apart from each other, beyond `next`");
            assert_eq!(run.end - run.start, run.chunks.len() as u64);
            end = run.end;
        }
    }

    fn check_all_is_read(&mut self) {
        self.read_all();
        assert_eq!(self.read, self.original.len());
        assert_eq!((self.reassembly.buffered(), self.reassembly.gaps(), self.reassembly.pages.heap()), (0, 0, 0));
    }

    fn check_heap(&self) {
        let window = self.original.len();
        let heap = self.reassembly.heap();
        assert!(heap <= 2 * window, "{heap} bytes held for a window of {window}: {:.2}", heap as f64 / window as f64);
    }
}

impl Reassembly {
    /// What the heap holds for it, with 16 bytes for the allocator at each allocation. A referenced piece counts as its
    /// bytes: the rest of its receive buffer is the business of whoever sizes those.
    fn heap(&self) -> usize {
        const ALLOCATION: usize = 16;
        let queue = |chunks: &Chunks| chunks.capacity() * size_of::<Bytes>() + ALLOCATION;
        let runs: usize = self.runs.iter().map(|run| run.chunks.len() + queue(&run.chunks)).sum();
        // Any of these may be a copy, made by doubling, with a reference count of its own.
        let copy = |length: usize| length.max((2 * length).min(TAIL)) + 32 + 2 * ALLOCATION;
        let ready = queue(&self.ready) + self.ready.iter().map(|chunk| copy(chunk.len())).sum::<usize>();
        runs + ready + self.runs.capacity() * size_of::<Run>() + self.tail.capacity() + ALLOCATION + self.pages.heap()
    }
}

#[test]
fn in_order_pieces_are_passed_on_as_they_are_and_cost_nothing() {
    let mut bench = Bench::new(1200 * 1000);
    for start in (0..bench.original.len()).step_by(1200) {
        let piece = bench.original.slice(start..start + 1200);
        assert_eq!(bench.reassembly.insert(start as u64, piece.clone(), true), Kept::Well);
        let read = bench.reassembly.read(usize::MAX).unwrap();
        assert_eq!((read.as_ptr(), read.len()), (piece.as_ptr(), piece.len()));
        assert_eq!(bench.reassembly.ready.capacity(), 0);
        assert_eq!(bench.reassembly.tail.capacity(), 0);
        assert_eq!(bench.reassembly.runs.capacity(), 0);
    }
    assert_eq!(bench.reassembly.copied(), 0);
}

#[test]
fn after_a_loss_everything_is_one_run_and_moves_without_copies() {
    let mut bench = Bench::new(1200 * 1000);
    for start in (1200..bench.original.len()).step_by(1200) {
        bench.insert(start, 1200);
    }
    assert_eq!((bench.reassembly.gaps(), bench.reassembly.is_readable()), (1, false));
    bench.insert(0, 1200);
    assert_eq!((bench.reassembly.gaps(), bench.reassembly.copied()), (0, 0));
    bench.check();
    let last = bench.original.slice(bench.original.len() - 1200..);
    let mut read = Bytes::new();
    while let Some(data) = bench.reassembly.read(usize::MAX) {
        read = data;
    }
    assert_eq!(read.as_ptr(), last.as_ptr());
}

#[test]
fn pieces_in_reverse_order_join_one_run() {
    let mut bench = Bench::new(1200 * 100);
    for start in (0..bench.original.len()).step_by(1200).rev() {
        bench.insert(start, 1200);
        assert!(bench.reassembly.gaps() <= 1);
        bench.check();
    }
    assert_eq!(bench.reassembly.copied(), 0);
    bench.check_all_is_read();
}

#[test]
fn repeated_pieces_are_kept_once() {
    let mut bench = Bench::new(20_000);
    for _ in 0..3 {
        bench.insert(5000, 3000);
        bench.insert(4000, 6000);
        bench.insert(12_000, 100);
        bench.insert(11_000, 3000);
        bench.check();
    }
    bench.insert(0, 20_000);
    bench.insert(0, 20_000);
    bench.check();
    bench.check_all_is_read();
}

#[test]
fn a_small_piece_does_not_hold_its_receive_buffer() {
    let buffer = Bytes::from(vec![7; 64 * 1024]);
    let mut reassembly = Reassembly::default();
    reassembly.insert(0, buffer.slice(0..1), true);
    reassembly.insert(1, buffer.slice(1..limits::COPIED_BELOW), true);
    reassembly.insert(5000, buffer.slice(0..1), true);
    assert!(buffer.is_unique());
    reassembly.insert(9000, buffer.slice(0..limits::COPIED_BELOW), true);
    assert!(!buffer.is_unique());
    drop(reassembly);

    // What is left of a referenced piece after trimming is no longer large.
    let mut reassembly = Reassembly::default();
    reassembly.insert(100, buffer.slice(0..2000), true);
    let other = Bytes::from(vec![7; 2000]);
    reassembly.insert(0, other, true);
    assert!(buffer.is_unique());
    assert_eq!(reassembly.next(), 2100);
}

#[test]
fn single_bytes_at_even_offsets_hold_less_than_twice_the_window() {
    let mut bench = Bench::new(256 * 1024);
    for start in (2..bench.original.len()).step_by(2) {
        assert_eq!(bench.insert(start, 1), Kept::Well);
    }
    bench.check();
    bench.check_heap();
    assert_eq!(bench.reassembly.gaps(), 0, "pages need no gaps");
    for start in (1..bench.original.len()).step_by(2).rev() {
        bench.insert(start, 1);
    }
    bench.insert(0, 1);
    bench.check();
    bench.check_heap();
    bench.check_all_is_read();
}

#[test]
fn single_bytes_in_order_that_nobody_reads_hold_less_than_twice_the_window() {
    let mut bench = Bench::new(256 * 1024);
    for start in 0..bench.original.len() {
        bench.insert(start, 1);
    }
    bench.check_heap();
    bench.check_all_is_read();
}

#[test]
fn single_bytes_in_order_for_a_slow_reader_still_share_buffers() {
    let mut bench = Bench::new(100_000);
    for start in 0..bench.original.len() {
        bench.insert(start, 1);
        if start % 2 == 0 {
            bench.read(1);
        }
    }
    let pieces = bench.reassembly.ready.iter().count();
    assert!(pieces <= 2 + bench.original.len() / TAIL, "{pieces} pieces");
    bench.check_all_is_read();
}

#[test]
fn beyond_the_limit_of_gaps_pieces_are_copied_and_not_lost() {
    const PIECE: usize = limits::COPIED_BELOW;
    let mut bench = Bench::new(2 * limits::STREAM_GAPS * (PIECE + 1));
    let mut is_told = false;
    for start in (1..bench.original.len()).step_by(PIECE + 1) {
        is_told |= bench.insert(start, PIECE) == Kept::BeyondGapLimit;
    }
    assert_eq!((bench.reassembly.gaps(), is_told), (limits::STREAM_GAPS, true));
    assert_eq!(bench.reassembly.copied(), (limits::STREAM_GAPS * PIECE) as u64);
    bench.check();
    bench.check_heap();
    for start in (0..bench.original.len()).step_by(PIECE + 1) {
        bench.insert(start, 1);
    }
    bench.check();
    bench.check_all_is_read();
}

#[test]
fn the_worst_mixture_holds_less_than_twice_the_window() {
    // A byte on either side of a page's border costs two pages; the pieces between are just large enough to be kept by
    // reference, and never join.
    const STEP: usize = 3 * PAGE;
    for hole in [2, 3] {
        let mut bench = Bench::new(900 * STEP);
        for border in (STEP..bench.original.len()).step_by(STEP) {
            bench.insert(border + 1 + hole, STEP - 2 - 2 * hole);
            bench.insert(border - 1, 2);
            bench.insert(border - 1 - hole, 1);
        }
        bench.check();
        bench.check_heap();
    }
}

#[test]
fn an_offset_at_the_end_of_the_numbers_is_ignored() {
    let mut reassembly = Reassembly::default();
    reassembly.insert(u64::MAX - 1, Bytes::from_static(b"abc"), true);
    reassembly.insert(u64::MAX, Bytes::from_static(b"abc"), true);
    assert_eq!(reassembly.buffered(), 0);
    reassembly.insert(u64::MAX - 3, Bytes::from_static(b"abc"), true);
    assert_eq!(reassembly.buffered(), 3);
}

#[test]
fn what_is_cleared_is_gone_and_the_position_stays() {
    let mut bench = Bench::new(10_000);
    bench.insert(0, 100);
    bench.insert(200, 1);
    bench.insert(3000, 3000);
    bench.reassembly.clear();
    assert_eq!((bench.reassembly.buffered(), bench.reassembly.gaps(), bench.reassembly.next()), (0, 0, 100));
    assert!(!bench.reassembly.is_readable());
}

/// A step of a test.
#[derive(Clone, Debug)]
enum Step {
    Insert { start: usize, length: usize },
    Read { maximum: usize },
}

const LENGTH: usize = 30_000;

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![1..20_usize, 400..600_usize, 1000..3000_usize, 5000..9000_usize];
    prop_oneof![
        4 => (0..LENGTH, length).prop_map(|(start, length)| Step::Insert { start, length: length.min(LENGTH - start) }),
        1 => prop_oneof![0..2000_usize, Just(usize::MAX)].prop_map(|maximum| Step::Read { maximum }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn overlapping_pieces_in_any_order_become_the_original(
        steps in prop::collection::vec(step(), 1..60),
        gaps in prop_oneof![Just(0_usize), Just(1), Just(3), Just(1000)],
        last in Just((0..LENGTH).step_by(1500).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let mut bench = Bench::new(LENGTH);
        for step in steps {
            match step {
                Step::Insert { start, length } => {
                    bench.insert_within(start, length, gaps);
                }
                Step::Read { maximum } => {
                    bench.read(maximum);
                }
            }
            bench.check();
        }
        for start in last {
            bench.insert_within(start, 1500, gaps);
            bench.check();
        }
        bench.check_all_is_read();
    }
}
