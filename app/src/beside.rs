//! What stands below a trace, written by the server alone: truth against trace, and the traces that leave sources out.
//! In: what the server compared. Out: HTML that needs no script; boot.js brings it in once a live trace has ended.

use attribution::metrics::Score;
use attribution::record::Rect;
use leptos::prelude::*;

use crate::data::lent;
use crate::media::media_url;
use crate::trace::Waveform;

/// A trace held against what is true of its sample.
#[derive(Debug, Clone, PartialEq)]
pub struct TruthView {
    /// Whether the answer as a whole is right.
    pub answered: bool,
    /// How the right answer ends, for questions with options.
    pub expected_last: Option<String>,
    /// How many of its sentences are, word for word.
    pub right: usize,
    /// One per sentence of the answer.
    pub rows: Vec<Row>,
    /// Expected sentences that were not written.
    pub missing: Vec<String>,
    /// Over the right sentences; none where there is none.
    pub mean: Option<Score>,
    /// Where the sample can be changed, for composed ones.
    pub compose: Option<String>,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As written.
    pub sentence: String,
    /// What should stand there, where it is wrong.
    pub expected: Option<String>,
    /// Whether it is right, word for word.
    pub right: bool,
    /// Lines of text that are true or cited.
    pub lines: Vec<Mark>,
    /// Pictures that are true or cited.
    pub pictures: Vec<Picture>,
    /// Seconds that are true or cited.
    pub time: Option<TimeLine>,
    /// True sources in words.
    pub said_true: String,
    /// Cited sources in words.
    pub said_cited: String,
    /// Only of right sentences.
    pub scores: Vec<Scored>,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The line.
    pub text: String,
    /// By the trace.
    pub cited: bool,
    /// In truth.
    pub truth: bool,
}

/// A picture with the places in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// "Image 2".
    pub label: String,
    /// Content hash.
    pub media: String,
    /// Columns.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
    /// By the trace.
    pub cited: bool,
    /// In truth.
    pub truth: bool,
    /// Boxes of the heat map.
    pub cited_places: Vec<Rect>,
    /// What was drawn there.
    pub true_places: Vec<Rect>,
}

/// A sound or film from its begin to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeLine {
    /// Its length.
    pub duration_secs: f64,
    /// The same for a clock.
    pub end: String,
    /// Of the waveform, 0..=255.
    pub peaks: Vec<u8>,
    /// By the trace.
    pub cited: Vec<(f64, f64)>,
    /// In truth.
    pub truth: Vec<(f64, f64)>,
}

/// A score and what of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// "pictures", "seconds", ...
    pub kind: &'static str,
    /// Precision, recall, F1.
    pub score: Score,
}

/// A trace's kin: the one that it repeats, and those that repeat it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The parent, and whether it is still there.
    pub parent: Option<(String, bool)>,
    /// What this trace leaves out of it.
    pub left_out: Vec<String>,
    /// What may be left out next: index and name of each source.
    pub sources: Vec<(u32, String)>,
    /// Traces that repeat this one.
    pub children: Vec<ChildView>,
}

/// A trace that repeats another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildView {
    /// Its id.
    pub id: String,
    /// What it leaves out.
    pub left_out: Vec<String>,
    /// Its answer, or where it stands.
    pub answer: String,
    /// Whether that is its parent's answer, word for word.
    pub same: bool,
}

/// Everything below a trace.
#[component]
pub fn Beside(
    /// Whose.
    id: String,
    /// Whether there is a record; if not, boot.js asks again when there is.
    finished: bool,
) -> impl IntoView {
    let lent = lent();
    let truth = lent.as_ref().and_then(|lent| lent.truth(&id));
    let lineage = lent.map(|lent| lent.lineage(&id)).unwrap_or_default();
    view! {
        <div id="beside" class="beside" data-late=(!finished).then_some("")>
            {parent(&id, &lineage)}
            {truth.map(|truth| view! { <Truth truth/> })}
            {finished.then(|| children(&id, &lineage))}
        </div>
    }
    .into_any()
}

