//! Which seconds of a time line are seen. Pure: tested without a browser.

/// Seconds from the begin, half open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) from: f64,
    pub(super) to: f64,
}

/// The closest look.
const LEAST_SECS: f64 = 0.25;

impl Window {
    /// All of it.
    pub(super) fn whole(length: f64) -> Self {
        Self {
            from: 0.0,
            to: length,
        }
    }

    pub(super) fn span(&self) -> f64 {
        self.to - self.from
    }

    pub(super) fn is_whole(&self, length: f64) -> bool {
        self.span() >= length * 0.999_9
    }

    pub(super) fn is_closest(&self, length: f64) -> bool {
        self.span() <= LEAST_SECS.min(length) * 1.000_1
    }

    pub(super) fn contains(&self, at: f64) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Within the time line: first as long as allowed, then moved.
    fn fitted(self, length: f64) -> Self {
        let span = self.span().clamp(LEAST_SECS.min(length), length);
        let from = self.from.clamp(0.0, length - span);
        Self {
            from,
            to: from + span,
        }
    }

    /// `times` as long, with `anchor` where it is.
    pub(super) fn scaled(self, times: f64, anchor: f64, length: f64) -> Self {
        let span = (self.span() * times).clamp(LEAST_SECS.min(length), length);
        let share = ((anchor - self.from) / self.span()).clamp(0.0, 1.0);
        let from = anchor - share * span;
        Self {
            from,
            to: from + span,
        }
        .fitted(length)
    }

    pub(super) fn moved(self, by_secs: f64, length: f64) -> Self {
        Self {
            from: self.from + by_secs,
            to: self.to + by_secs,
        }
        .fitted(length)
    }

    /// As it is where the interval is in it, else moved to it, with a little of what is before.
    pub(super) fn showing(self, start: f64, end: f64, length: f64) -> Self {
        if self.contains(start) && (self.contains(end) || end - start > self.span()) {
            return self;
        }
        let before = (self.span() - (end - start)).max(0.0) * 0.15;
        self.moved(start - before - self.from, length)
    }

    /// Part of the way to another: what both have in common stays where it is.
    pub(super) fn toward(self, goal: Self, share: f64) -> Self {
        Self {
            from: self.from + (goal.from - self.from) * share,
            to: self.to + (goal.to - self.to) * share,
        }
    }

    /// For an address: `12.5-18.25`.
    pub(super) fn written(&self) -> String {
        format!("{}-{}", hundredths(self.from), hundredths(self.to))
    }

    /// What [`Self::written`] wrote; none where it is not of this time line.
    pub(super) fn read(text: &str, length: f64) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (seconds(from)?, seconds(to)?);
        let sane = to > from && from < length;
        sane.then(|| Self { from, to }.fitted(length))
    }
}

/// `12.05`, `3.5` or `7`, without the float formatter of the standard library: it is larger than all of this.
fn hundredths(secs: f64) -> String {
    let all = (secs.max(0.0) * 100.0).round() as u64;
    match (all % 100, all % 10) {
        (0, _) => format!("{}", all / 100),
        (_, 0) => format!("{}.{}", all / 100, all % 100 / 10),
        (rest, _) => format!("{}.{rest:02}", all / 100),
    }
}

/// What [`hundredths`] wrote.
fn seconds(text: &str) -> Option<f64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let parts = (rest.len() <= 2).then_some(10f64.powi(rest.len() as i32))?;
    let (whole, rest) = (whole.parse::<u32>().ok()?, rest.parse::<u32>().ok()?);
    Some(f64::from(whole) + f64::from(rest) / parts)
}

/// `1:04` or, with decimals, `1:04.25`; hours where there are some.
pub(super) fn clock(secs: f64, decimals: u32) -> String {
    let unit = 10u64.pow(decimals);
    let all = (secs.max(0.0) * unit as f64).round() as u64;
    let (whole, rest) = (all / unit, all % unit);
    let (hours, minutes, secs) = (whole / 3_600, whole / 60 % 60, whole % 60);
    let mut text = if hours > 0 {
        format!("{hours}:{minutes:02}:{secs:02}")
    } else {
        format!("{minutes}:{secs:02}")
    };
    if decimals > 0 {
        let digits = format!("{}", unit + rest);
        text.push('.');
        text.push_str(&digits[1..]);
    }
    text
}

