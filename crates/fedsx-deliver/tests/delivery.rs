//! Delivery over a made-up network: simulated step by step with crashes, and running on a paused clock.

#[path = "delivery/running.rs"]
mod running;
#[path = "delivery/simulation.rs"]
mod simulation;
#[path = "delivery/world.rs"]
mod world;
