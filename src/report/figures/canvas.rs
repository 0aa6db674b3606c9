//! Drawing in floating-point coordinates with a few named colours.

use super::FigureError;
use crate::report::text::clean;
use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle};

/// Steps of the backend's integer coordinates in a unit.
const STEPS: f64 = 10.0;
/// The backend writes font sizes divided by this.
const FONT: f64 = 1.24;

/// What things are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// The background.
    Paper,
    /// Text and marks.
    Text,
    /// Text of less weight, and axes.
    Muted,
    /// Lines of the grid.
    Grid,
    /// Data; numbers beyond [`SERIES`] begin anew.
    Series(usize),
    /// Red, green and blue, the same in light and dark. It must be none of the others.
    Fixed(u8, u8, u8),
}

/// Colours for data.
pub(super) const SERIES: usize = 7;

/// Names of the colours as CSS variables, and the colours on white. The first three for
/// data are those of Okabe and Ito, "Color universal design", 2008; the others are theirs,
/// darkened until they have a contrast of 3 on white. Any two are apart by at least 11
/// (ΔE of CIE 1976) with normal sight and as Machado et al., 2009, model the lack of each
/// kind of cone; so are those of the page in dark.
const PALETTE: [(&str, (u8, u8, u8)); 4 + SERIES] = [
    ("paper", (0xFF, 0xFF, 0xFF)),
    ("ink", (0x1B, 0x1F, 0x24)),
    ("muted", (0x59, 0x62, 0x6C)),
    ("grid", (0xDD, 0xE1, 0xE6)),
    ("s0", (0x00, 0x72, 0xB2)),
    ("s1", (0xD5, 0x5E, 0x00)),
    ("s2", (0x00, 0x9E, 0x73)),
    ("s3", (0xB8, 0x5C, 0x94)),
    ("s4", (0x7A, 0x52, 0x00)),
    ("s5", (0x3A, 0x9B, 0xD6)),
    ("s6", (0x45, 0x4C, 0x54)),
];

impl Ink {
    fn rgb(self) -> RGBColor {
        let index = match self {
            Self::Paper => 0,
            Self::Text => 1,
            Self::Muted => 2,
            Self::Grid => 3,
            Self::Series(i) => 4 + i % SERIES,
            Self::Fixed(r, g, b) => return RGBColor(r, g, b),
        };
        let (r, g, b) = PALETTE[index].1;
        RGBColor(r, g, b)
    }
}

/// The SVG document with its colours as CSS variables, and as they are where those are not
/// set.
pub(in crate::report) fn inlined(svg: &str) -> String {
    let mut svg = svg.to_string();
    for (name, (r, g, b)) in PALETTE {
        let plain = format!("#{r:02X}{g:02X}{b:02X}");
        for attribute in ["fill", "stroke"] {
            let from = format!("{attribute}=\"{plain}\"");
            let to = format!("{attribute}=\"var(--{name}, {plain})\"");
            svg = svg.replace(&from, &to);
        }
    }
    svg
}

pub(super) type Drawn = Result<(), FigureError>;

fn failure(error: impl std::error::Error) -> FigureError {
    FigureError::Drawing(error.to_string())
}

/// Which part of a text is at its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Marks of points; series of one colour have the same.
#[derive(Clone, Copy)]
pub(super) enum Dot {
    Circle,
    Square,
    Diamond,
    Triangle,
}

impl Dot {
    pub(super) fn of(series: usize) -> Self {
        [Self::Circle, Self::Square, Self::Diamond, Self::Triangle][series % 4]
    }
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub ink: Ink,
    pub width: f64,
    pub opacity: f64,
    pub dashed: bool,
}

impl Pen {
    pub(super) fn new(ink: Ink, width: f64) -> Self {
        Self {
            ink,
            width,
            opacity: 1.0,
            dashed: false,
        }
    }
}

pub(super) type Point = (f64, f64);

