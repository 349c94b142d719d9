//! What a resolver was handed, kept by somebody else, so that another one can be handed the same.
//!
//! A keeper waits for nobody, and trusts no resolver: [`Heir`] hands over step by step, each when the answer to the one
//! before has come, and a [`Record`] grows no further than [`ENOUGH`].

use super::{Control, ControlError, PACKET_MAX, Reply, Request};
use dhow_sys::passing;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// How many things one resolver is believed to serve.
const ENOUGH: usize = 4096;
/// And with how many descriptors.
const DESCRIPTORS: usize = 256 * 1024;

/// Everything that a resolver was handed, as who follows it hears of it.
#[derive(Debug, Default)]
pub struct Record {
    kept: Vec<(Request, Vec<OwnedFd>)>,
    whole: bool,
}

impl Record {
    /// Begins to follow: from now on the connection brings packets for [`receive`](Self::receive).
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn follow(control: &Control) -> Result<Record, ControlError> {
        control.ask(&Request::Follow, &[])?;
        Ok(Record::default())
    }

    /// The same, but nothing is waited for.
    ///
    /// # Errors
    /// What sendmsg(2) says.
    pub fn begin_to_follow(control: &Control) -> io::Result<Record> {
        control.post(&Request::Follow, &[])?;
        Ok(Record::default())
    }

    /// Whether a container is served.
    pub fn has_clients(&self) -> bool {
        self.kept.iter().any(|(request, _)| matches!(request, Request::Join(_)))
    }

    /// Takes the next packet; false when the resolver is gone.
    ///
    /// # Errors
    /// What recvmsg(2) says; `InvalidData` for what is not understood, and for more than anybody serves.
    pub fn receive(&mut self, control: &Control) -> io::Result<bool> {
        let (mut bytes, mut descriptors) = (vec![0; PACKET_MAX], Vec::new());
        let count = passing::receive(control.socket.as_fd(), &mut bytes, &mut descriptors)?;
        let bytes = &bytes[..count];
        if bytes.is_empty() {
            return Ok(false);
        }
        match serde_json::from_slice::<Request>(bytes) {
            Ok(request) => {
                self.apply(request, descriptors);
                let descriptors: usize = self.kept.iter().map(|(_, descriptors)| descriptors.len()).sum();
                if self.kept.len() > ENOUGH || descriptors > DESCRIPTORS {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            Err(_) => self.whole |= serde_json::from_slice::<Reply>(bytes)? == Reply::Whole,
        }
        Ok(true)
    }

    /// Whether all that was there at the begin has come.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Hands all of it to another resolver that has begun.
    ///
    /// # Errors
    /// [`ControlError`] for the first thing that could not be handed over.
    pub fn hand_to(&self, control: &Control) -> Result<(), ControlError> {
        for (request, descriptors) in &self.kept {
            let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            control.ask(request, &descriptors)?;
        }
        Ok(())
    }

    fn apply(&mut self, request: Request, descriptors: Vec<OwnedFd>) {
        let same = |(kept, _): &(Request, Vec<OwnedFd>)| match (kept, &request) {
            (Request::Network { network: a }, Request::Network { network: b } | Request::Forget { network: b })
            | (
                Request::Join(super::Join { id: a, .. }),
                Request::Join(super::Join { id: b, .. }) | Request::Leave { id: b },
            ) => a == b,
            (Request::Listen, Request::Listen) => true,
            _ => false,
        };
        let place = self.kept.iter().position(same);
        match (place, &request) {
            (Some(place), Request::Forget { .. } | Request::Leave { .. }) => drop(self.kept.remove(place)),
            (Some(place), _) => self.kept[place] = (request, descriptors),
            (None, Request::Listen | Request::Network { .. } | Request::Join(_)) => {
                self.kept.push((request, descriptors))
            }
            (None, _) => {}
        }
    }
}

/// A resolver that is being handed what another had, by somebody who cannot wait for it.
#[derive(Debug)]
pub struct Heir {
    record: Record,
    /// How many requests were answered; the first is to begin.
    answered: usize,
}

impl Heir {
    /// Begins with a resolver that was just started.
    ///
    /// # Errors
    /// What sendmsg(2) says.
    pub fn begin(control: &Control, record: Record, begin: super::Begin) -> Result<Heir, (io::Error, Record)> {
        match control.post(&Request::Begin(begin), &[]) {
            Ok(()) => Ok(Heir { record, answered: 0 }),
            Err(error) => Err((error, record)),
        }
    }

    /// To be called when there is something to read: takes one answer and asks for the next thing. True: it has everything,
    /// and nothing more is on its way.
    ///
    /// # Errors
    /// Of the socket; `UnexpectedEof` when it is gone. What it refuses it goes without: the rest is served.
    pub fn go_on(&mut self, control: &Control) -> io::Result<bool> {
        let mut bytes = vec![0; PACKET_MAX];
        let count = passing::receive(control.socket.as_fd(), &mut bytes, &mut Vec::new())?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.answered == 0 && serde_json::from_slice::<Reply>(&bytes[..count])? != Reply::Done {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let next = self.record.kept.get(self.answered);
        self.answered += 1;
        let Some((request, descriptors)) = next else { return Ok(true) };
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        control.post(request, &descriptors)?;
        Ok(false)
    }

    /// What it is handed.
    pub fn into_record(self) -> Record {
        self.record
    }
}
