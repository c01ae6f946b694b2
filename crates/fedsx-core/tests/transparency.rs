//! Verifiable logs against others' words: the vectors of RFC 6962 and C2SP, and a reader of the C2SP formats that is
//! not ours. Sources: `vectors/rfc6962/README.md`, `vectors/c2sp/README.md`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::key::{Ed25519Signer, PublicKey};
use fedsx_core::transparency::{
    Checkpoint, Frontier, Leaves, Note, NoteKey, Role, TileId, TilePath, Tiles, consistency_proof,
    inclusion_proof, leaf_hash, tree_root, unbundle, verify_consistency, verify_inclusion,
};
use serde_json::Value;
use signed_note::{StandardVerifier, VerifierList};
use tlog_tiles::{Error, Hash, HashReader as _, Tile, TileHashReader, TileReader};

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a list")
}

/// A hash as the vectors write it; where that has another length, one that stands for it, and none for none.
fn hash(value: &Value) -> Option<Digest> {
    let bytes = STANDARD.decode(value.as_str()?).expect("base64");
    if bytes.is_empty() {
        return None;
    }
    let exact = <[u8; 32]>::try_from(&*bytes).map(Digest::from);
    Some(exact.unwrap_or_else(|_| Digest::of(&bytes)))
}

fn proof(case: &Value) -> Option<Vec<Digest>> {
    let hashes = case["proof"].as_array().into_iter().flatten();
    hashes.map(hash).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn consistency_proofs_of_rfc_6962() {
    let cases = vectors(include_str!("vectors/rfc6962/consistency.json"));
    let (mut proved, mut refused) = (0, 0);
    for case in &cases {
        let verified = || {
            let (old, new) = (hash(&case["root1"])?, hash(&case["root2"])?);
            let (size1, size2) = (number(&case["size1"]), number(&case["size2"]));
            // An empty tree is the beginning of all others here; the vectors find that useless.
            let is_proved = verify_consistency(&proof(case)?, (size1, &old), (size2, &new));
            (is_proved.is_ok() && (size1 > 0 || size2 == 0)).then_some(())
        };
        let is_refused = verified().is_none();
        let name = &case["name"];
        assert_eq!(is_refused, case["wantErr"] == true, "{name}");
        match is_refused {
            true => refused += 1,
            false => proved += 1,
        }
    }
    assert!(proved > 5 && refused > 70, "{proved} {refused}");
}

#[test]
fn inclusion_proofs_of_rfc_6962() {
    let cases = vectors(include_str!("vectors/rfc6962/inclusion.json"));
    let (mut proved, mut refused) = (0, 0);
    for case in &cases {
        let verified = || {
            let leaf = (number(&case["leafIdx"]), &hash(&case["leafHash"])?);
            let tree = (number(&case["treeSize"]), &hash(&case["root"])?);
            verify_inclusion(&proof(case)?, leaf, tree).ok()
        };
        let is_refused = verified().is_none();
        let name = &case["name"];
        assert_eq!(is_refused, case["wantErr"] == true, "{name}");
        match is_refused {
            true => refused += 1,
            false => proved += 1,
        }
    }
    assert!(proved > 5 && refused > 70, "{proved} {refused}");
}

/// The key of a line that verifiers are given.
fn key(vkey: &str) -> NoteKey {
    let vkey = vkey.trim();
    let (name, rest) = vkey.split_once('+').expect("a name");
    let (_, encoded) = rest.split_once('+').expect("an id");
    let bytes = STANDARD.decode(encoded).expect("base64");
    let key = bytes[1..].try_into().expect("32 bytes");
    let key = PublicKey::from_bytes(key).expect("a key");
    let key = NoteKey::new(name, key, Role::Log).expect("a name");
    assert_eq!(key.vkey(), vkey);
    key
}

#[test]
fn the_examples_of_c2sp() {
    let key = key(include_str!("vectors/c2sp/signed-note-example.vkey"));
    let text = include_str!("vectors/c2sp/signed-note-example.txt");
    let note = Note::parse(text.as_bytes()).expect("a note");
    assert_eq!(note.to_string(), text);
    assert_eq!(note.signatures()[0].name, key.name());
    // Signed, as the other reader finds, and no checkpoint.
    let theirs = signed_note::Note::from_bytes(text.as_bytes()).expect("a note");
    theirs.verify(&verifiers(&key)).expect("signed");
    assert!(note.checkpoint(&key).is_err());
    let checkpoint = include_str!("vectors/c2sp/checkpoint-example.txt");
    let note = Note::parse(checkpoint.as_bytes()).expect("a note");
    assert_eq!(note.to_string(), checkpoint);
}

fn verifiers(key: &NoteKey) -> VerifierList {
    let theirs = StandardVerifier::new(&key.vkey()).expect("a key");
    VerifierList::new(vec![Box::new(theirs)])
}

/// The files of the sample log.
fn sample(path: &TilePath) -> Option<Vec<u8>> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/c2sp/sample-log/"
    );
    std::fs::read(folder.to_owned() + &path.path()).ok()
}

