//! `Activities`: publish, look up, list the logs, follow the journal.

use std::pin::Pin;
use std::sync::Arc;

use fedsx_core::audience::{PUBLIC, is_public};
use fedsx_core::cid::Cid;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{Map, Value};
use fedsx_node::{Node, PublishOptions, Published};
use fedsx_store::{SeqRange, Stored, View};
use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::deliveries::{DeliveryAdmin, blocking};
use crate::proto::activities_server::Activities;
use crate::proto::{
    AnnounceRequest, DeleteRequest, EndorseRequest, Entry, ExplainRequest, Explanation,
    GetActivityRequest, ListLogRequest, ListLogResponse, PublishRequest, PublishResponse,
    TailRequest, TimelineRequest, TimelineResponse, Visibility,
};
use crate::refused::{internal, status};
use crate::tail::tail;
use crate::{explain, from_proto, page, timeline, to_proto};

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
    deliveries: Arc<dyn DeliveryAdmin>,
    stop: CancellationToken,
}

impl Service {
    /// `stop` ends the streams, which would else hold up the shutdown.
    pub(crate) fn new(
        node: Node,
        deliveries: Arc<dyn DeliveryAdmin>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            node,
            deliveries,
            stop,
        }
    }

    async fn publish(&self, request: PublishRequest) -> Result<PublishResponse, Refusal> {
        let mut asked = from_proto::publish(request)?;
        let actor = named(&self.node, &asked.actor)?;
        let mut to = Vec::with_capacity(asked.to.len());
        for who in &asked.to {
            to.push(self.node.resolve(who).await?);
        }
        let followers = self.node.instance().followers_url(&actor.name);
        address(&mut asked.document, to, asked.visibility, &followers)?;
        let options = PublishOptions {
            idempotency_key: asked.idempotency_key,
        };
        let published = self
            .node
            .publish(&actor.name, asked.document, options)
            .await?;
        Ok(PublishResponse {
            published: Some(to_proto::published(published)),
        })
    }
}

#[tonic::async_trait]
impl Activities for Service {
    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let answer = self.publish(request.into_inner()).await;
        answer
            .map(Response::new)
            .map_err(|refusal| status(&refusal))
    }

    async fn announce(
        &self,
        request: Request<AnnounceRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let asked = request.into_inner();
        answered(async {
            from_proto::what(&asked.cid_or_url)?;
            let actor = named(&self.node, &asked.actor)?;
            self.node.announce(&actor.name, &asked.cid_or_url).await
        })
        .await
    }

    async fn endorse(
        &self,
        request: Request<EndorseRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let asked = request.into_inner();
        answered(async {
            from_proto::what(&asked.cid_or_url)?;
            let actor = named(&self.node, &asked.actor)?;
            let (what, kind) = (&asked.cid_or_url, &asked.kind);
            self.node.endorse(&actor.name, what, kind).await
        })
        .await
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let asked = request.into_inner();
        answered(async {
            from_proto::what(&asked.cid_or_url)?;
            let actor = named(&self.node, &asked.actor)?;
            self.node.delete(&actor.name, &asked.cid_or_url).await
        })
        .await
    }

    async fn get(&self, request: Request<GetActivityRequest>) -> Result<Response<Entry>, Status> {
        let node = self.node.clone();
        let what = request.into_inner().cid_or_url;
        blocking(move || found(&node, &what))
            .await
            .map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<ExplainRequest>,
    ) -> Result<Response<Explanation>, Status> {
        let (node, deliveries) = (self.node.clone(), Arc::clone(&self.deliveries));
        let what = request.into_inner().cid_or_url;
        let explanation = node.explain(&what).await;
        let explanation = explanation.map_err(|refusal| status(&refusal))?;
        blocking(move || explain::message(&node, &*deliveries, explanation))
            .await
            .map(Response::new)
    }

    async fn timeline(
        &self,
        request: Request<TimelineRequest>,
    ) -> Result<Response<TimelineResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        let lag = timeline::wait(&node, &asked).await;
        let lag = lag.map_err(|refusal| status(&refusal))?;
        let page = blocking(move || timeline::page(&node, &asked)).await?;
        Ok(Response::new(TimelineResponse { lag, ..page }))
    }

    async fn list_log(
        &self,
        request: Request<ListLogRequest>,
    ) -> Result<Response<ListLogResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        blocking(move || list_log(&node, &asked))
            .await
            .map(Response::new)
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<Entry, Status>> + Send>>;

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let view = self.node.view().clone();
        let after = request
            .into_inner()
            .after_offset
            .unwrap_or_else(|| view.applied());
        Ok(Response::new(Box::pin(tail(
            view,
            after,
            self.stop.clone(),
        ))))
    }
}

async fn answered(
    published: impl Future<Output = Result<Published, Refusal>>,
) -> Result<Response<PublishResponse>, Status> {
    let published = published.await.map_err(|refusal| status(&refusal))?;
    Ok(Response::new(PublishResponse {
        published: Some(to_proto::published(published)),
    }))
}

