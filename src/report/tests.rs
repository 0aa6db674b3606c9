//! Reports against independent readers: an XML parser, a CSV reader, a Markdown parser.

use super::*;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Text with all that has a meaning somewhere.
const HOSTILE: &str = "<script>alert(\"1\")</script> & 'a' | b, \"c\"\n# d; 1. <b> \\| **e|f** \
                       `g|h` [x](y) &amp; _i_ snake_case ~~j~~ $k$ ![l](m) **";
/// What a reader of formats with marks must see of it.
const SEEN: &str = "<script>alert(\"1\")</script> & 'a' | b, \"c\" # d; 1. <b> \\| e|f \
                    g|h [x](y) &amp; _i_ snake_case ~~j~~ $k$ ![l](m) **";

/// A report with `text` in every place that has text.
fn everywhere(text: &str) -> Document {
    let table = Table {
        name: "a-table".into(),
        caption: text.into(),
        columns: vec![
            Column::text(text),
            Column::numbers(text, text),
            Column {
                title: "middle".into(),
                align: Align::Center,
                unit: String::new(),
            },
        ],
        rows: vec![
            vec![Cell::text(text), Cell::number(0.1 + 0.2, 2), Cell::Missing],
            vec![
                Cell::percent(2.0 / 3.0, 1),
                Cell::number(f64::NAN, 1),
                Cell::Verdict(Verdict::HoldsFor { seeds: 2, of: 3 }),
            ],
        ],
    };
    let chart = figures::LineChart {
        title: text.into(),
        x: figures::Axis::linear(text),
        y: figures::Axis::log10(text),
        series: vec![figures::Series::new(text, 0, vec![(0.0, 1.0), (1.0, 2.0)])],
    };
    let figure = Figure {
        name: "a_figure".into(),
        caption: text.into(),
        svg: figures::lines(&chart).unwrap(),
    };
    let claim = |verdict| {
        Block::Claim(Claim {
            text: text.into(),
            published: text.into(),
            measured: text.into(),
            rule: text.into(),
            verdict,
        })
    };
    let blocks = vec![
        Block::Paragraph(text.into()),
        Block::Details {
            summary: text.into(),
            blocks: vec![Block::Table(table), Block::Figure(figure)],
        },
        claim(Verdict::Holds),
        claim(Verdict::HoldsFor { seeds: 2, of: 3 }),
        claim(Verdict::DoesNotHold),
        Block::KeyValues(vec![(text.into(), text.into())]),
    ];
    let section = |id: &str, blocks| Section {
        id: id.into(),
        title: text.into(),
        blocks,
    };
    Document {
        title: text.into(),
        subtitle: text.into(),
        sections: vec![section("first", blocks), section("second", vec![])],
    }
}

/// Parses HTML as XML: tags must balance and everything be escaped.
fn parsed(html: &str) -> roxmltree::Document<'_> {
    let xml = html.strip_prefix("<!DOCTYPE html>\n").unwrap();
    roxmltree::Document::parse(xml).unwrap()
}

fn text_of(node: roxmltree::Node<'_, '_>) -> String {
    let texts = node.descendants().filter(|n| n.is_text());
    texts.filter_map(|n| n.text()).collect()
}

#[test]
fn html_shows_hostile_text_as_it_is() {
    let html = html::document(&everywhere(HOSTILE));
    let xml = parsed(&html);
    let named = |name: &str| {
        let name = name.to_string();
        xml.descendants().filter(move |n| n.has_tag_name(&*name))
    };
    for element in ["title", "h1", "h2", "p", "summary", "li", "dt", "td"] {
        let found = named(element).find(|n| text_of(*n) == SEEN);
        assert!(found.is_some(), "{element}");
    }
    assert_eq!(named("dd").filter(|n| text_of(*n) == SEEN).count(), 10);
    assert_eq!(named("script").count() + named("b").count(), 0);
    let figure = xml
        .descendants()
        .find(|n| n.attribute("role") == Some("img"));
    assert_eq!(figure.unwrap().attribute("aria-label"), Some(SEEN));
    let root = xml.root_element();
    assert_eq!(root.attribute("lang"), Some("en"));
    let viewport = named("meta").find(|n| n.attribute("name") == Some("viewport"));
    assert!(viewport.is_some());
}

