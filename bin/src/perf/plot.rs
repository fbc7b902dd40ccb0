//! Curves as SVG: axes with round numbers and units, and one line or several.

use std::fmt::Write as _;
use std::path::Path;

use crate::address::plain;
use crate::error::Failure;

/// The size of a picture and the room around its axes, in pixels.
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 60.0;
/// Of lines, in their order.
const COLOURS: [&str; 4] = ["#0b62c4", "#c4510b", "#2f8f3a", "#7a3fb0"];

/// How a value finds its place on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// From 0 to this.
    Linear { greatest: f64 },
    /// From the one to the other, both above 0.
    Logarithmic { least: f64, greatest: f64 },
}

impl Scale {
    /// From 0 to the next round number.
    pub(crate) fn linear(greatest: f64) -> Self {
        let step = round_step(greatest);
        Self::Linear { greatest: (greatest / step).ceil().max(1.0) * step }
    }

    /// From 1, 2 or 5 times a power of ten to another, with the values between them.
    fn logarithmic(least: f64, greatest: f64) -> Self {
        let least = least.max(f64::MIN_POSITIVE);
        let least = steps(least).rfind(|step| *step <= least * 1.000_001).unwrap_or(least);
        let greatest = greatest.max(least * 2.0);
        let greatest = steps(greatest).find(|step| *step >= greatest * 0.999_999).unwrap_or(greatest);
        Self::Logarithmic { least, greatest }
    }

    /// Where it is, from 0 to 1.
    pub(crate) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { greatest } => value / greatest,
            Self::Logarithmic { least, greatest } => (value.max(least) / least).ln() / (greatest / least).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Where lines with numbers are.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { greatest } => {
                let step = round_step(greatest);
                let count = (greatest / step).round() as u32;
                (0..=count).map(|number| f64::from(number) * step).collect()
            }
            Self::Logarithmic { least, greatest } => {
                let inside = |step: &f64| *step >= least * 0.999_999 && *step <= greatest * 1.000_001;
                let mut ticks: Vec<f64> = Vec::new();
                let mut at = least;
                while at <= greatest * 1.000_001 {
                    ticks.extend(steps(at).filter(inside));
                    at *= 10.0;
                }
                ticks.extend(steps(greatest).filter(inside));
                ticks.sort_by(f64::total_cmp);
                ticks.dedup_by(|a, b| (*a / *b - 1.0).abs() < 1e-6);
                ticks
            }
        }
    }
}

/// 1, 2, 5 and 10 times the power of ten below a value.
fn steps(value: f64) -> impl DoubleEndedIterator<Item = f64> {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(move |factor| factor * power)
}

/// A step of 1, 2 or 5 times a power of ten that divides this into five parts or a few more.
fn round_step(greatest: f64) -> f64 {
    let wanted = if greatest > 0.0 { greatest / 5.0 } else { 1.0 };
    steps(wanted).rfind(|step| *step <= wanted * 1.000_001).unwrap_or(wanted)
}

/// An axis: its scale, what its numbers are, and how they are written.
#[derive(Clone, Debug)]
struct Axis {
    scale: Scale,
    title: String,
    /// Where lines are, and what stands at them.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    fn new(scale: Scale, title: impl Into<String>) -> Self {
        let ticks = scale.ticks().into_iter().map(|tick| (tick, number(tick))).collect();
        Self { scale, title: title.into(), ticks }
    }
}

/// `0`, `0.2`, `20`, `20000`: as many digits as it takes.
pub(crate) fn number(value: f64) -> String {
    let digits = if value == 0.0 || value >= 1.0 { 1 } else { (1.0 - value.log10().floor()) as usize };
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Lines in their axes.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    title: String,
    across: Axis,
    up: Axis,
    lines: Vec<Line>,
}

/// A line, with its name if there is more than one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    const fn alone(points: Vec<(f64, f64)>) -> Self {
        Self { name: String::new(), points }
    }
}