/// The activity of that CID or `id`; the actor of that URL; the `Create` of the object of that `id`.
fn found(node: &Node, what: &str) -> Result<Entry, Refusal> {
    let view = node.view();
    let entry_of = |stored: Option<Stored>| match stored {
        Some(stored) => to_proto::Entries::new(view).entry(&stored, None),
        None => Ok(None),
    };
    let entry = match what.parse::<Cid>() {
        Ok(cid) => entry_of(view.stored(&cid.digest).map_err(internal)?)?,
        Err(error) if !what.contains("://") => return Err(error.into()),
        Err(_) => match entry_of(view.activity_by_id(what).map_err(internal)?)? {
            Some(entry) => Some(entry),
            None => match actor_entry(node, view, what)? {
                Some(entry) => Some(entry),
                None => entry_of(view.activity_of_object(what).map_err(internal)?)?,
            },
        },
    };
    entry.ok_or_else(|| Refusal::new(Code::NotFound, "nothing is kept here under that name"))
}

fn actor_entry(node: &Node, view: &View, url: &str) -> Result<Option<Entry>, Refusal> {
    let Some(actor) = view.state().actor_by_url(url).map_err(internal)? else {
        return Ok(None);
    };
    to_proto::actor(view, node.instance().authority(), &actor).map(|actor| actor.entry)
}

fn list_log(node: &Node, asked: &ListLogRequest) -> Result<ListLogResponse, Refusal> {
    let view = node.view();
    let log = from_proto::log(&named(node, &asked.actor)?, asked.side)?;
    let before = page::number(&asked.page_token)?;
    let limit = page::limit(asked.limit);
    let range = SeqRange {
        after: None,
        before,
    };
    let rows = view.log(log, range, true, limit).map_err(internal)?;
    let mut room = page::Room::new(limit);
    let mut names = to_proto::Entries::new(view);
    let mut entries = Vec::with_capacity(rows.len());
    let mut last = 1;
    for row in rows {
        if !room.is_left() {
            break;
        }
        last = row.seq;
        if let Some(entry) = names.entry(&row.stored, Some(row.seq))? {
            room.take(entry.document_json.len());
            entries.push(entry);
        }
    }
    // The log begins at 1, so that nothing comes before it.
    let next_page_token = if last > 1 {
        last.to_string()
    } else {
        String::new()
    };
    Ok(ListLogResponse {
        entries,
        next_page_token,
    })
}

/// Adds recipients to a document.
fn address(
    document: &mut Map,
    to: Vec<String>,
    visibility: Visibility,
    followers: &str,
) -> Result<(), Refusal> {
    let mut primary = recipients(document, "to");
    let mut copies = recipients(document, "cc");
    match visibility {
        Visibility::Unspecified => {}
        Visibility::Public => {
            add(&mut primary, PUBLIC.to_owned(), is_public);
            add(&mut copies, followers.to_owned(), |have| have == followers);
        }
        Visibility::Followers => {
            add(&mut primary, followers.to_owned(), |have| have == followers);
        }
        Visibility::Direct => {
            let hidden = ["bto", "bcc", "audience"];
            if to.is_empty()
                && primary.is_empty()
                && copies.is_empty()
                && hidden.iter().all(|key| !document.contains_key(key))
            {
                return Err(Refusal::new(
                    Code::Envelope,
                    "a direct message is to somebody: name them, with `--to WHO`",
                ));
            }
        }
    }
    for who in to {
        let who = &who;
        add(&mut primary, who.clone(), |have| have == who);
    }
    for (key, recipients) in [("to", primary), ("cc", copies)] {
        if !recipients.is_empty() {
            document.insert(key, recipients);
        }
    }
    Ok(())
}

fn recipients(document: &Map, key: &str) -> Vec<Value> {
    document
        .get(key)
        .map(|value| value.items().cloned().collect())
        .unwrap_or_default()
}

fn add(recipients: &mut Vec<Value>, one: String, is_it: impl Fn(&str) -> bool) {
    if !recipients.iter().filter_map(Value::as_str).any(is_it) {
        recipients.push(one.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLLOWERS: &str = "https://a.example/actors/alice/followers";
    const BOB: &str = "https://b.example/bob";

    fn addressed(document: Map, to: &[&str], visibility: Visibility) -> String {
        let mut document = document;
        let to = to.iter().map(|who| (*who).to_owned()).collect();
        match address(&mut document, to, visibility, FOLLOWERS) {
            Ok(()) => format!(
                "to {:?} cc {:?}",
                recipients(&document, "to"),
                recipients(&document, "cc")
            ),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn visibility_and_names_become_recipients() {
        let note = || Map::from([("type", "Note")]);
        let cced = || Map::from([("cc", BOB)]);
        insta::assert_snapshot!(
            [
                addressed(note(), &[], Visibility::Unspecified),
                addressed(note(), &[BOB], Visibility::Unspecified),
                addressed(note(), &[BOB, BOB], Visibility::Public),
                addressed([("to", "as:Public")].into(), &[], Visibility::Public),
                addressed(note(), &[BOB], Visibility::Followers),
                addressed(note(), &[BOB], Visibility::Direct),
                addressed(cced(), &[], Visibility::Direct),
                addressed(note(), &[], Visibility::Direct),
            ]
            .join("\n")
        );
    }
}
