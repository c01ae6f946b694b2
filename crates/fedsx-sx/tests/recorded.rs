//! What random programs came to when they were recorded: a value, what fuel, or which error.
//!
//! The record was made by another process, on another day, with other seeds of hashing, and holds for every
//! build: `cargo test` compares it with what an unoptimised build comes to, `cargo xtask soak` with what is
//! released. Each program runs on several threads at once, on inputs that were put together in several ways.

use fedsx_sx::budget::Limits;
use fedsx_sx::data::Value;
use fedsx_sx::fuzz::{Choices, rebuilt};
use fedsx_sx::host::Host;
use fedsx_sx::print::print;
use fedsx_sx::program::{Outcome, Program};

const PROGRAMS: u64 = 250;
const THREADS: usize = 3;
const LIMITS: Limits = Limits { fuel: 50_000 };
/// Longer values are recorded by their beginning, their length and a hash.
const SHOWN: usize = 100;

/// Bytes that follow from a number: splitmix64, of Steele, Lea and Flood.
fn bytes(case: u64) -> Vec<u8> {
    let mut state = case;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let words = 8 + usize::try_from(next() % 24).expect("small");
    (0..words).flat_map(|_| next().to_le_bytes()).collect()
}

fn run(program: &Program, input: Value) -> Outcome {
    match program.parameters() {
        Some(_) => program.call([input], LIMITS),
        None => program.eval(LIMITS),
    }
}

/// FNV-1a, which is the same everywhere.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn told(outcome: &Outcome) -> String {
    let text = match &outcome.result {
        Ok(value) => print(value),
        Err(error) => format!("error: {error}"),
    };
    let fuel = outcome.fuel_used;
    if text.len() <= SHOWN {
        return format!("{fuel} {text}");
    }
    let shown = &text[..text.floor_char_boundary(SHOWN)];
    format!("{fuel} {shown}… {} {:016x}", text.len(), hash(&text))
}

#[test]
fn programs_come_to_what_was_recorded() {
    let mut page = String::new();
    for case in 0..PROGRAMS {
        let bytes = bytes(case);
        let source = Choices::new(&bytes).program();
        let Ok(program) = Program::compile(&source, &Host::new()) else {
            page.push_str(&format!("{source}\n  does not compile\n"));
            continue;
        };
        let input = Choices::new(&bytes).data(4);
        let here = told(&run(&program, input.clone()));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| told(&run(&program.clone(), rebuilt(&input)))))
                .collect();
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), here, "{source}");
            }
        });
        page.push_str(&format!("{source}\n  {here}\n"));
    }
    insta::assert_snapshot!(page);
}
