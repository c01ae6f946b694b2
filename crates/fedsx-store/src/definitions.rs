//! The read side of definitions: what became active, in order, and the objects themselves.

use fedsx_core::cid::Digest;
use fedsx_core::envelope::object_of;
use fedsx_core::state::{At, Defined};
use fedsx_core::value::Map;

use crate::engine::prefix_end;
use crate::index;
use crate::schema::{Table, defined_key, key};
use crate::stored::Stored;
use crate::view::{ReadError, View};

/// Rows read at once.
const ROWS: usize = 256;

impl View {
    /// What became active behind an offset, in the order of offsets.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn definitions(&self, after: u64) -> Result<Vec<Defined>, ReadError> {
        let end = prefix_end(&[Table::Defined as u8]);
        let mut from = defined_key(after.saturating_add(1));
        let mut found = Vec::new();
        loop {
            let rows = self.engine.scan(&from, &end, ROWS, false)?;
            for (_, value) in &rows {
                found.push(index::decode(value)?);
            }
            match rows.last() {
                Some((last, _)) if rows.len() == ROWS => from = prefix_end(last),
                _ => return Ok(found),
            }
        }
    }

    /// The object of a definition, exactly as its `Create` embeds it.
    ///
    /// # Errors
    /// As above.
    pub fn definition_object(&self, defined: &Defined) -> Result<Option<Map>, ReadError> {
        let document = self.at(defined.at)?.map()?;
        Ok(object_of(&document).cloned())
    }

    /// The newest `Create` that embeds the definition of that digest and made it active.
    ///
    /// # Errors
    /// As above.
    pub fn create_of_definition(&self, digest: &Digest) -> Result<Option<Stored>, ReadError> {
        let key = key(Table::Definition, &[digest.as_bytes()]);
        match self.index.row::<At>(&key)? {
            Some(at) => Ok(Some(self.at(at)?)),
            None => Ok(None),
        }
    }
}
