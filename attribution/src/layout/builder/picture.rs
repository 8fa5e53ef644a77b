//! Pictures: patches row by row, in one unit or in regions; or parts that stand for no patches.
//! In: a picture, then its parts where it has any. Out: units with the grid below them.

use super::{LayoutBuilder, check_grid};
use crate::AttributionError;
use crate::layout::{SpanContent, UnitGrid};
use crate::record::{Extent, Grid, Rect, SourceItem, SourceRole};

impl LayoutBuilder {
    /// A picture: `grid.rows * grid.cols` positions, row by row. `item` must be an image.
    pub fn image(&mut self, item: SourceItem) -> Result<u32, AttributionError> {
        self.end_film();
        let SourceItem::Image { grid, .. } = item else {
            return Err(AttributionError::Layout(
                "an image placeholder needs an image".into(),
            ));
        };
        check_grid(grid)?;
        let source = self.source(SourceRole::Content, item);
        let (down, across) = (
            self.image_regions.clamp(1, grid.rows),
            self.image_regions.clamp(1, grid.cols),
        );
        let first = self.units.len() as u32;
        // Region (i, j) holds rows `cut(i)..cut(i + 1)`: whole patches, as even as they come.
        let cut = |k: u32, parts: u32, cells: u32| {
            (u64::from(k) * u64::from(cells) / u64::from(parts)) as u32
        };
        let rows: Vec<u32> = (0..=down).map(|k| cut(k, down, grid.rows)).collect();
        let cols: Vec<u32> = (0..=across).map(|k| cut(k, across, grid.cols)).collect();
        for i in 0..down as usize {
            for j in 0..across as usize {
                let rect_in_source = Rect {
                    x0: cols[j] as f32 / grid.cols as f32,
                    y0: rows[i] as f32 / grid.rows as f32,
                    x1: cols[j + 1] as f32 / grid.cols as f32,
                    y1: rows[i + 1] as f32 / grid.rows as f32,
                };
                let own = Grid {
                    rows: rows[i + 1] - rows[i],
                    cols: cols[j + 1] - cols[j],
                };
                self.unit(
                    source,
                    Extent::Region { rect_in_source },
                    Some(UnitGrid {
                        grid: own,
                        rect_in_source,
                    }),
                );
            }
        }
        let place = |cuts: &[u32], cell: u32| cuts[1..].partition_point(|edge| *edge <= cell);
        let count = (grid.rows * grid.cols) as usize;
        self.extend(count, |k| {
            let (row, col) = (k as u32 / grid.cols, k as u32 % grid.cols);
            let (i, j) = (place(&rows, row), place(&cols, col));
            let cell = (row - rows[i]) * (cols[j + 1] - cols[j]) + (col - cols[j]);
            (Some(first + i as u32 * across + j as u32), Some(cell))
        });
        self.span(count, SpanContent::Patches { source });
        Ok(source)
    }

    /// A picture whose positions do not stand for patches, such as those of an overview and slices behind learned queries: one
    /// unit. [`Self::image_part`] and [`Self::special`] follow in any order. `item` must be an image; `looks` is the grid in
    /// which is said later where a position looks. Ends with the next source or [`Self::finish`].
    pub fn image_in_parts(
        &mut self,
        item: SourceItem,
        looks: Grid,
    ) -> Result<u32, AttributionError> {
        self.end_film();
        if !matches!(item, SourceItem::Image { .. }) {
            return Err(AttributionError::Layout(
                "an image placeholder needs an image".into(),
            ));
        }
        check_grid(looks)?;
        let source = self.source(SourceRole::Content, item);
        let whole = whole_picture(looks);
        let extent = Extent::Region {
            rect_in_source: whole.rect_in_source,
        };
        self.parts_of = Some(self.unit(source, extent, Some(whole)));
        Ok(source)
    }

    /// The next `count` positions of the picture begun last.
    pub fn image_part(&mut self, count: usize) -> Result<(), AttributionError> {
        let unit = self
            .parts_of
            .ok_or_else(|| AttributionError::Layout("no picture has been begun".into()))?;
        self.extend(count, |_| (Some(unit), None));
        let source = self.units[unit as usize].source;
        self.span(count, SpanContent::Patches { source });
        Ok(())
    }
}

/// A unit of the whole picture.
pub(super) fn whole_picture(grid: Grid) -> UnitGrid {
    UnitGrid {
        grid,
        rect_in_source: Rect {
            x0: 0.0,
            y0: 0.0,
            x1: 1.0,
            y1: 1.0,
        },
    }
}
