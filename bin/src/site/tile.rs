//! `/demo/tile/{i}.png`: one tile of a picture that is made of many, each an own request.
//!
//! The picture is a function of place: nothing is kept, and each number of tiles has a picture of its own size.

use std::time::Duration;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::limits::{LONGEST_DELAY, MOST_TILES};
use super::png;
use super::query::{Query, whole};
use super::refusal::{Quoted, Refusal};

/// The side of a tile, in pixels.
pub(super) const SIDE: u32 = 32;
/// How many tiles there are if nobody says how many.
const TILES: u32 = 200;

/// What the page and its tiles are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) tiles: u32,
    /// How long each tile is held back.
    pub(super) delay: Duration,
}

impl Wishes {
    /// Reads `?n=` and `?delay=` (milliseconds).
    pub(super) fn read(query: &Query) -> Result<Self, Refusal> {
        // `t` is the page's: an address that nobody has asked for is in no cache.
        query.only(&["n", "delay", "t"])?;
        let tiles = query.get("n", u64::from(TILES), whole(1, u64::from(MOST_TILES)))?;
        let longest = u64::try_from(LONGEST_DELAY.as_millis()).unwrap_or(u64::MAX);
        let delay = query.get("delay", 0, whole(0, longest))?;
        Ok(Self { tiles: u32::try_from(tiles).unwrap_or(MOST_TILES), delay: Duration::from_millis(delay) })
    }

    /// How many tiles stand in a row: about twice as many as in a column, and so that no row has a hole if that can be.
    pub(super) fn columns(self) -> u32 {
        let ideal = (1..self.tiles).find(|columns| columns * columns >= self.tiles * 2).unwrap_or(self.tiles);
        let near = (ideal..=ideal + ideal / 4).chain((ideal - ideal / 4..ideal).rev());
        near.into_iter().find(|columns| self.tiles.is_multiple_of(*columns)).unwrap_or(ideal)
    }

    /// How many rows there are; the last one may not be full.
    pub(super) fn rows(self) -> u32 {
        self.tiles.div_ceil(self.columns())
    }
}

/// Answers with a tile.
pub(super) async fn picture(Path(name): Path<String>, query: Query) -> Result<Response, Refusal> {
    let wishes = Wishes::read(&query)?;
    let index = name.strip_suffix(".png").and_then(|index| index.parse().ok()).filter(|index| *index < wishes.tiles);
    let index: u32 = index.ok_or_else(|| {
        let last = wishes.tiles - 1;
        Refusal::bad(format_args!(
            "/demo/tile/{}: of {} tiles there are 0.png to {last}.png; ?n= says how many there are",
            Quoted(&name),
            wishes.tiles
        ))
    })?;
    if !wishes.delay.is_zero() {
        tokio::time::sleep(wishes.delay).await;
    }
    let headers = [(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, "no-store")];
    Ok((headers, render(index, wishes)).into_response())
}

fn render(index: u32, wishes: Wishes) -> Vec<u8> {
    let columns = wishes.columns();
    let (left, top) = (index % columns * SIDE, index / columns * SIDE);
    let (width, height) = (f64::from(columns * SIDE), f64::from(wishes.rows() * SIDE));
    let ridges: Vec<[f64; RIDGES.len()]> =
        (left..left + SIDE).map(|x| RIDGES.map(|ridge| ridge.height(f64::from(x) / width))).collect();
    let mut pixels = Vec::with_capacity((SIDE * SIDE) as usize);
    for y in top..top + SIDE {
        for (x, ridges) in (left..).zip(&ridges) {
            pixels.push(colour(f64::from(x) / width, f64::from(y) / height, ridges, width / height));
        }
    }
    png::encode(SIDE, SIDE, &pixels)
}

/// A range of hills: the nearer, the darker and the lower.
#[derive(Clone, Copy, Debug)]
struct Ridge {
    base: f64,
    swing: f64,
    waves: f64,
    phase: f64,
    colour: [f64; 3],
}

