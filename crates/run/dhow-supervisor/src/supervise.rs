//! The supervisor itself.

/// The body of `dhow internal supervise`: takes a plan from the socket that is its standard input, starts the
/// container, watches it to its end. Returns the exit status of the supervisor process.
pub fn supervise() -> u8 {
    unimplemented!()
}
