//! What an instance serves to whoever asks without a signature.

use fedsx_core::entry::Visibility;
use fedsx_core::value::Map;
use fedsx_discovery::webfinger::{jrd_for, name_of_resource};
use fedsx_node::Node;

/// The status and the document at a URL.
pub(crate) fn served(node: &Node, url: &str) -> (u16, Option<Map>) {
    let view = node.view();
    if let Some((_, resource)) = url.split_once("/.well-known/webfinger?resource=") {
        let resource = resource
            .replace("%3A", ":")
            .replace("%40", "@")
            .replace("%2F", "/");
        let name = name_of_resource(node.instance(), &resource);
        let found = name.filter(|name| node.actor(name.as_str()).is_ok());
        let jrd = found.map(|name| jrd_for(node.instance(), &name));
        return (if jrd.is_some() { 200 } else { 404 }, jrd);
    }
    if let Some(name) = node.instance().local_name(url) {
        return match view.state().actor_by_name(name).expect("reads") {
            Some(actor) => {
                let status = if actor.is_gone() { 410 } else { 200 };
                (status, Some(view.actor_document(&actor).expect("reads")))
            }
            None => (404, None),
        };
    }
    let Some(stored) = view.activity_by_id(url).expect("reads") else {
        return (404, None);
    };
    let activity = stored.activity().expect("an activity");
    if activity.visibility != Visibility::Public || !node.instance().owns(&activity.actor) {
        return (404, None);
    }
    let status = if stored.erased { 410 } else { 200 };
    (status, Some(stored.map().expect("reads")))
}