fn parent(own: &str, lineage: &Lineage) -> Option<AnyView> {
    let own = own.to_owned();
    let (id, there) = lineage.parent.clone()?;
    let what = listed(&lineage.left_out);
    Some(view! {
        <section class="kin" aria-labelledby="kin-parent">
            <h2 id="kin-parent">{format!("Answered without {what}")}</h2>
            <p>
                "This repeats "
                {match there {
                    true => view! { <a href=format!("/t/{id}") data-parent="">"another trace"</a> }.into_any(),
                    false => view! { "another trace, which was deleted since" }.into_any(),
                }}
                ". What is left out was masked while the model read and wrote: it could not look there, and everything else kept its \
                 place. Pictures and sounds were encoded whole before that, so that a neighbouring second may still carry a trace of what is missing."
                {there.then(|| view! { " " <a href=format!("/compare/{id}/{own}")>"Side by side"</a> "." })}
            </p>
        </section>
    }
    .into_any())
}

fn children(id: &str, lineage: &Lineage) -> impl IntoView + use<> {
    let buttons = lineage.sources.iter().map(|(source, name)| {
        view! {
            <form method="post" action=format!("/api/traces/{id}/without?source={source}") data-posts="Sending …">
                <button type="submit" class="button small" data-leave-out=source.to_string()><span>{format!("without {name}")}</span></button>
            </form>
        }
    });
    let children = lineage.children.iter().map(|child| {
        view! {
            <li>
                <a href=format!("/t/{}", child.id) data-child=child.id.clone()>{format!("Without {}", listed(&child.left_out))}</a>
                <q>{child.answer.clone()}</q>
                {child.same.then(|| view! { <span class="soft">"word for word the same"</span> })}
            </li>
        }
    });
    view! {
        <section class="kin" aria-labelledby="kin-children">
            <h2 id="kin-children">"Answer it again"</h2>
            <p class="soft">"The same question as a trace of its own, with one source masked. Single sentences have the same button under “Prove it”."</p>
            <div class="kin-do">{buttons.collect_view()}</div>
            {(!lineage.children.is_empty()).then(|| view! { <ul class="kin-list">{children.collect_view()}</ul> })}
        </section>
    }
}

/// "a, b and c".
fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] if names.len() <= 6 => format!("{} and {last}", most.join(", ")),
        _ => format!("{} pieces", names.len()),
    }
}

