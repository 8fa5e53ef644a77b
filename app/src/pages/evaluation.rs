//! `/eval`: how true the shipped model's traces are, from figures that were measured when it was made.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::components::A;

use crate::data::lent;
use crate::evaluation::{Ablation, Evaluation, Figure, Removal, TaskFigures, charts};
use crate::pages::missing::LoadFailed;

/// World names and headings.
const TASKS: [(&str, &str); 6] = [
    ("dialogue", "Conversations with pictures"),
    ("speech", "Speech, summed up"),
    ("audio-qa", "Questions about sounds"),
    ("visual-qa", "Questions about pictures"),
    ("video-qa", "Questions about films"),
    ("mixed", "Everything at once"),
];

/// Names of marks and their headings.
const MARKS: [(&str, &str); 7] = [
    ("text_f1", "Text F1"),
    ("image_f1", "Picture F1"),
    ("region_f1", "Region F1"),
    ("pointing", "Pointing"),
    ("frame_pointing", "Frame pointing"),
    ("time_f1", "Time F1"),
    ("interval_iou", "Time overlap"),
];

/// Who sees every object but not which is meant: a chance, no method that could be the best one.
const CHANCE: &str = "any object";

/// `/eval`.
#[component]
pub fn Eval() -> impl IntoView {
    let Some(lent) = lent() else {
        return view! { <LoadFailed/> }.into_any();
    };
    let Some(found) = lent.evaluation() else {
        return view! {
            <Title text="Evaluation"/>
            <article class="prose narrow">
                <h1>"Not measured yet"</h1>
                <p>"This program was built without the figures of its model. " <code>"omnitrace eval world"</code> " makes them."</p>
            </article>
        }
        .into_any();
    };
    let last = found.seed.wrapping_add(found.n.saturating_sub(1));
    let hash: String = found.model_hash.chars().take(12).collect();
    let charts = charts(&found.analysis);
    view! {
        <Title text="Evaluation"/>
        <Meta name="description" content="How true the traces are: measured where every source is known."/>
        <article class="prose eval">
            <p class="eyebrow">"Evaluation"</p>
            <h1>"Does the trace tell the truth?"</h1>
            <p class="lead">
                "In the synthetic world of the small model every sentence has sources that are known exactly: which line, which part of \
                 which picture, which seconds. So a trace can be marked like an exam, with nobody judging."
            </p>
            <dl class="facts">
                <div><dt>"Model"</dt><dd>{found.model.clone()} " " <code>{hash}</code></dd></div>
                <div><dt>"Samples"</dt><dd>{found.n} " per task, seeds " {found.seed} " to " {last} ", split " {found.split.clone()}</dd></div>
                <div><dt>"Version"</dt><dd>{found.code_version.clone()}</dd></div>
                <div><dt>"New traces use"</dt><dd>{found.usual.clone()}</dd></div>
            </dl>
            <section aria-labelledby="overall">
                <h2 id="overall">"All tasks together"</h2>
                <p>
                    "F1 of cited text, pictures and seconds on right sentences, averaged over tasks. A source that is cited where there is \
                     none of its kind counts as 0. "
                    <em>"random"</em> " cites as many pieces as the trace does, " <em>"blind"</em>
                    " is a trace made of attention that falls anywhere, " <em>"embedding"</em>
                    " what looks alike before the model has read it (of texts and pictures only), " <em>"self"</em> " what the model says when it is asked."
                </p>
                {overall(&found)}
            </section>
            <section aria-labelledby="tasks">
                <h2 id="tasks">"Task by task"</h2>
                <p>
                    "Means over samples in percent, on sentences that are right word for word; the smaller figures are 95 % intervals. "
                    "Pointing asks whether the hottest cell lies on the object that is meant. An object stands out for untrained weights, too, \
                     so a random cell is too easy to beat: "
                    <em>"any object"</em> " is what somebody gets who sees every object and does not know which is meant. Where there is only \
                     one to see, as in conversations, that is 100, and the mark says no more than whether the map lies on it. Shuffled \
                     weights fall to chance in every mark."
                </p>
                {found.tasks.iter().map(|task| task_table(task, &found.marks)).collect_view()}
            </section>
            {(!found.removal.is_empty()).then(|| removal_table(&found.removal))}
            {(!found.ablations.is_empty()).then(|| ablation_table(&found.ablations))}
            <section aria-labelledby="behaviour">
                <h2 id="behaviour">"How it behaves"</h2>
                <p>
                    "Citations in summaries lie at " {format!("{:.2}", found.analysis.mean_position)}
                    " of the sources on average (0 is the first, 1 the last); the true sources lie at "
                    {format!("{:.2}", found.analysis.true_mean_position)} "."
                </p>
                <div class="charts">
                    {charts.into_iter().map(|(_, name, svg)| view! {
                        <figure>
                            <div inner_html=svg></div>
                            <figcaption>{name}</figcaption>
                        </figure>
                    }).collect_view()}
                </div>
            </section>
            <section aria-labelledby="again">
                <h2 id="again">"Measure it again"</h2>
                <p>"Everything on this page comes from one command; the same seeds give the same figures."</p>
                <pre tabindex="0"><code>{found.command.clone()}</code></pre>
                <p><A href="/about">"How to read a trace"</A></p>
            </section>
        </article>
    }
    .into_any()
}

