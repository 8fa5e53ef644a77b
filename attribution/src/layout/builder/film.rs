//! Films: pictures and sound in any order, told apart by time bin and track.
//! In: a film, then its pictures and pieces of sound. Out: units of a bin and a track each.

use super::picture::whole_picture;
use super::{LayoutBuilder, check_grid, check_secs};
use crate::AttributionError;
use crate::layout::SpanContent;
use crate::record::{Extent, Grid, SourceItem, SourceRole, Track};
use crate::time::TimeBins;

/// A film being fed.
#[derive(Debug)]
pub(super) struct Film {
    source: u32,
    grid: Grid,
    bins: TimeBins,
    /// Per bin, once it has positions: the unit of its pictures and of its sound.
    picture_units: Vec<Option<u32>>,
    sound_units: Vec<Option<u32>>,
    sound_tokens: usize,
}

impl LayoutBuilder {
    /// Begins a film with these bins; [`Self::picture`], [`Self::film_sound`] and [`Self::special`] follow in any
    /// order. `item` must be a video. Ends with the next source or [`Self::finish`].
    pub fn film(&mut self, item: SourceItem, bins: TimeBins) -> Result<u32, AttributionError> {
        self.end_film();
        let SourceItem::Video { grid, .. } = item else {
            return Err(AttributionError::Layout(
                "a video placeholder needs a video".into(),
            ));
        };
        check_grid(grid)?;
        let source = self.source(SourceRole::Content, item);
        let (picture_units, sound_units) = (vec![None; bins.len()], vec![None; bins.len()]);
        self.film = Some(Film {
            source,
            grid,
            bins,
            picture_units,
            sound_units,
            sound_tokens: 0,
        });
        Ok(source)
    }

    /// One temporal patch of the current film, shown at `secs`: `grid.rows * grid.cols` positions, row by row.
    pub fn picture(&mut self, secs: f64) -> Result<(), AttributionError> {
        let (film, unit) = self.shown_at(secs)?;
        let count = (film.grid.rows * film.grid.cols) as usize;
        self.extend(count, |k| (Some(unit), Some(k as u32)));
        self.span(
            count,
            SpanContent::Patches {
                source: film.source,
            },
        );
        self.film = Some(film);
        Ok(())
    }

    /// `count` positions of the current film's picture shown at `secs`, which do not stand for patches: see
    /// [`Self::image_in_parts`]. The film's grid is the one in which is said later where a position looks.
    pub fn picture_part(&mut self, secs: f64, count: usize) -> Result<(), AttributionError> {
        let (film, unit) = self.shown_at(secs)?;
        let source = film.source;
        self.film = Some(film);
        self.extend(count, |_| (Some(unit), None));
        self.span(count, SpanContent::Patches { source });
        Ok(())
    }

    /// Takes the current film out, with the unit of what it shows at `secs`.
    fn shown_at(&mut self, secs: f64) -> Result<(Film, u32), AttributionError> {
        let mut film = self.film.take().ok_or_else(no_film)?;
        let bin = film.bins.bin_of(secs);
        let unit = match film.picture_units[bin] {
            Some(unit) => unit,
            None => {
                let (start_secs, end_secs) = film.bins.bounds(bin);
                let extent = Extent::Time {
                    start_secs,
                    end_secs,
                    track: Track::Picture,
                };
                let whole = whole_picture(film.grid);
                *film.picture_units[bin].insert(self.unit(film.source, extent, Some(whole)))
            }
        };
        Ok((film, unit))
    }

    /// The next `tokens` positions of the current film's sound, `secs_per_token` each, counted from the film's begin.
    pub fn film_sound(
        &mut self,
        tokens: usize,
        secs_per_token: f64,
    ) -> Result<(), AttributionError> {
        let before = self.film.as_ref().map_or(0, |film| film.sound_tokens);
        self.film_sound_at(tokens, secs_per_token, |k| {
            (before + k) as f64 * secs_per_token
        })?;
        if let Some(film) = &mut self.film {
            film.sound_tokens += tokens;
        }
        Ok(())
    }

    /// `tokens` positions of the current film's sound, `secs_per_token` each, the first of which begins at `start_secs`.
    pub fn film_sound_from(
        &mut self,
        start_secs: f64,
        tokens: usize,
        secs_per_token: f64,
    ) -> Result<(), AttributionError> {
        self.film_sound_at(tokens, secs_per_token, |k| {
            start_secs + k as f64 * secs_per_token
        })
    }

    fn film_sound_at(
        &mut self,
        tokens: usize,
        secs_per_token: f64,
        begin_of: impl Fn(usize) -> f64,
    ) -> Result<(), AttributionError> {
        check_secs(secs_per_token)?;
        let mut film = self.film.take().ok_or_else(no_film)?;
        let mut owners = Vec::with_capacity(tokens);
        for token in 0..tokens {
            let bin = film.bins.bin_of(begin_of(token) + 0.5 * secs_per_token);
            let unit = match film.sound_units[bin] {
                Some(unit) => unit,
                None => {
                    let (start_secs, end_secs) = film.bins.bounds(bin);
                    let extent = Extent::Time {
                        start_secs,
                        end_secs,
                        track: Track::Sound,
                    };
                    *film.sound_units[bin].insert(self.unit(film.source, extent, None))
                }
            };
            owners.push(unit);
        }
        self.extend(tokens, |k| (Some(owners[k]), None));
        self.span(
            tokens,
            SpanContent::Sound {
                source: film.source,
            },
        );
        self.film = Some(film);
        Ok(())
    }
}

fn no_film() -> AttributionError {
    AttributionError::Layout("no film has been begun".into())
}
