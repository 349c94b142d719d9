//! Blobs, names, OCI layout, docker archive, copy().
