//! Every duration and bound of delivery, so that none is written twice and tests can set them small.

use fedsx_core::limits::BATCH_ITEMS;

/// How deliveries are paced and retried (design, section 9.2). Times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryOptions {
    /// The waits after the first, second, … failure; the last one goes for all that follow.
    pub schedule_ms: Vec<i64>,
    /// How far a wait may be off either way, per cent.
    pub jitter_percent: u32,
    /// The longest `Retry-After` that is honoured.
    pub retry_after_max_ms: i64,
    /// Tries of an item in its place, before it is set aside.
    pub tries_in_place: u32,
    /// The pause between those.
    pub pause_in_place_ms: i64,
    /// The failure of an item at which it becomes a dead letter.
    pub item_failures_max: u32,
    /// So many items in a row on which a host failed by itself (500), and the next one is the host's
    /// failure: nothing is getting through.
    pub faults_max: u32,
    /// A host that has failed for so long is dormant.
    pub dormant_after_ms: i64,
    /// The pause between two probes of a dormant host.
    pub probe_ms: i64,
    /// Deliveries under way at once, in all.
    pub in_flight_max: usize,
    /// Deliveries under way at once to one host.
    pub in_flight_per_host: usize,
    /// What a host may be sent in one turn, bytes.
    pub quantum_bytes: u64,
    /// Followers expanded in one commit.
    pub chunk: usize,
    /// Local logs joined by one journal entry.
    pub placed_chunk: usize,
    /// How often the ledger is written.
    pub ledger_ms: u64,
    /// How long a shutdown waits for what is under way.
    pub drain_ms: u64,
    /// Documents in one batch, at most; with one there are no batches.
    pub batch_items: usize,
    /// How many documents are kept at hand for sending.
    pub documents: usize,
}

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            schedule_ms: vec![
                30 * SECOND_MS,
                5 * MINUTE_MS,
                30 * MINUTE_MS,
                6 * HOUR_MS,
                DAY_MS,
            ],
            jitter_percent: 10,
            retry_after_max_ms: DAY_MS,
            tries_in_place: 3,
            pause_in_place_ms: SECOND_MS,
            item_failures_max: 6,
            faults_max: 3,
            dormant_after_ms: 7 * DAY_MS,
            probe_ms: DAY_MS,
            in_flight_max: 256,
            in_flight_per_host: 4,
            quantum_bytes: 16 << 10,
            chunk: 1_000,
            placed_chunk: 256,
            ledger_ms: 10_000,
            drain_ms: 8_000,
            batch_items: BATCH_ITEMS,
            documents: 64,
        }
    }
}
