//! CBOR (RFC 8949): the deterministic encoding of section 4.2 written, a strict subset read.
//!
//! Read are definite lengths, text keys, integers, floats, `false`, `true` and `null`. Refused are
//! tags, byte strings, `undefined`, other simple values, and whatever the profile refuses. An
//! integer or a float need not be in its shortest form, nor keys in order: like white space in JSON,
//! that changes no value. Lengths are compared with the bytes that are left before any is believed.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::{NotationError, shown};
use crate::limits::{DEPTH, MEMBERS};
use crate::value::{
    Map, ProfileError, Str, Value, number_from_f64, number_from_i64, number_from_u64,
};

/// Reads one CBOR data item.
///
/// # Errors
/// What is no CBOR of the subset, or outside the profile.
pub fn read(bytes: &[u8]) -> Result<Value, NotationError> {
    let mut reader = Reader {
        decoder: Decoder::new(bytes),
    };
    let value = reader.value(DEPTH)?;
    let end = reader.decoder.position();
    if end == bytes.len() {
        Ok(value)
    } else {
        Err(NotationError::at_byte(end, "bytes after the value"))
    }
}

struct Reader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, levels: usize) -> Result<Value, NotationError> {
        let at = self.decoder.position();
        let profile = |error: ProfileError| NotationError::at_byte(at, error.to_string());
        let kind = self
            .decoder
            .datatype()
            .map_err(|error| broken(at, &error))?;
        match kind {
            Type::Null => self.taken(at, Decoder::null).map(|()| Value::Nil),
            Type::Bool => self.taken(at, Decoder::bool).map(Value::Bool),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
                number_from_u64(self.taken(at, Decoder::u64)?).map_err(profile)
            }
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
                number_from_i64(self.taken(at, Decoder::i64)?).map_err(profile)
            }
            Type::Int => Err(profile(ProfileError::IntegerRange)),
            Type::F16 => {
                let bytes = self.bytes::<3>(at)?;
                number_from_f64(f64_of_f16(u16::from_be_bytes([bytes[1], bytes[2]])))
                    .map_err(profile)
            }
            Type::F32 => number_from_f64(f64::from(self.taken(at, Decoder::f32)?)).map_err(profile),
            Type::F64 => number_from_f64(self.taken(at, Decoder::f64)?).map_err(profile),
            Type::String => Ok(Value::Str(self.taken(at, Decoder::str)?.into())),
            Type::Array => self.array(levels.checked_sub(1).ok_or(profile(ProfileError::Depth))?),
            Type::Map => self.map(levels.checked_sub(1).ok_or(profile(ProfileError::Depth))?),
            other => Err(NotationError::at_byte(at, refused(other))),
        }
    }

    fn array(&mut self, levels: usize) -> Result<Value, NotationError> {
        let count = self.count(Decoder::array, 1)?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(self.value(levels)?);
        }
        Ok(Value::List(list.into()))
    }

    fn map(&mut self, levels: usize) -> Result<Value, NotationError> {
        let start = self.decoder.position();
        let count = self.count(Decoder::map, 2)?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            members.push((self.key()?, self.value(levels)?));
        }
        let map = Map::from_unique(members).map_err(|key| {
            let key = shown(&key);
            let message = format!("the key {key} stands twice in the map beginning here");
            NotationError::at_byte(start, message)
        })?;
        Ok(Value::Map(map))
    }

    fn key(&mut self) -> Result<Str, NotationError> {
        let at = self.decoder.position();
        match self
            .decoder
            .datatype()
            .map_err(|error| broken(at, &error))?
        {
            Type::String => Ok(self.taken(at, Decoder::str)?.into()),
            _ => Err(NotationError::at_byte(
                at,
                "a key must be a text string of definite length",
            )),
        }
    }

    /// How many items or members follow, each of which takes `least` bytes or more.
    fn count(
        &mut self,
        head: impl FnOnce(&mut Decoder<'a>) -> Result<Option<u64>, minicbor::decode::Error>,
        least: usize,
    ) -> Result<usize, NotationError> {
        let at = self.decoder.position();
        let Some(count) = self.taken(at, head)? else {
            return Err(NotationError::at_byte(at, "a length must be definite"));
        };
        let left = self.decoder.input().len() - self.decoder.position();
        match usize::try_from(count) {
            Ok(count) if count > MEMBERS => {
                let message = ProfileError::Members.to_string();
                Err(NotationError::at_byte(at, message))
            }
            Ok(count) if count <= left / least => Ok(count),
            _ => Err(NotationError::at_byte(at, "a length beyond the end")),
        }
    }

    fn taken<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, minicbor::decode::Error>,
    ) -> Result<T, NotationError> {
        read(&mut self.decoder).map_err(|error| broken(at, &error))
    }

    fn bytes<const N: usize>(&mut self, at: usize) -> Result<[u8; N], NotationError> {
        let bytes = self.decoder.input()[at..].first_chunk().copied();
        self.decoder.set_position(at + N);
        bytes.ok_or_else(|| NotationError::at_byte(at, "the value is cut off"))
    }
}

