//! What a resolver was handed, kept by somebody else, so that another one can be handed the same.

use super::{Control, ControlError, PACKET_MAX, Reply, Request};
use dhow_sys::passing;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

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

    /// Takes the next packet; false when the resolver is gone.
    ///
    /// # Errors
    /// What recvmsg(2) says; `InvalidData` for what is not understood.
    pub fn receive(&mut self, control: &Control) -> io::Result<bool> {
        let (mut bytes, mut descriptors) = (vec![0; PACKET_MAX], Vec::new());
        let count = passing::receive(control.socket.as_fd(), &mut bytes, &mut descriptors)?;
        let bytes = &bytes[..count];
        if bytes.is_empty() {
            return Ok(false);
        }
        match serde_json::from_slice::<Request>(bytes) {
            Ok(request) => self.apply(request, descriptors),
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
