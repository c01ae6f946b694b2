//! Keys at rest: kept over openings, bound to their id and their secret, never half there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fedsx_core::key::{RsaPublicKey, RsaSigner as _, Signer as _};
use fedsx_store::vault::{Vault, VaultError};

const ALICE: &str = "https://a.example/actors/alice#main-key";
const BOB: &str = "https://a.example/actors/bob#main-key";

fn open(dir: &Path) -> Vault {
    Vault::open(dir, None).expect("opened")
}

fn key_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("keys")).expect("there");
    entries
        .map(|entry| entry.expect("readable").path())
        .collect()
}

#[test]
fn a_key_is_kept_and_signs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let public = open(dir.path()).create_ed25519(ALICE).expect("made");
    let vault = open(dir.path());
    let again = vault.create_ed25519(ALICE).expect("kept");
    assert_eq!(again, public);
    let signer = vault.signer(ALICE).expect("opened").expect("there");
    assert_eq!(signer.key_id(), ALICE);
    assert!(public.verifies(b"a note", &signer.sign(b"a note")));
    assert!(vault.signer(BOB).expect("readable").is_none());
}

#[test]
fn files_are_for_the_owner_alone_and_hold_no_secret_in_the_clear() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let vault = open(dir.path());
    vault.create_ed25519(ALICE).expect("made");
    let secret = dir.path().join("secret");
    assert_eq!(fs::read(&secret).expect("there").len(), 65);
    let mut files = key_files(dir.path());
    assert_eq!(files.len(), 1);
    files.push(secret);
    for file in files {
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    assert!(!format!("{vault:?}").contains("key:"));
}

#[test]
fn another_secret_is_told_from_damage() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    open(dir.path()).create_ed25519(ALICE).expect("made");
    let other = Vault::open(dir.path(), Some(&[7; 32]));
    assert!(matches!(other, Err(VaultError::WrongSecret { .. })));
    let short = Vault::open(dir.path(), Some(b"hunter2"));
    assert!(matches!(short, Err(VaultError::BadSecret { .. })));

    let secret = dir.path().join("secret");
    let kept = fs::read(&secret).expect("there");
    fs::remove_file(&secret).expect("removed");
    let none = Vault::open(dir.path(), None);
    assert!(matches!(none, Err(VaultError::NoSecret)));
    fs::write(&secret, "no hex").expect("written");
    let bad = Vault::open(dir.path(), None);
    assert!(matches!(bad, Err(VaultError::BadSecret { .. })));
    fs::write(&secret, kept).expect("written");

    let file = key_files(dir.path()).remove(0);
    let sealed = fs::read(&file).expect("there");
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        fs::write(&file, changed).expect("written");
        let opened = Vault::open(dir.path(), None).and_then(|vault| vault.signer(ALICE));
        assert!(opened.is_err(), "byte {index} is not covered");
    }
}

#[test]
fn a_key_file_under_another_name_does_not_open() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    open(dir.path()).create_ed25519(ALICE).expect("made");
    let alice = key_files(dir.path()).remove(0);
    let sealed = fs::read(&alice).expect("there");
    let vault = open(dir.path());
    vault.create_ed25519(BOB).expect("made");
    let mut files = key_files(dir.path());
    files.retain(|file| *file != alice);
    fs::write(&files[0], sealed).expect("written");
    let opened = open(dir.path()).signer(BOB);
    assert!(matches!(opened, Err(VaultError::Damaged { .. })));
}

#[test]
fn a_write_that_a_crash_cut_off_is_no_key() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let vault = open(dir.path());
    vault.create_ed25519(ALICE).expect("made");
    let file = key_files(dir.path()).remove(0);
    let unfinished = format!("{}.new", file.display());
    fs::rename(&file, unfinished).expect("renamed");
    let vault = open(dir.path());
    assert!(vault.signer(ALICE).expect("readable").is_none());
    vault.create_ed25519(ALICE).expect("made anew");
}

#[test]
fn an_rsa_key_is_kept_and_is_no_signer_of_proofs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let vault = Vault::open(dir.path(), Some(&[9; 40])).expect("opened");
    let key = vault.create_rsa(ALICE).expect("made");
    assert_eq!(key.spki().len(), 294, "an SPKI of 2,048 bits");
    let vault = Vault::open(dir.path(), Some(&[9; 40])).expect("opened");
    assert_eq!(vault.create_rsa(ALICE).expect("kept").spki(), key.spki());
    let again = vault.rsa(ALICE, key.spki()).expect("readable");
    let again = again.expect("there");
    assert_eq!(again.key_id(), ALICE);
    let public = RsaPublicKey::from_der(key.spki()).expect("an RSA key");
    let signature = again.sign(b"a request").expect("a signature");
    assert!(public.verifies(b"a request", &signature));
    assert!(vault.rsa(BOB, key.spki()).expect("readable").is_none());
    assert!(vault.rsa(ALICE, b"another").expect("readable").is_none());
    let signer = vault.signer(ALICE);
    assert!(matches!(signer, Err(VaultError::Unusable { .. })));
    let ed25519 = vault.create_ed25519(ALICE);
    assert!(matches!(ed25519, Err(VaultError::Unusable { .. })));
    assert!(!dir.path().join("secret").exists());
}
