//! Plots as inline SVG, and bars within lines of text. Nothing is computed by the browser, and colours are classes, so that a plot is read in
//! light, in the dark and on paper.

use super::html::{Html, grouped};

/// Size of a plot, in its own units; a browser scales it to the column's width.
const WIDTH: f64 = 440.0;
/// See [`WIDTH`].
const HEIGHT: f64 = 246.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 40.0;
/// Marks of an axis, about.
const MARKS: f64 = 4.0;

/// A plot with two axes that begin where their ranges do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    x: (f64, f64),
    y: (f64, f64),
}

impl Plot {
    pub(super) fn new(x: (f64, f64), y: (f64, f64)) -> Self {
        Self { x, y }
    }

    /// The plot, which says `what` it shows to whoever does not see it.
    pub(super) fn draw(&self, html: &mut Html, what: &str, content: impl FnOnce(&Self, &mut Html)) {
        let view = format!("0 0 {WIDTH} {HEIGHT}");
        html.within("svg", &[("class", "plot"), ("viewBox", &view), ("role", "img"), ("aria-label", what)], |html| {
            content(self, html);
        });
    }

    fn at_x(&self, x: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (x - self.x.0) / (self.x.1 - self.x.0)
    }

    fn at_y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - self.y.0) / (self.y.1 - self.y.0)
    }

    /// Lines across at these heights, with what they stand for.
    pub(super) fn marks_y(&self, html: &mut Html, marks: &[(f64, String)]) {
        for (value, text) in marks {
            let class = if *value <= self.y.0 { "axis" } else { "grid" };
            self.segment(html, class, (self.x.0, *value), (self.x.1, *value));
            self.write(html, "tick", "end", (LEFT - 7.0, self.at_y(*value) + 4.0), text);
        }
    }

    /// What stands under the plot, at these places.
    pub(super) fn marks_x(&self, html: &mut Html, marks: &[(f64, String)]) {
        for (value, text) in marks {
            self.write(html, "tick", "middle", (self.at_x(*value), HEIGHT - BOTTOM + 16.0), text);
        }
    }

    /// What the axes show.
    pub(super) fn titles(&self, html: &mut Html, x: &str, y: &str) {
        self.write(html, "title", "end", (WIDTH - RIGHT, HEIGHT - 6.0), x);
        self.write(html, "title", "start", (0.0, 11.0), y);
    }

    /// A bar from the bottom up, between `from` and `to`.
    pub(super) fn bar(&self, html: &mut Html, class: &'static str, (from, to): (f64, f64), height: f64, told: &str) {
        let (left, right, top) = (self.at_x(from), self.at_x(to), self.at_y(height));
        let gap = ((right - left) * 0.08).min(1.5);
        let [x, y, width, tall] =
            [left + gap, top, right - left - 2.0 * gap, self.at_y(self.y.0) - top].map(|number| units(number.max(0.0)));
        let shape = [("class", class), ("x", &*x), ("y", &*y), ("width", &*width), ("height", &*tall)];
        html.within("rect", &shape, |html| html.element("title", &[], told));
    }

    /// A line through points.
    pub(super) fn line(&self, html: &mut Html, class: &'static str, points: impl IntoIterator<Item = (f64, f64)>) {
        let points: Vec<String> =
            points.into_iter().map(|(x, y)| format!("{},{}", units(self.at_x(x)), units(self.at_y(y)))).collect();
        html.void("polyline", &[("class", class), ("points", &points.join(" "))]);
    }

    /// A line from one point to another.
    pub(super) fn segment(&self, html: &mut Html, class: &'static str, from: (f64, f64), to: (f64, f64)) {
        let [x1, x2] = [from.0, to.0].map(|x| units(self.at_x(x)));
        let [y1, y2] = [from.1, to.1].map(|y| units(self.at_y(y)));
        html.void("line", &[("class", class), ("x1", &x1), ("x2", &x2), ("y1", &y1), ("y2", &y2)]);
    }

    /// A dot.
    pub(super) fn dot(&self, html: &mut Html, (x, y): (f64, f64), radius: f64, told: &str) {
        let [x, y, radius] = [self.at_x(x), self.at_y(y), radius].map(units);
        let shape = [("class", "dot"), ("cx", &*x), ("cy", &*y), ("r", &*radius)];
        html.within("circle", &shape, |html| html.element("title", &[], told));
    }

    fn write(&self, html: &mut Html, class: &'static str, anchor: &'static str, (x, y): (f64, f64), text: &str) {
        let [x, y] = [x, y].map(units);
        html.element("text", &[("class", class), ("text-anchor", anchor), ("x", &x), ("y", &y)], text);
    }
}