#[test]
fn html_loads_and_runs_nothing() {
    let html = html::document(&everywhere(HOSTILE));
    let xml = parsed(&html);
    for node in xml.descendants() {
        let name = node.tag_name().name();
        assert!(!["script", "link", "img", "iframe"].contains(&name));
        for attribute in node.attributes() {
            assert_ne!(attribute.name(), "src");
            assert!(!attribute.name().starts_with("on"));
            if attribute.name() == "href" {
                let local = ["#", "data:text/csv"];
                assert!(local.iter().any(|l| attribute.value().starts_with(l)));
            }
        }
        // Links within the page lead somewhere.
        let target = node.attribute("href").and_then(|h| h.strip_prefix('#'));
        if let Some(id) = target {
            assert!(xml.descendants().any(|n| n.attribute("id") == Some(id)));
        }
    }
    let style = xml.descendants().find(|n| n.has_tag_name("style")).unwrap();
    let style = text_of(style);
    assert!(!style.contains("url(") && !style.contains("@import"));
}

#[test]
fn verdicts_say_exactly_what_they_are() {
    for (verdict, words, mark) in [
        (Verdict::Holds, "holds", '✓'),
        (
            Verdict::HoldsFor { seeds: 2, of: 3 },
            "holds for 2 of 3 seeds",
            '◐',
        ),
        (Verdict::DoesNotHold, "does not hold", '✗'),
    ] {
        assert_eq!((verdict.to_string(), verdict.mark()), (words.into(), mark));
        let document = everywhere("x");
        let html = html::document(&document);
        let xml = parsed(&html);
        let shown = format!("{mark} {words}");
        assert!(
            xml.descendants()
                .any(|n| n.is_element() && text_of(n) == shown)
        );
        let markdown = markdown::document(&document);
        assert!(markdown.contains(&format!("{mark} **{words}** — x\n")));
    }
}

#[test]
fn csv_reads_back_with_every_bit() {
    let values = [
        0.1 + 0.2,
        -1.0 / 3.0,
        1e300,
        5e-324,
        f64::MAX,
        1e16,
        123_456_789.0,
        0.0,
    ];
    let table = Table {
        columns: vec![Column::text(HOSTILE), Column::numbers("b, c", "µs")],
        rows: (values.iter())
            .map(|&value| vec![Cell::text(" a, \"b\" "), Cell::number(value, 1)])
            .chain([
                vec![Cell::text(HOSTILE), Cell::Missing],
                vec![Cell::Verdict(Verdict::DoesNotHold), Cell::percent(0.123, 1)],
            ])
            .collect(),
        ..Table::default()
    };
    let text = csv::table(&table);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!((&header[0], &header[1]), (SEEN, "b, c (µs)"));
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    for (row, value) in rows.iter().zip(values) {
        assert_eq!(row[1].parse::<f64>().unwrap().to_bits(), value.to_bits());
        assert_eq!(&row[0], "a, \"b\"");
    }
    let rest: Vec<_> = rows[values.len()..].iter().flat_map(|r| r.iter()).collect();
    assert_eq!(rest, [SEEN, "", "does not hold", "0.123"]);
    assert!(text.ends_with("\r\n"));

    let single = Table {
        columns: vec![Column::text("a")],
        rows: vec![vec![Cell::Missing], vec![Cell::text("x")]],
        ..Table::default()
    };
    assert_eq!(csv::table(&single), "a\r\n\"\"\r\nx\r\n");
}