/// Round moments of a window with their labels, at most `most`.
pub(super) fn ticks(window: Window, most: usize) -> Vec<(f64, String)> {
    const STEPS: [f64; 18] = [
        0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0,
        1_800.0, 3_600.0, 7_200.0,
    ];
    let step = STEPS
        .into_iter()
        .find(|step| window.span() / step <= most as f64)
        .unwrap_or(86_400.0);
    let decimals = match step {
        step if step < 0.1 => 2,
        step if step < 1.0 => 1,
        _ => 0,
    };
    let first = (window.from / step).ceil() as u64;
    (first..)
        .map(|k| k as f64 * step)
        .take_while(|at| *at <= window.to)
        .take(most + 1)
        .map(|at| (at, clock(at, decimals)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_keeps_what_is_under_the_pointer_and_stays_inside() {
        let all = Window::whole(60.0);
        let half = all.scaled(0.5, 40.0, 60.0);
        assert_eq!(
            half,
            Window {
                from: 20.0,
                to: 50.0
            }
        );
        let at_edge = all.scaled(0.5, 60.0, 60.0);
        assert_eq!(
            at_edge,
            Window {
                from: 30.0,
                to: 60.0
            }
        );
        assert!(half.scaled(100.0, 25.0, 60.0).is_whole(60.0));
        let close = half.scaled(1e-9, 40.0, 60.0);
        assert!(close.is_closest(60.0) && close.contains(40.0));
        assert!(Window::whole(0.1).scaled(0.5, 0.05, 0.1).is_whole(0.1));
        assert_eq!(
            half.moved(-100.0, 60.0),
            Window {
                from: 0.0,
                to: 30.0
            }
        );
        assert_eq!(
            half.moved(100.0, 60.0),
            Window {
                from: 30.0,
                to: 60.0
            }
        );
    }

    #[test]
    fn an_interval_outside_is_moved_into_view() {
        let window = Window {
            from: 20.0,
            to: 30.0,
        };
        assert_eq!(window.showing(22.0, 25.0, 60.0), window);
        let there = window.showing(40.0, 42.0, 60.0);
        assert!(there.contains(40.0) && there.contains(42.0) && there.span() == 10.0);
        let long = window.showing(1.0, 50.0, 60.0);
        assert!(long.contains(1.0));
        assert_eq!(
            window.showing(25.0, 50.0, 60.0),
            window,
            "longer than the window, and begins in it"
        );
    }

    #[test]
    fn a_move_ends_where_it_should_around_what_both_show() {
        let (all, close) = (
            Window::whole(60.0),
            Window {
                from: 10.0,
                to: 12.0,
            },
        );
        assert_eq!(all.toward(close, 1.0), close);
        // 20/58 of the way along: the one moment that stays in its place.
        let fixed = 60.0 * 10.0 / 58.0;
        let share = |window: Window| (fixed - window.from) / window.span();
        let half = all.toward(close, 0.5);
        assert!((share(half) - share(all)).abs() < 1e-9);
    }

    #[test]
    fn a_window_is_written_and_read() {
        for (from, to, text) in [
            (12.5, 18.25, "12.5-18.25"),
            (0.0, 7.0, "0-7"),
            (3.05, 4.0, "3.05-4"),
        ] {
            let window = Window { from, to };
            assert_eq!(window.written(), text);
            assert_eq!(Window::read(text, 60.0), Some(window));
        }
        for text in [
            "", "3", "a-b", "5-3", "-1-3", "70-80", "NaN-3", "1-inf", "1.234-5", "1.-5",
        ] {
            assert_eq!(Window::read(text, 60.0), None, "{text}");
        }
        assert!(Window::read("50-500", 60.0).is_some_and(|window| window.to <= 60.0));
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let of = |from, to| -> Vec<String> {
            ticks(Window { from, to }, 6)
                .into_iter()
                .map(|(_, label)| label)
                .collect()
        };
        assert_eq!(of(0.0, 8.6), ["0:00", "0:02", "0:04", "0:06", "0:08"]);
        assert_eq!(
            of(3.95, 4.24),
            [
                "0:03.95", "0:04.00", "0:04.05", "0:04.10", "0:04.15", "0:04.20"
            ]
        );
        assert_eq!(of(3.9, 4.35)[1..3], ["0:04.0", "0:04.1"]);
        assert_eq!(
            of(7_100.0, 7_200.0),
            ["1:58:30", "1:59:00", "1:59:30", "2:00:00"]
        );
        assert!(of(0.0, 7_200.0).len() <= 7);
        assert_eq!(clock(61.999, 1), "1:02.0");
    }
}
