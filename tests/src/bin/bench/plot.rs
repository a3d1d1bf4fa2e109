//! Plots, as SVG.

use anyhow::{Result, anyhow};
use plotters::{
    chart::{ChartBuilder, LabelAreaPosition, SeriesLabelPosition},
    coord::{combinators::IntoLogRange as _, ranged1d::ValueFormatter},
    drawing::IntoDrawingArea as _,
    element::{Circle, PathElement, Rectangle, Text},
    prelude::{Ranged, SVGBackend},
    series::LineSeries,
    style::{Color as _, IntoFont as _, RGBColor, ShapeStyle, WHITE},
};

use crate::figure::Spread;

/// A picture of some figures.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// The file's name, without `.svg`.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What the values are in.
    pub(crate) unit: &'static str,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A bar for each subject of each case, from nothing to the median, with the least and the most.
    Bars(Vec<Bars>),
    /// A line for each subject; both scales are logarithms.
    Lines {
        /// What grows.
        along: &'static str,
        lines: Vec<Line>,
    },
}

/// The bars of one case, by subject.
#[derive(Clone, Debug)]
pub(crate) struct Bars {
    pub(crate) case: String,
    pub(crate) values: Vec<(String, Spread)>,
}

/// One subject's values, by what grows.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) subject: String,
    pub(crate) values: Vec<(f64, Spread)>,
}

/// Okabe and Ito's colours, which people of any colour vision can tell apart; the gate is the first.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x7f, 0x7f, 0x7f),
    RGBColor(0xf0, 0xe4, 0x42),
];
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const FAINT: RGBColor = RGBColor(0xe0, 0xe0, 0xe0);
const FONT: &str = "sans-serif";
const WIDTH: u32 = 860;
const BAR: u32 = 18;
const GAP: u32 = 14;

impl Plot {
    /// The picture.
    pub(crate) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        match &self.shape {
            Shape::Bars(cases) => self.bars(cases, &mut svg),
            Shape::Lines { along, lines } => self.lines(along, lines, &mut svg),
        }
        .map_err(|error| anyhow!("cannot draw {}: {error}", self.name))?;
        Ok(svg)
    }

    fn bars(&self, cases: &[Bars], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let subjects = subjects(cases);
        let bars: usize = cases.iter().map(|it| it.values.len()).sum();
        let units = u32::try_from(bars)? * BAR + u32::try_from(cases.len())? * GAP;
        let most = cases
            .iter()
            .flat_map(|it| it.values.iter().map(|(_, spread)| spread.max))
            .fold(f64::MIN_POSITIVE, f64::max);
        let area = SVGBackend::with_string(svg, (WIDTH, units + 110)).into_drawing_area();
        area.fill(&WHITE)?;
        // Down the page, in dots.
        let mut chart = ChartBuilder::on(&area)
            .caption(self.caption(), (FONT, 16).into_font().color(&INK))
            .margin(10)
            .margin_right(30)
            .set_label_area_size(LabelAreaPosition::Left, 190)
            .set_label_area_size(LabelAreaPosition::Bottom, 30)
            .build_cartesian_2d(0.0..most * 1.15, f64::from(units)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(FAINT)
            .axis_style(INK)
            .label_style((FONT, 12).into_font().color(&INK))
            .x_labels(8)
            .draw()?;
        let mut top = f64::from(GAP) / 2.0;
        let mut labels = Vec::new();
        let mut drawn: Vec<(usize, f64, Spread)> = Vec::new();
        for Bars { case, values } in cases {
            let height = f64::from(BAR) * values.len() as f64;
            labels.push((case, top + height / 2.0));
            for (subject, spread) in values {
                let colour = subjects.iter().position(|it| it == subject);
                drawn.push((colour.unwrap_or_default(), top, *spread));
                top += f64::from(BAR);
            }
            top += f64::from(GAP);
        }
        for (index, subject) in subjects.iter().enumerate() {
            let style = colour(index).filled();
            let of = drawn.iter().filter(|(colour, ..)| *colour == index);
            let rectangles = of.map(|(_, top, spread)| {
                let bottom = top + f64::from(BAR) - 3.0;
                Rectangle::new([(0.0, *top), (spread.median, bottom)], style)
            });
            chart
                .draw_series(rectangles)?
                .label(*subject)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], style));
        }
        let middle = |top: f64| top + f64::from(BAR - 3) / 2.0;
        chart.draw_series(drawn.iter().map(|(_, top, spread)| {
            let y = middle(*top);
            PathElement::new(vec![(spread.min, y), (spread.max, y)], INK)
        }))?;
        chart.draw_series(drawn.iter().map(|(_, top, spread)| {
            let text = format!("{:.1}", spread.median);
            let font = (FONT, 11).into_font().color(&INK);
            Text::new(text, (spread.max + most * 0.01, middle(*top) - 6.0), font)
        }))?;
        let plotting = chart.plotting_area();
        let (_, range) = plotting.get_pixel_range();
        for (case, at) in labels {
            // From the top of the chart, which is one dot a unit within rounding.
            let share = at / f64::from(units);
            let y = f64::from(range.start) + share * f64::from(range.end - range.start);
            #[expect(clippy::cast_possible_truncation, reason = "a place on the page")]
            let place = (12, y as i32 - 6);
            area.draw(&Text::new(
                case.clone(),
                place,
                (FONT, 12).into_font().color(&INK),
            ))?;
        }
        if subjects.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::LowerRight)
                .background_style(WHITE.mix(0.85))
                .border_style(FAINT)
                .label_font((FONT, 12).into_font().color(&INK))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }

    fn lines(
        &self,
        along: &str,
        lines: &[Line],
        svg: &mut String,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let values = || lines.iter().flat_map(|it| &it.values);
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MAX, f64::min);
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let x = least(&mut values().map(|it| it.0))..most(&mut values().map(|it| it.0)) * 1.2;
        let low = least(&mut values().map(|it| it.1.min)).max(0.1);
        let y = low / 1.5..most(&mut values().map(|it| it.1.max)) * 1.5;
        let area = SVGBackend::with_string(svg, (WIDTH, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.caption(), (FONT, 16).into_font().color(&INK))
            .margin(10)
            .margin_right(30)
            .set_label_area_size(LabelAreaPosition::Left, 60)
            .set_label_area_size(LabelAreaPosition::Bottom, 45)
            .build_cartesian_2d(x.log_scale(), y.log_scale())?;
        mesh(&mut chart, along, self.unit)?;
        for (index, Line { subject, values }) in lines.iter().enumerate() {
            let style = ShapeStyle::from(colour(index)).stroke_width(2);
            let points = || values.iter().map(|(x, spread)| (*x, spread.median));
            chart
                .draw_series(LineSeries::new(points(), style))?
                .label(subject)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], style));
            chart
                .draw_series(points().map(|point| Circle::new(point, 3, colour(index).filled())))?;
            chart.draw_series(values.iter().map(|(x, spread)| {
                PathElement::new(vec![(*x, spread.min), (*x, spread.max)], colour(index))
            }))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(FAINT)
            .label_font((FONT, 12).into_font().color(&INK))
            .draw()?;
        area.present()?;
        Ok(())
    }

    fn caption(&self) -> String {
        format!("{} ({})", self.title, self.unit)
    }
}

