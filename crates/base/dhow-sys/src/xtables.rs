//! The packet filter of before nf_tables (`iptables-legacy`), as far as asking goes: options of a socket that are read.
//!
//! What the bytes mean is dhow-network's. See `linux/netfilter_ipv4/ip_tables.h`.

use crate::raw;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What can be asked of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `IPT_SO_GET_INFO`: where its chains begin, and how long it is.
    Info,
    /// `IPT_SO_GET_ENTRIES`: all its rules.
    Entries,
}

/// Asks about a table of the network namespace that this socket is of: `buffer` begins with the question's own words and is
/// where the answer goes; its length.
///
/// # Errors
/// What getsockopt(2) says: `ENOENT` without such a table, `EAGAIN` when it was changed since its length was asked,
/// `ENOPROTOOPT` from a kernel without it, `EPERM` without `CAP_NET_ADMIN`.
pub fn ask(socket: BorrowedFd<'_>, is_v6: bool, question: Question, buffer: &mut [u8]) -> io::Result<usize> {
    // SOL_IPV6, SOL_IP.
    let level = if is_v6 { 41 } else { 0 };
    let name = match question {
        Question::Info => 64,
        Question::Entries => 65,
    };
    let mut length = u32::try_from(buffer.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the kernel writes at most `length` bytes to `buffer`, which is that long, and any bytes are fine in there;
    // both outlive the call.
    let result =
        unsafe { raw::getsockopt(socket.as_raw_fd(), level, name, buffer.as_mut_ptr().cast(), &raw mut length) };
    raw::checked(result.into())?;
    Ok(buffer.len().min(length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_table_that_is_not_there_is_an_error() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = [0; 84];
        buffer[..5].copy_from_slice(b"dhow!");
        assert!(ask(socket.as_fd(), false, Question::Info, &mut buffer).is_err());
        assert!(ask(socket.as_fd(), false, Question::Info, &mut buffer[..3]).is_err());
    }
}
