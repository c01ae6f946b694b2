//! What wins, and what is said of what is wrong.

use std::time::Duration;

use fedsx_store::engine::EngineKind;

use super::sections::minutes;
use super::*;

fn resolve(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join(FILE), file).expect("a file in it");
    let serve = Serve {
        set: set.iter().map(|set| (*set).to_owned()).collect(),
        ..Serve::default()
    };
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Config::resolve(dir.path(), environment, &serve).map_err(|error| {
        error
            .to_string()
            .replace(&dir.path().display().to_string(), "DIR")
    })
}

#[test]
fn later_sources_win() {
    let file = "[delivery]\nretry = [1, \"5m\"]\nper_host = 7\n[peers]\nttl = \"1h\"\n";
    let config = resolve(
        file,
        &[
            ("FEDSX_DELIVERY_PER_HOST", "8"),
            ("FEDSX_PEERS_TTL", "2h"),
            ("HOME", "/"),
        ],
        &["peers.ttl=3h"],
    )
    .expect("sound settings");
    assert_eq!(config.delivery.retry, [Duration::from_secs(1), minutes(5)]);
    assert_eq!(config.delivery.per_host, 8);
    assert_eq!(config.peers.ttl, minutes(180));
    assert_eq!(config.store, Store::default());
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let proxies = |file: &str, set: &[&str]| {
        let config = resolve(file, &[], set).expect("sound settings");
        config.server.trusted_proxies.show()
    };
    assert_eq!(proxies("", &[]), "127.0.0.0/8,::1/128");
    let listed = "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"2001:db8::1\"]\n";
    assert_eq!(proxies(listed, &[]), "10.0.0.0/8,2001:db8::1/128");
    assert_eq!(
        proxies(listed, &["server.trusted_proxies=192.0.2.1, ::1"]),
        "192.0.2.1/32,::1/128"
    );
    assert_eq!(proxies("", &["server.trusted_proxies="]), "");
    assert_eq!(proxies("[server]\ntrusted_proxies = []\n", &[]), "");
}

#[test]
fn a_missing_file_is_no_error_and_flags_win() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let serve = Serve {
        listen: Some("127.0.0.1:0".to_owned()),
        store: Some("memory".to_owned()),
        set: vec!["server.listen=127.0.0.1:1".to_owned()],
        ..Serve::default()
    };
    let config = Config::resolve(dir.path(), std::iter::empty(), &serve).expect("sound settings");
    assert_eq!(config.server.listen.port(), 0);
    assert_eq!(config.store.engine, Some(EngineKind::Memory));
}

#[test]
fn what_is_wrong_is_named_with_a_way_out() {
    let errors: Vec<String> = [
        resolve("[delivery]\nretyr = 1\n", &[], &[]),
        resolve("[delivry]\nretry = 1\n", &[], &[]),
        resolve("listen = 1\n", &[], &[]),
        resolve("[server]\nlisten = 8080\n", &[], &[]),
        resolve("[server]\nlisten = \n", &[], &[]),
        resolve("", &[("FEDSX_SERVER_LISTN", "x")], &[]),
        resolve("", &[("FEDSX_DELIVRY_RETRY", "1s")], &[]),
        resolve("", &[("FEDSX_STORE_ENGINE", "redb")], &[]),
        resolve("", &[], &["peers.ttl=soon"]),
        resolve("", &[], &["peers.ttl"]),
        resolve("", &[], &["color=red"]),
        resolve("", &[], &["server.url=http://a.example/path"]),
        resolve("", &[], &["delivery.per_host=0"]),
        resolve("", &[], &["store.segment_mib=5000"]),
        resolve("", &[], &["server.trusted_proxies=10.0.0.0/40"]),
        resolve("", &[], &["server.posts_burst=0"]),
    ]
    .into_iter()
    .map(|result| result.expect_err("wrong settings"))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_variable_of_another_program_is_left_alone() {
    let config = resolve("", &[("FEDSX_BIN", "x"), ("FEDSX_SMOKE_PORT", "1")], &[]);
    assert_eq!(config, Ok(Config::default()));
}

#[test]
fn the_page_of_settings_names_each_and_no_other() {
    let page = include_str!("../../../../docs/configuration.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let named: Vec<&str> = rows.collect();
    let known: Vec<&str> = SETTINGS.iter().map(|known| known.key).collect();
    assert_eq!(named, known);
}
