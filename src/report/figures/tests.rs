//! Charts as an XML parser sees them.

use super::*;
use proptest::prelude::*;
use roxmltree::{Document, Node};

fn numbers(text: &str) -> Vec<f64> {
    text.split([' ', ','])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect()
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// Checks that all is on the sheet; texts as wide as estimated.
fn check(svg: &str) {
    let xml = Document::parse(svg).unwrap();
    let root = xml.root_element();
    let sheet = numbers(root.attribute("viewBox").unwrap());
    let (width, height) = (sheet[2], sheet[3]);
    assert_eq!(number(root, "width") * 10.0, width);
    let inside = |x: f64, y: f64| (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
    for node in root.descendants().filter(|n| n.is_element()) {
        for pair in numbers(node.attribute("points").unwrap_or("")).chunks(2) {
            assert!(inside(pair[0], pair[1]), "{pair:?}");
        }
        match node.tag_name().name() {
            "circle" => assert!(inside(number(node, "cx"), number(node, "cy"))),
            "text" => {
                let wide = 10.0 * canvas::width(node.text().unwrap().trim());
                let x = number(node, "x");
                let start = match node.attribute("text-anchor").unwrap() {
                    "start" => x,
                    "middle" => x - wide / 2.0,
                    _ => x - wide,
                };
                let y = number(node, "y");
                let ends = inside(start, y) && inside(start + wide, y);
                assert!(ends, "{start} {wide} {y} {:?}", node.text());
            }
            _ => {}
        }
    }
}

fn texts(svg: &str) -> Vec<String> {
    let xml = Document::parse(svg).unwrap();
    let texts = xml.descendants().filter(|n| n.has_tag_name("text"));
    texts
        .map(|n| n.text().unwrap().trim().to_string())
        .collect()
}

fn chart(points: Vec<(f64, f64)>, y: Axis) -> LineChart {
    LineChart {
        x: Axis::linear("step"),
        y,
        series: vec![Series::new("a", 0, points)],
        ..LineChart::default()
    }
}

/// The data's line: the only polyline of its colour before the legend's.
fn line(svg: &str) -> Vec<Vec<f64>> {
    let xml = Document::parse(svg).unwrap();
    let lines = xml
        .descendants()
        .filter(|n| n.has_tag_name("polyline") && n.attribute("stroke") == Some("#0072B2"));
    let mut lines: Vec<_> = lines
        .map(|n| numbers(n.attribute("points").unwrap()))
        .collect();
    lines.pop();
    lines
}

#[test]
fn points_are_where_their_values_say() {
    let axis = Axis::linear("y").including(0.0, 1.0);
    let svg = lines(&chart(vec![(0.0, 0.0), (5.0, 0.25), (10.0, 1.0)], axis)).unwrap();
    check(&svg);
    let data = &line(&svg)[0];
    let (x, y): (Vec<f64>, Vec<f64>) = data.chunks(2).map(|p| (p[0], p[1])).unzip();
    assert!((2.0 * (x[1] - x[0]) - (x[2] - x[0])).abs() <= 2.0, "{x:?}");
    assert!((4.0 * (y[1] - y[0]) - (y[2] - y[0])).abs() <= 4.0, "{y:?}");
    assert!(y[2] < y[0], "up is more");

    let svg = lines(&chart(
        vec![(0.0, 1e-3), (1.0, 1e-2), (2.0, 10.0)],
        Axis::log10("y"),
    ));
    let svg = svg.unwrap();
    check(&svg);
    let y: Vec<f64> = line(&svg)[0].chunks(2).map(|p| p[1]).collect();
    assert!((4.0 * (y[1] - y[0]) - (y[2] - y[0])).abs() <= 4.0, "{y:?}");
    for tick in ["0.001", "0.01", "0.1", "1", "10"] {
        assert!(texts(&svg).contains(&tick.to_string()), "{tick}");
    }
}

/// Points of each of its parts.
fn lengths(svg: &str) -> Vec<usize> {
    line(svg).iter().map(|run| run.len() / 2).collect()
}

#[test]
fn what_an_axis_cannot_show_leaves_a_gap() {
    let values = [
        1.0,
        2.0,
        f64::NAN,
        3.0,
        4.0,
        5.0,
        0.0,
        6.0,
        f64::INFINITY,
        7.0,
        8.0,
    ];
    let points: Vec<_> = (0..).map(f64::from).zip(values).collect();
    let log = lines(&chart(points.clone(), Axis::log10("y"))).unwrap();
    assert_eq!(lengths(&log), [2, 3, 2]);
    assert_eq!(log.matches("<circle").count(), 1, "the lone point");
    let linear = lines(&chart(points, Axis::linear("y"))).unwrap();
    assert_eq!(lengths(&linear), [2, 5, 2]);
}

#[test]
fn many_points_keep_their_extremes() {
    let spike = |i: u32| if i == 60_123 { 9.0 } else { f64::from(i % 7) };
    let points = (0..100_000).map(|i| (f64::from(i), spike(i))).collect();
    let svg = lines(&chart(points, Axis::linear("y").including(0.0, 9.0))).unwrap();
    let line = &line(&svg)[0];
    assert!(line.len() / 2 < 4 * 640, "{}", line.len() / 2);
    let top = line.chunks(2).map(|p| p[1]).fold(f64::INFINITY, f64::min);
    assert_eq!(line.chunks(2).filter(|p| p[1] == top).count(), 1);
}

#[test]
fn dashes_follow_the_line() {
    let mut chart = chart(vec![(0.0, 0.0), (1.0, 0.0)], Axis::linear("y"));
    let whole = line(&lines(&chart).unwrap()).concat();
    chart.series[0].dashed = true;
    let xml = lines(&chart).unwrap();
    let dashes = line(&xml);
    assert!(dashes.len() > 40);
    assert_eq!(dashes[0][..2], whole[..2]);
    assert!((dashes[0][2] - dashes[0][0] - 70.0).abs() <= 1.0);
    assert!((dashes[1][0] - dashes[0][2] - 45.0).abs() <= 1.0);
}

#[test]
fn every_seed_has_a_dot() {
    let strip = |name: &str, values: &[f64]| Strip {
        name: name.into(),
        values: values.into(),
        reference: Some(2.0),
        ..Strip::default()
    };
    let chart = StripChart {
        axis: Axis::log10("steps"),
        strips: vec![
            strip("a", &[1.0, 1.0, 1.0, 3.0]),
            strip("b", &[0.0, f64::NAN, 5.0]),
            strip("none", &[]),
        ],
        reference: "published".into(),
        ..StripChart::default()
    };
    let svg = strips(&chart).unwrap();
    check(&svg);
    let xml = Document::parse(&svg).unwrap();
    let mut dots: Vec<_> = xml
        .descendants()
        .filter(|n| n.has_tag_name("circle"))
        .map(|n| (number(n, "cx") as i64, number(n, "cy") as i64))
        .collect();
    assert_eq!(dots.len(), 5 + 1, "and one in the legend");
    dots.sort_unstable();
    dots.dedup();
    assert_eq!(dots.len(), 6, "none covers another");
    assert!(texts(&svg).contains(&"+2 not drawn".to_string()));
    assert!(texts(&svg).contains(&"published".to_string()));
}

#[test]
fn colours_are_variables_in_html_that_the_page_sets() {
    let svg = lines(&chart(vec![(0.0, 1.0), (1.0, 2.0)], Axis::linear("y"))).unwrap();
    let inline = inlined(&svg);
    let style = include_str!("../style.css");
    for attribute in ["fill=\"#", "stroke=\"#"] {
        assert!(svg.contains(attribute) && !inline.contains(attribute));
    }
    for variable in inline.split("var(").skip(1) {
        let name = variable.split(',').next().unwrap();
        // In light, in dark, and in print.
        assert_eq!(style.matches(&format!("{name}: #")).count(), 3, "{name}");
    }
    for i in 0..canvas::SERIES {
        assert_eq!(style.matches(&format!("--s{i}: #")).count(), 3);
    }
}

#[test]
fn too_much_is_an_error() {
    let many = LineChart {
        series: vec![Series::default(); 2_001],
        ..LineChart::default()
    };
    let error = lines(&many).unwrap_err().to_string();
    assert_eq!(
        error,
        "2001 series are more than the 2000 that can be drawn"
    );
    let many = StripChart {
        strips: vec![Strip::default(); 201],
        ..StripChart::default()
    };
    assert!(strips(&many).is_err());
    let names = |n: usize| vec!["n".to_string(); n];
    for (rows, columns) in [(41, 1), (1, 41)] {
        let many = HeatMap {
            rows: names(rows),
            columns: names(columns),
            ..HeatMap::default()
        };
        assert!(heat_map(&many).is_err());
    }
}

/// Rectangles of the cells, by row and column, with their colours; the sheet's is first and
/// those of the bar are last.
fn cells(svg: &str) -> Vec<(i64, i64, String)> {
    let xml = Document::parse(svg).unwrap();
    let rects = xml.descendants().filter(|n| n.has_tag_name("rect"));
    let rects = rects.map(|n| {
        let at = (number(n, "y") as i64, number(n, "x") as i64);
        (at.0, at.1, n.attribute("fill").unwrap().to_string())
    });
    let all: Vec<_> = rects.collect();
    all[1..all.len() - 64].to_vec()
}

#[test]
fn cells_have_the_colours_and_the_numbers_of_their_values() {
    let chart = HeatMap {
        rows: vec!["a".into(), "b".into()],
        columns: ["1", "2", "a name that is far too wide for a cell"]
            .map(String::from)
            .into(),
        cells: vec![
            vec![Some(10.0), None, Some(98.76)],
            vec![Some(54.38), Some(f64::NAN)],
        ],
        decimals: 1,
        ..HeatMap::default()
    };
    let svg = heat_map(&chart).unwrap();
    check(&svg);
    let found = cells(&svg);
    // Row by row: the lowest, the highest, the one in the middle.
    assert_eq!(found.len(), 3);
    let colors: Vec<&str> = found.iter().map(|(.., color)| color.as_str()).collect();
    assert_eq!(colors, ["#463480", "#FDE725", "#1FA287"]);
    assert!(found[0].0 == found[1].0 && found[0].1 < found[1].1);
    assert!(found[2].0 > found[0].0 && found[2].1 == found[0].1);
    let texts = texts(&svg);
    for text in ["10.0", "98.8", "54.4", "a", "b"] {
        assert!(texts.contains(&text.to_string()), "{text} {texts:?}");
    }
    assert!(!texts.contains(&"NaN".into()) && !texts.contains(&"0.0".into()));
    assert!(
        texts
            .iter()
            .any(|text| text.contains("C: a name that is far"))
    );
    // Numbers would look like values.
    for (text, there) in [("A", true), ("B", true), ("C", true), ("3", false)] {
        assert_eq!(texts.contains(&text.to_string()), there, "{text}");
    }
    // Cells without a value: an outline and a dash each.
    let lines = |color: &str| svg.matches(&format!("stroke=\"{color}\"")).count();
    assert_eq!(lines("#DDE1E6"), 3);

    // A given range is that of the colours; numbers give way to narrow cells.
    let wide = HeatMap {
        rows: vec!["a".into()],
        columns: (0..40).map(|i| format!("{i}")).collect(),
        cells: vec![(0..40).map(|i| Some(f64::from(i))).collect()],
        range: Some((0.0, 1_000.0)),
        decimals: 2,
        ..HeatMap::default()
    };
    let svg = heat_map(&wide).unwrap();
    check(&svg);
    let found = cells(&svg);
    assert_eq!(found.len(), 40);
    assert_eq!(found[0].2, "#463480");
    assert_ne!(found[39].2, "#FDE725");
}

#[test]
fn cells_keep_their_colours_in_the_dark() {
    let chart = HeatMap {
        rows: vec!["a".into()],
        columns: (0..10).map(|i| i.to_string()).collect(),
        cells: vec![(0..10).map(|i| Some(f64::from(i))).collect()],
        ..HeatMap::default()
    };
    let svg = heat_map(&chart).unwrap();
    let fixed: Vec<String> = cells(&svg).into_iter().map(|c| c.2).collect();
    let page = inlined(&svg);
    for color in fixed {
        assert!(page.contains(&format!("fill=\"{color}\"")), "{color}");
    }
    for text in ["#FEFEFE", "#000000"] {
        assert!(page.contains(&format!("fill=\"{text}\"")), "{text}");
    }
}

/// Numbers of every size, and what is none.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        (-1.0..1.0).prop_map(|x: f64| 1.0 + x * 1e-12),
        (-1e3..1e3),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_numbers_can_be_drawn(
        points in prop::collection::vec((any_number(), any_number()), 0..6),
        include in prop::option::of((any_number(), any_number())),
        (log_x, log_y, thin) in any::<(bool, bool, bool)>(),
        name in "\\PC{0,60}|[a-zA-Z ]{0,120}",
    ) {
        let axis = |log| Axis {
            title: name.clone(),
            scale: if log { Scale::Log10 } else { Scale::Linear },
            include,
        };
        let values: Vec<f64> = points.iter().map(|p| p.1).collect();
        let series = Series {
            band: points.iter().map(|&(x, y)| (x, y, y * 2.0)).collect(),
            markers: !thin,
            dashed: thin,
            thin,
            ..Series::new(&name, 9, points)
        };
        let chart = LineChart {
            title: name.clone(),
            x: axis(log_x),
            y: axis(log_y),
            series: vec![series.clone(), series],
        };
        check(&lines(&chart).unwrap());
        let values_of = values.clone();
        let strip = Strip { name: name.clone(), values, ..Strip::default() };
        let chart = StripChart {
            title: name.clone(),
            axis: axis(log_x),
            strips: vec![strip.clone(), strip],
            ..StripChart::default()
        };
        check(&strips(&chart).unwrap());
        let chart = HeatMap {
            title: name.clone(),
            rows_title: name.clone(),
            columns_title: name.clone(),
            rows: vec![name.clone(); values_of.len()],
            columns: vec![name.clone(); 1 + values_of.len() * 7],
            cells: values_of.iter().map(|v| vec![Some(*v), None, Some(-v)]).collect(),
            value_title: name,
            range: include,
            decimals: 3,
        };
        check(&heat_map(&chart).unwrap());
    }
}
