//! What somebody gets who sees every object, but does not know which one a sentence is about: the chance that fits the marks
//! that point. In: a sample and the units it became. Out: per sentence the share of all choices that would count, so that no dice are cast.

use attribution::record::{Extent, Rect, Track, Unit};
use world::sample::{Block, Film, Placed, Sample, Support};

use super::marks::{self, Marks};

/// One object of all that the sample's pictures show; of a film one of all (frame, object) pairs. The middle of what is chosen
/// is judged by the rule of the mark. Of the first `told` sentences.
pub fn any(sample: &Sample, units: &[Unit], told: usize) -> Vec<Marks> {
    let pictures: Vec<&[Placed]> = (sample.blocks.iter())
        .filter_map(|block| match block {
            Block::Image(picture) => Some(picture.objects.as_slice()),
            _ => None,
        })
        .collect();
    let film = sample.blocks.iter().find_map(Block::film);
    let sentences = sample.answer.iter().take(told);
    sentences
        .map(|own| {
            let shown = film.and_then(|film| any_of_film(film, units, &own.support));
            Marks::default()
                .with("pointing", any_of_pictures(&pictures, &own.support))
                .with("frame_pointing", shown)
        })
        .collect()
}

/// None where the sentence is about no picture, or where there is nothing to choose from.
fn any_of_pictures(pictures: &[&[Placed]], support: &Support) -> Option<f64> {
    let truth = marks::true_boxes(support);
    let all = || {
        (pictures.iter().enumerate())
            .flat_map(|(image, objects)| objects.iter().map(move |own| (image, own)))
    };
    let hits = all().filter(|(image, own)| marks::is_on(&truth, *image, middle(own)));
    share(hits.count(), all().count()).filter(|_| !truth.is_empty())
}

/// None where the sentence is about no scene.
fn any_of_film(film: &Film, units: &[Unit], support: &Support) -> Option<f64> {
    let scene = marks::scene_of(film, support)?;
    let (mut hits, mut all) = (0, 0);
    for unit in units {
        let Extent::Time {
            start_secs,
            end_secs,
            track: Track::Picture,
        } = unit.extent
        else {
            continue;
        };
        let span = [start_secs, end_secs];
        for own in marks::shown(film, span) {
            all += 1;
            hits += usize::from(marks::is_shown_at(film, scene, span, middle(own)));
        }
    }
    share(hits, all)
}

fn share(hits: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| hits as f64 / all as f64)
}

fn middle(own: &Placed) -> [f32; 2] {
    let Rect { x0, y0, x1, y1 } = marks::rect(own.rect);
    [(x0 + x1) / 2.0, (y0 + y1) / 2.0]
}

#[cfg(test)]
mod tests {
    use world::{Split, Task};

    use super::*;

    fn second(start_secs: f64, end_secs: f64) -> Unit {
        Unit {
            id: format!("v{start_secs}"),
            source: 1,
            extent: Extent::Time {
                start_secs,
                end_secs,
                track: Track::Picture,
            },
            positions: 16,
        }
    }

    #[test]
    fn in_pictures_each_object_is_one_choice() {
        let mut seen = [false; 2];
        for seed in 0..20 {
            let sample = world::generate(Task::VisualQa, seed, Split::Eval).expect("a sample");
            let objects: usize = (sample.blocks.iter())
                .map(|block| match block {
                    Block::Image(picture) => picture.objects.len(),
                    _ => 0,
                })
                .sum();
            let marks = any(&sample, &[], usize::MAX);
            assert_eq!(marks.len(), sample.answer.len());
            for (own, sentence) in marks.iter().zip(&sample.answer) {
                let [.., pointing, frame, _, _] = own.0;
                assert_eq!(frame, None);
                let truth = &sentence.support.image;
                // A count rests on every picture as a whole: whoever points at an object is right.
                let whole = truth.iter().any(|own| own.rect == [0.0, 0.0, 1.0, 1.0]);
                let expected = match truth.len() {
                    0 => None,
                    _ if whole => Some(1.0),
                    _ => Some(1.0 / objects as f64),
                };
                assert_eq!(pointing, expected, "seed {seed}: {}", sentence.sentence);
                seen[usize::from(whole)] = true;
            }
        }
        assert_eq!(seen, [true; 2]);
    }

    #[test]
    fn in_films_a_scene_is_chosen_as_often_as_it_is_long() {
        for seed in 0..5 {
            let sample = world::generate(Task::VideoQa, seed, Split::Eval).expect("a sample");
            let film = sample.blocks.iter().find_map(Block::film).expect("a film");
            let secs = film.shown.len() / FPS;
            let units: Vec<Unit> = (0..secs)
                .map(|at| second(at as f64, at as f64 + 1.0))
                .collect();
            let marks = any(&sample, &units, usize::MAX);
            for (own, sentence) in marks.iter().zip(&sample.answer) {
                let scene = marks::scene_of(film, &sentence.support);
                let expected = scene.map(|own| (own.end_secs - own.start_secs) / secs as f64);
                assert_eq!(own.0[3..5], [None, expected], "{}", sentence.sentence);
            }
            assert!(marks.iter().any(|own| own.0[4].is_some()));
        }
    }

    #[test]
    fn nothing_to_see_is_no_chance() {
        let sample = world::generate(Task::Speech, 1, Split::Eval).expect("a sample");
        let marks = any(&sample, &[], 2);
        assert_eq!(marks, [Marks::default(); 2]);
    }

    const FPS: usize = world::sample::FILM_FPS as usize;
}
