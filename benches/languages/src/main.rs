//! fib(25) in one run: SX metered, steel, rhai and Lua, several rounds interleaved; JSON on stdout.
//!
//! `cargo run --release [-- ROUNDS]`. The versions are those of `Cargo.lock`. Every language compiles its
//! source once, before the clock runs, and proves its answer after each call.

use std::hint::black_box;
use std::time::Instant;

use fedsx_sx::budget::{Limits, VERSION};
use fedsx_sx::data::Value;
use fedsx_sx::host::Host;
use fedsx_sx::program::Program;
use mlua::Lua;
use serde_json::json;
use steel::SteelVal;
use steel::steel_vm::engine::Engine;

const N: i64 = 25;
const FIB: i64 = 75_025;
const ROUNDS: usize = 21;

/// A language: its name, its version, and one call of fib(25).
type Language = (&'static str, String, Box<dyn FnMut() -> i64>);

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let mut languages = [sx(), steel(), rhai(), lua()];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); languages.len()];
    for round in 0..=rounds {
        for ((_, _, fib), times) in languages.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let answer = black_box(fib());
            let ms = start.elapsed().as_secs_f64() * 1_000.0;
            assert_eq!(answer, FIB);
            // The first round warms up.
            if round > 0 {
                times.push(ms);
            }
        }
    }
    let rows: Vec<_> = languages
        .iter()
        .zip(&mut times)
        .map(|((name, version, _), times)| {
            times.sort_by(f64::total_cmp);
            let at = |part: usize| (times[(times.len() - 1) * part / 4] * 1_000.0).round() / 1_000.0;
            json!({
                "name": name, "version": version, "rounds": times.len(),
                "ms_median": at(2), "ms_min": at(0), "ms_lower_quartile": at(1), "ms_upper_quartile": at(3),
            })
        })
        .collect();
    println!(
        "{:#}",
        json!({ "benchmark": format!("fib({N})"), "languages": rows })
    );
}

fn sx() -> Language {
    let source = "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) fib";
    let program = Program::compile(source, &Host::new()).expect("it compiles");
    let fib = move || {
        let outcome = program.call([Value::Int(N)], Limits { fuel: 10_000_000 });
        outcome
            .result
            .expect("within its fuel")
            .as_int()
            .expect("an integer")
    };
    ("sx, metered", VERSION.into(), Box::new(fib))
}

fn steel() -> Language {
    let mut engine = Engine::new();
    let source = "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))";
    engine
        .compile_and_run_raw_program(source)
        .expect("it compiles");
    let fib = move || match engine
        .call_function_by_name_with_args("fib", vec![SteelVal::IntV(N as isize)])
    {
        Ok(SteelVal::IntV(answer)) => answer as i64,
        other => panic!("{other:?}"),
    };
    ("steel-core", locked("steel-core"), Box::new(fib))
}

fn rhai() -> Language {
    let engine = rhai::Engine::new();
    let source = "fn fib(n) { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }";
    let program = engine.compile(source).expect("it compiles");
    let fib = move || {
        engine
            .call_fn::<i64>(&mut rhai::Scope::new(), &program, "fib", (N,))
            .expect("it runs")
    };
    ("rhai", locked("rhai"), Box::new(fib))
}

fn lua() -> Language {
    let lua = Lua::new();
    let source = "function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end";
    lua.load(source).exec().expect("it compiles");
    let fib: mlua::Function = lua.globals().get("fib").expect("just defined");
    let version: String = lua.globals().get("_VERSION").expect("Lua tells");
    let call = move || {
        let _keep = &lua;
        fib.call::<i64>(N).expect("it runs")
    };
    (
        "lua",
        format!("{version}, mlua {}", locked("mlua")),
        Box::new(call),
    )
}

/// The version of a package in this workspace's lock file.
fn locked(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let at = lock
        .find(&format!("name = \"{package}\"\n"))
        .expect("it is a dependency");
    let version = lock[at..].lines().nth(1).expect("a version follows");
    version
        .trim_start_matches("version = ")
        .trim_matches('"')
        .to_owned()
}
