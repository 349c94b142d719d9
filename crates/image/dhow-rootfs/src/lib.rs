//! Layers: apply, and stack into a root filesystem.
