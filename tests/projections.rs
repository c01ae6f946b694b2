//! Projections of a whole instance: what is served after a kill is what was served before it.

use crate::harness::{Instance, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_changes_no_projection() {
    for engine in ["fjall", "memory"] {
        let setup = Setup {
            engine,
            ..Setup::default()
        };
        let mut instance = Instance::start_as(setup).await;
        instance.create(&["alice"]);
        let mut notes = Vec::new();
        for number in 0..10 {
            let cid = instance.post("alice", &format!("note {number}"));
            let entry = instance.json(["get", &cid]);
            let id = entry["document"]["object"]["id"]
                .as_str()
                .map(str::to_owned);
            notes.push(id.expect("the id of a note"));
        }
        let before = served(&instance, &notes).await;
        assert!(before[1].contains("note 1"), "{}", before[1]);

        instance.kill();
        instance.restart().await;
        assert_eq!(served(&instance, &notes).await, before);
        instance.post("alice", "once more");
        assert_eq!(served(&instance, &notes).await, before);

        let web = instance.web();
        assert_eq!(web.get("/projections/timeline").await.status, 401);
        assert_eq!(web.get("/projections/none").await.status, 404);
        assert_eq!(web.get("/projections/notes").await.status, 400);
        let list = web.get("/projections").await;
        let list = String::from_utf8(list.body).expect("text");
        assert!(
            list.contains("\"notes\"") && !list.contains("\"timeline\""),
            "{list}"
        );
    }
}

/// The state of each note, when everything is folded.
async fn served(instance: &Instance, notes: &[String]) -> Vec<String> {
    let (offset, _) = instance.state();
    let mut served = Vec::new();
    for id in notes {
        let path = format!("/projections/notes?key={id}&wait={offset}");
        let answer = instance.web().get(&path).await;
        let body = String::from_utf8(answer.body).expect("text");
        assert_eq!(answer.status, 200, "{body}");
        served.push(body);
    }
    served
}