/// What a reader of the Markdown sees: the texts of its blocks.
fn seen(markdown: &str) -> Vec<String> {
    let mut texts = vec![String::new()];
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
    for event in Parser::new_ext(markdown, options) {
        let last = texts.last_mut().unwrap();
        match event {
            Event::Text(text) | Event::Code(text) => last.push_str(&text),
            Event::SoftBreak => last.push(' '),
            Event::Start(Tag::Strong) | Event::End(TagEnd::Strong) => {}
            Event::InlineHtml(tag) => {
                let known = ["<strong>", "</strong>", "<code>", "</code>"];
                assert!(known.contains(&&*tag), "{tag} in {markdown}");
            }
            Event::Start(_) | Event::End(_) | Event::Html(_) => texts.push(String::new()),
            other => panic!("{other:?} in {markdown}"),
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    texts
}

#[test]
fn markdown_shows_hostile_text_as_it_is() {
    let markdown = markdown::document(&everywhere(HOSTILE));
    let texts = seen(&markdown);
    let count = |text: &str| texts.iter().filter(|t| *t == text).count();
    // Title, subtitle, two sections, paragraph, captions of table and figure, its
    // alternative text, heading and cell of the table, key and value.
    assert_eq!(count(SEEN), 12, "{texts:#?}");
    assert_eq!(count(&format!("{SEEN} ({SEEN})")), 1);
    assert_eq!(count(&format!("✗ does not hold — {SEEN}")), 1);
    for name in ["Published", "Measured", "Rule"] {
        assert_eq!(count(&format!("{name}: {SEEN}")), 3);
    }
    for cell in ["0.30", "—", "66.7 %", "NaN", "◐ holds for 2 of 3 seeds"] {
        assert_eq!(count(cell), 1, "{cell}");
    }
    assert!(markdown.contains("](figures/a_figure.svg)"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Marks without meaning are text, and marks with one do not spoil their neighbours.
    #[test]
    fn any_text_is_seen_in_markdown(text in "[-a1 .*`_~$#>|\\\\<&;!\\[\\]()+=:é\"]{0,24}") {
        let expected = text::plain(&text);
        let table = Table {
            columns: vec![Column::text("t")],
            rows: vec![vec![Cell::text(text.clone())]],
            ..Table::default()
        };
        let blocks = vec![Block::Paragraph(text.clone()), Block::Table(table)];
        let section = Section { id: String::new(), title: "s".into(), blocks };
        let markdown = markdown::document(&Document {
            title: "t".into(),
            subtitle: String::new(),
            sections: vec![section],
        });
        let texts = seen(&markdown);
        let trimmed = expected.trim();
        let mut all = vec!["t", "s", trimmed, "t", trimmed];
        all.retain(|text| !text.is_empty());
        let found: Vec<_> = texts.iter().map(|t| t.trim()).collect();
        prop_assert_eq!(found, all, "{}", markdown);
    }

    #[test]
    fn any_text_is_seen_in_html_and_svg(text in "\\PC{0,16}|[\\x00-\\x7f]{0,16}") {
        let html = html::document(&everywhere(&text));
        let xml = parsed(&html);
        let title = xml.descendants().find(|n| n.has_tag_name("title")).unwrap();
        prop_assert_eq!(text_of(title), text::plain(&text));
    }
}

#[test]
fn a_report_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new").join("report");
    let document = everywhere(HOSTILE);
    write(&dir, &document).unwrap();
    write(&dir, &document).unwrap();
    let mut files: Vec<String> = ["", "tables", "figures"]
        .iter()
        .flat_map(|sub| std::fs::read_dir(dir.join(sub)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = [
        "a-table.csv",
        "a_figure.svg",
        "figures",
        "files.sha256",
        "report.html",
        "report.md",
        "tables",
    ];
    assert_eq!(files, expected);
    let html = std::fs::read_to_string(dir.join("report.html")).unwrap();
    assert_eq!(html, html::document(&document));
    let svg = std::fs::read_to_string(dir.join("figures/a_figure.svg")).unwrap();
    assert!(svg.starts_with("<svg") && !svg.contains("var("));
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let with = |blocks| Document {
        sections: vec![Section {
            id: "s".into(),
            title: String::new(),
            blocks,
        }],
        ..Document::default()
    };
    let table = |name: &str, cells| {
        Block::Table(Table {
            name: name.into(),
            columns: vec![Column::text("a")],
            rows: vec![vec![Cell::Missing; cells]],
            ..Table::default()
        })
    };
    let dir = folder.path().join("none");
    for name in ["", "..", "a/b", "a b", "é", &"a".repeat(101)] {
        let error = write(&dir, &with(vec![table(name, 1)])).unwrap_err();
        assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
    }
    let twice = with(vec![table("a", 1), table("A", 1)]);
    let error = write(&dir, &twice).unwrap_err().to_string();
    assert_eq!(error, "there are two tables named 'A'");
    let error = write(&dir, &with(vec![table("a", 2)])).unwrap_err();
    assert_eq!(error.to_string(), "table 'a', row 0: 2 cells, expected 1");
    assert!(!dir.exists(), "nothing is written");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = write(&file, &with(vec![])).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    std::fs::create_dir_all(dir.join("report.md")).unwrap();
    let error = write(&dir, &with(vec![])).unwrap_err().to_string();
    assert!(error.contains("report.md"), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}
