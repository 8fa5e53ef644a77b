//! A trace against what is true of its sample, sentence by sentence.
//! In: a record and its truth. Out: what the page shows, scored by `attribution::metrics`.

use app::beside::{Mark, Picture, Row, Scored, TimeLine, TruthView};
use attribution::label::{clock, interval_label, place_name};
use attribution::metrics::{Score, area_score, span_score, time_score};
use attribution::record::{ChunkAttribution, HeatMap, Record, Rect, SourceItem, SourceRole};
use world::sample::Sentence;

use super::{Places, Truth};

/// Compares the recorded curation with what is true.
pub fn compare(record: &Record, truth: &Truth) -> TruthView {
    let places = Places::of(record);
    let told: Vec<&str> = (record.chunks.iter())
        .map(|chunk| record.response[chunk.start as usize..chunk.end as usize].trim())
        .collect();
    let paired = paired(&told, &truth.answer);
    let mut rows: Vec<Row> = Vec::with_capacity(told.len());
    for (k, (text, pair)) in told.iter().zip(&paired).enumerate() {
        let (expected, right) = match pair {
            Pair::Right(at) => (Some(*at), true),
            Pair::Wrong(at) => (*at, false),
        };
        let attribution = record.attributions.get(k).cloned().unwrap_or_default();
        let heat = (record.signals.iter())
            .find(|own| own.signal == record.method.signal)
            .and_then(|own| own.heat.get(k));
        let heat = heat.map(Vec::as_slice).unwrap_or_default();
        let expected = expected.and_then(|at| truth.answer.get(at));
        rows.push(row(
            record,
            &places,
            text,
            (&attribution, heat),
            expected,
            right,
        ));
    }
    let used = |at: usize| {
        paired.iter().any(|own| match own {
            Pair::Right(of) => *of == at,
            Pair::Wrong(of) => *of == Some(at),
        })
    };
    let missing = (truth.answer.iter().enumerate())
        .filter(|(at, _)| !used(*at))
        .map(|(_, own)| own.sentence.clone())
        .collect();
    let scores: Vec<Score> = (rows.iter().filter(|own| own.right))
        .flat_map(|own| own.scores.iter().map(|scored| scored.score))
        .collect();
    let sentences: Vec<&str> = truth
        .answer
        .iter()
        .map(|own| own.sentence.as_str())
        .collect();
    TruthView {
        answered: match truth.option_letter {
            Some(letter) => last_letter(&record.response) == Some(letter),
            None => told == sentences,
        },
        expected_last: match truth.option_letter {
            Some(_) => sentences.last().map(|own| (*own).to_owned()),
            None => None,
        },
        right: rows.iter().filter(|own| own.right).count(),
        rows,
        missing,
        mean: Score::mean(&scores),
        compose: truth
            .spec
            .as_ref()
            .map(|spec| format!("/world#{}", spec.to_link())),
    }
}

/// Which expected sentence a written one stands for.
enum Pair {
    /// Word for word this one.
    Right(usize),
    /// None; in its place this one was expected.
    Wrong(Option<usize>),
}

/// Word for word first, wherever it stands; what is left is paired by its place.
fn paired(told: &[&str], answer: &[Sentence]) -> Vec<Pair> {
    let mut used = vec![false; answer.len()];
    let exact: Vec<Option<usize>> = (told.iter())
        .map(|text| {
            let free = |(at, own): &(usize, &Sentence)| !used[*at] && own.sentence == *text;
            let (at, _) = answer.iter().enumerate().find(free)?;
            used[at] = true;
            Some(at)
        })
        .collect();
    (exact.into_iter().enumerate())
        .map(|(k, exact)| match exact {
            Some(at) => Pair::Right(at),
            None => Pair::Wrong((k < used.len() && !used[k]).then(|| {
                used[k] = true;
                k
            })),
        })
        .collect()
}