/// How something grows: from zero upwards; across logarithmic, with the points' own places as its ticks, or linear.
pub(crate) fn growth(title: String, [across, up]: [String; 2], linear: bool, lines: Vec<Line>) -> Plot {
    let all = || lines.iter().flat_map(|line| &line.points);
    let greatest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let (far, high) = (greatest(&mut all().map(|point| point.0)), greatest(&mut all().map(|point| point.1)));
    let across = if linear {
        Axis::new(Scale::linear(far), across)
    } else {
        let mut places: Vec<f64> = all().map(|point| point.0.max(1.0)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let least = places.first().copied().unwrap_or(1.0);
        let scale = Scale::Logarithmic { least, greatest: far.max(least * 2.0) };
        Axis { scale, title: across, ticks: places.into_iter().map(|place| (place, number(place))).collect() }
    };
    Plot { title, across, up: Axis::new(Scale::linear(high), up), lines }
}

/// Throughput over time, from the bytes that were moved until each time.
pub(crate) fn throughput(title: String, samples: &[(f64, u64)]) -> Plot {
    let rates: Vec<(f64, f64)> = samples
        .windows(2)
        .filter_map(|pair| match pair {
            // Half a sample at the end would say little.
            [(from, before), (to, after)] if to - from > 0.02 || samples.len() == 2 => {
                let gigabits = after.saturating_sub(*before) as f64 * 8.0 / 1e9;
                Some(((from + to) / 2.0, gigabits / (to - from).max(1e-9)))
            }
            _ => None,
        })
        .collect();
    let greatest = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let end = samples.last().map_or(1.0, |(time, _)| *time);
    Plot {
        title,
        across: Axis::new(Scale::linear(end), "time in seconds"),
        up: Axis::new(Scale::linear(greatest), "payload in Gbit/s"),
        lines: vec![Line::alone(rates)],
    }
}

/// Latency by percentile, each nine as wide as the others.
pub(crate) fn latency(title: String, curve: &[(f64, f64)]) -> Plot {
    // Of how many one is slower: 1 at the fastest, 100 at the 99th percentile.
    let one_of = |percentile: f64| 100.0 / (100.0 - percentile).max(1e-9);
    let points: Vec<(f64, f64)> = curve.iter().map(|(percentile, time)| (one_of(*percentile), *time)).collect();
    let rarest = points.last().map_or(10.0, |(one_of, _)| one_of.max(10.0));
    let scale = Scale::Logarithmic { least: 1.0, greatest: rarest };
    let named = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.99999];
    let ticks = named.into_iter().filter(|percentile| one_of(*percentile) <= rarest * 1.001);
    let ticks = ticks.map(|percentile| (one_of(percentile), percentile.to_string())).collect();
    let (fastest, slowest) = (points.first(), points.last());
    let times = Scale::logarithmic(fastest.map_or(1.0, |point| point.1), slowest.map_or(10.0, |point| point.1));
    Plot {
        title,
        across: Axis { scale, title: "percentile of requests (%)".to_owned(), ticks },
        up: Axis::new(times, "latency in microseconds"),
        lines: vec![Line::alone(points)],
    }
}

