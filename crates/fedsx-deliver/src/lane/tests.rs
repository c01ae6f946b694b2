//! The lane table as one page, and what must hold of it: nothing is given up with a host, and an item
//! only after its tries.

use std::fmt::Write;

use fedsx_store::delivery::Lane;

use super::{Class, Fate, Outcome, Standing, Step, Tried, is_open, step, wake, width};
use crate::options::DeliveryOptions;

const NOW_MS: i64 = 1_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// Without jitter, so that the page shows the schedule itself.
fn exact() -> DeliveryOptions {
    DeliveryOptions {
        jitter_percent: 0,
        ..DeliveryOptions::default()
    }
}

fn failing(failures: u32, since_ms: i64) -> Lane {
    Lane {
        failures,
        failing_since_ms: Some(since_ms),
        failed_at_ms: NOW_MS - 1,
        next_try_ms: Some(NOW_MS),
        faults: 0,
        last_error: Some("before".to_owned()),
        dormant_since_ms: None,
    }
}

fn lanes() -> Vec<(&'static str, Lane)> {
    vec![
        ("healthy", Lane::default()),
        (
            "3 faults",
            Lane {
                faults: 3,
                ..Lane::default()
            },
        ),
        ("failed 1x", failing(1, NOW_MS - 30_000)),
        ("failed 4x", failing(4, NOW_MS - DAY_MS)),
        ("failed 9x", failing(9, NOW_MS - 5 * DAY_MS)),
        ("7 days", failing(12, NOW_MS - 7 * DAY_MS)),
        (
            "dormant",
            Lane {
                dormant_since_ms: Some(NOW_MS - DAY_MS),
                ..failing(13, NOW_MS - 8 * DAY_MS)
            },
        ),
    ]
}

fn outcomes() -> Vec<(String, Outcome)> {
    let mut outcomes = vec![
        ("withdrawn".to_owned(), Outcome::Withdrawn),
        ("gone".to_owned(), Outcome::Gone),
        (
            "no connection".to_owned(),
            Outcome::HostFailed {
                why: "refused".into(),
                retry_after_ms: None,
            },
        ),
        ("not in a batch".to_owned(), Outcome::NotTaken),
        ("not to be sent".to_owned(), refused(None, None)),
        (
            "moved".to_owned(),
            Outcome::Elsewhere {
                inbox: "https://b/i".into(),
                refused: true,
            },
        ),
        (
            "found".to_owned(),
            Outcome::Elsewhere {
                inbox: "https://b/i".into(),
                refused: false,
            },
        ),
        (
            "ours".to_owned(),
            Outcome::Ours {
                why: "no key".into(),
            },
        ),
        ("arrived".to_owned(), Outcome::Arrived),
    ];
    for status in [301, 400, 401, 404, 409, 429, 500, 503] {
        outcomes.push((status.to_string(), refused(Some(status), None)));
    }
    for (status, seconds) in [(429, 7), (503, 200_000), (425, 90), (500, 0)] {
        let name = format!("{status} after {seconds} s");
        outcomes.push((name, refused(Some(status), Some(seconds * 1_000))));
    }
    outcomes
}

fn refused(status: Option<u16>, retry_after_ms: Option<i64>) -> Outcome {
    Outcome::Refused {
        status,
        answer: "no".to_owned(),
        retry_after_ms,
    }
}

fn seconds(at_ms: i64) -> String {
    format!("{} s", (at_ms - NOW_MS) / 1_000)
}

fn line(lane: &str, failures: u32, outcome: &str, step: &Step) -> String {
    let fate = match &step.fate {
        Fate::Settled => "settled".to_owned(),
        Fate::Waits => "waits".to_owned(),
        Fate::AgainInPlace { at_ms } => format!("in place +{}", seconds(*at_ms)),
        Fate::SetAside { due_ms } => format!("aside +{}", seconds(*due_ms)),
        Fate::Moved { inbox } => format!("to {inbox}"),
        Fate::Dead { status, .. } => format!("dead ({})", status.unwrap_or(0)),
    };
    let after = match step.lane.next_try_ms {
        Some(next_try_ms) => format!("failed {}x +{}", step.lane.failures, seconds(next_try_ms)),
        None => "open".to_owned(),
    };
    let dormant_ms = step.lane.dormant_since_ms;
    let after = match dormant_ms {
        Some(since_ms) => format!("{after}, dormant since {}", seconds(since_ms)),
        None => after,
    };
    format!(
        "{lane:<10} {failures} {outcome:<17} | {fate:<18} {} | {after} faults {}",
        step.failures, step.lane.faults
    )
}

