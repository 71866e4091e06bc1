//! The plot: CPU against the floor, by how many there are to send to.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// One diagram.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
}

/// One subject in it.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (960, 420);
const COLOURS: [RGBColor; 7] = [
    RGBColor(120, 120, 120),
    RGBColor(0, 90, 180),
    RGBColor(0, 160, 170),
    RGBColor(30, 140, 60),
    RGBColor(220, 140, 0),
    RGBColor(190, 40, 60),
    RGBColor(130, 70, 160),
];

/// Draws panels side by side.
pub(crate) fn draw(panels: &[Panel], path: &Path) -> Result<()> {
    if panels.is_empty() {
        return Ok(());
    }
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let mut names: Vec<&str> = Vec::new();
    for line in panels.iter().flat_map(|panel| &panel.lines) {
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        let points = || panel.lines.iter().flat_map(|line| &line.points);
        let across = range(points().map(|point| point.0));
        let up = range(points().map(|point| point.1));
        let (counts, ratios) = (
            marks(&[1.0, 5.0, 20.0, 50.0, 100.0, 200.0, 500.0], &across),
            marks(&[0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0], &up),
        );
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(44)
            .build_cartesian_2d(across.log_scale().with_key_points(counts), up.log_scale().with_key_points(ratios))
            .map_err(failed)?;
        let whole = |value: &f64| format!("{value:.0}");
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(WHITE).bold_line_style(BLACK.mix(0.1));
        mesh.y_desc("CPU ÷ floor").y_label_formatter(&|value| format!("{value:.1}")).x_label_formatter(&whole);
        mesh.draw().map_err(failed)?;
        for line in &panel.lines {
            let colour = COLOURS[names.iter().position(|name| *name == line.name).unwrap_or(0) % COLOURS.len()];
            let drawn = chart.draw_series(LineSeries::new(line.points.clone(), colour.stroke_width(2)).point_size(3));
            drawn
                .map_err(failed)?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        legend.draw().map_err(failed)?;
    }
    root.present().map_err(failed)
}

/// What holds all values, with some room.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) =
        values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    least * 0.8..most * 1.3
}

/// Those that are in it.
fn marks(all: &[f64], within: &Range<f64>) -> Vec<f64> {
    all.iter().copied().filter(|mark| within.contains(mark)).collect()
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the plot: {error}")
}
