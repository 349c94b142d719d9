//! Signals that come in while a client is connected, as something that poll(2) can wait for.

use signal_hook::SigId;
use signal_hook::low_level;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals taken in. Once this is dropped they do again what they do by default.
#[derive(Debug)]
pub(super) struct Signals {
    /// Readable when one has come.
    pub(super) pipe: UnixStream,
    /// Kept even where no signal is taken in: else the other end would be hung up, which is readable for ever.
    writer: UnixStream,
    came: Vec<(i32, Arc<AtomicBool>)>,
    actions: Vec<SigId>,
    over: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn take_in(signals: &[i32]) -> io::Result<Signals> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let over = Arc::new(AtomicBool::new(false));
        let mut all = Signals { pipe, writer, came: Vec::new(), actions: Vec::new(), over };
        for signal in signals {
            let flag = Arc::new(AtomicBool::new(false));
            // In this order they are called: the flag stands before anybody is woken. The first stays for ever, because
            // who takes a signal in cannot give it back otherwise.
            signal_hook::flag::register_conditional_default(*signal, Arc::clone(&all.over))?;
            all.actions.push(signal_hook::flag::register(*signal, Arc::clone(&flag))?);
            all.actions.push(low_level::pipe::register(*signal, all.writer.try_clone()?)?);
            all.came.push((*signal, flag));
        }
        Ok(all)
    }

    /// Those that have come since the last time, each once.
    pub(super) fn take(&mut self) -> Vec<i32> {
        let mut bytes = [0; 64];
        while self.pipe.read(&mut bytes).is_ok_and(|n| n == bytes.len()) {}
        self.came.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst)).map(|(signal, _)| *signal).collect()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn is_ready(signals: &Signals) -> bool {
        let mut fds = [PollFd::new(&signals.pipe, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
    }

    #[test]
    fn none_come_where_none_are_taken_in() {
        let mut signals = Signals::take_in(&[]).unwrap();
        assert!(!is_ready(&signals));
        assert!(signals.take().is_empty());
    }

    #[test]
    fn each_that_came_is_told_once() {
        let mut signals = Signals::take_in(&[signal_hook::consts::SIGUSR2]).unwrap();
        assert!(!is_ready(&signals));
        low_level::raise(signal_hook::consts::SIGUSR2).unwrap();
        assert!(is_ready(&signals));
        assert_eq!(signals.take(), [signal_hook::consts::SIGUSR2]);
        assert!(signals.take().is_empty() && !is_ready(&signals));
    }
}
