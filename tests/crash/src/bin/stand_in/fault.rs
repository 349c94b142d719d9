//! The mistakes that can be asked for; each is one that a real store could make.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None.
    Right,
    /// An image is entered before its layers are in their place.
    LedgerFirst,
    /// A layer is unpacked where it will stay, and taken for whole when it is found there.
    UnpackInPlace,
    /// What a dead command left in `work/` is never removed.
    KeepWork,
    /// Files that no image needs are never removed.
    KeepOrphans,
    /// The ledger is overwritten instead of replaced.
    LedgerInPlace,
    /// `save` writes to the final name.
    SaveInPlace,
    /// A removed image's files go before its row does.
    FilesFirst,
    /// Nothing is flushed to the disk.
    NoSync,
    /// The ledger is flushed, the layers are not.
    NoSyncOfLayers,
    /// No lock: two commands overwrite each other's ledger.
    NoLock,
}

/// The chosen one.
pub(crate) fn chosen() -> Fault {
    match std::env::var("DHOW_STAND_IN_FAULT").as_deref() {
        Ok("ledger-first") => Fault::LedgerFirst,
        Ok("unpack-in-place") => Fault::UnpackInPlace,
        Ok("keep-work") => Fault::KeepWork,
        Ok("keep-orphans") => Fault::KeepOrphans,
        Ok("ledger-in-place") => Fault::LedgerInPlace,
        Ok("save-in-place") => Fault::SaveInPlace,
        Ok("files-first") => Fault::FilesFirst,
        Ok("no-sync") => Fault::NoSync,
        Ok("no-sync-of-layers") => Fault::NoSyncOfLayers,
        Ok("no-lock") => Fault::NoLock,
        _ => Fault::Right,
    }
}