#[test]
fn a_log_that_another_implementation_made() {
    let key = key(include_str!("vectors/c2sp/sample-log.vkey"));
    let signed = |text: &str| {
        let note = Note::parse(text.as_bytes()).expect("a note");
        note.checkpoint(&key).expect("signed")
    };
    let new = signed(include_str!("vectors/c2sp/sample-log/checkpoint"));
    let old = signed(include_str!("vectors/c2sp/sample-log-old-checkpoint"));
    assert_eq!((old.size, new.size), (200, 300));
    let needed = Tiles::needed(new.size, |tiles| {
        consistency_proof(tiles, old.size, new.size).map(drop)
    });
    let mut tiles = Tiles::of(new.size);
    for tile in needed {
        let bytes = sample(&TilePath::Hashes(tile)).expect("a file");
        tiles.insert(tile, &bytes).expect("of its width");
    }
    let proof = consistency_proof(&mut tiles, old.size, new.size).expect("of tiles");
    let (older, newer) = ((old.size, &old.root), (new.size, &new.root));
    assert_eq!(verify_consistency(&proof, older, newer), Ok(()));
    let mut leaves = Vec::new();
    for index in 0..2 {
        let tile = TileId::at(0, index, new.size).expect("in the tree");
        let bytes = sample(&TilePath::Entries(tile)).expect("a file");
        leaves.extend(unbundle(&bytes).expect("a bundle"));
    }
    Leaves::verified(&new, 0, leaves, &mut Tiles::of(new.size)).expect("its leaves");
}

/// A log of ours, for the other reader.
struct Ours {
    frontier: Frontier,
    levels: BTreeMap<u8, Vec<Digest>>,
}

impl Ours {
    fn of(size: u64) -> Self {
        let mut ours = Self {
            frontier: Frontier::default(),
            levels: BTreeMap::new(),
        };
        for n in 0..size {
            let hash = leaf_hash(&leaf(n));
            ours.levels.entry(0).or_default().push(hash);
            for completed in ours.frontier.append(hash) {
                let level = ours.levels.entry(completed.level).or_default();
                level.push(completed.hash);
            }
        }
        ours
    }

    fn tile(&self, tile: TileId) -> Vec<u8> {
        let begin = usize::try_from(tile.index * 256).expect("small");
        let hashes = &self.levels[&tile.level][begin..begin + usize::from(tile.width)];
        hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }
}

impl TileReader for Ours {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let ours = |tile: &Tile| {
            let width = u16::try_from(tile.width()).expect("at most 256");
            self.tile(TileId {
                level: tile.level(),
                index: tile.level_index(),
                width,
            })
        };
        Ok(tiles.iter().map(ours).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn leaf(n: u64) -> Cid {
    Cid::of_document(Digest::of(&n.to_be_bytes()))
}

fn theirs(digest: &Digest) -> Hash {
    Hash(*digest.as_bytes())
}

#[test]
fn an_independent_reader_accepts_our_checkpoints_tiles_and_proofs() {
    let signer = Ed25519Signer::new("https://a.example/actors/a#log-1", &[7; 32]);
    let origin = "a.example/actors/a/log";
    let key = NoteKey::new(origin, signer.public_key(), Role::Log).expect("a name");
    for size in [1, 2, 255, 256, 257, 300, 512, 66_000] {
        let ours = Ours::of(size);
        let root = ours.frontier.root();
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size,
            root,
        };
        let note = Note::sign(&checkpoint, key.key(), &signer).expect("a name");
        let read = signed_note::Note::from_bytes(note.to_string().as_bytes()).expect("a note");
        read.verify(&verifiers(&key)).expect("signed");
        let read =
            tlog_tiles::Checkpoint::from_reader(&mut read.text(), false).expect("a checkpoint");
        assert_eq!((read.origin(), read.size()), (origin, size));
        assert_eq!(*read.hash(), theirs(&root));
        // Their reader checks each tile that it is given against the root.
        let reader = TileHashReader::new(size, theirs(&root), &ours);
        assert_eq!(
            tlog_tiles::tree_hash(size, &reader).ok(),
            Some(theirs(&root))
        );
        for number in [0, size / 3, size / 2, size - 1] {
            let index = tlog_tiles::stored_hash_index(0, number);
            let hash = leaf_hash(&leaf(number));
            let read = reader.read_hashes(&[index]);
            assert_eq!(read.ok(), Some(vec![theirs(&hash)]));
            let old = number + 1;
            let needed = Tiles::needed(size, |tiles| {
                inclusion_proof(tiles, number, size)?;
                consistency_proof(tiles, old, size)?;
                tree_root(tiles, old).map(drop)
            });
            let mut tiles = Tiles::of(size);
            for tile in needed {
                tiles.insert(tile, &ours.tile(tile)).expect("of its width");
            }
            let of_ours = |proof: Vec<Digest>| proof.iter().map(theirs).collect::<Vec<_>>();
            let inclusion = of_ours(inclusion_proof(&mut tiles, number, size).expect("of tiles"));
            let included =
                tlog_tiles::check_record(&inclusion, size, theirs(&root), number, theirs(&hash));
            assert!(included.is_ok(), "{number} of {size}: {included:?}");
            let consistency = of_ours(consistency_proof(&mut tiles, old, size).expect("of tiles"));
            let older = theirs(&Ours::of(old).frontier.root());
            let consistent = tlog_tiles::check_tree(&consistency, size, theirs(&root), old, older);
            assert!(consistent.is_ok(), "{old} of {size}: {consistent:?}");
        }
    }
}