fn overall(found: &Evaluation) -> impl IntoView + use<> {
    let mut rows = found.overall.clone();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    view! {
        <ol class="ranking">
            {rows.into_iter().map(|(method, mean)| {
                let baseline = ["random", "blind", "embedding", "self", "clip"].contains(&method.as_str());
                let percent = 100.0 * mean;
                view! {
                    <li data-baseline=baseline.then_some("")>
                        <span class="name">{method}</span>
                        <span class="track" aria-hidden="true"><span style=format!("width:{percent:.1}%")></span></span>
                        <span class="value">{format!("{percent:.1}")}</span>
                    </li>
                }
            }).collect_view()}
        </ol>
    }
}

fn task_table(task: &TaskFigures, marks: &[String]) -> impl IntoView + use<> {
    let heading = TASKS.iter().find(|(name, _)| *name == task.task);
    let heading = heading.map_or(task.task.clone(), |(_, heading)| (*heading).to_owned());
    let columns: Vec<(usize, String)> = (marks.iter().enumerate())
        .filter(|(k, _)| {
            (task.rows.iter()).any(|row| row.marks.get(*k).copied().flatten().is_some())
        })
        .map(|(k, name)| {
            let known = MARKS.iter().find(|(own, _)| own == name);
            (
                k,
                known.map_or(name.clone(), |(_, heading)| (*heading).to_owned()),
            )
        })
        .collect();
    let best: Vec<f64> = columns
        .iter()
        .map(|(k, _)| {
            let methods = task.rows.iter().filter(|row| row.method != CHANCE);
            let means = methods.filter_map(|row| Some(row.marks.get(*k)?.as_ref()?[0]));
            means.fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    let share = |figure: Option<Figure>| {
        figure.map_or("–".to_owned(), |own| format!("{:.0} %", 100.0 * own[0]))
    };
    let told = format!(
        "Final answers right {}, sentences right {} of {} samples",
        share(task.answers),
        share(task.sentences),
        task.n
    );
    let label = format!("{heading}: figures");
    view! {
        <h3>{heading}</h3>
        <p class="told">{told}</p>
        <div class="scroll" tabindex="0" role="region" aria-label=label>
            <table class="figures">
                <thead>
                    <tr>
                        <th scope="col">"Method"</th>
                        {columns.iter().map(|(_, name)| view! { <th scope="col">{name.clone()}</th> }).collect_view()}
                    </tr>
                </thead>
                <tbody>
                    {task.rows.iter().map(|row| view! {
                        <tr>
                            <th scope="row">{row.method.clone()}</th>
                            {columns.iter().zip(&best).map(|((k, _), best)| {
                                let best = if row.method == CHANCE { f64::INFINITY } else { *best };
                                cell(row.marks.get(*k).copied().flatten(), best)
                            }).collect_view()}
                        </tr>
                    }).collect_view()}
                </tbody>
            </table>
        </div>
    }
}

/// A figure in percent, its interval below it, the best of a column marked.
fn cell(figure: Option<Figure>, best: f64) -> impl IntoView + use<> {
    let Some([mean, low, high]) = figure else {
        return view! { <td>"–"</td> }.into_any();
    };
    let text = format!("{:.1}", 100.0 * mean);
    let interval = format!("{:.0}–{:.0}", 100.0 * low, 100.0 * high);
    let text = match mean >= best {
        true => view! { <strong>{text}</strong> }.into_any(),
        false => text.into_any(),
    };
    view! { <td>{text} <small>{interval}</small></td> }.into_any()
}

fn removal_table(rows: &[Removal]) -> impl IntoView + use<> {
    let nats =
        |figure: Option<Figure>| figure.map_or("–".to_owned(), |[mean, ..]| format!("{mean:.2}"));
    let percent = |figure: Option<Figure>| {
        figure.map_or("–".to_owned(), |[mean, low, high]| {
            format!(
                "{:.0} % ({:.0}–{:.0})",
                100.0 * mean,
                100.0 * low,
                100.0 * high
            )
        })
    };
    view! {
        <section aria-labelledby="removal">
            <h2 id="removal">"Take the sources away"</h2>
            <p>
                "Attention is no proof of cause, so the cause is tested: the cited pieces are hidden, everything else stays where it is, and \
                 the same sentence is scored again. A fall is how much less likely it became, in nats; beside it the fall without as many \
                 random pieces of the same kinds."
            </p>
            <div class="scroll" tabindex="0" role="region" aria-label="Removal">
                <table class="figures">
                    <thead>
                        <tr>
                            <th scope="col">"Task"</th>
                            <th scope="col">"Sentences"</th>
                            <th scope="col">"Cited falls further"</th>
                            <th scope="col">"Fall"</th>
                            <th scope="col">"Random"</th>
                            <th scope="col">"Only cited kept"</th>
                            <th scope="col">"Nothing kept"</th>
                            <th scope="col">"Deletion area"</th>
                            <th scope="col">"Insertion area"</th>
                            <th scope="col">"Rank correlation"</th>
                        </tr>
                    </thead>
                    <tbody>
                        {rows.iter().map(|own| view! {
                            <tr>
                                <th scope="row">{own.task.clone()}</th>
                                <td>{own.chunks}</td>
                                <td>{percent(own.larger)}</td>
                                <td>{nats(own.fall)}</td>
                                <td>{nats(own.random_fall)}</td>
                                <td>{nats(own.only_fall)}</td>
                                <td>{nats(own.nothing_fall)}</td>
                                <td>{nats(own.deletion_area)}</td>
                                <td>{nats(own.insertion_area)}</td>
                                <td>{nats(own.rank_correlation)}</td>
                            </tr>
                        }).collect_view()}
                    </tbody>
                </table>
            </div>
            <p class="told">
                "Deletion removes pieces in the order of the trace's mass, the strongest first: a small area under the probability is good. \
                 Insertion gives them back in the same order: a large one is. Rank correlation is Spearman's, between a piece's mass and \
                 the fall without it alone."
            </p>
        </section>
    }
}

fn ablation_table(rows: &[Ablation]) -> impl IntoView + use<> {
    let kinds = ["Text", "Pictures", "Sound", "Film"];
    view! {
        <section aria-labelledby="ablations">
            <h2 id="ablations">"Part by part"</h2>
            <p>
                "The selection of sources with one part left out, and with other rules of competition: precision, recall and F1 in percent. "
                <em>"competition all"</em> " is the paper's way, which selects within each kind of source; " <em>"together"</em>
                " selects among all of them, so that a stray word cannot cite a kind that the sentence does not rest on."
            </p>
            <div class="scroll" tabindex="0" role="region" aria-label="Ablations">
                <table class="figures">
                    <thead>
                        <tr><td></td>{kinds.map(|kind| view! { <th scope="colgroup" colspan="3">{kind}</th> }).collect_view()}</tr>
                        <tr>
                            <th scope="col">"Selection"</th>
                            {kinds.map(|_| view! { <th scope="col">"P"</th><th scope="col">"R"</th><th scope="col">"F1"</th> }).collect_view()}
                        </tr>
                    </thead>
                    <tbody>
                        {rows.iter().map(|row| view! {
                            <tr>
                                <th scope="row">{row.name.clone()}</th>
                                {row.scores.map(|scores| match scores {
                                    Some([p, r, f1]) => view! {
                                        <td>{format!("{p:.1}")}</td><td>{format!("{r:.1}")}</td><td><strong>{format!("{f1:.1}")}</strong></td>
                                    }.into_any(),
                                    None => view! { <td>"–"</td><td>"–"</td><td>"–"</td> }.into_any(),
                                }).collect_view()}
                            </tr>
                        }).collect_view()}
                    </tbody>
                </table>
            </div>
        </section>
    }
}
