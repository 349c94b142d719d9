//! Replays what fuzzing found worth keeping. Placeholder until the targets exist.
