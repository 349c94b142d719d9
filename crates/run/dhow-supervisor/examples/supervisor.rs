//! Nothing but a supervisor, for the tests of this crate: they start it in place of `dhow internal supervise`.

fn main() {
    std::process::exit(dhow_supervisor::supervise::supervise().into());
}
