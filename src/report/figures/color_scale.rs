//! Colours for values, the same in light and dark.

use super::canvas::Ink;

/// Places of viridis (Smith and van der Walt, for Matplotlib; CC0) from 0.15 to 1, evenly
/// apart: of nearly even steps for the eye, darker to lighter also to those who lack a kind of
/// cone, and its dark end can be told from the page in dark.
const STOPS: [(u8, u8, u8); 17] = [
    (0x46, 0x34, 0x80),
    (0x40, 0x45, 0x88),
    (0x3A, 0x53, 0x8B),
    (0x33, 0x62, 0x8D),
    (0x2E, 0x6F, 0x8E),
    (0x28, 0x7C, 0x8E),
    (0x23, 0x89, 0x8E),
    (0x1F, 0x95, 0x8B),
    (0x1F, 0xA2, 0x87),
    (0x28, 0xAE, 0x80),
    (0x3B, 0xBB, 0x75),
    (0x56, 0xC6, 0x67),
    (0x73, 0xD0, 0x56),
    (0x95, 0xD8, 0x40),
    (0xB8, 0xDE, 0x29),
    (0xDD, 0xE3, 0x18),
    (0xFD, 0xE7, 0x25),
];

/// Text on the colours: the one of these with more contrast. No colours of the page, which
/// change in the dark.
const LIGHT: (u8, u8, u8) = (0xFE, 0xFE, 0xFE);
const DARK: (u8, u8, u8) = (0, 0, 0);

/// The colour at `t`, 0 to 1; what is beyond has that of the end.
pub(super) fn color(t: f64) -> Ink {
    let last = STOPS.len() - 1;
    let place = t.clamp(0.0, 1.0) * last as f64;
    let below = (place.floor() as usize).min(last - 1);
    let share = place - below as f64;
    let ((r, g, b), to) = (STOPS[below], STOPS[below + 1]);
    let mixed = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round();
    // Between two colours, so in range.
    Ink::Fixed(
        mixed(r, to.0) as u8,
        mixed(g, to.1) as u8,
        mixed(b, to.2) as u8,
    )
}

/// What text on the colour at `t` is written with.
pub(super) fn text_on(t: f64) -> Ink {
    let Ink::Fixed(r, g, b) = color(t) else {
        return Ink::Text;
    };
    let back = luminance((r, g, b));
    let contrast = |text| {
        let text = luminance(text);
        (back.max(text) + 0.05) / (back.min(text) + 0.05)
    };
    let (r, g, b) = match contrast(LIGHT) > contrast(DARK) {
        true => LIGHT,
        false => DARK,
    };
    Ink::Fixed(r, g, b)
}

/// Relative luminance, 0 to 1, of an sRGB colour: WCAG 2.2.
fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
    let linear = |c: u8| {
        let c = f64::from(c) / 255.0;
        match c <= 0.040_45 {
            true => c / 12.92,
            false => ((c + 0.055) / 1.055).powf(2.4),
        }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(ink: Ink) -> (u8, u8, u8) {
        match ink {
            Ink::Fixed(r, g, b) => (r, g, b),
            _ => panic!("not fixed"),
        }
    }

    /// CIE L*.
    fn lightness(color: (u8, u8, u8)) -> f64 {
        116.0 * luminance(color).cbrt() - 16.0
    }

    #[test]
    fn lightness_rises_evenly() {
        // The luminances of sRGB's primaries, and of a grey (IEC 61966-2-1).
        assert!((luminance((255, 255, 255)) - 1.0).abs() < 1e-12);
        assert!((luminance((119, 119, 119)) - 0.184_475).abs() < 1e-6);
        let values: Vec<f64> = (0..=64)
            .map(|i| lightness(rgb(color(f64::from(i) / 64.0))))
            .collect();
        assert!(values[0] > 25.0 && values[64] > 90.0, "{values:?}");
        let even = (values[64] - values[0]) / 64.0;
        for pair in values.windows(2) {
            let step = pair[1] - pair[0];
            assert!((step / even - 1.0).abs() < 0.7, "{step} {even}");
        }
        assert_eq!(color(-1.0), color(0.0));
        assert_eq!(color(2.0), color(1.0));
    }

    #[test]
    fn text_can_be_read_on_every_colour() {
        for i in 0..=256 {
            let t = f64::from(i) / 256.0;
            let (text, back) = (luminance(rgb(text_on(t))), luminance(rgb(color(t))));
            let contrast = (text.max(back) + 0.05) / (text.min(back) + 0.05);
            assert!(contrast >= 4.5, "{t} {contrast}");
        }
    }
}