impl Plot {
    /// Writes the picture.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        std::fs::write(path, self.svg())
            .map_err(|error| Failure::failed(format_args!("{}: {}", path.display(), plain(&error))))
    }

    fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"14\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"18\">{}</text>\n",
            self.title
        );
        self.draw_across(&mut svg).ok();
        self.draw_up(&mut svg).ok();
        let mut name_at = TOP;
        for (line, colour) in self.lines.iter().zip(COLOURS.into_iter().cycle()) {
            name_at += 20.0;
            self.draw_line(&mut svg, line, colour, name_at).ok();
        }
        svg += "</svg>\n";
        svg
    }

    /// The line, and its name in the corner where what grows begins.
    fn draw_line(&self, svg: &mut String, line: &Line, colour: &str, name_at: f64) -> std::fmt::Result {
        let places = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y)));
        let places: Vec<String> = places.collect();
        let places = places.join(" ");
        writeln!(svg, "<polyline points=\"{places}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        if line.name.is_empty() {
            return Ok(());
        }
        let (x, name) = (LEFT + 12.0, &line.name);
        writeln!(svg, "<text x=\"{x}\" y=\"{name_at}\" fill=\"{colour}\">{name}</text>")
    }

    fn draw_across(&self, svg: &mut String) -> std::fmt::Result {
        let (bottom, middle) = (HEIGHT - BOTTOM, f64::midpoint(LEFT, WIDTH - RIGHT));
        for (tick, label) in &self.across.ticks {
            let x = self.x(*tick);
            writeln!(svg, "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>")?;
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", bottom + 20.0)?;
        }
        let title = &self.across.title;
        writeln!(svg, "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{title}</text>", HEIGHT - 14.0)
    }

    fn draw_up(&self, svg: &mut String) -> std::fmt::Result {
        let (right, middle) = (WIDTH - RIGHT, f64::midpoint(TOP, HEIGHT - BOTTOM));
        for (tick, label) in &self.up.ticks {
            let y = self.y(*tick);
            writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>")?;
            let (x, y) = (LEFT - 8.0, y + 5.0);
            writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>")?;
        }
        let title = &self.up.title;
        writeln!(svg, "<text transform=\"translate(20 {middle}) rotate(-90)\" text-anchor=\"middle\">{title}</text>")
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.scale.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up.scale.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_around_what_is_drawn() {
        assert_eq!(Scale::linear(9.3), Scale::Linear { greatest: 10.0 });
        assert_eq!(Scale::linear(0.0), Scale::Linear { greatest: 1.0 });
        for greatest in [0.003, 0.7, 1.0, 4.9, 5.0, 37.0, 99_999.0] {
            let ticks = Scale::linear(greatest).ticks();
            assert!((5..=12).contains(&ticks.len()), "{greatest}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= greatest * 0.999 && ticks[0] == 0.0, "{greatest}: {ticks:?}");
        }
        let scale = Scale::logarithmic(23.0, 3100.0);
        assert_eq!(scale, Scale::Logarithmic { least: 20.0, greatest: 5000.0 });
        assert_eq!(scale.ticks(), [20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]);
    }

    #[test]
    fn values_find_their_place() {
        let linear = Scale::Linear { greatest: 10.0 };
        assert_eq!([0.0, 2.5, 10.0, 11.0].map(|value| linear.place(value)), [0.0, 0.25, 1.0, 1.0]);
        let logarithmic = Scale::Logarithmic { least: 1.0, greatest: 10_000.0 };
        for (value, place) in [(0.0, 0.0), (1.0, 0.0), (100.0, 0.5), (10_000.0, 1.0)] {
            assert!((logarithmic.place(value) - place).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn numbers_have_the_digits_they_need() {
        assert_eq!([0.0, 0.02, 0.5, 2.5, 20.0, 20_000.0].map(number), ["0", "0.02", "0.5", "2.5", "20", "20000"]);
    }

    #[test]
    fn throughput_is_what_was_moved_between_two_looks() {
        let plot =
            throughput("down".to_owned(), &[(0.0, 0), (0.1, 125_000_000), (0.2, 125_000_000), (0.201, 125_000_001)]);
        let expected = [(0.05, 10.0), (0.15, 0.0)];
        assert_eq!(plot.lines[0].points.len(), 2);
        for (found, expected) in plot.lines[0].points.iter().zip(expected) {
            assert!((found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-6, "{found:?}");
        }
        let svg = plot.svg();
        assert!(svg.contains("time in seconds") && svg.contains("payload in Gbit/s"), "{svg}");
        assert!(svg.contains("<polyline points=\"") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(!throughput(String::new(), &[(0.01, 5)]).svg().contains("NaN"));
    }

    #[test]
    fn each_nine_of_a_latency_is_as_wide_as_the_others() {
        let plot = latency(String::new(), &[(0.0, 20.0), (90.0, 30.0), (99.0, 40.0), (99.9, 400.0)]);
        let places: Vec<f64> = plot.lines[0].points.iter().map(|(x, _)| plot.across.scale.place(*x)).collect();
        for (found, expected) in places.iter().zip([0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]) {
            assert!((found - expected).abs() < 1e-6, "{places:?}");
        }
        let labels: Vec<&str> = plot.across.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "50", "90", "99", "99.9"]);
        assert!(!latency(String::new(), &[]).svg().contains("NaN"));
    }

    #[test]
    fn what_grows_has_ticks_where_it_was_measured_and_names_at_its_lines() {
        let line = |name: &str, points: &[(f64, f64)]| Line { name: name.to_owned(), points: points.to_vec() };
        let lines = vec![line("one socket", &[(0.0, 0.3), (1000.0, 0.9)]), line("quinn", &[(10.0, 0.5)])];
        let axes = || ["connections".to_owned(), "s/GB".to_owned()];
        let plot = growth("Bulk".to_owned(), axes(), false, lines.clone());
        let ticks: Vec<&str> = plot.across.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(ticks, ["1", "10", "1000"]);
        let svg = plot.svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains(">one socket</text>") && svg.contains(">quinn</text>") && !svg.contains("NaN"), "{svg}");
        assert_eq!(growth(String::new(), axes(), true, lines).across.scale, Scale::Linear { greatest: 1000.0 });
        assert!(!growth(String::new(), axes(), false, Vec::new()).svg().contains("NaN"));
    }
}
