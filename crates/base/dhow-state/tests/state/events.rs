//! The journal, and waiting for it.

use crate::roles::{play, record};
use crate::store::Scratch;
use dhow_state::{Event, EventSeq, EventWatch, JOURNAL_LENGTH};
use rustix::event::{PollFd, PollFlags, poll};

/// Blocks until something happened, and takes it; fails rather than wait for ever.
fn wait(watch: &mut EventWatch) -> Vec<Event> {
    let timeout = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&timeout)).unwrap();
    assert_eq!(ready, 1, "nothing woke the watcher");
    watch.next().unwrap()
}

fn numbers(events: &[Event]) -> Vec<u32> {
    events.iter().map(|e| e.actor.parse().unwrap()).collect()
}

#[test]
fn a_watcher_hears_every_event_of_another_process_once() {
    let scratch = Scratch::new();
    scratch.open();
    let mut watch = scratch.open_to_read().watch_events(EventSeq::START).unwrap();
    let mut player = play("events", scratch.path());
    assert_eq!(player.hear(), "ready");
    assert_eq!(watch.next().unwrap(), []);
    for count in [1u32, 1, 7, 500, 1] {
        player.tell(&count.to_string());
        let mut heard = Vec::new();
        while heard.len() < count as usize {
            heard.extend(numbers(&wait(&mut watch)));
        }
        assert_eq!(heard, (0..count).collect::<Vec<_>>());
    }
    player.finish();
}

#[test]
fn a_blocked_thread_wakes_and_a_silent_one_sleeps() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let mut watch = state.watch_events(EventSeq::START).unwrap();
    assert_eq!(watch.next().unwrap(), []);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            loop {
                let heard = wait(&mut watch);
                if !heard.is_empty() {
                    break numbers(&heard);
                }
            }
        });
        record(&state, 42).unwrap();
        assert_eq!(waiter.join().unwrap(), [42]);
    });
    while !watch.next().unwrap().is_empty() {}
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    state.read(|r| r.image_count()).unwrap();
    assert_eq!(poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&now)).unwrap(), 0, "reading is no event");
}

#[test]
fn the_journal_keeps_the_newest_and_never_counts_back() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let extra = 25;
    for n in 0..JOURNAL_LENGTH + extra {
        record(&state, u32::try_from(n).unwrap()).unwrap();
    }
    let events = state.read(|r| r.events(EventSeq::START, usize::MAX)).unwrap();
    assert_eq!(events.len(), usize::try_from(JOURNAL_LENGTH).unwrap());
    assert_eq!(events[0].seq, EventSeq(extra + 1));
    assert_eq!(state.read(|r| r.newest_event()).unwrap(), EventSeq(JOURNAL_LENGTH + extra));
    assert_eq!(state.read(|r| r.events(EventSeq(extra + 2), 3)).unwrap()[0].seq, EventSeq(extra + 3));
    let mut watch = state.watch_events(EventSeq::START).unwrap();
    let batches: Vec<usize> = std::iter::from_fn(|| Some(watch.next().unwrap().len()).filter(|n| *n > 0)).collect();
    assert_eq!((batches.len(), batches.iter().sum::<usize>()), (10, events.len()));
}
