//! `copy()`: moves everything a manifest or index refers to from a source to a sink, children before parents, so that
//! a sink never holds a document whose parts are missing.
//!
//! What the sink holds already is not sent. Blobs of one manifest may be sent by several threads.

use crate::content::{BlobSink, BlobSource, Descriptor};
use crate::error::StoreError;
use crate::local::read_document;
use dhow_spec::document::{self, Root};
use dhow_spec::media_type;
use oci_spec::image::Descriptor as OciDescriptor;
use std::collections::HashSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes moved at a time.
const CHUNK: usize = 1024 * 1024;

/// How a copy is done.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Blobs under way at once; 1 keeps their order, which a sink that is a stream needs.
    pub parallel: usize,
}

/// Copies `root` and all it refers to. Returns the number of bytes sent.
///
/// # Errors
/// The first error of the source, the sink or a document; what was committed before it stays in the sink.
pub fn copy(
    source: &dyn BlobSource,
    sink: &dyn BlobSink,
    root: &Descriptor,
    options: CopyOptions,
    progress: &(dyn Fn(&Descriptor, u64) + Sync),
) -> Result<u64, StoreError> {
    let mut order = Vec::new();
    walk(source, root, &mut HashSet::new(), &mut order, 0)?;
    let mut sent = 0;
    // Leaves first: everything that is no manifest or index can go in any order.
    let (documents, blobs): (Vec<_>, Vec<_>) = order.into_iter().partition(|d| refers(&d.media_type));
    sent += send_all(source, sink, &blobs, options.parallel, progress)?;
    sent += send_all(source, sink, &documents, 1, progress)?;
    Ok(sent)
}

fn refers(media: &str) -> bool {
    media_type::is_manifest(media) || media_type::is_index(media)
}

/// Indexes may nest; nobody nests them deeper than this.
const MAX_DEPTH: usize = 4;

/// Appends `at` and what it refers to, children first, each once.
fn walk(
    source: &dyn BlobSource,
    at: &Descriptor,
    seen: &mut HashSet<dhow_spec::Digest>,
    order: &mut Vec<Descriptor>,
    depth: usize,
) -> Result<(), StoreError> {
    if !seen.insert(at.digest.clone()) {
        return Ok(());
    }
    if refers(&at.media_type) {
        if depth > MAX_DEPTH {
            return Err(StoreError::Archive {
                archive: at.digest.to_string(),
                problem: format!("indexes are nested deeper than {MAX_DEPTH}"),
                hint: None,
            });
        }
        let bytes = read_document(source, at)?;
        let children: Vec<OciDescriptor> = match document::root(&bytes, Some(&at.media_type))? {
            Root::Manifest(manifest) => [vec![manifest.config().clone()], manifest.layers().clone()].concat(),
            Root::Index(index) => index.manifests().clone(),
        };
        for child in &children {
            walk(source, &Descriptor::of(child)?, seen, order, depth + 1)?;
        }
    }
    order.push(at.clone());
    Ok(())
}

fn send_all(
    source: &dyn BlobSource,
    sink: &dyn BlobSink,
    blobs: &[Descriptor],
    parallel: usize,
    progress: &(dyn Fn(&Descriptor, u64) + Sync),
) -> Result<u64, StoreError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let result = Mutex::new(Ok(0));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let sent = send(source, sink, blob, progress);
            let mut result = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match (sent, &mut *result) {
                (Ok(n), Ok(total)) => *total += n,
                (Err(e), Ok(_)) => {
                    *result = Err(e);
                    stop.store(true, Ordering::Relaxed);
                }
                (_, Err(_)) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..parallel.min(blobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn send(
    source: &dyn BlobSource,
    sink: &dyn BlobSink,
    blob: &Descriptor,
    progress: &(dyn Fn(&Descriptor, u64) + Sync),
) -> Result<u64, StoreError> {
    if sink.holds(&blob.digest)? {
        return Ok(0);
    }
    let mut reader = source.open(blob)?;
    let mut ingest = sink.begin(blob)?;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(blob.size).unwrap_or(CHUNK).max(1))];
    loop {
        let n = std::io::Read::read(&mut reader, &mut buffer).map_err(|e| StoreError::from_read(&blob.digest, e))?;
        if n == 0 {
            break;
        }
        ingest.write_all(&buffer[..n]).map_err(|e| StoreError::io("write", &blob.digest, e))?;
        progress(blob, n as u64);
    }
    ingest.commit(reader.finish()?)?;
    Ok(blob.size)
}
