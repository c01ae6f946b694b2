//! Signatures of a key that signs often, verified in about half the time: a multiple of a point is a sum
//! of multiples that were computed once.
//!
//! Invariant: it decides as `verify_strict` does, whatever the key and the signature, because both hold
//! `compress([s]B − [k]A)` against the bytes of R; tests hold one against the other. Nothing secret is
//! computed here, so that time may depend on the numbers. Deliberately absent: the library's own tables,
//! which never branch and so read all of a row to use one point of it.
//!
//! Spec: RFC 8032 section 5.1.7.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha512};

/// Signatures of a key after which its multiples are computed: that takes as long as ten of them save.
const OFTEN: u32 = 16;
/// Keys that have their multiples in memory, 130 KiB each; further ones are verified without.
const KEYS: usize = 64;
/// Bits of a digit, of the multiples of a key.
const KEY_BITS: usize = 5;
/// Bits of a digit, of the multiples of the base point, which are there once: 640 KiB.
const BASE_BITS: usize = 8;

static COMPUTED: AtomicUsize = AtomicUsize::new(0);
static BASE: LazyLock<Multiples> =
    LazyLock::new(|| Multiples::of(ED25519_BASEPOINT_POINT, BASE_BITS));

/// How often a key has signed, and its multiples from then on.
#[derive(Default)]
pub(super) struct Often {
    verified: AtomicU32,
    /// None where too many keys have theirs.
    negative: OnceLock<Option<Counted>>,
}

/// The multiples of `−A`, one of the [`KEYS`].
struct Counted(Multiples);

