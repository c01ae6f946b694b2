//! Every bound on what comes from outside, with its unit, in one place (design, section 2).

/// Nesting of arrays and objects in one document, levels.
pub const DEPTH: usize = 64;
/// Members of one object, or items of one array.
pub const MEMBERS: usize = 10_000;
/// One document received, bytes.
pub const DOCUMENT_IN_BYTES: usize = 1 << 20;
/// One document published here, bytes.
pub const DOCUMENT_OUT_BYTES: usize = 256 << 10;
/// Pages, batches and other wrappers, bytes.
pub const WRAPPER_BYTES: usize = 4 << 20;
/// Activities in one batch.
pub const BATCH_ITEMS: usize = 256;
/// The largest integer of I-JSON (RFC 7493, section 2.2): 2^53 − 1.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;
/// Proofs looked at in one received document.
pub const PROOFS: usize = 4;
/// How far `published` may lie ahead, and how far a signature's time may be off either way, milliseconds.
pub const CLOCK_SKEW_MS: i64 = 3_600_000;
/// An id or any other URL, bytes.
pub const URL_BYTES: usize = 2_048;
/// Recipients named in one activity.
pub const RECIPIENTS: usize = 1_000;
/// An actor's document beside its keys, bytes: with as many keys as it may have, it can still be published.
pub const PROFILE_BYTES: usize = 64 << 10;
/// An uploaded file, bytes.
pub const BLOB_BYTES: usize = 256 << 10;
/// Uploaded files of one actor in an export: it has as many as its document names, and those of a change that failed.
pub const BLOBS: u64 = 16;
/// Keys in one actor document, superseded ones included: more are not looked at, nor made.
pub const KEYS: usize = 256;
/// How long an RSA key that was replaced is shown to hosts that may go by it, milliseconds.
pub const FORMER_RSA_MS: i64 = 7 * 24 * 3_600_000;
/// Such keys of one actor: a request may be shown each of them.
pub const FORMER_RSA_KEYS: usize = 3;
/// Equivocations of one actor of which the evidence is kept.
pub const EVIDENCE_PER_ACTOR: usize = 100;
/// An `Undo` that arrives before its `Follow` is remembered this long, milliseconds.
pub const EARLY_UNDO_MS: i64 = 6 * 3_600_000;
/// Followers from one instance that are compared with a peer's word.
pub const PARTIAL_FOLLOWERS: usize = 1_000_000;
/// Of them, those of whom nothing is known here: an instance can have lost some, hardly so many.
pub const PARTIAL_UNKNOWN: usize = 100_000;
/// Pages in which a peer may list them.
pub const PARTIAL_PAGES: usize = 1_000;
/// Pages fetched for one backfill.
pub const BACKFILL_PAGES: u64 = 20_000;
/// What is fetched for one backfill, bytes.
pub const BACKFILL_BYTES: u64 = 4 << 30;
/// Activities of one backfill.
pub const BACKFILL_ACTIVITIES: u64 = 1_000_000;
/// What a source of history was caught at, as far as it is kept.
pub const BACKFILL_FINDINGS: usize = 16;
/// What an instance says of itself, bytes.
pub const CAPABILITIES_BYTES: usize = 256 << 10;
/// Follows, their answers and subscriptions in the log of an actor that is exported or imported.
pub const HANDSHAKES: usize = 1_000_000;
/// Deliveries given up of which the account is kept; the oldest go first.
pub const DEAD_LETTERS: usize = 10_000;
/// Deliveries of which the account is kept; those of the oldest entries go first.
pub const DELIVERY_RECORDS: usize = 100_000;
/// Keys that one activity is folded into by one projection.
pub const PROJECTION_KEYS: usize = 256;
/// A key of a projection, bytes.
pub const PROJECTION_KEY_BYTES: usize = URL_BYTES;
/// Failures of one projection of which the account is kept; the oldest go first.
pub const PROJECTION_FAILURES: usize = 64;
/// Subscriptions that one actor has at once.
pub const SUBSCRIPTIONS: usize = 64;
/// Controllers of one group.
pub const GROUP_CONTROLLERS: usize = 64;
/// Those who may follow a closed group without being asked.
pub const GROUP_MEMBERS: usize = 10_000;
/// Ancestors that an activity made by a trigger names; nothing follows from one that names so many.
pub const ANCESTORS: usize = 8;
/// Activities that one trigger makes of those of one actor, an hour.
pub const TRIGGERED_PER_HOUR: usize = 60;
/// What is kept of why a trigger failed, bytes.
pub const TRIGGER_ERROR_BYTES: usize = 512;
/// Actors that may be named as those whose definitions are taken.
pub const TRUSTED_ACTORS: usize = 256;
/// A `Create` that is fetched because it defines a verb, bytes.
pub const FETCHED_DEFINITION_BYTES: usize = 64 << 10;
/// Fetches of definitions, and refusals of peers, of which the account is kept; the oldest go first.
pub const ACCOUNTS: usize = 10_000;
/// Activities in quarantine; the oldest go first.
pub const QUARANTINED: usize = 1_000;
/// Activities of one actor in quarantine; its oldest go first.
pub const QUARANTINED_PER_ACTOR: usize = 100;
/// Activities in quarantine together, bytes.
pub const QUARANTINE_BYTES: u64 = 64 << 20;
/// Leaves of one log: what a number can say in every notation.
pub const LOG_LEAVES: u64 = INTEGER_MAX as u64;
/// A leaf of a log as it is served, with its length, bytes.
pub const LOG_ENTRY_BYTES: usize = 40;
/// A signed note, bytes.
pub const NOTE_BYTES: usize = 64 << 10;
/// Forks of the log of one actor of which the evidence is kept.
pub const FORKS_PER_ACTOR: usize = 16;
/// Signatures below one note: the log's, and those of its cosigners.
pub const NOTE_SIGNATURES: usize = 1 + COSIGNERS;
/// Cosigners of one log whose cosignatures are served with its checkpoint; those heard last stay.
pub const COSIGNERS: usize = 64;
