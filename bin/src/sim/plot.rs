//! The picture of a simulation: goodput, windows, round trips and the queue, one under the other over the same time.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ::sim::{FlowReport, Report, Scenario};

use crate::address::plain;
use crate::error::Failure;
use crate::perf::plot::{Scale, number};
use crate::units;

/// The picture and the room around its panels, in pixels.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TITLE: f64 = 40.0;
const LEGEND_LINE: f64 = 20.0;
const PANEL: f64 = 170.0;
const GAP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Of flows, in their order, and then anew.
const COLOURS: [&str; 10] =
    ["#0b62c4", "#c4510b", "#2f8f3a", "#7a3fb0", "#b3123f", "#0d8a8a", "#8a6d0d", "#4b5563", "#d0479a", "#5b8c00"];
/// Of the queue, which is nobody's.
const QUEUE: &str = "#333333";
/// The legend names no more flows than this.
const NAMED: usize = 24;
/// Goodput is told over so many parts of the time, so that it is a line and not a comb.
const PARTS: u32 = 125;

/// Lines over time with an axis.
struct Panel {
    title: String,
    scale: Scale,
    /// A colour, and points of seconds and values.
    lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

impl Panel {
    fn new(title: impl Into<String>, lines: Vec<(&'static str, Vec<(f64, f64)>)>) -> Self {
        let values = lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
        Self { title: title.into(), scale: Scale::linear(values.fold(0.0, f64::max)), lines }
    }
}

/// Draws it.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, scenario: &Scenario, report: &Report) -> Result<(), Failure> {
    std::fs::write(path, svg(scenario, report))
        .map_err(|error| Failure::failed(format_args!("{}: {}", path.display(), plain(&error))))
}

fn svg(scenario: &Scenario, report: &Report) -> String {
    let panels = panels(report);
    let legend = legend(report);
    let top = TITLE + legend.1 + 12.0;
    let height = top + panels.len() as f64 * (PANEL + GAP) - GAP + BOTTOM;
    let across = Scale::linear(report.duration.as_secs_f64());
    let x = |seconds: f64| LEFT + across.place(seconds) * (WIDTH - LEFT - RIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"17\">{}</text>\n{}",
        escaped(&title(scenario, report)),
        legend.0
    );
    for (place, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, top + place as f64 * (PANEL + GAP), &across, &x).ok();
    }
    draw_swaps(&mut svg, report, top, height - BOTTOM, &x).ok();
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    writeln!(svg, "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">time in seconds</text>", height - 8.0).ok();
    svg += "</svg>\n";
    svg
}

fn title(scenario: &Scenario, report: &Report) -> String {
    let link = &scenario.link;
    let (rate, rtt) = (units::rate(link.rate as f64 * 8.0), units::time(link.round_trip));
    let queue = units::bytes(link.queue);
    format!("{rate}, {rtt}, queue {queue}; used {:.1} %; seed {}", report.utilisation() * 100.0, report.seed)
}

fn panels(report: &Report) -> Vec<Panel> {
    let each = |of: &dyn Fn(&FlowReport) -> Vec<(f64, f64)>| {
        let flows = report.flows.iter().zip(COLOURS.into_iter().cycle());
        flows.map(|(flow, colour)| (colour, of(flow))).collect::<Vec<_>>()
    };
    let of_samples = |flow: &FlowReport, value: fn(&::sim::Sample) -> f64| -> Vec<(f64, f64)> {
        let begun = flow.samples.iter().filter(|sample| sample.at >= flow.start);
        begun.map(|sample| (sample.at.as_secs_f64(), value(sample))).collect()
    };
    let queued = report.link.samples.iter().map(|sample| (sample.at.as_secs_f64(), sample.queued_bytes as f64 / 1e3));
    vec![
        Panel::new("goodput in Mbit/s", each(&|flow| goodput(flow, report.duration))),
        Panel::new("window in kB", each(&|flow| of_samples(flow, |sample| sample.congestion_window as f64 / 1e3))),
        Panel::new(
            "smoothed RTT in ms",
            each(&|flow| {
                let mut points = of_samples(flow, |sample| sample.smoothed_rtt.as_secs_f64() * 1e3);
                points.retain(|(_, rtt)| *rtt > 0.0);
                points
            }),
        ),
        Panel::new("queue in kB", vec![(QUEUE, queued.collect())]),
    ]
}

/// What arrived in each part of the time, in megabits a second.
fn goodput(flow: &FlowReport, duration: Duration) -> Vec<(f64, f64)> {
    let part = duration / PARTS;
    let mut points = Vec::new();
    let mut before = (Duration::ZERO, 0);
    for sample in &flow.samples {
        let took = sample.at.saturating_sub(before.0);
        if took >= part && !took.is_zero() {
            let bits = sample.delivered_bytes.saturating_sub(before.1) as f64 * 8.0;
            if sample.at >= flow.start {
                let middle = before.0 + took / 2;
                points.push((middle.as_secs_f64(), bits / took.as_secs_f64() / 1e6));
            }
            before = (sample.at, sample.delivered_bytes);
        }
    }
    points
}

/// The names of the flows in their colours, in as many lines as it takes, and how high that is.
fn legend(report: &Report) -> (String, f64) {
    let mut text = String::new();
    let (mut x, mut y) = (LEFT, TITLE + 12.0);
    let names = report.flows.iter().map(|flow| flow.name.as_str()).zip(COLOURS.into_iter().cycle()).take(NAMED);
    let more = report.flows.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("and {more} more"));
    for (name, colour) in names.chain(rest.as_deref().map(|rest| (rest, QUEUE))) {
        // About as wide as letters are.
        let wide = 34.0 + 7.5 * name.chars().count() as f64;
        if x + wide > WIDTH - RIGHT && x > LEFT {
            (x, y) = (LEFT, y + LEGEND_LINE);
        }
        writeln!(text, "<path d=\"M{x:.1} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"3\"/>", y - 4.5).ok();
        writeln!(text, "<text x=\"{:.1}\" y=\"{y:.1}\">{}</text>", x + 24.0, escaped(name)).ok();
        x += wide;
    }
    (text, y - TITLE)
}

