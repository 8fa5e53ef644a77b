//! Models by id, from a hub that is played by a thread: what is asked for, what never is, and what is said when it fails.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

mod player;
mod slow;

use std::process::Output;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use player::{COMMIT, Hub, ID, TOKEN, repository};

struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        let sample = json!([{"prompt": "Which is older?", "options": {"max_new_tokens": 4}}]);
        std::fs::write(dir.path().join("q.json"), sample.to_string()).unwrap();
        Self { dir }
    }

    fn trace(&self, model: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = player::program();
        command
            .current_dir(self.dir.path())
            .args([
                "trace",
                "--questions-path",
                "q.json",
                "--output-path",
                "out.json",
                "--model",
                model,
            ])
            .env("HF_HOME", self.dir.path().join("home"))
            .env("NO_PROXY", "*")
            .envs(variables.iter().copied())
            .output()
            .expect("the program runs")
    }

    fn traced(&self, model: &str, variables: &[(&str, &str)]) -> Value {
        let output = self.trace(model, variables);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&std::fs::read(self.dir.path().join("out.json")).unwrap()).unwrap()
    }

    fn refused(&self, model: &str, variables: &[(&str, &str)]) -> String {
        let output = self.trace(model, variables);
        assert!(!output.status.success(), "{model} should be refused");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_model_is_fetched_once_without_what_is_never_read() {
    let (hub, desk) = (Hub::open(repository("qwen")), Desk::new());
    let online = [("HF_ENDPOINT", hub.url.as_str()), ("HF_TOKEN", TOKEN)];
    let record = desk.traced(ID, &online);
    assert_eq!(record[0]["trace"]["receipt"]["model"], ID);
    assert_eq!(record[0]["trace"]["receipt"]["dtype"], "f32");
    let asked = hub.files_asked();
    let expected = [
        "config.json",
        "generation_config.json",
        "model-00001-of-00006.safetensors",
        "model-00002-of-00006.safetensors",
        "model-00003-of-00006.safetensors",
        "model-00004-of-00006.safetensors",
        "model-00005-of-00006.safetensors",
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "tokenizer.json",
    ];
    assert_eq!(asked, expected);

    // The cache is in the hub's own layout, and is enough from now on.
    let repo = desk.dir.path().join("home/hub/models--Qwen--Random-Omni");
    assert_eq!(
        std::fs::read_to_string(repo.join("refs/main")).unwrap(),
        COMMIT
    );
    let again = desk.traced(
        ID,
        &[
            ("HF_HUB_OFFLINE", "1"),
            ("HF_ENDPOINT", "http://127.0.0.1:9"),
        ],
    );
    assert_eq!(again[0]["response"], record[0]["response"]);
    assert!(hub.files_asked().is_empty());

    // The same weights from a directory, the unread files broken; and in half the bytes.
    let snapshot = repo.join("snapshots").join(COMMIT);
    std::fs::write(snapshot.join("model-00006-of-00006.safetensors"), "broken").unwrap();
    std::fs::write(snapshot.join("spk_dict.pt"), "a pickle").unwrap();
    let local = desk.traced(snapshot.to_str().unwrap(), &[]);
    assert_eq!(local[0]["response"], record[0]["response"]);
    assert_eq!(
        local[0]["trace"]["receipt"]["model_hash"],
        record[0]["trace"]["receipt"]["model_hash"]
    );
    let half = desk.traced(ID, &[("OMNITRACE_DTYPE", "bf16"), ("HF_HUB_OFFLINE", "1")]);
    assert_eq!(half[0]["trace"]["receipt"]["dtype"], "bf16");

    // A shard that is lost is fetched again, alone.
    std::fs::remove_file(snapshot.join("model-00003-of-00006.safetensors")).unwrap();
    let offline = desk.refused(ID, &[("HF_HUB_OFFLINE", "1")]);
    assert!(
        offline.contains("model-00003-of-00006.safetensors") && offline.contains("HF_HUB_OFFLINE"),
        "{offline}"
    );
    let local = desk.refused(snapshot.to_str().unwrap(), &[]);
    assert!(
        local.contains("model-00003-of-00006.safetensors") && local.contains("missing"),
        "{local}"
    );
    desk.traced(ID, &online);
    assert_eq!(hub.files_asked(), ["model-00003-of-00006.safetensors"]);
}

#[test]
fn the_other_family_is_fetched_without_its_voice_too() {
    let (hub, desk) = (Hub::open(repository("minicpm")), Desk::new());
    let online = [("HF_ENDPOINT", hub.url.as_str()), ("HF_TOKEN", TOKEN)];
    let record = desk.traced(ID, &online);
    assert_eq!(record[0]["trace"]["receipt"]["model"], ID);
    assert!(
        record[0]["trace"]["receipt"]["prompt_tokens"]
            .as_u64()
            .unwrap()
            > 9
    );
    let asked = hub.files_asked();
    assert!(asked.contains(&"model-00005-of-00006.safetensors".to_owned()));
    assert!(!asked.contains(&"model-00006-of-00006.safetensors".to_owned()));
}

#[test]
fn what_the_hub_refuses_is_said() {
    let mut files = repository("qwen");
    files.remove("model-00002-of-00006.safetensors");
    let (hub, desk) = (Hub::open(files), Desk::new());
    let endpoint = ("HF_ENDPOINT", hub.url.as_str());
    let denied = desk.refused(ID, &[endpoint]);
    assert!(
        denied.contains("token") && denied.contains("config.json") && denied.contains(ID),
        "{denied}"
    );
    // The token file of `hf auth login` serves as well as the variable.
    std::fs::create_dir_all(desk.dir.path().join("home")).unwrap();
    std::fs::write(desk.dir.path().join("home/token"), format!("{TOKEN}\n")).unwrap();
    let gap = desk.refused(ID, &[endpoint]);
    assert!(
        gap.contains("has no model-00002-of-00006.safetensors"),
        "{gap}"
    );
    let unknown = desk.refused("Qwen/Nothing", &[endpoint]);
    assert!(
        unknown.contains("Qwen/Nothing") && unknown.contains("config.json"),
        "{unknown}"
    );
    let unreachable = desk.refused("Qwen/Nothing", &[("HF_ENDPOINT", "http://127.0.0.1:9")]);
    assert!(
        unreachable.contains("could not be downloaded") && unreachable.contains("127.0.0.1:9"),
        "{unreachable}"
    );
    let path = desk.refused("no/such/path", &[]);
    assert!(path.contains("neither a directory"), "{path}");
}
