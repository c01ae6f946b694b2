//! What goes along with an item that was started, where its host takes batches.

use fedsx_core::entry::ActorNo;
use fedsx_store::delivery::{Deliveries, DeliveryError, Placed};

use super::{Active, behind};
use crate::attempt::goes_along;

/// How much a batch may still hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::scheduler) struct Room {
    /// Items.
    pub(in crate::scheduler) items: usize,
    /// Bytes of documents.
    pub(in crate::scheduler) bytes: u64,
}

impl Active {
    /// Whether more waits than the item that was started, and could go along with it.
    pub(in crate::scheduler) fn has_more(
        &self,
        deliveries: &Deliveries,
        first: &Placed,
    ) -> Result<bool, DeliveryError> {
        let senders = self.senders.iter().flatten();
        let mut idle = senders.filter(|(actor, _)| !self.busy.contains_key(*actor));
        if idle.next().is_some() {
            return Ok(true);
        }
        let (host, actor) = (&first.place.host, first.place.actor);
        let next = deliveries.first_queued(host, actor, behind(&first.place))?;
        Ok(next.is_some_and(|next| goes_along(&next.item)))
    }

    /// The items that go along with `first`, which was started: what stands behind it, then what others have, each
    /// sender's in order and without a gap.
    pub(in crate::scheduler) fn gather(
        &mut self,
        deliveries: &Deliveries,
        first: &Placed,
        mut room: Room,
    ) -> Result<Vec<Placed>, DeliveryError> {
        let mut gathered = Vec::new();
        let own = (first.place.actor, behind(&first.place));
        self.run(deliveries, first, own, &mut room, &mut gathered)?;
        let senders = self.senders.iter().flatten();
        let idle: Vec<(ActorNo, (u64, u64))> = senders
            .filter(|(actor, _)| !self.busy.contains_key(*actor))
            .map(|(actor, from)| (*actor, *from))
            .collect();
        for sender in idle {
            if room.items == 0 {
                break;
            }
            self.run(deliveries, first, sender, &mut room, &mut gathered)?;
        }
        self.batch_flies = !gathered.is_empty();
        Ok(gathered)
    }

    /// What of one sender goes along, up to the first that does not.
    fn run(
        &mut self,
        deliveries: &Deliveries,
        first: &Placed,
        (actor, from): (ActorNo, (u64, u64)),
        room: &mut Room,
        gathered: &mut Vec<Placed>,
    ) -> Result<(), DeliveryError> {
        for placed in deliveries.queued(&first.place.host, actor, from, room.items)? {
            let bytes = u64::from(placed.item.bytes);
            if !goes_along(&placed.item) || bytes > room.bytes {
                break;
            }
            room.items -= 1;
            room.bytes -= bytes;
            self.busy.insert(actor, None);
            gathered.push(placed);
        }
        Ok(())
    }

    /// A batch has ended, in which these had items beside the first's.
    pub(in crate::scheduler) fn land_batch<'a>(
        &mut self,
        others: impl Iterator<Item = &'a Placed>,
    ) {
        for placed in others {
            self.busy.remove(&placed.place.actor);
        }
        self.batch_flies = false;
    }
}
