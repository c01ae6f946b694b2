//! The three notations, the canonical form and the CID, against published vectors, an independent
//! implementation, arbitrary documents and hostile bytes.

mod arbitrary;
mod cbor;
mod hostile;
mod json;
mod properties;
mod vectors;
