//! Tiles from the server, asked for when they are to be seen.
//! In: a level and columns. Out: what is there now, a coarser level where the right one is still on its way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlImageElement, Response};

use super::shape::{FACTOR, HEADER_BYTES, Shape};

/// Beyond it all but the coarsest are forgotten: 3 MB of peaks, 40 MB of pictures.
const MAX_TILES: usize = 400;

/// Level and number.
type Place = (usize, u64);
type Tiles<T> = RefCell<BTreeMap<Place, Option<T>>>;

/// What the browser gets of an address; none where the server refuses or cannot be reached.
async fn fetched(url: &str) -> Option<Vec<u8>> {
    let answer = JsFuture::from(web_sys::window()?.fetch_with_str(url))
        .await
        .ok()?;
    let answer: Response = answer.dyn_into().ok()?;
    if !answer.ok() {
        return None;
    }
    let buffer = JsFuture::from(answer.array_buffer().ok()?).await.ok()?;
    Some(Uint8Array::new(&buffer).to_vec())
}

/// Forgets all but the coarsest where there are too many, and notes that a tile is on its way. False where it is already.
fn claim<T>(tiles: &Tiles<T>, place: Place, coarsest: usize) -> bool {
    let mut tiles = tiles.borrow_mut();
    if tiles.contains_key(&place) {
        return false;
    }
    if tiles.len() >= MAX_TILES {
        tiles.retain(|(level, _), _| *level == coarsest);
    }
    tiles.insert(place, None);
    true
}

/// Lowest and highest samples.
pub(super) struct Peaks {
    url: String,
    shape: RefCell<Option<Shape>>,
    tiles: Tiles<Vec<u8>>,
    changed: Box<dyn Fn()>,
}

impl Peaks {
    /// Asks for header and coarsest level; `changed` is called whenever there is more to draw.
    pub(super) fn open(media: &str, changed: impl Fn() + 'static) -> Rc<Self> {
        let own = Rc::new(Self {
            url: format!("/media/{media}/v1/peaks"),
            shape: RefCell::default(),
            tiles: Tiles::default(),
            changed: Box::new(changed),
        });
        let peaks = own.clone();
        spawn_local(async move {
            let Some(bytes) = fetched(&peaks.url).await else {
                return;
            };
            let Some(shape) = Shape::read(&bytes) else {
                return;
            };
            let coarsest = shape.levels().len() - 1;
            let body = bytes.get(HEADER_BYTES..).unwrap_or_default().to_vec();
            peaks.tiles.borrow_mut().insert((coarsest, 0), Some(body));
            *peaks.shape.borrow_mut() = Some(shape);
            (peaks.changed)();
        });
        own
    }

    /// Known once the header is there.
    pub(super) fn shape(&self) -> Option<Shape> {
        *self.shape.borrow()
    }

    /// Asks for the tiles of these columns.
    pub(super) fn want(self: &Rc<Self>, shape: &Shape, level: usize, first: u64, last: u64) {
        let levels = shape.levels();
        let columns = levels.get(level).copied().unwrap_or(1);
        let wide = u64::from(shape.tile_columns);
        for tile in first.min(columns - 1) / wide..=last.min(columns - 1) / wide {
            if !claim(&self.tiles, (level, tile), levels.len() - 1) {
                continue;
            }
            let own = self.clone();
            spawn_local(async move {
                let url = format!("{}/{level}/{tile}", own.url);
                if let Some(bytes) = fetched(&url).await {
                    own.tiles.borrow_mut().insert((level, tile), Some(bytes));
                    (own.changed)();
                }
            });
        }
    }

    /// Lowest and highest of the columns `first..last` of a level, as bytes of -127..=127; of a coarser level where this
    /// one is not there yet.
    pub(super) fn extremes(
        &self,
        shape: &Shape,
        level: usize,
        first: u64,
        last: u64,
    ) -> Option<(i8, i8)> {
        let tiles = self.tiles.borrow();
        let wide = u64::from(shape.tile_columns);
        let (mut level, mut first, mut last) = (level, first, last);
        loop {
            let own = (first..last.max(first + 1)).map(|column| {
                let tile = tiles.get(&(level, column / wide))?.as_ref()?;
                let at = (column % wide) as usize * 2;
                Some((*tile.get(at)? as i8, *tile.get(at + 1)? as i8))
            });
            let joined = own.reduce(|a, b| {
                let (a, b) = (a?, b.or(a)?);
                Some((a.0.min(b.0), a.1.max(b.1)))
            });
            match joined.flatten() {
                Some(found) => return Some(found),
                None if level > 24 => return None,
                None => {}
            }
            level += 1;
            first /= FACTOR;
            last = last.div_ceil(FACTOR);
        }
    }
}

/// Pictures of a spectrum.
pub(super) struct Pictures {
    url: String,
    shape: RefCell<Option<Shape>>,
    tiles: Tiles<HtmlImageElement>,
    changed: Rc<dyn Fn()>,
}

impl Pictures {
    /// Asks for the header.
    pub(super) fn open(media: &str, changed: impl Fn() + 'static) -> Rc<Self> {
        let own = Rc::new(Self {
            url: format!("/media/{media}/v1/spectrum"),
            shape: RefCell::default(),
            tiles: Tiles::default(),
            changed: Rc::new(changed),
        });
        let pictures = own.clone();
        spawn_local(async move {
            let shape = fetched(&pictures.url).await.and_then(|b| Shape::read(&b));
            if let Some(shape) = shape {
                *pictures.shape.borrow_mut() = Some(shape);
                // What is left of a finer level while it loads.
                pictures.want(&shape, shape.levels().len() - 1, 0);
                (pictures.changed)();
            }
        });
        own
    }

    /// Known once the header is there.
    pub(super) fn shape(&self) -> Option<Shape> {
        *self.shape.borrow()
    }

    /// Asks for a tile.
    pub(super) fn want(&self, shape: &Shape, level: usize, tile: u64) {
        if !claim(&self.tiles, (level, tile), shape.levels().len() - 1) {
            return;
        }
        let Ok(image) = HtmlImageElement::new() else {
            return;
        };
        let changed = self.changed.clone();
        // A picture is shown from the moment at which it is decoded: `onload` alone may come before.
        let decoded = Closure::once_into_js(move || changed());
        image.set_onload(Some(decoded.unchecked_ref()));
        image.set_src(&format!("{}/{level}/{tile}", self.url));
        self.tiles.borrow_mut().insert((level, tile), Some(image));
    }

    /// The picture of a tile, or that of the next coarser level that is there: with it the level and number.
    pub(super) fn find(&self, level: usize, tile: u64) -> Option<(HtmlImageElement, usize, u64)> {
        let tiles = self.tiles.borrow();
        let (mut level, mut tile) = (level, tile);
        for _ in 0..24 {
            let there = tiles.get(&(level, tile)).and_then(Option::as_ref);
            if let Some(image) = there.filter(|image| image.complete() && image.natural_width() > 0)
            {
                return Some((image.clone(), level, tile));
            }
            level += 1;
            tile /= FACTOR;
        }
        None
    }
}

/// A number with so many decimals, by the browser: the float formatter of the standard library is larger than this module.
pub(super) fn fixed(number: f64, decimals: u8) -> String {
    js_sys::Number::from(number)
        .to_fixed(decimals)
        .map(String::from)
        .unwrap_or_default()
}
