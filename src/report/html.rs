//! Reports as one HTML file: nothing is loaded, nothing is run.
//!
//! The file is well-formed XML as well but for its first line, so that any XML reader can
//! check it.

use super::document::{Align, Block, Cell, Claim, Document, Figure, Section, Table, Verdict};
use super::text::{Span, clean, decimal, percent, plain, spans};
use super::{csv, figures};

const STYLE: &str = include_str!("style.css");

/// The report as a whole file.
#[must_use]
pub fn document(document: &Document) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta name=\"color-scheme\" content=\"light dark\" />\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&plain(&document.title))
    );
    html += &format!("<header>\n<h1>{}</h1>\n", inline(&document.title));
    if !document.subtitle.is_empty() {
        let subtitle = inline(&document.subtitle);
        html += &format!("<p class=\"subtitle\">{subtitle}</p>\n");
    }
    html.push_str("</header>\n");
    push_contents(&mut html, &document.sections);
    for section in &document.sections {
        let (id, title) = (escape(&section.id), inline(&section.title));
        html += &format!("<section id=\"{id}\">\n<h2>{title}</h2>\n");
        push_blocks(&mut html, &section.blocks);
        html.push_str("</section>\n");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn push_contents(html: &mut String, sections: &[Section]) {
    if sections.len() < 2 {
        return;
    }
    html.push_str("<nav aria-label=\"Contents\">\n<ol>\n");
    for section in sections {
        let (id, title) = (escape(&section.id), inline(&section.title));
        *html += &format!("<li><a href=\"#{id}\">{title}</a></li>\n");
    }
    html.push_str("</ol>\n</nav>\n");
}

fn push_blocks(html: &mut String, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Paragraph(text) => *html += &format!("<p>{}</p>\n", inline(text)),
            Block::Table(table) => push_table(html, table),
            Block::Figure(figure) => push_figure(html, figure),
            Block::Claim(claim) => push_claim(html, claim),
            Block::Details { summary, blocks } => {
                let summary = inline(summary);
                *html += &format!("<details>\n<summary>{summary}</summary>\n");
                push_blocks(html, blocks);
                html.push_str("</details>\n");
            }
            Block::KeyValues(pairs) => {
                html.push_str("<dl class=\"facts\">\n");
                for (key, value) in pairs {
                    let (key, value) = (inline(key), inline(value));
                    *html += &format!("<div><dt>{key}</dt><dd>{value}</dd></div>\n");
                }
                html.push_str("</dl>\n");
            }
        }
    }
}

fn push_claim(html: &mut String, claim: &Claim) {
    let class = class(claim.verdict);
    *html += &format!(
        "<div class=\"claim {class}\">\n<p>{}</p>\n<p class=\"result\">{}</p>\n<dl>\n",
        inline(&claim.text),
        verdict(claim.verdict)
    );
    for (name, text) in [
        ("Published", &claim.published),
        ("Measured", &claim.measured),
        ("Rule", &claim.rule),
    ] {
        *html += &format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", inline(text));
    }
    html.push_str("</dl>\n</div>\n");
}

fn push_table(html: &mut String, table: &Table) {
    let (name, label) = (escape(&table.name), escape(&plain(&table.caption)));
    *html += &format!(
        "<figure class=\"table\" id=\"table-{name}\">\n<figcaption>{} \
         <a class=\"file\" download=\"{name}.csv\" href=\"data:text/csv;charset=utf-8,{}\">\
         {name}.csv</a></figcaption>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\n\
         <table>\n<thead>\n<tr>",
        inline(&table.caption),
        percent_encoded(&csv::table(table)),
    );
    for column in &table.columns {
        let (class, title) = (align(column.align), inline(&column.title));
        *html += &format!("<th scope=\"col\" class=\"{class}\">{title}");
        if !column.unit.is_empty() {
            *html += &format!(" <span class=\"unit\">{}</span>", inline(&column.unit));
        }
        html.push_str("</th>");
    }
    html.push_str("</tr>\n</thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let column = table.columns.get(i).map_or(Align::Left, |c| c.align);
            let class = align(column);
            *html += &format!("<td class=\"{class}\">{}</td>", cell_html(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n</figure>\n");
}

fn cell_html(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => inline(text),
        Cell::Number { value, decimals } => decimal(*value, *decimals),
        Cell::Percent { value, decimals } => {
            format!("{}\u{202f}%", escape(&percent(*value, *decimals)))
        }
        Cell::Missing => "<span class=\"missing\">—</span>".into(),
        Cell::Verdict(found) => verdict(*found),
    }
}

fn push_figure(html: &mut String, figure: &Figure) {
    let (name, label) = (escape(&figure.name), escape(&plain(&figure.caption)));
    let svg = figures::inlined(&figure.svg);
    let svg = svg.replacen(
        "<svg",
        &format!("<svg role=\"img\" aria-label=\"{label}\""),
        1,
    );
    *html += &format!(
        "<figure class=\"chart\" id=\"figure-{name}\">\n{svg}<figcaption>{}</figcaption>\n\
         </figure>\n",
        inline(&figure.caption)
    );
}

fn verdict(verdict: Verdict) -> String {
    let (class, mark) = (class(verdict), verdict.mark());
    format!(
        "<span class=\"verdict {class}\"><span aria-hidden=\"true\">{mark}</span> {verdict}</span>"
    )
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::HoldsFor { .. } => "partly",
        Verdict::DoesNotHold => "fails",
    }
}

fn align(align: Align) -> &'static str {
    match align {
        Align::Left => "left",
        Align::Center => "center",
        Align::Right => "right",
    }
}

/// Text with its marks as elements.
pub(super) fn inline(text: &str) -> String {
    // A number and its sign stay on one line.
    let text = clean(text).replace(" %", "\u{a0}%");
    let mut html = String::new();
    for span in spans(&text) {
        let text = escape(span.text());
        match span {
            Span::Plain(_) => html.push_str(&text),
            Span::Bold(_) => html += &format!("<strong>{text}</strong>"),
            Span::Code(_) => html += &format!("<code>{text}</code>"),
        }
    }
    html
}

/// Text as it may stand in elements and in attributes with quotes.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// Everything but letters, digits and `-._~` as %XX (RFC 3986, 2.3).
fn percent_encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(byte));
            }
            _ => url += &format!("%{byte:02X}"),
        }
    }
    url
}
