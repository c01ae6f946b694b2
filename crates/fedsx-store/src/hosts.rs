//! The blocked hosts, as they are read.

use crate::engine::prefix_end;
use crate::schema::{Table, key};
use crate::view::{ReadError, View};

impl View {
    /// The blocked hosts behind one, by their authorities, in their order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn blocked_hosts(&self, after: &str, limit: usize) -> Result<Vec<String>, ReadError> {
        // Behind `after` itself, since no authority holds a zero.
        let from = key(Table::HostBlock, &[after.as_bytes(), &[0]]);
        let end = prefix_end(&[Table::HostBlock as u8]);
        let rows = self.engine.scan(&from, &end, limit, false)?;
        let host = |(key, _): &(_, _)| -> String {
            let key: &Vec<u8> = key;
            String::from_utf8_lossy(&key[1..]).into_owned()
        };
        Ok(rows.iter().map(host).collect())
    }
}