const RIDGES: [Ridge; 5] = [
    Ridge { base: 0.56, swing: 0.055, waves: 5.0, phase: 0.4, colour: [0.72, 0.42, 0.52] },
    Ridge { base: 0.64, swing: 0.060, waves: 6.5, phase: 2.1, colour: [0.52, 0.30, 0.47] },
    Ridge { base: 0.73, swing: 0.055, waves: 7.5, phase: 4.4, colour: [0.35, 0.21, 0.40] },
    Ridge { base: 0.82, swing: 0.050, waves: 9.0, phase: 1.2, colour: [0.21, 0.13, 0.30] },
    Ridge { base: 0.91, swing: 0.040, waves: 11.0, phase: 3.3, colour: [0.09, 0.06, 0.18] },
];

impl Ridge {
    /// How far down the picture its line is, at this place from left to right.
    fn height(self, across: f64) -> f64 {
        let wave = |times: f64, shift: f64| (across * self.waves * times + self.phase * shift).sin();
        let small = wave(7.3, 3.1) * 0.12 + wave(17.9, 5.7) * 0.05;
        self.base - self.swing * (wave(1.0, 1.0) * 0.6 + wave(2.7, 1.9) * 0.35 + small)
    }
}

/// Where the sun is, and how large.
const SUN: [f64; 2] = [0.68, 0.40];
const SUN_SIZE: f64 = 0.075;

fn colour(across: f64, down: f64, ridges: &[f64; RIDGES.len()], aspect: f64) -> [u8; 3] {
    let nearest = ridges.iter().rposition(|line| down > *line);
    let colour = match nearest.and_then(|nearest| RIDGES.get(nearest)) {
        // Haze gathers at the foot of a hill.
        Some(ridge) => mix(ridge.colour, [0.80, 0.50, 0.50], (down - ridge.base).max(0.0) * 0.9),
        None => sky(across, down, aspect),
    };
    colour.map(|part| (part.clamp(0.0, 1.0) * 255.0).round() as u8)
}

fn sky(across: f64, down: f64, aspect: f64) -> [f64; 3] {
    const ZENITH: [f64; 3] = [0.10, 0.10, 0.30];
    const MIDDLE: [f64; 3] = [0.58, 0.25, 0.48];
    const HORIZON: [f64; 3] = [1.00, 0.66, 0.40];
    const LIGHT: [f64; 3] = [1.00, 0.93, 0.74];
    let blue = if down < 0.3 { mix(ZENITH, MIDDLE, down / 0.3) } else { mix(MIDDLE, HORIZON, (down - 0.3) / 0.3) };
    let distance = ((across - SUN[0]) * aspect).hypot(down - SUN[1]);
    let glow = 0.55 * (-distance * 5.0).exp();
    // A soft edge, a few pixels wide.
    let disc = ((SUN_SIZE - distance) * 200.0).clamp(0.0, 1.0);
    mix(mix(blue, LIGHT, glow), LIGHT, disc)
}

fn mix(from: [f64; 3], to: [f64; 3], share: f64) -> [f64; 3] {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|part| from[part] + (to[part] - from[part]) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_tiles_has_a_place_for_each() {
        for tiles in 1..=MOST_TILES {
            let wishes = Wishes { tiles, delay: Duration::ZERO };
            let (columns, rows) = (wishes.columns(), wishes.rows());
            assert!(columns * rows >= tiles && columns * (rows - 1) < tiles, "{tiles}: {columns} x {rows}");
        }
        for (tiles, columns, rows) in [(TILES, 20, 10), (1_000, 50, 20), (7, 4, 2), (2, 2, 1), (1, 1, 1)] {
            let wishes = Wishes { tiles, delay: Duration::ZERO };
            assert_eq!((wishes.columns(), wishes.rows()), (columns, rows));
        }
    }

    #[test]
    fn tiles_differ_and_are_the_same_each_time() {
        let wishes = Wishes { tiles: TILES, delay: Duration::ZERO };
        let all: std::collections::BTreeSet<Vec<u8>> = (0..TILES).map(|index| render(index, wishes)).collect();
        assert!(all.len() > 190, "{}", all.len());
        assert_eq!(render(7, wishes), render(7, wishes));
    }
}
