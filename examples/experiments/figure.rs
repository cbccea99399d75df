//! The plot of the experiments, as SVG: one panel a set of recordings, one bar a refinery, a line for the teacher.

use std::fmt::Write as _;

/// One refinery's accuracy; shares.
pub(crate) struct Bar {
    pub(crate) refinery: &'static str,
    pub(crate) teacher: f64,
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

const PANEL: (f64, f64) = (420.0, 210.0);
const COLUMNS: usize = 2;
/// Room for names at the left and the figure at the right of the bars.
const MARGINS: (f64, f64) = (95.0, 60.0);
/// The axis begins here: all accuracies are far from zero.
const FROM: f64 = 0.6;
const TO: f64 = 0.9;

/// SVG text.
pub(crate) fn draw(panels: &[(String, Vec<Bar>)]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64, PANEL.1 * rows as f64 + 20.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, (title, bars)) in panels.iter().enumerate() {
        let (left, top) = ((number % COLUMNS) as f64 * PANEL.0, (number / COLUMNS) as f64 * PANEL.1);
        panel(&mut svg, title, bars, left, top);
    }
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"{}\" fill=\"#555\">Distilled labels that are right; whiskers: standard deviation over seeds; \
         dashed: the teacher's first label. The axis begins at {:.0}%.</text>\n</svg>",
        height - 6.0,
        100.0 * FROM
    );
    svg
}

fn panel(svg: &mut String, title: &str, bars: &[Bar], left: f64, top: f64) {
    let (from, to) = (left + MARGINS.0, left + PANEL.0 - MARGINS.1);
    let at = |share: f64| from + (share.clamp(FROM, TO) - FROM) / (TO - FROM) * (to - from);
    let _ =
        writeln!(svg, "<text x=\"{from}\" y=\"{}\" font-weight=\"bold\" font-size=\"13\">{title}</text>", top + 20.0);
    for (number, bar) in bars.iter().enumerate() {
        let y = top + 32.0 + number as f64 * 27.0;
        let color = if bar.refinery == "posterior" { "#1f6f8b" } else { "#a9c5cf" };
        let (end, middle) = (at(bar.mean), y + 9.0);
        let (low, high) = (at(bar.mean - bar.deviation), at(bar.mean + bar.deviation));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{from}\" y=\"{y}\" width=\"{}\" height=\"18\" fill=\"{color}\"/>\n\
             <path d=\"M{low} {middle}H{high}\" stroke=\"black\"/>\n\
             <text x=\"{}\" y=\"{}\">{:.2}</text>",
            from - 6.0,
            y + 13.0,
            bar.refinery,
            end - from,
            high.max(at(bar.teacher)) + 5.0,
            y + 13.0,
            100.0 * bar.mean
        );
    }
    if let Some(bar) = bars.first() {
        let x = at(bar.teacher);
        let end = top + 30.0 + bars.len() as f64 * 27.0;
        let _ = writeln!(svg, "<path d=\"M{x} {}V{end}\" stroke=\"#c0392b\" stroke-dasharray=\"4 3\"/>", top + 28.0);
    }
}