fn row(
    record: &Record,
    places: &Places,
    text: &str,
    (attribution, heat): (&ChunkAttribution, &[HeatMap]),
    expected: Option<&Sentence>,
    right: bool,
) -> Row {
    let nothing = world::sample::Support::default();
    let truth = expected.map_or(&nothing, |own| &own.support);
    let cited: Vec<usize> = (attribution.cited.iter())
        .map(|own| own.unit as usize)
        .collect();
    let lines: Vec<usize> = cited.iter().filter_map(|unit| places.line[*unit]).collect();
    let images: Vec<usize> = cited
        .iter()
        .filter_map(|unit| places.image[*unit])
        .collect();
    let boxes: Vec<(usize, Rect)> = (heat.iter())
        .filter(|map| cited.contains(&(map.unit as usize)))
        .filter_map(|map| Some((places.image[map.unit as usize]?, map)))
        .flat_map(|(image, map)| map.boxes.iter().map(move |own| (image, own.rect_in_source)))
        .collect();
    let spans: Vec<(f64, f64)> = (attribution.intervals.iter())
        .map(|own| (own.start_secs, own.end_secs))
        .collect();
    let true_images: Vec<usize> = truth.image.iter().map(|own| own.image).collect();
    let true_boxes: Vec<(usize, Rect)> = (truth.image.iter())
        .map(|own| (own.image, rect(own.rect)))
        .collect();
    let true_spans: Vec<(f64, f64)> = truth.time.iter().map(|own| (own[0], own[1])).collect();

    let mut scores = Vec::new();
    let mut put = |kind: &'static str, any: bool, score: Score| {
        if any && right {
            scores.push(Scored { kind, score });
        }
    };
    let texts = !lines.is_empty() || !truth.text.is_empty();
    put("lines of text", texts, span_score(&lines, &truth.text));
    let pictures = !images.is_empty() || !true_images.is_empty();
    put("pictures", pictures, span_score(&images, &true_images));
    let regions = !boxes.is_empty() || !true_boxes.is_empty();
    put("place in them", regions, area_score(&boxes, &true_boxes));
    let timed = !spans.is_empty() || !true_spans.is_empty();
    put("seconds", timed, time_score(&spans, &true_spans));

    let mut all_lines: Vec<usize> = lines.iter().chain(&truth.text).copied().collect();
    all_lines.sort_unstable();
    all_lines.dedup();
    let mut all_images: Vec<usize> = images.iter().chain(&true_images).copied().collect();
    all_images.sort_unstable();
    all_images.dedup();
    let of = |rects: &[(usize, Rect)], image: usize| -> Vec<Rect> {
        let own = rects.iter().filter(|(of, _)| *of == image);
        own.map(|(_, rect)| *rect).collect()
    };
    Row {
        sentence: text.to_owned(),
        expected: expected.filter(|_| !right).map(|own| own.sentence.clone()),
        right,
        lines: (all_lines.into_iter())
            .map(|line| Mark {
                text: line_text(record, line),
                cited: lines.contains(&line),
                truth: truth.text.contains(&line),
            })
            .collect(),
        pictures: (all_images.into_iter())
            .filter_map(|image| {
                let (media, width_px, height_px) = picture(record, image)?;
                Some(Picture {
                    label: format!("Image {}", image + 1),
                    media,
                    width_px,
                    height_px,
                    cited: images.contains(&image),
                    truth: true_images.contains(&image),
                    cited_places: of(&boxes, image),
                    true_places: of(&true_boxes, image),
                })
            })
            .collect(),
        time: timed
            .then(|| time_line(record, &spans, &true_spans))
            .flatten(),
        said_true: said(&truth.text, &true_boxes, &true_spans),
        said_cited: said(&lines, &cited_places(&images, &boxes), &spans),
        scores,
    }
}

/// Boxes of cited pictures; the whole picture where it has none.
fn cited_places(images: &[usize], boxes: &[(usize, Rect)]) -> Vec<(usize, Rect)> {
    let mut all = boxes.to_vec();
    let bare = images
        .iter()
        .filter(|image| boxes.iter().all(|own| own.0 != **image));
    all.extend(bare.map(|image| (*image, rect([0.0, 0.0, 1.0, 1.0]))));
    all
}

