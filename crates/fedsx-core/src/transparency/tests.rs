//! Properties of the tree, of tiles and of notes, over trees of every size around the width of a tile.

use proptest::prelude::{Strategy, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};

use crate::cid::{Cid, Digest};
use crate::key::Ed25519Signer;

use super::{
    Checkpoint, Fork, Frontier, JudgeError, Judged, Leaves, LeavesError, Note, NoteError, NoteKey,
    Role, TileId, TilePath, Tiles, Witnessed, bundle, consistency_proof, inclusion_proof, judge,
    leaf_hash, node_hash, tiles_to_judge, tree_root, unbundle, verify_consistency,
    verify_inclusion,
};

/// The `n`th leaf of the trees here.
fn leaf(n: u64) -> Cid {
    Cid::of_document(Digest::of(&n.to_be_bytes()))
}

/// MTH as RFC 6962 section 2.1 spells it out.
fn defined_root(leaves: &[Cid]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [leaf] => leaf_hash(leaf),
        leaves => {
            let middle = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(middle);
            node_hash(&defined_root(left), &defined_root(right))
        }
    }
}

/// A tree grown leaf by leaf, with its tiles as a server has them.
struct Grown {
    frontier: Frontier,
    levels: Vec<Vec<Digest>>,
}

impl Grown {
    fn of(size: u64) -> Self {
        Self::from(0, size)
    }

