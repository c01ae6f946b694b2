//! Uploaded files: their rows, and how they are read.

use bytes::Bytes;
use fedsx_core::blob::Media;
use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use fedsx_core::state::{KeptBlob, State as _};

use crate::engine::Batch;
use crate::index::decode;
use crate::schema::{Table, encode, key};
use crate::view::{ReadError, View};

/// What is left of uploaded files with one digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// At least one actor has it.
    Kept(Media, Bytes),
    /// Whoever had it has it no longer.
    Erased,
}

impl View {
    /// The uploaded file with this digest, whosever it is; none where there never was one.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Found>, ReadError> {
        let prefix = key(Table::Blob, &[digest.as_bytes()]);
        let mut found = None;
        for (_, row) in self.engine.scan_prefix(&prefix, usize::MAX, false)? {
            let kept: KeptBlob = decode(&row)?;
            found = Some(Found::Erased);
            if !kept.is_erased {
                return Ok(Some(Found::Kept(kept.media, self.at(kept.at)?.document)));
            }
        }
        Ok(found)
    }

    /// The files of an actor that are not erased, with where each stands.
    ///
    /// # Errors
    /// As above.
    pub fn blobs_of(&self, actor: ActorNo) -> Result<Vec<(Digest, KeptBlob)>, ReadError> {
        let prefix = key(Table::BlobOf, &[&actor.0.to_be_bytes()]);
        let rows = self.engine.scan_prefix(&prefix, usize::MAX, false)?;
        let mut blobs = Vec::with_capacity(rows.len());
        for (row, _) in rows {
            let digest = row.last_chunk::<32>().copied().unwrap_or_default().into();
            let kept = self.index.blob(actor, &digest)?;
            blobs.extend(kept.map(|kept| (digest, kept)));
        }
        Ok(blobs)
    }

    /// The bytes of one.
    ///
    /// # Errors
    /// As above.
    pub fn blob_at(&self, kept: &KeptBlob) -> Result<Bytes, ReadError> {
        Ok(self.at(kept.at)?.document)
    }
}

/// The key of an uploaded file of an actor.
pub(crate) fn blob_key(digest: &Digest, actor: ActorNo) -> Vec<u8> {
    key(Table::Blob, &[digest.as_bytes(), &actor.0.to_be_bytes()])
}

/// Lays out that a file is kept, or erased.
pub(crate) fn write(actor: ActorNo, digest: &Digest, kept: KeptBlob, batch: &mut Batch) {
    let of_actor = key(Table::BlobOf, &[&actor.0.to_be_bytes(), digest.as_bytes()]);
    match kept.is_erased {
        true => batch.delete(of_actor),
        false => batch.put(of_actor, []),
    }
    batch.put(blob_key(digest, actor), encode(kept));
}
