//! `/privacy`: what is kept, by whom it can be seen and when it goes, told from the policy that this server runs with.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::components::A;

use crate::data::{PolicyView, lent};

/// `/privacy`.
#[component]
pub fn Privacy() -> impl IntoView {
    let policy = lent().map(|lent| lent.policy()).unwrap_or_default();
    let contact = policy.contact.clone().map_or_else(
        || "Whoever gave you the address of this server runs it. A trace can be reported to them: each has a link for it.".to_owned(),
        |contact| format!("Whoever runs this server can be reached: {contact}. A trace can be reported to them: each has a link for it."),
    );
    view! {
        <Title text="Privacy"/>
        <article class="prose">
            <p class="eyebrow">"Privacy"</p>
            <h1>"What is kept here, and when it goes"</h1>
            <h2>"Your question, your files, the trace"</h2>
            <ul>
                <li>"They are stored on this server, and every word, picture and sound of them can be seen by everyone who has the trace's link. Links cannot be guessed, are listed nowhere, and search engines are told to leave them alone."</li>
                <li>"Places, dates, cameras and comments noted in JPEG, PNG, WebP, GIF, MP3, WAV, FLAC, Ogg, Opus, AVI, MP4, QuickTime, WebM and Matroska files are removed before the file is stored. Other formats, and tracks of positions within a film, keep theirs."</li>
                {sentences(&policy).into_iter().map(|sentence| view! { <li>{sentence}</li> }).collect_view()}
                <li>"Whoever sent a trace can delete it at any time: the delete link is shown once, under Share, in the browser that sent it. What is deleted is overwritten in the database, its files are removed, and only copies made before, such as backups, outlive it."</li>
            </ul>
            <h2>"You"</h2>
            <ul>
                <li>"There is no account, no analytics, and no page loads anything from another server."</li>
                <li>"The server's log holds ids, times and errors: no words of a question, no file names, no media, no addresses."</li>
                <li>"Your browser keeps the delete links of your traces; until it is closed, a random cookie by which the server counts how many traces one browser has waiting; the invitation, if you came by one; and, if you choose light or dark, a cookie that says so. The address you come from is known to the server while a trace of yours waits or runs, and is written down nowhere."</li>
            </ul>
            <h2>"Whom to ask"</h2>
            <p>{contact} " " <A href="/about">"How to read a trace"</A></p>
        </article>
    }
    .into_any()
}

/// What the policy says, in sentences; all of it, and nothing that is not so.
fn sentences(policy: &PolicyView) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(minutes) = policy.unshared_minutes {
        said.push(format!(
            "A trace that nobody has shared (with the Share button) is deleted with its files {} after it has ended.",
            counted(minutes, "minute")
        ));
    }
    said.push(match policy.keep_days {
        Some(days) => format!(
            "Every trace is deleted with its files {} after it was sent, shared or not.",
            counted(days, "day")
        ),
        None if policy.unshared_minutes.is_some() => {
            "A shared trace stays until someone deletes it.".to_owned()
        }
        None => "A trace stays until someone deletes it.".to_owned(),
    });
    if let Some(bytes) = policy.disk_quota_bytes {
        said.push(format!(
            "Traces and files may take {:.1} GB together. When that is full, old and large traces are deleted before their time, shared ones last.",
            bytes as f64 / 1e9
        ));
    }
    said
}

fn counted(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_are_those_of_the_policy() {
        let open = sentences(&PolicyView::default());
        assert_eq!(open, ["A trace stays until someone deletes it."]);
        let strict = sentences(&PolicyView {
            keep_days: Some(1),
            unshared_minutes: Some(15),
            disk_quota_bytes: Some(20_000_000_000),
            contact: None,
        });
        assert_eq!(strict.len(), 3);
        assert!(
            strict[0].contains("15 minutes")
                && strict[1].contains("1 day after")
                && strict[2].contains("20.0 GB")
        );
    }
}
