//! How to read a trace, what it cannot tell, and what is kept.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::components::A;

/// `/about`.
#[component]
pub fn About() -> impl IntoView {
    view! {
        <Title text="About"/>
        <article class="prose">
            <p class="eyebrow">"About"</p>
            <h1>"How to read a trace"</h1>
            <p class="lead">
                "A model writes an answer from words, pictures, sound and film. While it writes, OmniTrace watches where every \
                 token's attention goes. Tokens vote for the pieces they drew on, votes are gathered per sentence, and the few \
                 pieces that carry most of them become the sentence's sources."
            </p>
            <dl class="legend">
                <div data-modality="text"><dt>"T3"</dt><dd>"the third sentence of the typed text"</dd></div>
                <div data-modality="image"><dt>"Image 2 · upper left"</dt><dd>"a picture, and the part of it with most weight"</dd></div>
                <div data-modality="audio"><dt>"0:04–0:07"</dt><dd>"seconds of a sound; press Space on the sentence to hear them"</dd></div>
                <div data-modality="video"><dt>"0:02–0:04"</dt><dd>"seconds of a film, seen, heard or both"</dd></div>
                <div><dt>"no source found"</dt><dd>"nothing stood out. That is said, never guessed over."</dd></div>
            </dl>
            <h2>"Keys"</h2>
            <dl class="keys">
                <div><dt><kbd>"Tab"</kbd></dt><dd>"to the sentences and the cited sources"</dd></div>
                <div><dt><kbd>"↑"</kbd> <kbd>"↓"</kbd> <kbd>"←"</kbd> <kbd>"→"</kbd></dt><dd>"the sentence or the piece before and after"</dd></div>
                <div><dt><kbd>"Enter"</kbd></dt><dd>"pin, so that the highlight stays"</dd></div>
                <div><dt><kbd>"Space"</kbd></dt><dd>"play the cited seconds"</dd></div>
                <div><dt><kbd>"Esc"</kbd></dt><dd>"let go"</dd></div>
            </dl>
            <h2>"What it cannot tell"</h2>
            <ul>
                <li>"Attention says where the model looked while it wrote. It does not prove that the answer would be different without that piece."</li>
                <li>"A cited source can be right and the sentence still wrong: the model may have misread what it looked at."</li>
                <li>"The small model that comes with OmniTrace lives in a synthetic world of coloured shapes, a dozen sounds, short dialogues and a small spoken vocabulary. It answers other input too, but do not expect sense."</li>
                <li>"The signals can disagree. Switch between them under the answer, or compare them side by side, and trust what stays. “Prove it” takes the cited pieces away and scores the sentence again."</li>
            </ul>
            <h2>"What is kept"</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="What is kept">
                <table>
                    <thead><tr><th scope="col">"What"</th><th scope="col">"Where"</th><th scope="col">"How long"</th></tr></thead>
                    <tbody>
                        <tr><th scope="row">"Prompt, files and trace"</th><td>"on this server, for everyone who has the link"</td><td>"until someone opens its delete link, or as long as "<A href="/privacy">"this server's policy"</A>" says; the link is shown once, under Share, in the browser that sent it"</td></tr>
                        <tr><th scope="row">"Delete links of your traces"</th><td>"in your browser; the server keeps a hash"</td><td>"until you clear the browser's data"</td></tr>
                        <tr><th scope="row">"Light or dark"</th><td>"a cookie in your browser, only if you choose"</td><td>"a year"</td></tr>
                        <tr><th scope="row">"Anything about you"</th><td>"nowhere: no account, no analytics, no request to third parties"</td><td>"–"</td></tr>
                    </tbody>
                </table>
            </div>
            <p>"Do not upload what should not be seen by others. " <A href="/new">"Start a trace"</A> " or " <A href="/">"go back to the examples"</A> "."</p>
        </article>
    }
    .into_any()
}
