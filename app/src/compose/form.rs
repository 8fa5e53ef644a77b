//! The form: fields, the drop zone, sending.

use leptos::html::{Input, Select, Textarea};
use leptos::prelude::*;
use web_sys::{File, FileList, FormData};

use super::draft::{DraftContent, Drafts};
use super::item::ItemRow;
use super::limits::Limits;
use super::options::{Chosen, OptionFields, Options};
use super::request::{Item, request_json};
use crate::data::ComposeView;
use crate::send::post_and_go;

const NO_SCRIPT: &str = "<p class=\"warning\">Composing needs JavaScript. Programs can send the same request to \
                         /api/traces; the examples can be read without.</p>";

/// The composer.
#[component]
pub fn Composer(
    /// Models, limits, queue.
    data: ComposeView,
) -> impl IntoView {
    let ComposeView { models, limits } = data;
    let limit_of = StoredValue::new(limits.clone());
    let drafts = Drafts::new();
    // The browser keeps these fields' values, also what was entered before the page came alive.
    let prompt = NodeRef::<Textarea>::new();
    let model_field = NodeRef::<Select>::new();
    let tokens = NodeRef::<Input>::new();
    let options = OptionFields::default();
    let chosen = models
        .iter()
        .find(|m| m.default)
        .or(models.first())
        .map(|m| m.name.clone())
        .unwrap_or_default();
    let model = RwSignal::new(chosen);
    let default_tokens = limits.max_new_tokens.min(128);
    let (error, set_error) = signal(None::<String>);
    let (share, set_share) = signal(None::<f64>);
    let over = RwSignal::new(false);
    let picker = NodeRef::<Input>::new();

    let add_files = move |files: Vec<File>| {
        set_error.set(None);
        // Every file gets its own verdict; one that is refused does not take the others with it.
        let refused: Vec<String> = files
            .into_iter()
            .filter_map(|file| {
                limit_of
                    .with_value(|limits| drafts.add_file(file, limits))
                    .err()
            })
            .collect();
        if !refused.is_empty() {
            set_error.set(Some(refused.join(" ")));
        }
    };
    let picked = move |_| {
        if let Some(input) = picker.get_untracked() {
            add_files(listed(input.files()));
            input.set_value("");
        }
    };
    let dropped = move |event: leptos::ev::DragEvent| {
        event.prevent_default();
        over.set(false);
        if let Some(transfer) = event.data_transfer() {
            let files = listed(transfer.files());
            if files.is_empty() {
                if let Some(text) = transfer
                    .get_data("text/plain")
                    .ok()
                    .filter(|text| !text.trim().is_empty())
                {
                    drafts.add_text(&text);
                }
            } else {
                add_files(files);
            }
        }
    };
    let pasted = move |event: web_sys::ClipboardEvent| {
        let files = listed(event.clipboard_data().and_then(|data| data.files()));
        // Pasted words go where the cursor is, as anywhere else.
        if !files.is_empty() {
            event.prevent_default();
            add_files(files);
        }
    };
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if share.get_untracked().is_some() {
            return;
        }
        let limits = limit_of.get_value();
        let instruction = prompt
            .get_untracked()
            .map(|field| field.value())
            .unwrap_or_default();
        let model = model_field
            .get_untracked()
            .map_or_else(|| model.get_untracked(), |field| field.value());
        let most = tokens
            .get_untracked()
            .and_then(|field| field.value().trim().parse().ok())
            .unwrap_or(0);
        match form_data(drafts, &instruction, &model, most, &options.read(), &limits) {
            Ok(form) => post_and_go("/api/traces", Some(form), set_share, set_error),
            Err(sentence) => set_error.set(Some(sentence)),
        }
    };
    let sending = move || share.get().is_some();
    let abouts = models.clone();
    let about = move || {
        let name = model.get();
        abouts
            .iter()
            .find(|m| m.name == name)
            .map(|m| m.about.clone())
            .unwrap_or_default()
    };
    view! {
        <noscript inner_html=NO_SCRIPT></noscript>
        <div class="compose-grid">
            <form
                on:submit=submit
                on:paste=pasted
                on:dragover=move |event| { event.prevent_default(); over.set(true) }
                on:dragleave=move |_| over.set(false)
                on:drop=dropped
                class:over=move || over.get()
                aria-busy=move || sending().to_string()
            >
                <label class="field">
                    <span>"Instruction"</span>
                    <textarea node_ref=prompt rows="2" placeholder="What shall the model do?"></textarea>
                </label>
                <fieldset class="field">
                    <legend>"Content, in reading order"</legend>
                    <ol class="items">
                        <For each=move || drafts.items.get() key=|draft| draft.key children=move |draft| view! { <ItemRow draft drafts/> }/>
                    </ol>
                    <div class="drop">
                        <label class="button small">
                            "Add pictures, sounds or films"
                            <input node_ref=picker class="sr" type="file" multiple accept="image/*,audio/*,video/*" on:change=picked/>
                        </label>
                        <button type="button" class="button small" on:click=move |_| drafts.add_text("")>"Add text"</button>
                        <span class="soft">"or drop or paste files anywhere here"</span>
                    </div>
                </fieldset>
                <div class="row">
                    <label class="field">
                        <span>"Model"</span>
                        <select node_ref=model_field on:change=move |event| model.set(event_target_value(&event))>
                            {models.into_iter().map(|m| view! { <option value=m.name.clone() selected=m.default>{m.name.clone()}</option> }).collect_view()}
                        </select>
                    </label>
                    <label class="field short">
                        <span>"Tokens at most"</span>
                        <input node_ref=tokens type="number" min="1" max=limits.max_new_tokens.to_string() value=default_tokens.to_string()/>
                    </label>
                </div>
                                <p class="soft">{about}</p>
                <Options fields=options/>
                {move || error.get().map(|sentence| view! { <p class="error" role="alert">{sentence}</p> })}
                {move || share.get().map(|part| view! {
                    <div class="upload">
                        <progress max="1" value=format!("{part:.3}") aria-label="Upload"></progress>
                        <span role="status">{if part < 1.0 { format!("Uploading, {:.0} %", part * 100.0) } else { "Uploaded. Waiting for the server …".to_owned() }}</span>
                    </div>
                })}
                <button type="submit" class="button primary" disabled=sending>"Trace it"</button>
            </form>
            <Limits limits/>
        </div>
    }
    .into_any()
}

