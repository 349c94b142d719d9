//! What dhow-spec promises, checked from outside: tables of the field's own cases, properties, and the fuzz corpus.

mod corpus;
mod documents;
mod image_config;
mod platform;
mod reference;