fn draw(svg: &mut String, panel: &Panel, top: f64, across: &Scale, x: &dyn Fn(f64) -> f64) -> std::fmt::Result {
    let (right, bottom) = (WIDTH - RIGHT, top + PANEL);
    let y = |value: f64| bottom - panel.scale.place(value) * PANEL;
    for tick in across.ticks() {
        let at = x(tick);
        writeln!(svg, "<path d=\"M{at:.1} {top:.1}V{bottom:.1}\" stroke=\"#e4e4e4\"/>")?;
        let (below, label) = (bottom + 16.0, number(tick));
        writeln!(svg, "<text x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\" fill=\"#555\">{label}</text>")?;
    }
    for tick in panel.scale.ticks() {
        let at = y(tick);
        writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#e4e4e4\"/>")?;
        let (beside, label) = (LEFT - 8.0, number(tick));
        let at = at + 4.5;
        writeln!(svg, "<text x=\"{beside}\" y=\"{at:.1}\" text-anchor=\"end\" fill=\"#555\">{label}</text>")?;
    }
    let middle = f64::midpoint(top, bottom);
    let title = &panel.title;
    writeln!(svg, "<text transform=\"translate(20 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{title}</text>")?;
    for (colour, points) in &panel.lines {
        let places: Vec<String> = points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        let places = places.join(" ");
        writeln!(svg, "<polyline points=\"{places}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>")?;
    }
    Ok(())
}

/// A line through all panels where a controller was replaced, with the name of its successor.
fn draw_swaps(svg: &mut String, report: &Report, top: f64, bottom: f64, x: &dyn Fn(f64) -> f64) -> std::fmt::Result {
    /// So many are drawn; more would be a wall.
    const MOST: usize = 40;
    let flows = report.flows.iter().zip(COLOURS.into_iter().cycle());
    let swaps = flows.flat_map(|(flow, colour)| flow.swaps.iter().map(move |swap| (swap, colour)));
    for (place, (swap, colour)) in swaps.take(MOST).enumerate() {
        let at = x(swap.at.as_secs_f64());
        writeln!(svg, "<path d=\"M{at:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\" stroke-dasharray=\"5 4\"/>")?;
        let name = escaped(swap.to.name());
        // Names of swaps that are close stand below each other.
        let (beside, y) = (at + 4.0, top + 13.0 + 14.0 * (place % 4) as f64);
        writeln!(svg, "<text x=\"{beside:.1}\" y=\"{y:.1}\" fill=\"{colour}\" font-size=\"12\">→ {name}</text>")?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use ::sim::{Flow, Link};
    use quicast::Algorithm;

    use super::*;

    #[test]
    fn the_picture_has_a_line_for_each_flow_in_each_panel_and_for_each_swap() {
        let link = Link::new(1_250_000, Duration::from_millis(20));
        let flow = Flow::new(Algorithm::CUBIC).named("<one> & only");
        let swapping = Flow::new(Algorithm::NEW_RENO).swapping(Duration::from_secs(2), Algorithm::CUBIC);
        let scenario = Scenario::new(link).with(flow).with(swapping).lasting(Duration::from_secs(4)).sampled(100);
        let svg = svg(&scenario, &scenario.run());
        assert_eq!(svg.matches("<polyline").count(), 3 * 2 + 1);
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
        assert!(svg.contains("&lt;one&gt; &amp; only") && svg.contains("→ cubic") && !svg.contains("NaN"));
        for title in ["goodput in Mbit/s", "window in kB", "smoothed RTT in ms", "queue in kB", "time in seconds"] {
            assert!(svg.contains(title), "{title}");
        }
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn more_flows_than_can_be_named_are_counted() {
        let link = Link::new(1_250_000, Duration::from_millis(20));
        let scenario = Scenario::new(link).with_many(30, &Flow::new(Algorithm::CUBIC)).lasting(Duration::from_secs(1));
        assert!(svg(&scenario, &scenario.run()).contains("and 6 more"));
    }
}