/// A white sheet.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// What `draw` draws on a sheet of so many units.
pub(super) fn svg(
    width: f64,
    height: f64,
    draw: impl FnOnce(&mut Canvas<'_>) -> Drawn,
) -> Result<String, FigureError> {
    let mut text = String::new();
    let steps = |units: f64| (units * STEPS).round() as u32;
    let size = (steps(width), steps(height));
    let mut canvas = Canvas {
        backend: SVGBackend::with_string(&mut text, size),
    };
    canvas.rect((0.0, 0.0), (width, height), Ink::Paper, 1.0)?;
    draw(&mut canvas)?;
    canvas.backend.present().map_err(failure)?;
    drop(canvas);
    // Coordinates in steps, size in units.
    let from = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    let to = format!("width=\"{width}\" height=\"{height}\"");
    Ok(text.replacen(&from, &to, 1))
}

fn step(units: f64) -> i32 {
    (units * STEPS).round() as i32
}

fn steps(point: Point) -> (i32, i32) {
    (step(point.0), step(point.1))
}

fn shape(ink: Ink, width: f64, opacity: f64) -> ShapeStyle {
    ShapeStyle {
        color: ink.rgb().mix(opacity),
        filled: true,
        stroke_width: (width * STEPS).round() as u32,
    }
}

impl Canvas<'_> {
    pub(super) fn rect(&mut self, a: Point, b: Point, ink: Ink, opacity: f64) -> Drawn {
        let style = shape(ink, 0.0, opacity);
        let drawn = self.backend.draw_rect(steps(a), steps(b), &style, true);
        drawn.map_err(failure)
    }

    pub(super) fn line(&mut self, points: &[Point], pen: Pen) -> Drawn {
        let style = shape(pen.ink, pen.width, pen.opacity);
        if !pen.dashed {
            let points = points.iter().copied().map(steps);
            return self.backend.draw_path(points, &style).map_err(failure);
        }
        for dash in dashes(points, 7.0, 4.5) {
            let points = dash.into_iter().map(steps);
            self.backend.draw_path(points, &style).map_err(failure)?;
        }
        Ok(())
    }

    pub(super) fn area(&mut self, outline: &[Point], ink: Ink, opacity: f64) -> Drawn {
        let points = outline.iter().copied().map(steps);
        let drawn = self.backend.fill_polygon(points, &shape(ink, 0.0, opacity));
        drawn.map_err(failure)
    }

    /// A mark of a circle's size.
    pub(super) fn dot(&mut self, at: Point, radius: f64, dot: Dot, ink: Ink, o: f64) -> Drawn {
        let (x, y) = at;
        // Shapes of about the same area.
        match dot {
            Dot::Circle => {
                let radius = step(radius).unsigned_abs();
                let style = shape(ink, 0.0, o);
                let drawn = self.backend.draw_circle(steps(at), radius, &style, true);
                drawn.map_err(failure)
            }
            Dot::Square => {
                let r = 0.89 * radius;
                self.rect((x - r, y - r), (x + r, y + r), ink, o)
            }
            Dot::Diamond => {
                let r = 1.25 * radius;
                self.area(&[(x, y - r), (x + r, y), (x, y + r), (x - r, y)], ink, o)
            }
            Dot::Triangle => {
                let r = 1.4 * radius;
                let (dx, dy) = (0.87 * r, 0.5 * r);
                self.area(&[(x, y - r), (x + dx, y + dy), (x - dx, y + dy)], ink, o)
            }
        }
    }

    /// Text whose middle line is at the height of `at`.
    pub(super) fn text(&mut self, text: &str, at: Point, anchor: Anchor, ink: Ink) -> Drawn {
        self.write(text, at, anchor, ink, FontStyle::Normal)
    }

    pub(super) fn bold(&mut self, text: &str, at: Point, anchor: Anchor) -> Drawn {
        self.write(text, at, anchor, Ink::Text, FontStyle::Bold)
    }

    fn write(&mut self, text: &str, at: Point, anchor: Anchor, ink: Ink, font: FontStyle) -> Drawn {
        let h = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let (size, color) = (super::TEXT * STEPS * FONT, ink.rgb());
        let style = TextStyle::from((FontFamily::SansSerif, size, font))
            .color(&color)
            .pos(Pos::new(h, VPos::Center));
        let drawn = self.backend.draw_text(&clean(text), &style, steps(at));
        drawn.map_err(failure)
    }
}

/// A path cut into dashes.
fn dashes(points: &[Point], dash: f64, gap: f64) -> Vec<Vec<Point>> {
    let mut dashes = Vec::new();
    let mut current: Vec<Point> = points.first().copied().into_iter().collect();
    // How far it is to the next end of a dash or a gap.
    let (mut drawing, mut left) = (true, dash);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let (dx, dy) = (to.0 - from.0, to.1 - from.1);
            let length = (dx * dx + dy * dy).sqrt();
            if length <= left {
                left -= length;
                if drawing {
                    current.push(to);
                }
                break;
            }
            from = (from.0 + dx * left / length, from.1 + dy * left / length);
            if drawing {
                current.push(from);
                dashes.push(std::mem::take(&mut current));
            } else {
                current = vec![from];
            }
            drawing = !drawing;
            left = if drawing { dash } else { gap };
        }
    }
    if drawing && current.len() > 1 {
        dashes.push(current);
    }
    dashes
}

/// About how wide a text is, rather too wide than too narrow: for sans-serif fonts, of
/// which DejaVu Sans is among the widest.
pub(super) fn width(text: &str) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.35,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '—' | '∞' => 0.98,
        '⁻' | '⁰'..='⁹' | '¹' | '²' | '³' => 0.42,
        '0'..='9' | 'a'..='z' => 0.63,
        'A'..='Z' | '+' | '=' | '<' | '>' | '−' | '·' => 0.79,
        c if (c as u32) < 0x1100 => 0.7,
        _ => 1.05,
    };
    clean(text).chars().map(em).sum::<f64>() * super::TEXT
}

/// The text, or as much of its beginning as fits into `room`.
pub(super) fn fitted(text: &str, room: f64) -> String {
    let text = clean(text);
    if width(&text) <= room {
        return text;
    }
    let mut cut = String::new();
    let mut used = width("…");
    for c in text.chars() {
        used += width(c.encode_utf8(&mut [0; 4])).max(0.35 * super::TEXT);
        if used > room {
            break;
        }
        cut.push(c);
    }
    cut.trim_end().to_string() + "…"
}

/// A title in bold lines no wider than the sheet, at most three.
pub(super) fn title_lines(text: &str) -> Vec<String> {
    const BOLD: f64 = 1.15;
    let room = (super::WIDTH - 2.0 * super::MARGIN) / BOLD;
    let most = 3;
    let text = clean(text);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let full = lines
            .last()
            .is_none_or(|line| lines.len() < most && width(line) + width(" ") + width(word) > room);
        match lines.last_mut().filter(|_| !full) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.into()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines.iter().map(|line| fitted(line, room)).collect()
}
