//! One sentence's trace against its true sources: units, regions, seconds.

use attribution::heat::cell_values;
use attribution::metrics::{area_score, interval_iou, span_score, time_score};
use attribution::record::{ChunkAttribution, Extent, HeatMap, Record, Rect, Track};
use world::sample::{FILM_FPS, Film, Placed, Scene, Support};

use crate::truth::Places;

/// The marks of one sentence, each 0..=1; none where neither the trace nor the truth has such sources.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Marks(pub [Option<f64>; Marks::NAMES.len()]);

impl Marks {
    /// What is marked, in order: F1 of cited text lines, of cited pictures, of the area of boxes; whether the hottest cell
    /// lies on a true object, in a picture and in a frame of a film; F1 of whole seconds; intersection over union of cited time.
    pub const NAMES: [&'static str; 7] = [
        "text_f1",
        "image_f1",
        "region_f1",
        "pointing",
        "frame_pointing",
        "time_f1",
        "interval_iou",
    ];
    /// Those that say whether the right sources are cited: of their mean an overall figure is made.
    pub const SOURCES: [&'static str; 3] = ["text_f1", "image_f1", "time_f1"];

    /// Only those of the names; what a method does not speak of is no mark.
    pub fn only(mut self, names: &[&str]) -> Self {
        for (mark, name) in self.0.iter_mut().zip(Self::NAMES) {
            if !names.contains(&name) {
                *mark = None;
            }
        }
        self
    }

    /// With one of them.
    pub fn with(mut self, name: &str, value: Option<f64>) -> Self {
        if let Some(at) = Self::NAMES.iter().position(|own| *own == name) {
            self.0[at] = value;
        }
        self
    }

    /// Compares.
    pub fn of(
        record: &Record,
        places: &Places,
        attribution: &ChunkAttribution,
        heat: &[HeatMap],
        truth: Truth<'_>,
    ) -> Self {
        let Truth {
            support: truth,
            film,
        } = truth;
        let cited = || attribution.cited.iter().map(|cited| cited.unit as usize);
        let lines: Vec<usize> = cited().filter_map(|unit| places.line[unit]).collect();
        let images: Vec<usize> = cited().filter_map(|unit| places.image[unit]).collect();
        let true_images: Vec<usize> = truth.image.iter().map(|own| own.image).collect();
        let boxes: Vec<(usize, Rect)> = heat
            .iter()
            .filter(|map| cited().any(|unit| unit == map.unit as usize))
            .filter_map(|map| Some((places.image[map.unit as usize]?, map)))
            .flat_map(|(image, map)| map.boxes.iter().map(move |own| (image, own.rect_in_source)))
            .collect();
        let true_boxes = true_boxes(truth);
        let spans: Vec<(f64, f64)> = attribution
            .intervals
            .iter()
            .map(|own| (own.start_secs, own.end_secs))
            .collect();
        let true_spans: Vec<(f64, f64)> = truth.time.iter().map(|own| (own[0], own[1])).collect();
        let asked = |ours: bool, truth: bool| ours || truth;
        Self([
            asked(!lines.is_empty(), !truth.text.is_empty())
                .then(|| span_score(&lines, &truth.text).f1),
            asked(!images.is_empty(), !true_images.is_empty())
                .then(|| span_score(&images, &true_images).f1),
            asked(!boxes.is_empty(), !true_boxes.is_empty())
                .then(|| area_score(&boxes, &true_boxes).f1),
            (!true_boxes.is_empty()).then(|| pointing(record, places, heat, &true_boxes)),
            film.and_then(|film| frame_pointing(record, heat, film, truth)),
            asked(!spans.is_empty(), !true_spans.is_empty())
                .then(|| time_score(&spans, &true_spans).f1),
            asked(!spans.is_empty(), !true_spans.is_empty())
                .then(|| interval_iou(&spans, &true_spans)),
        ])
    }
}

/// What a sentence rests on, and the film that it may be about.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a> {
    /// Its sources.
    pub support: &'a Support,
    /// The sample's film.
    pub film: Option<&'a Film>,
}

