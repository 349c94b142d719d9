//! The resolver, from outside: its codec against properties and the fuzz corpus, its zone against tables, and the
//! process itself with real clients, in network namespaces of the tests' own.

mod asking;
mod corpus;
mod forwarding;
mod message;
mod process;
mod resolv_conf;
mod serving;
mod speed;
mod zone;