#[component]
fn Truth(truth: TruthView) -> impl IntoView {
    let count = truth.rows.len();
    let verdict = match (
        truth.answered,
        truth.right == count && truth.missing.is_empty(),
    ) {
        (true, true) => "The answer is right, word for word.".to_owned(),
        (true, false) => format!(
            "The answer is right; {} of its {count} sentences are, word for word.",
            truth.right
        ),
        (false, _) => format!(
            "The answer is wrong; {} of its {count} sentences are right.",
            truth.right
        ),
    };
    let expected = truth.expected_last.clone().filter(|_| !truth.answered);
    let answered = truth.answered;
    view! {
        <section class="truth" aria-labelledby="truth" data-truth="">
            <h2 id="truth">"Truth against trace"</h2>
            <p>
                "The model does not know what was drawn where and heard when; this page does. "
                <b class="is-true key">"true"</b> " outlines what a sentence really rests on, "
                <b class="is-cited key">"cited"</b> " what the trace found while the sentence was written."
            </p>
            <p class="truth-verdict" data-right=answered.to_string()>
                {verdict}
                {expected.map(|own| view! { " The truth: “" {own} "”" })}
            </p>
            <ol class="truth-rows">{truth.rows.into_iter().map(|row| view! { <TruthRow row/> }).collect_view()}</ol>
            {(!truth.missing.is_empty()).then(|| view! {
                <p class="truth-missing">"Not said: " {truth.missing.iter().map(|own| format!("“{own}”")).collect::<Vec<_>>().join(" ")}</p>
            })}
            {truth.mean.map(|mean| view! {
                <p class="truth-mean" data-mean=format!("{:.3}", mean.f1)>
                    "Over the right sentences: precision " <b>{percent(mean.precision)}</b> ", recall " <b>{percent(mean.recall)}</b> ", F1 " <b>{percent(mean.f1)}</b>
                    <span class="soft">" (lines and pictures by number, places by area, time by the second)"</span>
                </p>
            })}
            {truth.compose.map(|to| view! { <p><a class="button" href=to data-compose-again="">"Change the sample and ask again"</a></p> })}
        </section>
    }
    .into_any()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[component]
fn TruthRow(row: Row) -> impl IntoView {
    let state = if row.right { "right" } else { "wrong" };
    let numbers = row.scores.iter().map(|own| {
        let Score {
            precision,
            recall,
            f1,
        } = own.score;
        view! {
            <tr><th scope="row">{own.kind}</th><td>{percent(precision)}</td><td>{percent(recall)}</td><td><b>{percent(f1)}</b></td></tr>
        }
    });
    let numbers = numbers.collect_view();
    let wrong = !row.right;
    view! {
        <li class="truth-row" data-row=state>
            <p class="truth-says">
                {wrong.then(|| view! { <b class="flag">"wrong"</b> " " })}
                {row.sentence}
            </p>
            {row.expected.map(|own| view! { <p class="truth-expected">"The truth: “" {own} "”"</p> })}
            <div class="truth-seen">
                {row.lines.into_iter().map(|own| view! {
                    <q class="truth-line" class:is-true=own.truth class:is-cited=own.cited>{own.text}</q>
                }).collect_view()}
                {row.pictures.into_iter().map(picture).collect_view()}
                {row.time.map(time_line)}
            </div>
            <dl class="truth-words">
                <div><dt class="is-true">"true"</dt><dd>{row.said_true}</dd></div>
                <div><dt class="is-cited">"cited"</dt><dd>{row.said_cited}</dd></div>
            </dl>
            {match wrong {
                true => view! { <p class="soft">"Not scored: a wrong sentence may rest on other things than the right one."</p> }.into_any(),
                false => view! {
                    <table class="truth-scores">
                        <thead><tr><td></td><th scope="col">"precision"</th><th scope="col">"recall"</th><th scope="col">"F1"</th></tr></thead>
                        <tbody>{numbers}</tbody>
                    </table>
                }.into_any(),
            }}
        </li>
    }
    .into_any()
}

fn picture(own: Picture) -> AnyView {
    let place = |class: &'static str| {
        move |rect: &Rect| {
            let style = format!(
                "left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%",
                rect.x0 * 100.0,
                rect.y0 * 100.0,
                (rect.x1 - rect.x0) * 100.0,
                (rect.y1 - rect.y0) * 100.0
            );
            view! { <i class=class style=style></i> }
        }
    };
    let truth = own.true_places.iter().map(place("is-true")).collect_view();
    let cited = own
        .cited_places
        .iter()
        .map(place("is-cited"))
        .collect_view();
    view! {
        <span class="truth-pic" class:is-true=own.truth class:is-cited=own.cited aria-hidden="true">
            <img src=media_url(&own.media) alt="" width=own.width_px.to_string() height=own.height_px.to_string()/>
            {cited}
            {truth}
            <small>{own.label}</small>
        </span>
    }
    .into_any()
}

fn time_line(own: TimeLine) -> AnyView {
    let bars = |class: &'static str, spans: &[(f64, f64)]| {
        let bar = |(start, end): &(f64, f64)| {
            let style = format!(
                "left:{:.2}%;width:{:.2}%",
                start / own.duration_secs * 100.0,
                (end - start) / own.duration_secs * 100.0
            );
            view! { <i class=class style=style></i> }
        };
        spans.iter().map(bar).collect_view()
    };
    let (cited, truth) = (bars("is-cited", &own.cited), bars("is-true", &own.truth));
    view! {
        <span class="truth-time" aria-hidden="true">
            {(!own.peaks.is_empty()).then(|| view! { <Waveform peaks=own.peaks.clone() bars=160/> })}
            {cited}
            {truth}
            <small>"0:00"</small><small class="end">{own.end}</small>
        </span>
    }
    .into_any()
}
