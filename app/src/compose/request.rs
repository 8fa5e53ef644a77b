//! The request as the API takes it.
//! In: the form's fields. Out: JSON in the sample form, with media naming the multipart fields.

use attribution::record::Modality;
use serde_json::{Map, Value, json};

/// One item of the question: its text, or the name of its part.
pub enum Item {
    /// Typed.
    Text(String),
    /// A part.
    Part(Modality, String),
}

/// The JSON of the field `request`.
pub fn request_json(
    prompt: &str,
    items: &[Item],
    system: &str,
    options: Map<String, Value>,
) -> Value {
    let question: Vec<Value> = items
        .iter()
        .map(|item| {
            let (key, value) = match item {
                Item::Text(text) => ("text", text),
                Item::Part(Modality::Text, name) => ("text", name),
                Item::Part(Modality::Image, name) => ("image", name),
                Item::Part(Modality::Audio, name) => ("audio", name),
                Item::Part(Modality::Video, name) => ("video", name),
            };
            Value::Object(Map::from_iter([(
                key.to_owned(),
                Value::String(value.clone()),
            )]))
        })
        .collect();
    let mut request = json!({ "prompt": prompt, "question": question, "options": options });
    if !system.trim().is_empty() {
        request["system"] = system.into();
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_keeps_the_order_of_items() {
        let items = [
            Item::Part(Modality::Image, "part0".to_owned()),
            Item::Text("and \"this\"".to_owned()),
            Item::Part(Modality::Video, "part1".to_owned()),
        ];
        let options = json!({"model": "tiny-omni", "max_new_tokens": 64});
        let options = options.as_object().cloned().unwrap_or_default();
        let told = request_json("", &[], "Be short.", Map::new());
        assert_eq!(
            told,
            json!({"prompt": "", "question": [], "options": {}, "system": "Be short."})
        );
        assert_eq!(
            request_json("What?", &items, " ", options.clone()),
            json!({
                "prompt": "What?",
                "question": [{"image": "part0"}, {"text": "and \"this\""}, {"video": "part1"}],
                "options": {"model": "tiny-omni", "max_new_tokens": 64}
            })
        );
    }
}
