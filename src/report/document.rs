//! What a report is made of, whatever it is written as.
//!
//! Texts are one line each (line breaks are taken for spaces), plain but for two marks:
//! `**bold**` and `` `code` ``, which do not nest. Everything else is shown as it is.

/// A report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Heading of it all.
    pub title: String,
    /// A line below it; empty: none.
    pub subtitle: String,
    /// Its parts, in order.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// What links point at: a name as of files, see [`Table::name`]; unique in the report.
    pub id: String,
    /// Heading.
    pub title: String,
    /// Its content, in order.
    pub blocks: Vec<Block>,
}

/// A piece of content.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph of text.
    Paragraph(String),
    /// A table, written as a CSV file too.
    Table(Table),
    /// A figure, written as an SVG file too.
    Figure(Figure),
    /// A claim and what was found.
    Claim(Claim),
    /// What only some readers want: folded up until asked for.
    Details {
        /// The line that is always there.
        summary: String,
        /// What is folded up.
        blocks: Vec<Block>,
    },
    /// Names and their values, as of a configuration.
    KeyValues(Vec<(String, String)>),
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Name of its file, without `.csv`: ASCII letters, digits, `-` and `_`, at most 100;
    /// unique among the report's tables, also without regard to case.
    pub name: String,
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Heading.
    pub title: String,
    /// Where its cells stand.
    pub align: Align,
    /// Unit of its numbers, as in `µs`; empty: none. Leave it empty for percents: they show
    /// their own sign, and CSV has shares.
    pub unit: String,
}

impl Column {
    /// A column of texts.
    #[must_use]
    pub fn text(title: &str) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// A column of numbers of `unit`, which may be empty.
    #[must_use]
    pub fn numbers(title: &str, unit: &str) -> Self {
        Self {
            title: title.into(),
            align: Align::Right,
            unit: unit.into(),
        }
    }

    /// The heading with its unit.
    pub(super) fn heading(&self) -> String {
        match self.unit.is_empty() {
            true => self.title.clone(),
            false => format!("{} ({})", self.title, self.unit),
        }
    }
}

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    #[default]
    Left,
    /// Marks.
    Center,
    /// Numbers.
    Right,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A number, shown rounded; CSV has all of it.
    Number {
        /// The number.
        value: f64,
        /// Digits shown after the point, at most 17.
        decimals: u8,
    },
    /// A share, shown in percent; CSV has the share.
    Percent {
        /// 1 is 100 %.
        value: f64,
        /// Digits shown after the point, at most 17.
        decimals: u8,
    },
    /// Nothing was measured: shown as —, empty in CSV.
    Missing,
    /// Whether something holds.
    Verdict(Verdict),
}

impl Cell {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number to be shown with so many decimals; missing if there is none.
    #[must_use]
    pub fn number(value: impl Into<Option<f64>>, decimals: u8) -> Self {
        match value.into() {
            Some(value) => Self::Number { value, decimals },
            None => Self::Missing,
        }
    }

    /// A share to be shown in percent with so many decimals; missing if there is none.
    #[must_use]
    pub fn percent(value: impl Into<Option<f64>>, decimals: u8) -> Self {
        match value.into() {
            Some(value) => Self::Percent { value, decimals },
            None => Self::Missing,
        }
    }
}

/// A claim, and what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// What is claimed.
    pub text: String,
    /// What was published.
    pub published: String,
    /// What was measured.
    pub measured: String,
    /// When the claim counts as holding, settled before measuring.
    pub rule: String,
    /// Whether it does.
    pub verdict: Verdict,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does for some seeds.
    HoldsFor {
        /// Seeds it holds for.
        seeds: usize,
        /// All seeds.
        of: usize,
    },
    /// It does not.
    DoesNotHold,
}

impl Verdict {
    /// A sign that tells verdicts apart without colour.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Holds => '✓',
            Self::HoldsFor { .. } => '◐',
            Self::DoesNotHold => '✗',
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::HoldsFor { seeds, of } => write!(f, "holds for {seeds} of {of} seeds"),
            Self::DoesNotHold => f.write_str("does not hold"),
        }
    }
}

/// A figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Name of its file, without `.svg`: as [`Table::name`], unique among figures.
    pub name: String,
    /// What it shows; also what is read to those who do not see it.
    pub caption: String,
    /// An SVG document, from [`figures`](super::figures) or as well-formed: it becomes
    /// part of the HTML as it is.
    pub svg: String,
}
