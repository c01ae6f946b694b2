//! What people do.

use fedsx_core::actor::ActorKind;
use fedsx_core::audience::PUBLIC;
use fedsx_core::cid::Cid;
use fedsx_core::refusal::Refusal;
use fedsx_core::value::{Map, Value};
use fedsx_node::{NewActor, Node, PublishOptions, Published};
use fedsx_store::simulation::Dice;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Somebody, who may not be there yet.
pub(crate) struct Person {
    pub(crate) on: usize,
    pub(crate) name: String,
    pub(crate) url: String,
    /// Whether it answers follows by hand.
    pub(crate) by_hand: bool,
    pub(crate) rotations: u32,
    /// What it posted, as it was told.
    pub(crate) posts: Vec<Cid>,
}

impl Person {
    pub(crate) fn new(on: usize, nth: usize, by_hand: bool) -> Self {
        let name = format!("p{on}{nth}");
        Self {
            on,
            url: format!("https://i{on}.test/actors/{name}"),
            name,
            by_hand,
            rotations: 0,
            posts: Vec::new(),
        }
    }
}

/// For whom a post is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Audience {
    Public,
    Followers,
    /// Openly, and hidden.
    Direct(Vec<String>, Vec<String>),
}

/// What one does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Create,
    Follow(String),
    Unfollow(String),
    Accept(String),
    Reject(String),
    Block(String),
    Unblock(String),
    Post(Audience),
    Delete(Cid),
    Rotate,
}

impl Act {
    /// Something that `person` may do.
    pub(crate) fn any(dice: &mut Dice, people: &[Person], person: usize) -> Self {
        let mut other = || {
            let nth = dice.below(people.len() - 1);
            let nth = if nth >= person { nth + 1 } else { nth };
            people[nth].url.clone()
        };
        let (one, two) = (other(), other());
        match dice.below(40) {
            0..12 => Self::Follow(one),
            12..14 => Self::Unfollow(one),
            14..16 => Self::Accept(one),
            16 => Self::Reject(one),
            17 => Self::Block(one),
            18 => Self::Unblock(one),
            19..25 => Self::Post(Audience::Public),
            25..30 => Self::Post(Audience::Followers),
            30..33 => Self::Post(Audience::Direct(vec![one], vec![two])),
            33..36 => match &people[person].posts[..] {
                [] => Self::Create,
                posts => Self::Delete(posts[dice.below(posts.len())]),
            },
            36..38 => Self::Rotate,
            _ => Self::Create,
        }
    }

    /// Does it.
    pub(crate) fn done(
        self,
        node: Node,
        who: &Person,
    ) -> BoxFuture<'static, Result<Published, Refusal>> {
        let (name, by_hand, url) = (who.name.clone(), who.by_hand, who.url.clone());
        async move {
            match self {
                Self::Create => {
                    let new = NewActor {
                        name,
                        kind: ActorKind::Person,
                        display_name: None,
                        summary: None,
                        manual_approval: by_hand,
                    };
                    Ok(node.create_actor(new).await?.1)
                }
                Self::Follow(peer) => node.follow(&name, &peer).await,
                Self::Unfollow(peer) => node.unfollow(&name, &peer).await,
                Self::Accept(peer) => node.accept(&name, &peer).await,
                Self::Reject(peer) => node.reject(&name, &peer).await,
                Self::Block(peer) => node.block(&name, &peer).await,
                Self::Unblock(peer) => node.unblock(&name, &peer).await,
                Self::Post(audience) => {
                    let document = post(&audience, &format!("{url}/followers"));
                    let options = PublishOptions::default();
                    node.publish(&name, document, options).await
                }
                Self::Delete(cid) => node.delete(&name, &cid.to_string()).await,
                Self::Rotate => Ok(node.rotate_key(&name).await?.published),
            }
        }
        .boxed()
    }
}

fn post(audience: &Audience, followers: &str) -> Map {
    let note = Map::from([("type", "Note"), ("content", "what somebody said")]);
    let mut create = Map::from([
        ("type", Value::from("Create")),
        ("object", Value::Map(note)),
    ]);
    let list = |urls: &[String]| -> Value { urls.to_vec().into() };
    match audience {
        Audience::Public => {
            create.insert("to", vec![PUBLIC]);
            create.insert("cc", vec![followers]);
        }
        Audience::Followers => {
            create.insert("to", vec![followers]);
        }
        Audience::Direct(open, hidden) => {
            create.insert("to", list(open));
            create.insert("bto", list(hidden));
        }
    }
    create
}