fn mesh<X, Y>(
    chart: &mut plotters::chart::ChartContext<
        '_,
        SVGBackend<'_>,
        plotters::coord::cartesian::Cartesian2d<X, Y>,
    >,
    along: &str,
    unit: &str,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style((FONT, 12).into_font().color(&INK))
        .x_desc(along)
        .y_desc(unit)
        .draw()?;
    Ok(())
}

fn colour(index: usize) -> RGBColor {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(INK)
}

/// Every subject once, in the order in which the cases name them.
fn subjects(cases: &[Bars]) -> Vec<&str> {
    let mut subjects: Vec<&str> = Vec::new();
    for (subject, _) in cases.iter().flat_map(|it| &it.values) {
        if !subjects.contains(&subject.as_str()) {
            subjects.push(subject);
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Spread {
        Spread::of(&[median * 0.9, median, median * 1.2]).unwrap()
    }

    #[test]
    fn bars_show_every_case_and_subject() {
        let bars = |case: &str, values: &[(&str, f64)]| Bars {
            case: case.to_owned(),
            values: values
                .iter()
                .map(|(subject, value)| ((*subject).to_owned(), spread(*value)))
                .collect(),
        };
        let plot = Plot {
            name: "shapes",
            title: "Cost of a packet".to_owned(),
            unit: "ns",
            shape: Shape::Bars(vec![
                bars("unrelated", &[("gate", 12.0), ("peer", 18.0)]),
                bars("refused", &[("gate", 40.0)]),
            ]),
        };
        let svg = plot.svg().unwrap();
        for text in [
            "unrelated",
            "refused",
            "gate",
            "peer",
            "Cost of a packet (ns)",
            "18.0",
        ] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        let rectangles = svg.matches("#0072B2").count();
        assert_eq!(rectangles, 3, "two bars and the legend: {svg}");
    }

    #[test]
    fn lines_show_every_subject() {
        let line = |subject: &str, factor: f64| Line {
            subject: subject.to_owned(),
            values: [1e3, 1e4, 1e6].map(|x| (x, spread(factor * x))).to_vec(),
        };
        let plot = Plot {
            name: "growth",
            title: "Growth".to_owned(),
            unit: "ns",
            shape: Shape::Lines {
                along: "prefixes",
                lines: vec![line("table", 0.01), line("trie", 0.1)],
            },
        };
        let svg = plot.svg().unwrap();
        for text in ["prefixes", "table", "trie"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 6);
    }
}