    fn from(begin: u64, size: u64) -> Self {
        let mut grown = Self {
            frontier: Frontier::default(),
            levels: vec![Vec::new(); 8],
        };
        for n in begin..begin + size {
            let hash = leaf_hash(&leaf(n));
            grown.levels[0].push(hash);
            for completed in grown.frontier.append(hash) {
                let level = &mut grown.levels[usize::from(completed.level)];
                assert_eq!(level.len() as u64, completed.index);
                level.push(completed.hash);
            }
        }
        grown
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            origin: "a.example/actors/a/log".to_owned(),
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    fn tile(&self, tile: TileId) -> Vec<u8> {
        let begin = usize::try_from(tile.index * 256).expect("small");
        let hashes = &self.levels[usize::from(tile.level)][begin..];
        let hashes = hashes[..usize::from(tile.width)].iter();
        hashes.flat_map(|hash| *hash.as_bytes()).collect()
    }

    fn tiles(&self, needed: Vec<TileId>) -> Tiles {
        let mut tiles = Tiles::of(self.frontier.size());
        for tile in needed {
            tiles.insert(tile, &self.tile(tile)).expect("of its width");
        }
        tiles
    }
}

/// Sizes of trees, many of them around full tiles.
fn size() -> impl Strategy<Value = u64> {
    let around = |at: u64| at.saturating_sub(3)..at + 4;
    proptest::prop_oneof![1_u64..70, around(256), around(512), 1_u64..1_500]
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn a_tree_grown_leaf_by_leaf_is_the_defined_one(size in 0_u64..600) {
        let leaves: Vec<Cid> = (0..size).map(leaf).collect();
        prop_assert_eq!(Grown::of(size).frontier.root(), defined_root(&leaves));
    }

    #[test]
    fn proofs_made_of_tiles_prove(new in size(), old in any::<prop::sample::Index>()) {
        let grown = Grown::of(new);
        let old = old.index(usize::try_from(new).expect("small")) as u64 + 1;
        let (number, root) = (old - 1, grown.frontier.root());
        let needed = Tiles::needed(new, |tiles| {
            inclusion_proof(tiles, number, new)?;
            consistency_proof(tiles, old, new)?;
            tree_root(tiles, new).map(drop)
        });
        let mut tiles = grown.tiles(needed);
        prop_assert_eq!(tree_root(&mut tiles, new), Ok(root));
        let inclusion = inclusion_proof(&mut tiles, number, new).expect("of tiles");
        let hash = leaf_hash(&leaf(number));
        prop_assert_eq!(verify_inclusion(&inclusion, (number, &hash), (new, &root)), Ok(()));
        let older = Grown::of(old).frontier.root();
        let consistency = consistency_proof(&mut tiles, old, new).expect("of tiles");
        prop_assert_eq!(verify_consistency(&consistency, (old, &older), (new, &root)), Ok(()));
    }

    #[test]
    fn an_altered_proof_proves_nothing(
        new in 2_u64..400, old in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
    ) {
        let grown = Grown::of(new);
        let old = old.index(usize::try_from(new - 1).expect("small")) as u64 + 1;
        let (older, root) = (Grown::of(old).frontier.root(), grown.frontier.root());
        let needed = Tiles::needed(new, |tiles| {
            inclusion_proof(tiles, old, new)?;
            consistency_proof(tiles, old, new).map(drop)
        });
        let mut tiles = grown.tiles(needed);
        let consistency = consistency_proof(&mut tiles, old, new).expect("of tiles");
        let inclusion = inclusion_proof(&mut tiles, old, new).expect("of tiles");
        let hash = leaf_hash(&leaf(old));
        for (proof, is_inclusion) in [(consistency, false), (inclusion, true)] {
            let proves = |proof: &[Digest]| match is_inclusion {
                true => verify_inclusion(proof, (old, &hash), (new, &root)).is_ok(),
                false => verify_consistency(proof, (old, &older), (new, &root)).is_ok(),
            };
            prop_assert!(proves(&proof));
            let at = at.index(proof.len());
            let mut altered = proof.clone();
            altered[at] = node_hash(&altered[at], &altered[at]);
            prop_assert!(!proves(&altered));
            prop_assert!(!proves(&proof[..at]));
            prop_assert!(!proves(&[&proof[..], &proof[..1]].concat()));
        }
    }

    #[test]
    fn the_last_leaves_are_held_against_the_root(size in size(), from in any::<prop::sample::Index>()) {
        let grown = Grown::of(size);
        let first = from.index(usize::try_from(size.div_ceil(256)).expect("small")) as u64 * 256;
        let needed = Tiles::needed(size, |tiles| tree_root(tiles, first).map(drop));
        let mut before = grown.tiles(needed);
        let leaves: Vec<Cid> = (first..size).map(leaf).collect();
        let checkpoint = grown.checkpoint();
        let held = Leaves::verified(&checkpoint, first, leaves.clone(), &mut before).expect("its leaves");
        prop_assert_eq!(held.first(), first);
        prop_assert!(held.compare(&leaves).is_none());
        let (last, rest) = leaves.split_last().expect("one at least");
        let foreign = leaf(size);
        let difference = held.compare(rest.iter().chain([&foreign]));
        prop_assert_eq!(difference.missing, vec![(size - 1, *last)]);
        prop_assert_eq!(difference.foreign, vec![foreign]);
        let other = [rest, &[foreign][..]].concat();
        let refused = Leaves::verified(&checkpoint, first, other, &mut before);
        prop_assert_eq!(refused, Err(LeavesError::Root));
    }

    #[test]
    fn a_path_names_one_tile(level in 0_u8..8, index in 0_u64..1 << 53, width in 1_u16..=256) {
        let tile = TileId { level, index, width };
        for path in [TilePath::Hashes(tile), TilePath::Entries(TileId { level: 0, ..tile })] {
            prop_assert_eq!(TilePath::parse(&path.path()), Some(path));
        }
    }

    #[test]
    fn no_bytes_make_readers_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), &bytes[..]);
        }
        if let Some(leaves) = unbundle(&bytes) {
            prop_assert_eq!(bundle(&leaves), &bytes[..]);
        }
        let path = format!("tile/{}", String::from_utf8_lossy(&bytes));
        if let Some(named) = TilePath::parse(&path) {
            prop_assert_eq!(named.path(), path);
        }
    }
}

/// A checkpoint as its log signed it, over the first `size` leaves from `begin` on.
fn witnessed(begin: u64, size: u64) -> (Grown, Witnessed) {
    let grown = Grown::from(begin, size);
    let (signer, checkpoint) = (signer(), grown.checkpoint());
    let note = Note::sign(&checkpoint, &signer.public_key(), &signer).expect("a name");
    let key = NoteKey::new(&*checkpoint.origin, signer.public_key(), Role::Log).expect("a name");
    let (_, witnessed) = Witnessed::of(&note, &key).expect("signed");
    (grown, witnessed)
}

