//! Reports as GitHub Flavored Markdown.

use super::document::{Align, Block, Cell, Claim, Document, Table};
use super::html;
use super::text::{Span, clean, decimal, percent, plain, spans};

/// The report; its figures are links to `figures/NAME.svg`.
#[must_use]
pub fn document(document: &Document) -> String {
    let mut text = format!("# {}\n", inline(&document.title, Place::Line));
    if !document.subtitle.is_empty() {
        text += &format!("\n{}\n", inline(&document.subtitle, Place::Line));
    }
    for section in &document.sections {
        text += &format!("\n## {}\n", inline(&section.title, Place::Line));
        push_blocks(&mut text, &section.blocks);
    }
    text
}

fn push_blocks(text: &mut String, blocks: &[Block]) {
    for block in blocks {
        text.push('\n');
        match block {
            Block::Paragraph(paragraph) => {
                text.push_str(&inline(paragraph, Place::Line));
                text.push('\n');
            }
            Block::Table(table) => push_table(text, table),
            Block::Figure(figure) => {
                let caption = inline(&figure.caption, Place::Line);
                let alt = escape(&plain(&figure.caption), Place::Within).replace(']', "\\]");
                *text += &format!("![{alt}](figures/{}.svg)\n\n{caption}\n", figure.name);
            }
            Block::Claim(claim) => push_claim(text, claim),
            Block::Details { summary, blocks } => {
                let summary = html::inline(summary);
                *text += &format!("<details><summary>{summary}</summary>\n");
                push_blocks(text, blocks);
                text.push_str("\n</details>\n");
            }
            Block::KeyValues(pairs) => {
                text.push_str("| | |\n|:--|:--|\n");
                for (key, value) in pairs {
                    let (key, value) = (inline(key, Place::Table), inline(value, Place::Table));
                    *text += &format!("| {key} | {value} |\n");
                }
            }
        }
    }
}

fn push_claim(text: &mut String, claim: &Claim) {
    let within = |text: &str| inline(text, Place::Within);
    let (mark, verdict) = (claim.verdict.mark(), claim.verdict);
    *text += &format!("{mark} **{verdict}** — {}\n\n", within(&claim.text));
    *text += &format!("- Published: {}\n", within(&claim.published));
    *text += &format!("- Measured: {}\n", within(&claim.measured));
    *text += &format!("- Rule: {}\n", within(&claim.rule));
}

/// A table alone, its caption above.
#[must_use]
pub fn table(table: &Table) -> String {
    let mut text = String::new();
    push_table(&mut text, table);
    text
}

fn push_table(text: &mut String, table: &Table) {
    *text += &format!("{}\n\n|", inline(&table.caption, Place::Line));
    for column in &table.columns {
        *text += &format!(" {} |", inline(&column.heading(), Place::Table));
    }
    text.push_str("\n|");
    for column in &table.columns {
        text.push_str(match column.align {
            Align::Left => ":--|",
            Align::Center => ":-:|",
            Align::Right => "--:|",
        });
    }
    text.push('\n');
    for row in &table.rows {
        text.push('|');
        for cell in row {
            *text += &format!(" {} |", cell_text(cell));
        }
        text.push('\n');
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => inline(text, Place::Table),
        Cell::Number { value, decimals } => decimal(*value, *decimals),
        Cell::Percent { value, decimals } => {
            let text = percent(*value, *decimals);
            format!("{} %", text.replace('<', "\\<").replace('>', "\\>"))
        }
        Cell::Missing => "—".into(),
        Cell::Verdict(verdict) => format!("{} {verdict}", verdict.mark()),
    }
}

/// Where a text stands: it decides what must be escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a line.
    Line,
    /// After something else.
    Within,
    /// In a cell of a table.
    Table,
}

fn inline(text: &str, place: Place) -> String {
    let text = clean(text);
    let mut out = String::new();
    let mut last = None;
    for span in spans(&text) {
        let inside = |text| escape(text, Place::Within).replace('|', "&#124;");
        match span {
            Span::Plain(text) if out.is_empty() => out.push_str(&escape(text, place)),
            Span::Plain(text) if place == Place::Table => {
                out.push_str(&escape(text, place));
            }
            Span::Plain(text) => out.push_str(&escape(text, Place::Within)),
            // Marks beside marks or punctuation may not be seen as such.
            Span::Bold(text) => {
                let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let words = word(text.chars().next()) && word(text.chars().next_back());
                match words && !matches!(last, Some(Span::Bold(_))) {
                    true => out += &format!("**{}**", inside(text)),
                    false => out += &format!("<strong>{}</strong>", inside(text)),
                }
            }
            Span::Code(text) => {
                let table = place == Place::Table && text.contains('|');
                match table || matches!(last, Some(Span::Code(_))) {
                    true => out += &format!("<code>{}</code>", inside(text)),
                    false => out += &format!("`{text}`"),
                }
            }
        }
        last = Some(span);
    }
    out
}

/// Escapes what Markdown would take for a mark, and no more: the text stays readable.
fn escape(text: &str, place: Place) -> String {
    let mut out = String::new();
    let mut before = None;
    let mut rest = text.chars().peekable();
    // A number that starts a line starts a list.
    let mut number = place == Place::Line;
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let start = place == Place::Line && before.is_none();
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let mark = match c {
            '\\' | '`' | '*' | '[' | '<' | '~' | '$' => true,
            '_' => !(word(before) && word(next)),
            '#' => before.is_none_or(|c| c == ' ' || c == '#'),
            '&' => next.is_some_and(|c| c == '#' || c.is_ascii_alphabetic()),
            '|' => place == Place::Table,
            '-' | '+' | '>' | '=' => start,
            '.' | ')' => number && before.is_some(),
            _ => false,
        };
        number &= c.is_ascii_digit();
        if mark {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
    out
}
