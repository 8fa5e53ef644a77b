//! Measures prefill and traced decoding of a model directory on one prompt of pictures.
//! `cargo run --release -p engine --example speed -- DIR [pictures] [tokens]`

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use attribution::event::TraceEvent;
use attribution::record::Stage;
use engine::{Device, Item, MediaItem, Model, ModelFiles, TraceOptions, TraceRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: speed DIR [pictures] [tokens]")?,
    );
    let pictures: usize = arguments.next().map_or(Ok(4), |n| n.parse())?;
    let max_new_tokens: u32 = arguments.next().map_or(Ok(128), |n| n.parse())?;
    let begin = Instant::now();
    let model = Model::load(&ModelFiles::Dir(dir), "measured", &Device::Cpu)?;
    println!("load      {:>8.1} ms", begin.elapsed().as_secs_f64() * 1e3);

    let pixels: Vec<u8> = (0..336 * 224 * 3).map(|i| (i * 31 % 253) as u8).collect();
    let bytes: Arc<[u8]> = Arc::from(media::encode::png(336, 224, &pixels)?);
    let file = MediaItem {
        name: "p.png".to_owned(),
        hash: String::new(),
        bytes,
    };
    let request = TraceRequest {
        prompt: "Describe the pictures.".to_owned(),
        items: vec![Item::Image(file); pictures],
        options: TraceOptions::at_most(max_new_tokens),
        ..TraceRequest::default()
    };
    let mut stages: Vec<(Stage, Instant)> = Vec::new();
    let outcome = engine::pipeline::trace(&model, &request, &mut |event| {
        if let TraceEvent::Progress { stage, .. } = event {
            match stages.last_mut() {
                Some((last, _)) if *last == stage => {}
                _ => stages.push((stage, Instant::now())),
            }
        }
        ControlFlow::Continue(())
    })?;
    let end = Instant::now();
    for (index, (stage, start)) in stages.iter().enumerate() {
        let until = stages.get(index + 1).map_or(end, |(_, next)| *next);
        println!(
            "{stage:<9?} {:>8.1} ms",
            (until - *start).as_secs_f64() * 1e3
        );
    }
    let tokens = outcome.generated_ids.len();
    if let Some((_, start)) = stages.last() {
        let secs = (end - *start).as_secs_f64();
        println!(
            "prompt {} tokens, answer {tokens} tokens: {:.2} ms a token, {:.0} tokens/s",
            outcome.input_ids.len(),
            secs * 1e3 / tokens.max(1) as f64,
            tokens as f64 / secs
        );
    }
    Ok(())
}
