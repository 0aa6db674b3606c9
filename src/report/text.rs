//! Inline text and numbers, the same in every format.

/// A piece of inline text, without its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span<'a> {
    Plain(&'a str),
    Bold(&'a str),
    Code(&'a str),
}

impl<'a> Span<'a> {
    /// The text in it.
    pub(super) fn text(self) -> &'a str {
        match self {
            Self::Plain(text) | Self::Bold(text) | Self::Code(text) => text,
        }
    }
}

/// Text as one line that XML, HTML and terminals can have: runs of white space become a
/// space, control characters and noncharacters U+FFFD.
pub(super) fn clean(text: &str) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let line = words.join(" ");
    line.chars()
        .map(|c| if allowed(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Takes [`clean`]ed text apart. Marks without a partner are text.
pub(super) fn spans(text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let (mut plain, mut at) = (0, 0);
    // Each search for a partner either moves on or is the last of its kind.
    let (mut bold, mut code) = (true, true);
    while let Some(found) = text[at..].find(['*', '`']) {
        let open = at + found;
        let rest = &text[open..];
        let mark = match rest.as_bytes() {
            [b'`', ..] if code => "`",
            [b'*', b'*', ..] if bold => "**",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let Some(length) = rest[mark.len()..].find(mark) else {
            match mark {
                "`" => code = false,
                _ => bold = false,
            }
            at = open + mark.len();
            continue;
        };
        let inner = &rest[mark.len()..mark.len() + length];
        let span = match mark {
            "`" if !inner.trim().is_empty() => Span::Code(inner.trim()),
            "**" if !inner.is_empty() && inner.trim() == inner && !inner.contains('`') => {
                Span::Bold(inner)
            }
            _ => {
                at = open + mark.len();
                continue;
            }
        };
        if plain < open {
            spans.push(Span::Plain(&text[plain..open]));
        }
        spans.push(span);
        at = open + inner.len() + 2 * mark.len();
        plain = at;
    }
    if plain < text.len() {
        spans.push(Span::Plain(&text[plain..]));
    }
    spans
}

/// The text without its marks.
pub(super) fn plain(text: &str) -> String {
    let text = clean(text);
    spans(&text).into_iter().map(Span::text).collect()
}

/// Four decimals, or three significant digits and a power of ten, in at most nine characters.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        0.001..1000.0 => format!("{x:.4}"),
        _ => format!("{x:.2e}"),
    }
}

/// A number for readers: so many decimals (at most 17), thousands apart, a
/// true minus; in powers of ten from 10¹⁵ on.
pub(super) fn decimal(x: f64, decimals: u8) -> String {
    let places = usize::from(decimals.min(17));
    let size = x.abs();
    let digits = match size {
        _ if x.is_nan() => return "NaN".into(),
        f64::INFINITY => "∞".into(),
        0.0..1e15 => grouped(&format!("{size:.places$}")),
        _ => {
            let text = format!("{size:.places$e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{mantissa}·10{}", superscript(exponent))
        }
    };
    // What is rounded to zero has no sign.
    match x < 0.0 && digits.contains(|c: char| c != '0' && c != '.') {
        true => format!("−{digits}"),
        false => digits,
    }
}

/// A share as a percentage without its sign: [`decimal`], but for shares that are rounded to
/// all or nothing and are neither, `<1` and `>99`, or `<0.01` and `>99.99`.
pub(crate) fn percent(share: f64, decimals: u8) -> String {
    let text = decimal(100.0 * share, decimals);
    let least = 0.1f64.powi(i32::from(decimals.min(17)));
    if share > 0.0 && text == decimal(0.0, decimals) {
        format!("<{}", decimal(least, decimals))
    } else if share < 1.0 && text == decimal(100.0, decimals) {
        format!(">{}", decimal(100.0 - least, decimals))
    } else {
        text
    }
}

/// Commas between thousands of digits with or without decimals.
pub(crate) fn grouped(digits: &str) -> String {
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut text = String::new();
    for (i, digit) in digits[..whole].char_indices() {
        if i > 0 && (whole - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + &digits[whole..]
}

/// An integer as a superscript.
pub(super) fn superscript(integer: &str) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| match c.to_digit(10) {
        Some(digit) => DIGITS[digit as usize],
        None => '⁻',
    };
    integer.chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Span::{Bold, Code, Plain};

    #[test]
    fn marks_with_partners_are_spans() {
        for (text, expected) in [
            ("", &[][..]),
            ("plain", &[Plain("plain")]),
            ("a **b c** d", &[Plain("a "), Bold("b c"), Plain(" d")]),
            ("`a*b` c", &[Code("a*b"), Plain(" c")]),
            ("``", &[Plain("``")]),
            ("a ` b", &[Plain("a ` b")]),
            ("2 ** 3", &[Plain("2 ** 3")]),
            ("** a ** b", &[Plain("** a ** b")]),
            ("*a*", &[Plain("*a*")]),
            ("**a`b**`", &[Plain("**a"), Code("b**")]),
            ("**é**`ü`", &[Bold("é"), Code("ü")]),
            ("** x **y**", &[Plain("** x "), Bold("y")]),
        ] {
            assert_eq!(spans(text), expected, "{text}");
        }
    }

    #[test]
    fn many_marks_take_no_longer_than_they_must() {
        for mark in ["**", "`", "** ", "` ", "**`"] {
            spans(&mark.repeat(100_000));
        }
    }

    #[test]
    fn text_is_one_line_of_characters_that_xml_has() {
        assert_eq!(clean("  a\r\n\tb \u{a0}c"), "a b \u{a0}c");
        assert_eq!(
            clean("\u{0}\u{1b}[0m\u{ffff}"),
            "\u{fffd}\u{fffd}[0m\u{fffd}"
        );
        assert_eq!(plain("a **b**\n`c` *d*"), "a b c *d*");
    }

    #[test]
    fn only_none_and_all_are_0_and_100_percent() {
        for (share, decimals, expected) in [
            (0.0, 0, "0"),
            (0.004, 0, "<1"),
            (0.006, 0, "1"),
            (0.994, 0, "99"),
            (0.996, 0, ">99"),
            (1.0, 0, "100"),
            (1e-9, 2, "<0.01"),
            (0.5, 2, "50.00"),
            (0.99999, 2, ">99.99"),
            (1.001, 0, "100"),
            (-0.001, 0, "0"),
            (f64::NAN, 0, "NaN"),
        ] {
            assert_eq!(percent(share, decimals), expected);
        }
    }

    #[test]
    fn numbers_are_for_readers() {
        for (value, decimals, expected) in [
            (0.0, 2, "0.00"),
            (-0.001, 2, "0.00"),
            (-1.5, 1, "−1.5"),
            (1234.5, 1, "1,234.5"),
            (12345.67, 1, "12,345.7"),
            (1_234_567.0, 0, "1,234,567"),
            (123_456.0, 0, "123,456"),
            (-1e20, 1, "−1.0·10²⁰"),
            (f64::NAN, 3, "NaN"),
            (f64::NEG_INFINITY, 3, "−∞"),
        ] {
            assert_eq!(decimal(value, decimals), expected);
        }
        assert_eq!(decimal(0.5, 255).len(), 19);
    }
}