#[test]
fn a_checkpoint_is_judged_beside_the_one_that_was_kept() {
    let told = |old: (u64, u64), new: (u64, u64)| {
        let ((_, kept), (grown, head)) = (witnessed(old.0, old.1), witnessed(new.0, new.1));
        let mut tiles = grown.tiles(tiles_to_judge(old.1, new.1));
        match judge(&kept, &head, &mut tiles).expect("judged") {
            Judged::Same => "same",
            Judged::Grown => "grown",
            Judged::Behind => "behind",
            Judged::Forked(fork) => {
                assert!(fork.is_proved());
                let lie = Fork {
                    first: fork.second.clone(),
                    ..(*fork).clone()
                };
                assert!(!lie.is_proved());
                let honest = Fork {
                    prefix: kept.checkpoint().expect("kept").root,
                    ..*fork
                };
                assert!(!honest.is_proved());
                "forked"
            }
        }
    };
    assert_eq!(told((0, 3), (0, 3)), "same");
    assert_eq!(told((0, 3), (0, 4)), "grown");
    assert_eq!(told((0, 256), (0, 700)), "grown");
    assert_eq!(told((0, 0), (0, 4)), "grown");
    assert_eq!(told((0, 4), (0, 3)), "behind");
    assert_eq!(told((0, 3), (1, 3)), "forked");
    assert_eq!(told((0, 256), (1, 700)), "forked");
    assert_eq!(told((0, 5), (1, 6)), "forked");
    // A log whose tiles are not those of its checkpoint proves nothing, least of all a fork.
    let ((_, kept), (_, head)) = (witnessed(0, 5), witnessed(0, 9));
    let mut tiles = Grown::from(1, 9).tiles(tiles_to_judge(5, 9));
    let judged = judge(&kept, &head, &mut tiles);
    assert!(matches!(judged, Err(JudgeError::Proof(_))), "{judged:?}");
    let judged = judge(&kept, &head, &mut Tiles::of(9));
    assert!(matches!(judged, Err(JudgeError::Tiles(_))), "{judged:?}");
}

#[test]
fn paths_are_those_of_the_specification() {
    let path = |level, index, width| {
        TilePath::Hashes(TileId {
            level,
            index,
            width,
        })
        .path()
    };
    assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(1, 0, 1), "tile/1/000.p/1");
    // The specification's example: a tree of 70,000.
    let widths = |level, index| TileId::at(level, index, 70_000).map(|tile| tile.width);
    assert_eq!(widths(0, 272), Some(256));
    assert_eq!(widths(0, 273), Some(112));
    assert_eq!(widths(0, 274), None);
    assert_eq!([widths(1, 0), widths(1, 1)], [Some(256), Some(17)]);
    assert_eq!([widths(2, 0), widths(3, 0)], [Some(1), None]);
    for odd in [
        "tile/0/0",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/8/000",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/+1",
        "tile/0/+01",
        "tile/entries/1234",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/001/",
        "tile/0/",
        "checkpoint",
    ] {
        assert_eq!(TilePath::parse(odd), None, "{odd}");
    }
}

#[test]
fn bundles_hold_what_was_put_in() {
    let leaves: Vec<Cid> = (0..256).map(leaf).collect();
    let bytes = bundle(&leaves);
    assert_eq!(unbundle(&bytes), Some(leaves.clone()));
    assert_eq!(unbundle(&bytes[..bytes.len() - 1]), None);
    let longer = [&bytes[..], &bundle(&leaves[..1])].concat();
    assert_eq!(unbundle(&longer), None);
}

fn signer() -> Ed25519Signer {
    Ed25519Signer::new("https://a.example/actors/a#log-1", &[7; 32])
}