/// "line 2; Image 1, upper left; 0:01-0:02": for who does not see the drawings.
fn said(lines: &[usize], places: &[(usize, Rect)], spans: &[(f64, f64)]) -> String {
    let mut parts: Vec<String> = (lines.iter())
        .map(|line| format!("line {} of the text", line + 1))
        .collect();
    parts.extend(places.iter().map(|(image, own)| match own {
        Rect { x0, y0, x1, y1 } if *x0 <= 0.0 && *y0 <= 0.0 && *x1 >= 1.0 && *y1 >= 1.0 => {
            format!("Image {}", image + 1)
        }
        own => format!("Image {}, {}", image + 1, place_name(own)),
    }));
    parts.extend(
        spans
            .iter()
            .map(|(start, end)| interval_label(*start, *end)),
    );
    parts.dedup();
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join("; "),
    }
}

/// The line of the question's texts with this number.
fn line_text(record: &Record, line: usize) -> String {
    let lines = record.sources.iter().filter_map(|own| match &own.item {
        SourceItem::Text { text } if own.role == SourceRole::Content => {
            Some(text.split_inclusive('\n'))
        }
        _ => None,
    });
    let found = lines.flatten().nth(line);
    found.unwrap_or_default().trim().to_owned()
}

/// Content hash and size of the question's picture with this number.
fn picture(record: &Record, image: usize) -> Option<(String, u32, u32)> {
    let pictures = record.sources.iter().filter_map(|own| match &own.item {
        SourceItem::Image {
            media,
            width_px,
            height_px,
            ..
        } if own.role == SourceRole::Content => Some((media.clone(), *width_px, *height_px)),
        _ => None,
    });
    pictures.clone().nth(image)
}

fn time_line(record: &Record, cited: &[(f64, f64)], truth: &[(f64, f64)]) -> Option<TimeLine> {
    // A sample of the world has one sound or film at most.
    let (duration_secs, peaks) = record.sources.iter().find_map(|own| match &own.item {
        SourceItem::Audio {
            duration_secs,
            peaks,
            ..
        }
        | SourceItem::Video {
            duration_secs,
            peaks,
            ..
        } => Some((*duration_secs, peaks.clone())),
        _ => None,
    })?;
    (duration_secs > 0.0).then(|| TimeLine {
        duration_secs,
        end: clock(duration_secs, true),
        peaks,
        cited: cited.to_vec(),
        truth: truth.to_vec(),
    })
}

fn rect([x0, y0, x1, y1]: [f64; 4]) -> Rect {
    Rect {
        x0: x0 as f32,
        y0: y0 as f32,
        x1: x1 as f32,
        y1: y1 as f32,
    }
}

/// The last option's letter in brackets: `B` of `So the answer is bell (B).`
pub fn last_letter(text: &str) -> Option<char> {
    let at = text.rfind('(')?;
    let mut rest = text[at + 1..].chars();
    let letter = rest.next()?;
    (rest.next() == Some(')')).then_some(letter)
}

#[cfg(test)]
mod tests {
    use world::sample::Support;

    use super::*;

    #[test]
    fn sentences_are_paired_word_for_word_then_by_place() {
        let answer = ["A.", "B.", "C."].map(|own| Sentence {
            sentence: own.to_owned(),
            support: Support::default(),
        });
        let pairs = |told: &[&str]| -> Vec<(bool, Option<usize>)> {
            (paired(told, &answer).into_iter())
                .map(|own| match own {
                    Pair::Right(at) => (true, Some(at)),
                    Pair::Wrong(at) => (false, at),
                })
                .collect()
        };
        assert_eq!(
            pairs(&["A.", "X.", "C."]),
            [(true, Some(0)), (false, Some(1)), (true, Some(2))]
        );
        assert_eq!(pairs(&["B.", "X."]), [(true, Some(1)), (false, None)]);
        assert_eq!(pairs(&["A.", "A.", "A.", "A."])[3], (false, None));
    }
}