impl Often {
    /// Whether a signature is strictly the key's over `message`; `None` when the library shall say it.
    pub(super) fn verifies(
        &self,
        key: &VerifyingKey,
        message: &[u8],
        signature: &[u8; 64],
    ) -> Option<bool> {
        if self.verified.load(Ordering::Relaxed) < OFTEN {
            self.verified.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let negative = self.negative.get_or_init(|| Counted::of(key)).as_ref()?;
        Some(is_strictly(key, &negative.0, message, signature))
    }
}

impl Counted {
    fn of(key: &VerifyingKey) -> Option<Self> {
        let room = |count| (count < KEYS).then_some(count + 1);
        COMPUTED
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .ok()?;
        Some(Self(Multiples::of(-key.to_edwards(), KEY_BITS)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COMPUTED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What `verify_strict` says of a key that is not weak.
fn is_strictly(
    key: &VerifyingKey,
    negative: &Multiples,
    message: &[u8],
    signature: &[u8; 64],
) -> bool {
    let (r, s) = signature.split_at(32);
    let s = s.first_chunk().copied().unwrap_or_default();
    let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else {
        return false;
    };
    let hashed = Sha512::new()
        .chain_update(r)
        .chain_update(key.as_bytes())
        .chain_update(message)
        .finalize();
    let k = Scalar::from_bytes_mod_order_wide(&hashed.into());
    let sum = negative.add(BASE.add(EdwardsPoint::identity(), &s), &k);
    // Where the bytes agree R is this point, so that what is asked of R can be asked of it.
    sum.compress().as_bytes() == r && !sum.is_small_order()
}

/// The multiples of a point by each digit at each place, of numbers written in signed digits of some bits.
struct Multiples {
    bits: usize,
    /// Place by place, each by 1 to half of the base.
    points: Vec<EdwardsPoint>,
}

impl Multiples {
    fn of(point: EdwardsPoint, bits: usize) -> Self {
        let half = 1 << (bits - 1);
        let places = 256_usize.div_ceil(bits);
        let mut points = Vec::with_capacity(places * half);
        let mut one = point;
        for _ in 0..places {
            let mut multiple = one;
            for _ in 1..half {
                points.push(multiple);
                multiple += one;
            }
            points.push(multiple);
            one = multiple + multiple;
        }
        Self { bits, points }
    }

    /// `sum` and the point times `number`, which is below the order of the group.
    fn add(&self, mut sum: EdwardsPoint, number: &Scalar) -> EdwardsPoint {
        let half = 1 << (self.bits - 1);
        for (digit, place) in digits(number.as_bytes(), self.bits).zip(self.points.chunks(half)) {
            let multiple = |digit: usize| &place[digit - 1];
            if digit > 0 {
                sum += multiple(digit.unsigned_abs());
            } else if digit < 0 {
                sum -= multiple(digit.unsigned_abs());
            }
        }
        sum
    }
}

/// The digits of a number of less than 255 bits to the base `2^bits`, each between minus and plus half the
/// base, the lowest first.
fn digits(number: &[u8; 32], bits: usize) -> impl Iterator<Item = isize> {
    let base = 1 << bits;
    let mut carry = 0;
    (0..256).step_by(bits).map(move |bit| {
        let byte = |at: usize| number.get(at).copied().map_or(0, isize::from);
        let window = (byte(bit / 8) | byte(bit / 8 + 1) << 8) >> (bit % 8);
        let digit = (window & (base - 1)) + carry;
        carry = isize::from(digit > base / 2);
        digit - carry * base
    })
}

#[cfg(test)]
mod tests {
    use super::{COMPUTED, Counted, KEY_BITS, KEYS, Multiples, OFTEN, Often, digits, is_strictly};
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;
    use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha512};
    use std::sync::atomic::Ordering;

    /// What both say, which has to be the same.
    fn both(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
        let strict = key
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok();
        let negative = Multiples::of(-key.to_edwards(), KEY_BITS);
        let ours = is_strictly(key, &negative, message, signature);
        assert_eq!(ours, strict, "of {key:?}: {signature:?} over {message:?}");
        ours
    }

    fn k(r: &EdwardsPoint, key: &VerifyingKey, message: &[u8]) -> Scalar {
        let hashed = Sha512::new()
            .chain_update(r.compress().as_bytes())
            .chain_update(key.as_bytes())
            .chain_update(message)
            .finalize();
        Scalar::from_bytes_mod_order_wide(&hashed.into())
    }

    /// The signature of R and s.
    fn signature(r: &EdwardsPoint, s: &Scalar) -> [u8; 64] {
        Signature::from_components(r.compress().to_bytes(), s.to_bytes()).to_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_decides_as_the_library(
            seed: [u8; 32],
            message in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..512,
        ) {
            let key = SigningKey::from_bytes(&seed);
            let signature = key.sign(&message).to_bytes();
            prop_assert!(both(&key.verifying_key(), &message, &signature));
            let mut flipped = signature;
            flipped[at / 8] ^= 1 << (at % 8);
            prop_assert!(!both(&key.verifying_key(), &message, &flipped));
        }

        #[test]
        fn digits_are_the_number(bytes: [u8; 32], bits in 2_usize..=8) {
            let number = Scalar::from_bytes_mod_order(bytes);
            let base = Scalar::from(1_u64 << bits);
            let mut sum = Scalar::ZERO;
            let all: Vec<isize> = digits(number.as_bytes(), bits).collect();
            for digit in all.into_iter().rev() {
                let size = Scalar::from(digit.unsigned_abs() as u64);
                prop_assert!(digit.unsigned_abs() <= 1 << (bits - 1));
                sum = sum * base + if digit < 0 { -size } else { size };
            }
            prop_assert_eq!(sum, number);
        }
    }

    /// What lax verifiers, batches and cofactors see differently: parts of small order in the key, in R and
    /// in both.
    #[test]
    fn points_of_small_order_are_seen_alike() {
        let secret = Scalar::from(123_456_789_u64);
        let nonce = Scalar::from(987_654_321_u64);
        let mut accepted = 0;
        for in_key in EIGHT_TORSION {
            let point = ED25519_BASEPOINT_POINT * secret + in_key;
            let key = VerifyingKey::from_bytes(&point.compress().to_bytes()).expect("a point");
            for in_r in EIGHT_TORSION {
                let r = ED25519_BASEPOINT_POINT * nonce + in_r;
                let s = nonce + k(&r, &key, b"words") * secret;
                accepted += usize::from(both(&key, b"words", &signature(&r, &s)));
                // R of small order, and an s that makes up for it.
                let s = k(&in_r, &key, b"words") * secret;
                assert!(!both(&key, b"words", &signature(&in_r, &s)));
            }
        }
        assert!((2..64).contains(&accepted), "{accepted} of 64");
    }

    #[test]
    fn a_key_that_signs_often_is_verified_by_its_multiples_and_gives_its_place_back() {
        let (signing, other) = (SigningKey::from_bytes(&[7; 32]), [8; 64]);
        let (key, signature) = (signing.verifying_key(), signing.sign(b"words").to_bytes());
        let often = Often::default();
        for _ in 0..OFTEN {
            assert_eq!(often.verifies(&key, b"words", &signature), None);
        }
        assert_eq!(often.verifies(&key, b"words", &signature), Some(true));
        assert_eq!(often.verifies(&key, b"words", &other), Some(false));

        let mut all: Vec<Counted> = Vec::new();
        while let Some(counted) = Counted::of(&key) {
            all.push(counted);
        }
        assert!(all.len() < KEYS, "one is there already");
        assert_eq!(COMPUTED.load(Ordering::Relaxed), KEYS);
        drop(all);
        drop(often);
        assert!(Counted::of(&key).is_some());
    }
}
