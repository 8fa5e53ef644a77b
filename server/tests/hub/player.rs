//! A hub that is played by a thread: files of a fixture under the hub's addresses, slow where a test wants it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::json;

pub const ID: &str = "Qwen/Random-Omni";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const TOKEN: &str = "hf_secret";

/// The fixture in five shards, and what a released model has besides.
pub fn repository(family: &str) -> BTreeMap<String, Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let fixture = fixtures.join(family).join("checkpoint");
    let read = |name: &str| std::fs::read(fixture.join(name)).unwrap();
    let mut files = BTreeMap::new();
    for name in [
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
    ] {
        files.insert(name.to_owned(), read(name));
    }
    let shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    .map(read);
    let opened = shards
        .each_ref()
        .map(|shard| SafeTensors::deserialize(shard).unwrap());
    let tensors: Vec<(String, TensorView<'_>)> =
        opened.iter().flat_map(SafeTensors::tensors).collect();
    let mut map = serde_json::Map::new();
    for (k, part) in tensors.chunks(tensors.len().div_ceil(5)).enumerate() {
        let name = format!("model-0000{}-of-00006.safetensors", k + 1);
        for (tensor, _) in part {
            map.insert(tensor.clone(), name.clone().into());
        }
        let part = part.iter().map(|(tensor, view)| (tensor.as_str(), view));
        files.insert(name, safetensors::serialize(part, None).unwrap());
    }
    for tensor in [
        "talker.codec_head.weight",
        "token2wav.code2wav_dit_model.x",
        "tts.emb_text.weight",
    ] {
        map.insert(tensor.to_owned(), "model-00006-of-00006.safetensors".into());
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    files.insert(
        "model.safetensors.index.json".into(),
        serde_json::to_vec(&index).unwrap(),
    );
    files.insert(
        "model-00006-of-00006.safetensors".into(),
        b"nobody reads this".to_vec(),
    );
    files.insert("spk_dict.pt".into(), b"a pickle".to_vec());
    files
}

/// One request: path, range, token.
type Asked = (String, Option<String>, Option<String>);

/// A hub on a port of its own.
pub struct Hub {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    weights: Arc<Gate>,
}

/// Whether weights are given out, or whoever asks for them waits.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Hub {
    pub fn open(files: BTreeMap<String, Vec<u8>>) -> Self {
        let hub = Self::without_weights(files);
        hub.give_weights();
        hub
    }

    /// One whose weights do not come before [`Self::give_weights`].
    pub fn without_weights(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let weights = Arc::new(Gate::default());
        let (log, own, gate) = (asked.clone(), url.clone(), weights.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away is its own business.
                let _ = answer(stream, &files, &own, &log, &gate);
            }
        });
        Self {
            url,
            asked,
            weights,
        }
    }

    pub fn give_weights(&self) {
        self.weights.open();
    }

    /// The names that were asked for since the last call.
    pub fn files_asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let mut names: Vec<String> = asked
            .into_iter()
            .map(|(path, ..)| path.rsplit('/').next().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Like the hub: small files at once, large ones by way of another address; a range always.
fn answer(
    mut stream: TcpStream,
    files: &BTreeMap<String, Vec<u8>>,
    own: &str,
    log: &Mutex<Vec<Asked>>,
    gate: &Gate,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok);
    let path = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let token = headers.get("authorization").cloned();
    log.lock()
        .unwrap()
        .push((path.clone(), headers.get("range").cloned(), token.clone()));
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut say = |head: &str, body: &[u8]| {
        let common = format!("x-repo-commit: {COMMIT}\r\netag: \"e-{name}\"\r\nconnection: close");
        write!(
            stream,
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\n{common}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)
    };
    if token.as_deref() != Some(&format!("Bearer {TOKEN}")) && !path.starts_with("/cdn/") {
        return say("401 Unauthorized", b"");
    }
    let known = path.starts_with(&format!("/{ID}/resolve/main/")) || path.starts_with("/cdn/");
    let Some(content) = files.get(&name).filter(|_| known) else {
        return say("404 Not Found", b"");
    };
    if name.ends_with(".safetensors") && !path.starts_with("/cdn/") {
        return say(
            &format!("302 Found\r\nlocation: {own}/cdn/{name}\r\nx-linked-etag: \"e-{name}\""),
            b"",
        );
    }
    if name.ends_with(".safetensors") {
        gate.pass();
    }
    let range = headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (first, last) = range.unwrap_or(("0", ""));
    let first: usize = first.parse().unwrap();
    let end = last
        .parse::<usize>()
        .map_or(content.len(), |last| (last + 1).min(content.len()));
    let head = format!(
        "206 Partial Content\r\ncontent-range: bytes {first}-{}/{}",
        end - 1,
        content.len()
    );
    say(&head, &content[first..end])
}

/// The program, without what this machine says of hubs and proxies.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnitrace"));
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "HF_HUB_CACHE",
        "HF_TOKEN",
    ] {
        command.env_remove(name);
    }
    command
}
