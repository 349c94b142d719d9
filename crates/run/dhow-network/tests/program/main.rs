//! A resolver as a process of its own for the tests of this crate, in place of `dhow internal resolve`.

fn main() {
    std::process::exit(dhow_network::resolver::serve().into());
}
