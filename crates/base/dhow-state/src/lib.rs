//! The ledger and durable files: who owns which path.
