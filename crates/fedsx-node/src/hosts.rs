//! What one host may send: a rate for each, counted by what is known to come from it.
//!
//! Invariant: a host pays for what it is proved to have sent and for nothing else, so that a forger can't
//! spend an honest host's budget. Who merely claims a host that has spent its own is refused before
//! anything is read, which costs that host nothing. Source: design, section 5, stage 1.

use fedsx_core::address::Origin;
use fedsx_core::http_signature;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_discovery::budget::{HostBudget, Rate};

use crate::{Node, RequestParts};

impl Node {
    /// Limits what each host may send. Told once, before anything comes in; without it there is no limit.
    pub fn limit_hosts(&self, rate: Rate) {
        // A second time changes nothing.
        let _ = self.0.hosts.set(HostBudget::new(rate));
    }

    /// Refuses a delivery that is said to be signed by a host which has nothing left.
    pub(crate) fn refuse_spent(&self, head: &RequestParts) -> Result<(), Refusal> {
        let Some(hosts) = self.0.hosts.get() else {
            return Ok(());
        };
        let head = head.at(&self.0.instance);
        // One that is no signature has its refusal later.
        let Ok(Some(presented)) = http_signature::present(&head) else {
            return Ok(());
        };
        match Origin::of(presented.key_id()) {
            Some(host) => limited(hosts.look(host.authority(), self.now_ms())),
            None => Ok(()),
        }
    }

    /// The host of `actor` pays for what is known to be that actor's.
    pub(crate) fn charge_host(&self, actor: &str) -> Result<(), Refusal> {
        match (self.0.hosts.get(), Origin::of(actor)) {
            (Some(hosts), Some(host)) => limited(hosts.spend(host.authority(), self.now_ms())),
            _ => Ok(()),
        }
    }
}

fn limited(spent: Result<(), u32>) -> Result<(), Refusal> {
    spent.map_err(|seconds| {
        let why = "your host sends more than one host may";
        Refusal::new(Code::RateLimited, why).retry_after(seconds)
    })
}