/// 1 where the hottest cell of all pictures lies on a true object, else 0.
fn pointing(record: &Record, places: &Places, heat: &[HeatMap], truth: &[(usize, Rect)]) -> f64 {
    let hottest = heat
        .iter()
        .filter_map(|map| Some((places.image[map.unit as usize]?, map)))
        .max_by(|a, b| a.1.peak.total_cmp(&b.1.peak));
    let Some((image, map)) = hottest else {
        return 0.0;
    };
    let Extent::Region { rect_in_source } = record.units[map.unit as usize].extent else {
        return 0.0;
    };
    let Some(point) = hottest_point(map, rect_in_source) else {
        return 0.0;
    };
    f64::from(u8::from(is_on(truth, image, point)))
}

/// For a sentence about a scene of the film: 1 where the hottest cell of all its frames lies on the object while it is shown.
fn frame_pointing(record: &Record, heat: &[HeatMap], film: &Film, truth: &Support) -> Option<f64> {
    let scene = scene_of(film, truth)?;
    let whole = Rect {
        x0: 0.0,
        y0: 0.0,
        x1: 1.0,
        y1: 1.0,
    };
    let hottest = (heat.iter())
        .filter_map(|map| match record.units.get(map.unit as usize)?.extent {
            Extent::Time {
                start_secs,
                end_secs,
                track: Track::Picture,
            } => Some((map, start_secs, end_secs)),
            _ => None,
        })
        .max_by(|a, b| a.0.peak.total_cmp(&b.0.peak));
    let Some((map, start, end)) = hottest else {
        return Some(0.0);
    };
    let Some(point) = hottest_point(map, whole) else {
        return Some(0.0);
    };
    let on = is_shown_at(film, scene, [start, end], point);
    Some(f64::from(u8::from(on)))
}

/// Which boxes of which pictures a sentence rests on.
pub fn true_boxes(support: &Support) -> Vec<(usize, Rect)> {
    let own = support.image.iter();
    own.map(|own| (own.image, rect(own.rect))).collect()
}

/// Whether a point of a picture, in fractions of it, lies in one of the boxes.
pub fn is_on(boxes: &[(usize, Rect)], image: usize, point: [f32; 2]) -> bool {
    (boxes.iter()).any(|(of, own)| *of == image && holds(*own, point))
}

/// The scene that a sentence is about; none for one about a sound.
pub fn scene_of<'f>(film: &'f Film, support: &Support) -> Option<&'f Scene> {
    (film.scenes.iter()).find(|scene| (support.time).contains(&[scene.start_secs, scene.end_secs]))
}

/// What a film shows, frame by frame, from one second to another.
pub fn shown(film: &Film, [start, end]: [f64; 2]) -> impl Iterator<Item = &Placed> {
    let frame = |secs: f64| (secs * f64::from(FILM_FPS)).round() as usize;
    film.shown.iter().take(frame(end)).skip(frame(start))
}

/// Whether a point of the frames of this span lies on the scene's object while it is shown.
pub fn is_shown_at(film: &Film, scene: &Scene, [start, end]: [f64; 2], point: [f32; 2]) -> bool {
    let common = [start.max(scene.start_secs), end.min(scene.end_secs)];
    shown(film, common).any(|own| holds(rect(own.rect), point))
}

/// The middle of a map's hottest cell, in fractions of the picture.
fn hottest_point(map: &HeatMap, place: Rect) -> Option<[f32; 2]> {
    let values = cell_values(map);
    let (cell, _) = values
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))?;
    let (row, col) = (cell as u32 / map.grid.cols, cell as u32 % map.grid.cols);
    let across = (col as f32 + 0.5) / map.grid.cols as f32;
    let down = (row as f32 + 0.5) / map.grid.rows as f32;
    let x = place.x0 + across * (place.x1 - place.x0);
    let y = place.y0 + down * (place.y1 - place.y0);
    Some([x, y])
}

fn holds(own: Rect, [x, y]: [f32; 2]) -> bool {
    (own.x0..=own.x1).contains(&x) && (own.y0..=own.y1).contains(&y)
}

/// The same box.
pub fn rect([x0, y0, x1, y1]: [f64; 4]) -> Rect {
    Rect {
        x0: x0 as f32,
        y0: y0 as f32,
        x1: x1 as f32,
        y1: y1 as f32,
    }
}
