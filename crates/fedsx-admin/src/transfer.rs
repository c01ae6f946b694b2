//! `Actors.Export` and `Actors.Import`: the file as a stream, in either direction.
//!
//! Invariant: nothing more is read or taken before what came last is done with, so that memory holds a few pieces.

use fedsx_core::refusal::{Code, Refusal};
use fedsx_node::{Exporter, Importer, Node};
use futures_util::{Stream, stream};
use tonic::{Status, Streaming};

use crate::deliveries::blocking;
use crate::proto::import_actor_request::Part;
use crate::proto::{ExportActorRequest, ExportActorResponse, ImportActorRequest};
use crate::refused::status;

/// The bytes of a message.
const PIECE: usize = 1 << 20;

/// Begins an export.
pub(crate) async fn export(
    node: Node,
    request: ExportActorRequest,
) -> Result<impl Stream<Item = Result<ExportActorResponse, Status>>, Status> {
    let ExportActorRequest { name, passphrase } = request;
    let begin = move || {
        let name = crate::actors::named(&node, &name)?.name;
        node.export_actor(&name, &passphrase)
    };
    let exporter = blocking(begin).await?;
    Ok(stream::try_unfold(
        exporter,
        |mut exporter: Exporter| async {
            let next = move || {
                let mut data = Vec::new();
                while data.len() < PIECE / 2
                    && let Some(bytes) = exporter.next_bytes()?
                {
                    data.extend(bytes);
                }
                Ok((exporter, data))
            };
            let (exporter, data) = blocking(next).await?;
            let piece = ExportActorResponse { data };
            Ok((!piece.data.is_empty()).then_some((piece, exporter)))
        },
    ))
}

/// Takes an import to its end; the actor's name.
pub(crate) async fn import(
    node: &Node,
    mut pieces: Streaming<ImportActorRequest>,
) -> Result<String, Status> {
    let malformed = |why: &str| status(&Refusal::new(Code::Malformed, why));
    let first = pieces.message().await?.and_then(|first| first.part);
    let Some(Part::Passphrase(passphrase)) = first else {
        return Err(malformed("the passphrase comes first"));
    };
    let begun = node.clone();
    let mut importer = blocking(move || begun.import_actor(&passphrase)).await?;
    while let Some(piece) = pieces.message().await? {
        let Some(Part::Data(data)) = piece.part else {
            return Err(malformed("behind the passphrase there is data"));
        };
        let feed = move || {
            importer.feed(&data)?;
            Ok(importer)
        };
        importer = blocking(feed).await?;
    }
    let import = blocking(move || Importer::checked(importer)).await?;
    let actor = import.take().await.map_err(|refusal| status(&refusal))?;
    Ok(actor.name)
}
