//! A chart with both axes logarithmic, as SVG on a light ground.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 92.0;
const COLOURS: [&str; 4] = ["#1f5fa8", "#b3541e", "#2e7d4f", "#7a4fa3"];

pub struct Chart {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

impl Chart {
    pub fn new(title: &'static str, across: &'static str, up: &'static str) -> Self {
        Chart { title, across, up, lines: Vec::new() }
    }

    pub fn line(mut self, name: &'static str, points: Vec<(f64, f64)>) -> Self {
        if !points.is_empty() {
            self.lines.push((name, points));
        }
        self
    }

    /// `None` without a line.
    pub fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter());
        points().next()?;
        let (x, y) = (Axis::of(points().map(|it| it.0)), Axis::of(points().map(|it| it.1)));
        let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let up = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n\
             <title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#fbfbf9\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"16\" font-weight=\"600\">{title}</text>\n",
            title = self.title
        );
        for tick in x.ticks() {
            let at = across(tick);
            rule(&mut svg, (at, TOP), (at, HEIGHT - BOTTOM));
            text(&mut svg, (at, HEIGHT - BOTTOM + 18.0), "middle", &label(tick));
        }
        for tick in y.ticks() {
            let at = up(tick);
            rule(&mut svg, (LEFT, at), (WIDTH - RIGHT, at));
            text(&mut svg, (LEFT - 8.0, at + 4.0), "end", &label(tick));
        }
        text(&mut svg, (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - BOTTOM + 40.0), "middle", self.across);
        text(&mut svg, (LEFT - 8.0, TOP - 8.0), "end", self.up);
        let mut legend = LEFT;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for (x, y) in points {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{}: {}</title></circle>",
                    across(*x),
                    up(*y),
                    label(*x),
                    label(*y)
                );
            }
            let _ = writeln!(
                svg,
                "<rect x=\"{legend:.0}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>",
                HEIGHT - 24.0
            );
            text(&mut svg, (legend + 20.0, HEIGHT - 18.0), "start", name);
            #[expect(clippy::cast_precision_loss, reason = "few letters")]
            let width = name.chars().count() as f64 * 7.2;
            legend += 44.0 + width;
        }
        svg.push_str("</svg>\n");
        Some(svg)
    }
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>", at.0, at.1);
}

/// At most three digits that count.
fn label(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0}k", v / 1000.0),
        v if v >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A logarithmic axis over whole steps of 1, 2, 5, 10.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::MAX, f64::MIN_POSITIVE);
        for value in values.filter(|value| *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        let below = steps().filter(|step| *step <= low).last().unwrap_or(low);
        let above = steps().find(|step| *step >= high && *step > below).unwrap_or(high);
        Axis { low: below, high: above }
    }

    fn place(&self, value: f64) -> f64 {
        (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
    }

    fn ticks(&self) -> Vec<f64> {
        let all: Vec<f64> = steps().filter(|step| (self.low..=self.high).contains(step)).collect();
        let leading_one = |step: &f64| (step.log10() - step.log10().round()).abs() < 1e-9;
        if all.len() > 10 { all.into_iter().filter(leading_one).collect() } else { all }
    }
}

fn steps() -> impl Iterator<Item = f64> {
    (-3..8).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
}