#[test]
fn a_note_is_read_as_it_is_written_and_no_other_way() {
    let (signer, checkpoint) = (signer(), Grown::of(3).checkpoint());
    let key = signer.public_key();
    let mut note = Note::sign(&checkpoint, &key, &signer).expect("a name");
    let cosigner = Ed25519Signer::new("https://b.example/actor#log-1", &[8; 32]);
    let name = "b.example/actor";
    let by = note
        .cosign(name, &cosigner.public_key(), &cosigner, 1_679_315_147)
        .expect("a name");
    note.add(by);
    insta::assert_snapshot!(note);
    let text = note.to_string();
    let read = Note::parse(text.as_bytes()).expect("a note");
    assert_eq!(read, note);
    let log = NoteKey::new(&*checkpoint.origin, key.clone(), Role::Log).expect("a name");
    assert_eq!(read.checkpoint(&log), Ok(checkpoint));
    let witness = |role| NoteKey::new(name, cosigner.public_key(), role).expect("a name");
    let cosignature = read.cosignature(&witness(Role::Cosigner)).expect("signed");
    assert_eq!(cosignature.time_s, 1_679_315_147);
    assert!(read.cosignature(&witness(Role::Log)).is_err());
    // Another log's key, another key of that name, another time.
    let other = NoteKey::new("a.example/actors/b/log", key, Role::Log).expect("a name");
    assert!(matches!(
        read.checkpoint(&other),
        Err(NoteError::Checkpoint(_))
    ));
    let stranger = NoteKey::new(log.name(), cosigner.public_key(), Role::Log).expect("a name");
    assert!(matches!(
        read.checkpoint(&stranger),
        Err(NoteError::Unsigned(_))
    ));
    let moved = Note::parse(text.replacen("\n3\n", "\n4\n", 1).as_bytes()).expect("a note");
    assert!(matches!(
        moved.checkpoint(&log),
        Err(NoteError::BadSignature(_))
    ));
}

#[test]
fn what_is_no_note_is_refused() {
    let (signer, checkpoint) = (signer(), Grown::of(3).checkpoint());
    let note = Note::sign(&checkpoint, &signer.public_key(), &signer).expect("a name");
    let key = NoteKey::new(&*checkpoint.origin, signer.public_key(), Role::Log).expect("a name");
    let text = note.to_string();
    let told =
        |text: &str| match Note::parse(text.as_bytes()).and_then(|note| note.checkpoint(&key)) {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.to_string(),
        };
    let (origin, signature) = (&*checkpoint.origin, note.signatures()[0].line());
    let root = text.lines().nth(2).expect("a root").to_owned();
    let signed = |body: &str| format!("{body}\n{signature}\n");
    let cases = [
        ("as it is", text.clone()),
        ("no end", text.trim_end().to_owned()),
        ("a line more", format!("{text}\n")),
        ("no blank line", text.replacen("\n\n", "\n", 1)),
        ("a carriage return", text.replacen('\n', "\r\n", 1)),
        ("a hyphen for a dash", text.replacen('—', "-", 1)),
        ("a plus in the name", text.replace("a/log ", "a+log ")),
        ("no base64", text.replace("= ", "") + "— x !\n"),
        ("a padded size", signed(&format!("{origin}\n03\n{root}\n"))),
        ("a signed size", signed(&format!("{origin}\n+3\n{root}\n"))),
        (
            "an endless size",
            signed(&format!("{origin}\n18446744073709551615\n{root}\n")),
        ),
        ("a short root", signed(&format!("{origin}\n3\nAAAA\n"))),
        ("two lines", signed(&format!("{origin}\n3\n"))),
        ("no origin", signed(&format!("\n3\n{root}\n"))),
        (
            "an extension",
            signed(&format!("{origin}\n3\n{root}\nmore\n")),
        ),
        (
            "many signatures",
            signed(&format!("{origin}\n3\n{root}\n")) + &format!("{signature}\n").repeat(70),
        ),
        (
            "too long",
            signed(&format!("{origin}\n3\n{root}\n{}\n", "x".repeat(70_000))),
        ),
    ];
    let page = cases.map(|(what, text)| format!("{what}: {}", told(&text)));
    insta::assert_snapshot!(page.join("\n"));
}

#[test]
fn the_key_of_a_note_has_a_sound_name() {
    let key = signer().public_key();
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb"] {
        let refused = NoteKey::new(name, key.clone(), Role::Log);
        assert_eq!(refused, Err(NoteError::Name), "{name:?}");
    }
}