/// A number of units, to a tenth.
fn units(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A bar as long as `share` (0 to 1) of the line that it stands in.
pub(super) fn bar(html: &mut Html, share: f64) {
    strip(html, |html| {
        html.void("rect", &[("class", "track"), ("width", "100"), ("height", "8")]);
        html.void("rect", &[("class", "bar"), ("width", &units(100.0 * share)), ("height", "8")]);
    });
}

/// An estimate with its interval, in a line from `range.0` to `range.1`.
pub(super) fn interval(html: &mut Html, estimate: f64, (low, high): (f64, f64), range: (f64, f64)) {
    let at = |share: f64| 100.0 * ((share - range.0) / (range.1 - range.0)).clamp(0.0, 1.0);
    let (from, to) = (at(low), at(high));
    strip(html, |html| {
        html.void("rect", &[("class", "track"), ("y", "3.5"), ("width", "100"), ("height", "1")]);
        let width = units((to - from).max(0.4));
        html.void("rect", &[("class", "range"), ("x", &units(from)), ("y", "2"), ("width", &width), ("height", "4")]);
        let x = units(at(estimate) - 0.5);
        html.void("rect", &[("class", "point"), ("x", &x), ("width", "1"), ("height", "8")]);
    });
}

fn strip(html: &mut Html, content: impl FnOnce(&mut Html)) {
    let shape =
        [("class", "strip"), ("viewBox", "0 0 100 8"), ("preserveAspectRatio", "none"), ("aria-hidden", "true")];
    html.within("svg", &shape, content);
}

/// Marks from 0 to `most` or a little above: 1, 2 or 5 times a power of ten apart, whole numbers.
pub(super) fn marks(most: u64) -> Vec<(f64, String)> {
    let rough = most.max(1) as f64 / MARKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough).max(1.0);
    let count = (most.max(1) as f64 / step).ceil() as u64;
    (0..=count).map(|mark| mark as f64 * step).map(|value| (value, short(value as u64))).collect()
}

/// Where the last of `marks` stands.
pub(super) fn last(marks: &[(f64, String)]) -> f64 {
    marks.last().map_or(1.0, |(value, _)| *value)
}

/// A count in few characters: `12,000`, `250k`, `1.5M`.
pub(super) fn short(number: u64) -> String {
    let thousands = |unit: f64, sign: &str| {
        let text = format!("{:.1}", number as f64 / unit);
        format!("{}{sign}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match number {
        0..100_000 => grouped(number),
        100_000..1_000_000 => thousands(1e3, "k"),
        _ => thousands(1e6, "M"),
    }
}

/// Percentages from `from` to 100%, at most some six.
pub(super) fn percents(from: f64) -> Vec<(f64, String)> {
    let step = if from >= 0.8 {
        5
    } else if from >= 0.5 {
        10
    } else {
        20
    };
    let begin = (100.0 * from).round() as u32 / step * step;
    (begin..=100).step_by(step as usize).map(|value| (f64::from(value) / 100.0, format!("{value}%"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_reach_the_most() {
        let values = |most| marks(most).into_iter().map(|(value, _)| value).collect::<Vec<_>>();
        assert_eq!(values(7), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(values(0), [0.0, 1.0]);
        assert_eq!(values(1843), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(values(3), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!([0, 99_999, 250_000, 1_500_000].map(short), ["0", "99,999", "250k", "1.5M"]);
        assert_eq!(percents(0.83).first().unwrap().1, "80%");
        assert_eq!(percents(0.0).len(), 6);
    }

    #[test]
    fn what_is_drawn_lies_within_the_plot() {
        let mut html = Html::default();
        let plot = Plot::new((0.0, 10.0), (0.0, 4.0));
        plot.draw(&mut html, "a <plot>", |plot, html| {
            plot.bar(html, "bar", (0.0, 10.0), 4.0, "4 texts");
            plot.line(html, "line", [(0.0, 0.0), (10.0, 4.0)]);
        });
        let svg = html.finish();
        assert!(svg.contains("aria-label=\"a &lt;plot&gt;\"") && svg.contains("<title>4 texts</title>"), "{svg}");
        assert!(svg.contains("points=\"46,206 420,28\""), "{svg}");
        assert!(svg.contains("x=\"47.5\" y=\"28\" width=\"371\" height=\"178\""), "{svg}");
    }
}