#[test]
fn the_whole_table() {
    let mut page =
        String::from("lane  failures of the item  outcome | the item, its failures | the lane\n");
    for (name, lane) in lanes() {
        for failures in [0, 2, 3, 5] {
            for (outcome_name, outcome) in outcomes() {
                let tried = Tried {
                    failures,
                    lane_failures: lane.failures,
                    now_ms: NOW_MS,
                    random: 0,
                };
                let step = step(&lane, tried, outcome, &exact());
                let line = line(name, failures, &outcome_name, &step);
                writeln!(page, "{line}").expect("a string takes all");
            }
        }
    }
    insta::assert_snapshot!(page);
}

#[test]
fn every_status_has_a_class() {
    let mut page = String::new();
    let mut from = 100;
    for status in 101..=1000 {
        if status == 1000 || Class::of(status) != Class::of(from) {
            writeln!(page, "{from}-{} {:?}", status - 1, Class::of(from)).expect("a string");
            from = status;
        }
    }
    insta::assert_snapshot!(page, @r"
    100-199 Never
    200-299 Success
    300-399 Nowhere
    400-400 Never
    401-401 Later
    402-403 Never
    404-404 Nowhere
    405-407 Never
    408-408 Later
    409-409 Never
    410-410 Nowhere
    411-424 Never
    425-425 Later
    426-428 Never
    429-429 Host
    430-499 Never
    500-501 Fault
    502-504 Host
    505-519 Fault
    520-527 Host
    528-529 Fault
    530-530 Host
    531-599 Fault
    600-999 Never
    ");
}

#[test]
fn a_dead_host_costs_eleven_tries_in_its_first_week_and_one_a_day_then() {
    let options = DeliveryOptions::default();
    let mut lane = Lane::default();
    let mut now_ms = NOW_MS;
    let mut tries = 0;
    while now_ms - NOW_MS < options.dormant_after_ms {
        assert_ne!(Standing::of(&lane, now_ms), Standing::Dormant);
        let tried = Tried {
            failures: 0,
            lane_failures: lane.failures,
            now_ms,
            random: 0x1234_5678,
        };
        let outcome = Outcome::HostFailed {
            why: "refused".into(),
            retry_after_ms: None,
        };
        let next = step(&lane, tried, outcome, &options);
        assert_eq!(next.fate, Fate::Waits);
        lane = next.lane;
        tries += 1;
        now_ms = lane.next_try_ms.expect("it failed");
    }
    assert_eq!(tries, 11);
    let tried = Tried {
        failures: 0,
        lane_failures: lane.failures,
        now_ms,
        random: 0x1234_5678,
    };
    // Whatever it asks for.
    let lane = step(&lane, tried, refused(Some(503), Some(30_000)), &options).lane;
    assert_eq!(Standing::of(&lane, now_ms), Standing::Dormant);
    let wait_ms = lane.next_try_ms.expect("it failed") - now_ms;
    assert!((DAY_MS * 9 / 10..=DAY_MS * 11 / 10).contains(&wait_ms));
    assert_eq!(width(&lane, &options), 1);
}

#[test]
fn jitter_stays_within_ten_per_cent() {
    let options = DeliveryOptions::default();
    for random in [0, 1, 6_000, 6_001, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
        let tried = Tried {
            failures: 0,
            lane_failures: 0,
            now_ms: NOW_MS,
            random,
        };
        let outcome = Outcome::HostFailed {
            why: String::new(),
            retry_after_ms: None,
        };
        let lane = step(&Lane::default(), tried, outcome, &options).lane;
        let wait_ms = lane.next_try_ms.expect("it failed") - NOW_MS;
        assert!((27_000..=33_000).contains(&wait_ms), "{wait_ms}");
    }
}

#[test]
fn four_failures_at_once_are_one() {
    let options = exact();
    let mut lane = Lane::default();
    for _ in 0..4 {
        let tried = Tried {
            failures: 0,
            lane_failures: 0,
            now_ms: NOW_MS,
            random: 0,
        };
        let outcome = Outcome::HostFailed {
            why: String::new(),
            retry_after_ms: None,
        };
        lane = step(&lane, tried, outcome, &options).lane;
    }
    assert_eq!(lane.failures, 1);
}

#[test]
fn a_sign_of_life_ends_the_wait() {
    let options = exact();
    let lane = Lane {
        next_try_ms: Some(NOW_MS + DAY_MS),
        ..failing(9, NOW_MS - 8 * DAY_MS)
    };
    assert!(!is_open(&lane, NOW_MS));
    let woken = wake(&lane, NOW_MS, &options);
    assert_eq!(woken.next_try_ms, Some(NOW_MS - 1 + 1_000));
    assert_eq!(woken.failures, 0);
    assert!(is_open(
        &wake(&lane, NOW_MS + 1_000, &options),
        NOW_MS + 1_000
    ));
    assert_eq!(wake(&Lane::default(), NOW_MS, &options), Lane::default());
}