fn listed(files: Option<FileList>) -> Vec<File> {
    let Some(files) = files else {
        return Vec::new();
    };
    (0..files.length()).filter_map(|k| files.get(k)).collect()
}

/// The multipart body, or the sentence that says what is missing.
fn form_data(
    drafts: Drafts,
    prompt: &str,
    model: &str,
    max_new_tokens: u32,
    chosen: &Chosen,
    limits: &crate::data::LimitsView,
) -> Result<FormData, String> {
    let refuse =
        |_| "The request could not be put together. Remove the last file and try again.".to_owned();
    let form = FormData::new().map_err(refuse)?;
    let mut items = Vec::new();
    let mut bytes_in_all = 0;
    for draft in drafts
        .items
        .get_untracked()
        .into_iter()
        .filter(|draft| !draft.is_empty())
    {
        match draft.content {
            DraftContent::Text(text) => items.push(Item::Text(text.get_untracked())),
            DraftContent::Media {
                file,
                modality,
                name,
                bytes,
                ..
            } => {
                let part = format!("part{}", items.len());
                file.with_value(|file| form.append_with_blob_and_filename(&part, file, &name))
                    .map_err(refuse)?;
                items.push(Item::Part(modality, part));
                bytes_in_all += bytes;
            }
        }
    }
    if items.is_empty() && prompt.trim().is_empty() {
        return Err(
            "There is nothing to trace yet. Write an instruction, or add a text or a file."
                .to_owned(),
        );
    }
    if items.len() > limits.max_items as usize {
        return Err(format!(
            "There are {} items, {} are the limit. Remove some.",
            items.len(),
            limits.max_items
        ));
    }
    if bytes_in_all > limits.max_request_bytes {
        let (all, most) = (
            super::draft::size(bytes_in_all),
            super::draft::size(limits.max_request_bytes),
        );
        return Err(format!(
            "The files have {all} together, {most} are the limit. Remove some or make them smaller."
        ));
    }
    if max_new_tokens == 0 || max_new_tokens > limits.max_new_tokens {
        return Err(format!(
            "Between 1 and {} tokens can be written. Change “Tokens at most”.",
            limits.max_new_tokens
        ));
    }
    let mut options = chosen.options()?;
    options.insert("model".to_owned(), model.into());
    options.insert("max_new_tokens".to_owned(), max_new_tokens.into());
    let json = request_json(prompt, &items, &chosen.system, options).to_string();
    form.append_with_str("request", &json).map_err(refuse)?;
    Ok(form)
}
