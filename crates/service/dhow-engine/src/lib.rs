//! Use cases: images and the system, one verb per file.
