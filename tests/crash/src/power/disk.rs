//! The disks that a power cut may leave: all that was flushed, and of what was written later any part, in any order, in
//! whole blocks of 4 KiB (the unit that disks of today write or do not write).

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::recorder::Event;
use crate::failure::Failure;
use crate::process::tool;
use crate::random::Random;

/// What becomes of the writes behind the last flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// All lost.
    Lost,
    /// All there.
    There,
    /// Each request there with this chance in percent.
    Requests(u64),
    /// Each block there with this chance in percent: requests are torn, and later ones survive earlier ones.
    Blocks(u64),
}

/// One power cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// So many events had happened.
    pub(crate) at: usize,
    pub(crate) later: Later,
}

/// A block that is written whole or not at all.
const BLOCK: usize = 4096;

impl Cut {
    /// Half of the cuts fall right behind the end of a command, where its promises begin; the others anywhere.
    pub(crate) fn choose(events: &[Event], began: usize, random: &mut Random) -> Cut {
        let ends: Vec<usize> =
            events.iter().enumerate().filter(|(_, event)| matches!(event, Event::Done)).map(|(at, _)| at + 1).collect();
        let at = if random.chance(50) && !ends.is_empty() {
            ends[random.below(ends.len() as u64) as usize]
        } else {
            began + random.below((events.len() - began) as u64 + 1) as usize
        };
        let later = match random.below(10) {
            0..=2 => Later::Lost,
            3 => Later::There,
            4 | 5 => Later::Requests([10, 50, 90][random.below(3) as usize]),
            _ => Later::Blocks([10, 50, 90][random.below(3) as usize]),
        };
        Cut { at, later }
    }

    /// How many commands had ended with success.
    pub(crate) fn done(&self, events: &[Event]) -> usize {
        events[..self.at].iter().filter(|event| matches!(event, Event::Done)).count()
    }

    /// Makes the disk: `base` is how it was when the record began.
    pub(crate) fn build(
        &self,
        events: &[Event],
        base: &Path,
        image: &Path,
        random: &mut Random,
    ) -> Result<(), Failure> {
        tool(Command::new("cp").arg("--sparse=always").arg(base).arg(image))?;
        let disk = OpenOptions::new().write(true).open(image).map_err(Failure::io("open", image))?;
        for (offset, data) in self.surviving(events, random) {
            disk.write_all_at(data, offset).map_err(Failure::io("write", image))?;
        }
        Ok(())
    }

    /// The writes that reached the disk, in the order in which they did.
    fn surviving<'a>(&self, events: &'a [Event], random: &mut Random) -> Vec<(u64, &'a [u8])> {
        let past = &events[..self.at];
        let flushed = past.iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
        let mut writes = Vec::new();
        for (index, event) in past.iter().enumerate() {
            let Event::Write { offset, data } = event else { continue };
            match self.later {
                _ if index < flushed => writes.push((*offset, data.as_slice())),
                Later::Lost => {}
                Later::There => writes.push((*offset, data.as_slice())),
                Later::Requests(percent) => {
                    if random.chance(percent) {
                        writes.push((*offset, data.as_slice()));
                    }
                }
                Later::Blocks(percent) => {
                    writes.extend(blocks(*offset, data).filter(|_| random.chance(percent)));
                }
            }
        }
        writes
    }
}

/// A request in blocks, cut where the disk's blocks begin.
fn blocks(offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let head = (BLOCK - (offset % BLOCK as u64) as usize) % BLOCK;
    let (head, rest) = data.split_at(head.min(data.len()));
    let start = offset + head.len() as u64;
    let rest = rest.chunks(BLOCK).enumerate().map(move |(index, chunk)| (start + (index * BLOCK) as u64, chunk));
    std::iter::once((offset, head)).filter(|(_, head)| !head.is_empty()).chain(rest)
}

impl fmt::Display for Cut {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "power cut behind event {}, unflushed writes: ", self.at)?;
        match self.later {
            Later::Lost => write!(to, "lost"),
            Later::There => write!(to, "there"),
            Later::Requests(percent) => write!(to, "{percent} % of the requests there"),
            Later::Blocks(percent) => write!(to, "{percent} % of the blocks there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let write = |offset, length| Event::Write { offset, data: vec![1; length] };
        vec![write(0, 4096), Event::Flush, write(4096, 8192), Event::Done, write(0, 4096)]
    }

    fn surviving(at: usize, later: Later) -> Vec<(u64, usize)> {
        let events = events();
        let mut random = Random::new(1, "disk", 0);
        Cut { at, later }.surviving(&events, &mut random).iter().map(|(offset, data)| (*offset, data.len())).collect()
    }

    #[test]
    fn what_was_flushed_always_survives_and_what_was_not_only_if_chosen() {
        assert_eq!(surviving(5, Later::Lost), [(0, 4096)]);
        assert_eq!(surviving(5, Later::There), [(0, 4096), (4096, 8192), (0, 4096)]);
        assert_eq!(surviving(1, Later::Lost), []);
        assert_eq!(surviving(5, Later::Blocks(100)), [(0, 4096), (4096, 4096), (8192, 4096), (0, 4096)]);
        assert_eq!(surviving(5, Later::Blocks(0)), [(0, 4096)]);
    }

    #[test]
    fn a_request_is_torn_where_the_disks_blocks_begin() {
        let data = [7; 9000];
        let parts: Vec<(u64, usize)> = blocks(512, &data).map(|(offset, part)| (offset, part.len())).collect();
        assert_eq!(parts, [(512, 3584), (4096, 4096), (8192, 1320)]);
    }
}