#[cold]
fn broken(at: usize, error: &minicbor::decode::Error) -> NotationError {
    let message = if error.is_end_of_input() {
        "the value is cut off"
    } else {
        "not well-formed"
    };
    NotationError::at_byte(error.position().unwrap_or(at), message)
}

#[cold]
fn refused(kind: Type) -> &'static str {
    match kind {
        Type::Tag => "a tag is no data",
        Type::Bytes | Type::BytesIndef => "a byte string is no data",
        Type::StringIndef | Type::ArrayIndef | Type::MapIndef => "a length must be definite",
        Type::Undefined | Type::Simple => "a simple value other than false, true and null",
        _ => "not well-formed",
    }
}

/// Writes a document value in the deterministic encoding: shortest forms, keys in bytewise order.
#[must_use]
pub fn write(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(1024));
    push(&mut encoder, value).expect("a vector takes all bytes");
    encoder.into_writer()
}

type Pushed = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn push(out: &mut Encoder<Vec<u8>>, value: &Value) -> Pushed {
    match value {
        Value::Nil => out.null()?,
        Value::Bool(truth) => out.bool(*truth)?,
        Value::Int(number) => out.i64(*number)?,
        Value::Double(number) => return push_double(out, *number),
        Value::Str(text) => out.str(text)?,
        Value::List(list) => {
            out.array(list.len() as u64)?;
            return list.iter().try_for_each(|item| push(out, item));
        }
        Value::Map(map) => {
            out.map(map.len() as u64)?;
            let mut members: Vec<_> = map.iter().collect();
            // A shorter key has the smaller head, so this is the order of the encoded keys.
            members.sort_unstable_by_key(|(key, _)| (key.len(), key.as_bytes()));
            return members.into_iter().try_for_each(|(key, value)| {
                out.str(key)?;
                push(out, value)
            });
        }
        Value::Keyword(name) | Value::Symbol(name) => {
            debug_assert!(false, "a document holds no keyword or symbol: {name}");
            out.null()?
        }
        Value::Function(function) => {
            debug_assert!(false, "a document holds no function: {function:?}");
            out.null()?
        }
    };
    Ok(())
}

fn push_double(out: &mut Encoder<Vec<u8>>, number: f64) -> Pushed {
    debug_assert!(number.is_finite(), "a document holds finite doubles only");
    let single = number as f32;
    if f64::from(single) != number {
        out.f64(number)?;
    } else if let Some(half) = f16_of_f32(single) {
        out.writer_mut().push(0xf9);
        out.writer_mut().extend(half.to_be_bytes());
    } else {
        out.f32(single)?;
    }
    Ok(())
}

/// The value of a half-precision float (RFC 8949, appendix D).
fn f64_of_f16(half: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(half >> 10 & 0x1f), f64::from(half & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa * 2_f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if half & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The half-precision float of exactly this value, if there is one.
fn f16_of_f32(single: f32) -> Option<u16> {
    let bits = single.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xff) as i32 - 127;
    let mantissa = bits & 0x7f_ffff;
    let (half, lost) = match exponent {
        -14..=15 => {
            let half = ((exponent + 15) as u32) << 10 | mantissa >> 13;
            (half, mantissa & 0x1fff)
        }
        // Subnormal: the leading bit is written out, in steps of 2^-24.
        -24..=-15 => {
            let (full, shift) = (mantissa | 0x80_0000, -1 - exponent);
            (full >> shift, full & ((1 << shift) - 1))
        }
        _ if bits << 1 == 0 => (0, 0),
        _ => return None,
    };
    (lost == 0).then_some(sign | half as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_float_is_found_again() {
        for half in 0..=u16::MAX {
            let value = f64_of_f16(half);
            if value.is_finite() {
                assert_eq!(f16_of_f32(value as f32), Some(half), "{value}");
            }
        }
        for single in [
            65_520.0,
            65_536.0,
            1e-8,
            0.1,
            2_f32.powi(-25),
            2_f32.powi(-24) * 1.5,
        ] {
            assert_eq!(f16_of_f32(single), None, "{single}");
        }
    }
}
